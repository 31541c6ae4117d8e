package detect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Day is what one member did on one day in the corp's time zone, counted.
type Day struct {
	Date time.Time
	// Exports are files asked for, Rows what they held, Reads contacts and messages looked at.
	Exports, Rows, Reads int
}

// usual is what a member may do on a day without a finding, whatever they did before.
var usual = Day{Exports: 2, Rows: 200, Reads: 400}

// known is how many days make a baseline.
const known = 10

// BeforeLeaving judges one day in the time in which a member is about to leave (the
// caller knows which that is) against that member's own days before it. It compares
// with the second-highest of them, so that one odd day hides nothing; with fewer than
// ten days known, it asks for four times what anybody may do.
//
// The score is 1 - 0.75/times: 0.5 at one and a half times the most that was usual,
// 0.75 at three times. ok is false below Worth.
func BeforeLeaving(day Day, before []Day) (f Finding, ok bool) {
	best, what := 0.0, -1
	var en, zh []string
	for i, m := range measures {
		n, base := m.of(day), baseline(before, m)
		if n == 0 || float64(n) < 1.5*float64(base) {
			continue
		}
		times := float64(n) / float64(base)
		if times > best {
			best, what = times, i
		}
		en = append(en, fmt.Sprintf("%d %s, %.1f times the usual most of %d", n, m.en, times, base))
		zh = append(zh, fmt.Sprintf("%s %d，是平时上限 %d 的 %.1f 倍", m.zh, n, base, times))
	}
	if what < 0 {
		return Finding{}, false
	}
	score := 1 - 0.75/best
	if len(before) < known {
		score = min(score, 0.7)
	}
	if score < Worth {
		return Finding{}, false
	}
	return Finding{Detector: Export, Score: score, At: day.Date,
		Why: because("before leaving: "+strings.Join(en, "; "), "离职前："+strings.Join(zh, "；")).text()}, true
}

type measure struct {
	of     func(Day) int
	en, zh string
}

var measures = []measure{
	{func(d Day) int { return d.Exports }, "exports", "导出次数"},
	{func(d Day) int { return d.Rows }, "exported rows", "导出行数"},
	{func(d Day) int { return d.Reads }, "reads", "查看次数"},
}

func baseline(before []Day, m measure) int {
	least := m.of(usual)
	if len(before) < known {
		return 4 * least
	}
	all := make([]int, len(before))
	for i, d := range before {
		all[i] = m.of(d)
	}
	slices.SortFunc(all, func(a, b int) int { return cmp.Compare(b, a) })
	return max(least, all[1])
}
