package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestBarsFit(t *testing.T) {
	s := &standing{State: "RUNNING", Total: 100_000, Planned: 40_000, Completed: 59_000, Failed: 1000, Finished: 60_000}
	if got, want := s.bar(2500, 80), "RUNNING [########......]  60 %  60000 of 100000  2500/s  16 s left  1000 failed"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for width := range 200 {
		if n := utf8.RuneCountInString(s.bar(2500, width)); n >= max(width, 1) {
			t.Errorf("%d columns in %d", n, width)
		}
	}
	if got, want := (&standing{State: "READY"}).line(0), "READY 0 of 0 (0 %)"; got != want {
		t.Errorf("of nothing: %q, want %q", got, want)
	}
}

func TestPace(t *testing.T) {
	var p pace
	now := time.Now()
	p.add(now, 100)
	p.add(now.Add(500*time.Millisecond), 50)
	if p.perSecond() != 0 {
		t.Error("half a second says how fast it is")
	}
	p.add(now.Add(2*time.Second), 20)
	if got := p.perSecond(); got != 40 {
		t.Errorf("%v a second, want 40", got)
	}
	p.add(now.Add(3*time.Second), 90) // a retry
	if p.perSecond() != 0 {
		t.Error("what was before a retry counts")
	}
	p.add(now.Add(3*time.Second+2*paceWindow), 80)
	if p.perSecond() != 0 {
		t.Error("what was long ago counts")
	}
}

func TestRoughly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		500 * time.Millisecond: "1 s", 59 * time.Second: "59 s", 61 * time.Second: "2 min", 3*time.Hour + 5*time.Minute: "3 h 5 min",
	} {
		if got := roughly(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

// On a terminal one line is written over, and how it ended stays.
func TestOnATerminal(t *testing.T) {
	var b strings.Builder
	d := newDisplay(&b, &b, false)
	d.terminal, d.width = true, func() int { return 40 }
	d.step(&standing{State: "RUNNING", Total: 2, Planned: 2})
	d.note(lost{errEnded})
	last := &standing{State: completed, Total: 2, Completed: 2, Finished: 2}
	d.step(last)
	d.end(last)
	if got, want := b.String(), "\r\x1b[KRUNNING [...............]   0 %  0 of 2\r\x1b[Kended; trying again\n\r\x1b[KCOMPLETED [#############] 100 %  2 of 2\r\x1b[KCOMPLETED 2 of 2 (100 %)\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
