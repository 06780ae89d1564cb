//go:build tools

// Package tools pins the Pulumi CLI that is built where it cannot be downloaded; see ADR 1.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
