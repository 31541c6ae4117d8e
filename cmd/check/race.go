package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

const trial = `package main

// int one(void) { return 1; }
import "C"

func main() {
	if C.one() != 1 {
		panic("the C compiler miscounts")
	}
}
`

// race decides whether the tests run under the race detector, and says why in
// words that follow "race detector". The detector needs a C compiler on most
// systems; whether there is one that works is seen by building and running a
// program with it, because a name in PATH proves nothing.
func (c *check) race(ctx context.Context) (on bool, why string, err error) {
	if c.raceMode == "off" {
		return false, "off, as asked", nil
	}
	reason, err := c.tryRace(ctx)
	switch {
	case err != nil:
		return false, "", err
	case reason == "":
		return true, "on: the C compiler works", nil
	case c.raceMode == "on":
		return false, "", errors.New("-race on: no working C compiler: " + reason)
	}
	return false, "off: no working C compiler (" + reason + ")", nil
}

// tryRace gives an empty reason where a program with C in it builds and runs under
// the race detector.
func (c *check) tryRace(ctx context.Context) (reason string, err error) {
	dir, err := os.MkdirTemp("", "handover-check-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	for name, text := range map[string]string{"go.mod": "module trial\n", "main.go": trial} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	cmd := c.command(ctx, "run", "-race", ".")
	cmd.Dir = dir
	cmd.Env = append(cmd.Env, "GOFLAGS=", "GOWORK=off")
	said, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return lastLine(string(said), err), nil
	}
	return "", nil
}

func lastLine(said string, err error) string {
	said = strings.TrimSpace(said)
	if said == "" {
		return err.Error()
	}
	return strings.TrimSpace(said[strings.LastIndexByte(said, '\n')+1:])
}
