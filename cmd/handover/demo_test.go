package main

import (
	"context"
	"os"
	"strings"
	"testing"
)

// cancelling ends a context as soon as a word is written.
type cancelling struct {
	*output
	word   string
	cancel context.CancelFunc
}

func (c *cancelling) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.word) {
		c.cancel()
	}
	return c.output.Write(p)
}

// Whoever presses Ctrl-C while the data is made finds nothing half made later.
func TestInterruptedDemoLeavesNothing(t *testing.T) {
	data := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stderr := &cancelling{newOutput(), "making the demo data", cancel}
	code := run(ctx, []string{"serve", "--demo", "--data", data, "--listen", "127.0.0.1:0"}, nil, newOutput(), stderr)
	if code != failed {
		t.Errorf("exit code %d", code)
	}
	if lines := strings.Split(strings.TrimSpace(stderr.String()), "\n"); lines[len(lines)-1] != "handover: interrupted" {
		t.Errorf("it said %q", lines)
	}
	left, err := os.ReadDir(data)
	// The lock of the server stays: another process may hold the file it is on.
	if err != nil || len(left) > 1 || len(left) == 1 && left[0].Name() != "demo.db.serving" {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
