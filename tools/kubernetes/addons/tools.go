//go:build tools

// Package addons pins what a cluster has besides Kubernetes itself: names, metrics and an ingress controller.
package addons

import (
	_ "github.com/traefik/traefik/v3/cmd/traefik"
	_ "sigs.k8s.io/metrics-server/cmd/metrics-server"
)
