//go:build !linux

package pgtest

import "context"

// install never changes such a machine.
func install(context.Context, func(string, ...any)) (string, error) { return "", ErrNoServer }
