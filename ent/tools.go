//go:build tools

package ent

// The generators are ordinary dependencies, so that `go generate` needs nothing else.
import (
	_ "entgo.io/ent/entc"
)
