//go:build tools

// Package tools pins the Pulumi CLI that is built where it cannot be downloaded; see docs/adr/0001-toolchain.md.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
