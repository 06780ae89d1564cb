// Command tiny is the first process of each pod, which waits to be ended; with arguments, a server or a client by HTTP:
// `tiny serve :8080` answers with the pod's name, `tiny get URL` prints an answer and fails without one.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	if len(os.Args) == 3 && os.Args[1] == "get" {
		get(os.Args[2])
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		name, _ := os.Hostname()
		http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprint(answer, name) })
		go func() { log.Fatal(http.ListenAndServe(os.Args[2], nil)) }()
	}
	<-ended
}

func get(url string) {
	client := http.Client{Timeout: 3 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		log.Fatal(answer.Status, err)
	}
}
