// Command pulumi-resource-kubernetes is Pulumi's own plugin for Kubernetes, from the module that it publishes. The vendor's command embeds
// the schema, which its build writes; this one reads the file of the module, which lies beside the program.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

// version is that of the SDK in use, or the engine asks for another plugin.
var version string

func main() {
	program, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	provider.Serve("kubernetes", version, beside(program, "schema.json"), beside(program, "terraform-mapping.json"))
}

func beside(program, name string) []byte {
	content, err := os.ReadFile(filepath.Join(filepath.Dir(program), name))
	if err != nil {
		log.Fatal(err)
	}
	return content
}
