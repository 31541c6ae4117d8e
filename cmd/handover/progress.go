package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// progress shows how far long work has come: one line that is written over on a
// terminal, a line for each finished stage elsewhere. Work that takes less than a
// second shows nothing.
type progress struct {
	w        io.Writer
	terminal bool
	began    time.Time
	last     time.Time
	stage    string
	shown    bool
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, began: time.Now()}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd())) // #nosec G115 -- a descriptor is small
	}
	return p
}

// step is told what is being done, and how much of it is.
func (p *progress) step(stage string, done, total int) {
	now := time.Now()
	if now.Sub(p.began) < time.Second || p.terminal && stage == p.stage && now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	of := ""
	if total > 0 {
		of = fmt.Sprintf(" of %d (%d %%)", total, done*100/total)
	}
	switch {
	case p.terminal:
		fmt.Fprintf(p.w, "\r\x1b[K  %s: %d%s", stage, done, of)
		p.shown = true
	case stage != p.stage:
		fmt.Fprintf(p.w, "  %s …\n", stage)
	}
	p.stage, p.last = stage, now
}

func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
