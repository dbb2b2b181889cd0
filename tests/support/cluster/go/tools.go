//go:build tools

// Package tools keeps programs that are built as they are in go.mod.
package tools

import (
	_ "helm.sh/helm/v4/cmd/helm"
)
