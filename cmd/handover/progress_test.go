package main

import (
	"strings"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	show := func(terminal bool, age time.Duration) string {
		var b strings.Builder
		p := newProgress(&b)
		p.terminal, p.began = terminal, p.began.Add(-age)
		p.step("members", 10, 60)
		p.step("members", 60, 60)
		p.step("messages", 5, 0)
		p.end()
		return b.String()
	}
	if got := show(true, 0); got != "" {
		t.Errorf("within the first second: %q", got)
	}
	if got, want := show(false, 2*time.Second), "  members …\n  messages …\n"; got != want {
		t.Errorf("in a file: %q, want %q", got, want)
	}
	// The second step comes too soon after the first to be shown; the end wipes the line.
	if got, want := show(true, 2*time.Second), "\r\x1b[K  members: 10 of 60 (16 %)\r\x1b[K  messages: 5\r\x1b[K"; got != want {
		t.Errorf("on a terminal: %q, want %q", got, want)
	}
}
