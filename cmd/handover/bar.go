package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
)

const completed = "COMPLETED"

// standing is how far a handover has come, as the API tells it.
type standing struct {
	HandoverID   string    `json:"handoverId"`
	State        string    `json:"state"`
	Total        int       `json:"total"`
	Planned      int       `json:"planned"`
	Waiting      int       `json:"waiting"`
	Completed    int       `json:"completed"`
	Refused      int       `json:"refused"`
	LimitReached int       `json:"limitReached"`
	Failed       int       `json:"failed"`
	Skipped      int       `json:"skipped"`
	Cancelled    int       `json:"cancelled"`
	Reverted     int       `json:"reverted"`
	Finished     int       `json:"finished"`
	UpdatedAt    time.Time `json:"updatedAt"`
}

func (s *standing) over() bool {
	return slices.Contains([]string{completed, "PARTIAL", "FAILED", "REJECTED", "CANCELLED", "REVERTED"}, s.State)
}

// summary is what was done, and what became of the rest.
func (s *standing) summary() string {
	parts := append([]string{fmt.Sprintf("%d of %d done", s.Completed, s.Total)}, s.others()...)
	return strings.Join(parts, ", ")
}

// others are the counters beside what is planned and completed, those that count any.
func (s *standing) others() (out []string) {
	for _, c := range []struct {
		n    int
		what string
	}{
		{s.Waiting, "waiting"}, {s.Refused, "refused"}, {s.LimitReached, "without room"}, {s.Failed, "failed"},
		{s.Skipped, "skipped"}, {s.Cancelled, "cancelled"}, {s.Reverted, "taken back"},
	} {
		if c.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return out
}

func (s *standing) percent() int { return min(max(s.Finished, 0)*100/max(s.Total, 1), 100) }

// pace is how fast transfers are carried out of late.
type pace struct{ seen []sample }

type sample struct {
	at      time.Time
	planned int
}

// paceWindow is how far back pace looks: shorter jumps, longer lags behind.
const paceWindow = 20 * time.Second

// add notes how many are still planned. Where that has grown, as by a retry, or
// nothing has happened for a while, what was before says nothing.
func (p *pace) add(now time.Time, planned int) {
	if n := len(p.seen); n > 0 && planned > p.seen[n-1].planned {
		p.seen = nil
	}
	p.seen = append(p.seen, sample{now, planned})
	p.seen = slices.DeleteFunc(p.seen, func(s sample) bool { return now.Sub(s.at) > paceWindow })
}

// perSecond is zero where it cannot be told.
func (p *pace) perSecond() float64 {
	if len(p.seen) < 2 {
		return 0
	}
	first, last := p.seen[0], p.seen[len(p.seen)-1]
	took := last.at.Sub(first.at)
	if took < time.Second {
		return 0
	}
	return float64(first.planned-last.planned) / took.Seconds()
}

// remarks are rate, time left, and what did not simply complete.
func (s *standing) remarks(rate float64) (out []string) {
	if rate > 0 && s.Planned > 0 {
		digits := 0
		if rate < 10 {
			digits = 1
		}
		left := time.Duration(float64(s.Planned) / rate * float64(time.Second))
		out = append(out, fmt.Sprintf("%.*f/s", digits, rate), roughly(left)+" left")
	}
	return append(out, s.others()...)
}

// roughly is a duration as people say it.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", math.Ceil(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%.0f min", math.Ceil(d.Minutes()))
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// line is how it stands, for a log.
func (s *standing) line(rate float64) string {
	parts := append([]string{fmt.Sprintf("%d of %d (%d %%)", s.Finished, s.Total, s.percent())}, s.remarks(rate)...)
	return s.State + " " + strings.Join(parts, ", ")
}

// bar is line with a bar, in less than width columns.
func (s *standing) bar(rate float64, width int) string {
	head := s.State + " "
	done := fmt.Sprintf("%3d %%  %d of %d", s.percent(), s.Finished, s.Total)
	tail := strings.Join(append([]string{done}, s.remarks(rate)...), "  ")
	if room := min(width-len(head)-len(tail)-4, 40); room >= 10 {
		full := room * s.percent() / 100
		head += "[" + strings.Repeat("#", full) + strings.Repeat(".", room-full) + "] "
	}
	out := head + tail // ASCII: a byte is a column
	return out[:min(len(out), max(width-1, 0))]
}

// lineEvery is how often a log gets a line while the state stays the same.
const lineEvery = 5 * time.Second

// display shows steps on a terminal, in a log, or as JSON.
type display struct {
	out, err       io.Writer
	json, terminal bool
	width          func() int

	pace  pace
	state string    // of the last line
	at    time.Time // of the last line
	drawn bool
}

func newDisplay(out, err io.Writer, asJSON bool) *display {
	d := &display{out: out, err: err, json: asJSON}
	if f, ok := out.(*os.File); ok && !asJSON {
		fd := int(f.Fd()) // #nosec G115 -- a descriptor is small
		d.terminal = term.IsTerminal(fd)
		d.width = func() int {
			if w, _, err := term.GetSize(fd); err == nil && w > 0 {
				return w
			}
			return 80
		}
	}
	return d
}

func (d *display) step(s *standing) {
	now := time.Now()
	d.pace.add(now, s.Planned)
	switch {
	case d.json:
		_ = json.NewEncoder(d.out).Encode(s)
	case d.terminal:
		fmt.Fprint(d.out, "\r\x1b[K"+s.bar(d.pace.perSecond(), d.width()))
		d.drawn = true
	case s.State != d.state || now.Sub(d.at) >= lineEvery:
		fmt.Fprintln(d.out, s.line(d.pace.perSecond()))
		d.state, d.at = s.State, now
	}
}

// note says that the connection was lost.
func (d *display) note(err error) {
	d.wipe()
	fmt.Fprintf(d.err, "%v; trying again\n", err)
}

// end leaves a terminal with a line that says how it ended, where that is well.
func (d *display) end(last *standing) {
	if d.wipe(); d.terminal && last != nil && last.State == completed {
		fmt.Fprintln(d.out, last.line(0))
	}
}

func (d *display) wipe() {
	if d.drawn {
		fmt.Fprint(d.out, "\r\x1b[K")
		d.drawn = false
	}
}
