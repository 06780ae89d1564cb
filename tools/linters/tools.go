//go:build tools

// Package linters pins the linters that are written in Go; tools/bootstrap/linters.py builds them. It is a module of its
// own, so that moving a linter does not build the Pulumi CLI anew.
package linters

import (
	_ "github.com/rhysd/actionlint/cmd/actionlint"
	_ "github.com/zricethezav/gitleaks/v8"
)
