//go:build tools

// Package registry pins the container registry that tests run on loopback.
package registry

import _ "github.com/google/go-containerregistry/cmd/crane"
