//go:build tools

// Package router pins kube-router, which enforces the network policies of the rig's cluster. It is for tests alone:
// vulnerabilities of this release are known. A module of its own, because it needs the libraries of its time.
package router

import _ "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
