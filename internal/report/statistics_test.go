package report_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	enthandover "github.com/openhandover/openhandover/ent/handover"
	"github.com/openhandover/openhandover/ent/transfer"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/report"
)

var dimensions = []report.Dimension{report.Department, report.FromDepartment, report.Leaver, report.Successor, report.Kind, report.HandoverKind, report.Status, report.Importance, report.Reason, report.Rule}

// tally is what a row must say.
type tally struct {
	n         map[string]int // by status
	overdue   int
	durations []time.Duration
}

func (y *tally) add(f *fact, now time.Time) {
	y.n[f.status]++
	if f.status == "WAITING" && !f.quarter.Add(24*time.Hour+15*time.Minute).After(now) {
		y.overdue++
	}
	if f.status == "COMPLETED" {
		y.durations = append(y.durations, f.finished.Time.Sub(f.assigned))
	}
}

// name is a bucket's name, found without the code under test.
func name(b report.Bucket, at time.Time, zone *time.Location) string {
	at = at.In(zone)
	switch b {
	case report.Hour:
		return at.Format("2006-01-02 15:00 -07:00")
	case report.Day:
		return at.Format("2006-01-02")
	case report.Week:
		y, w := at.ISOWeek()
		return fmt.Sprintf("%d-W%02d", y, w)
	case report.Month:
		return at.Format("2006-01")
	}
	return ""
}

// key names a row by its time and values. What parts them sorts before every letter,
// as the end of a name does.
func key(label string, values []string) string {
	return label + "\x01" + strings.Join(values, "\x01")
}

func shown(r report.Row, by []report.Dimension) string {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	all := map[report.Dimension]string{report.Department: text(r.Department), report.FromDepartment: text(r.FromDepartment), report.Leaver: text(r.Leaver),
		report.Successor: text(r.Successor), report.Kind: text((*string)(r.Kind)), report.HandoverKind: text((*string)(r.HandoverKind)),
		report.Status: text((*string)(r.Status)), report.Importance: text((*string)(r.Importance)), report.Reason: text((*string)(r.Reason)), report.Rule: text(r.Rule)}
	values := make([]string, len(by))
	for i, d := range by {
		values[i] = all[d]
		delete(all, d)
	}
	for d, v := range all {
		if v != "" {
			values = append(values, fmt.Sprint("not asked for: ", d, v))
		}
	}
	return key(text(r.BucketLabel), values)
}

// differs says where a row is not what was tallied.
func differs(r report.Row, y *tally) string {
	decided := y.n["COMPLETED"] + y.n["REFUSED"] + y.n["LIMIT_REACHED"] + y.n["FAILED"]
	total := 0
	for _, n := range y.n {
		total += n
	}
	want := []int{total, y.n["COMPLETED"], y.n["REFUSED"], y.n["WAITING"], y.overdue, y.n["LIMIT_REACHED"], y.n["SKIPPED"], y.n["FAILED"], y.n["CANCELLED"], y.n["REVERTED"], decided}
	got := []int{r.Assigned, r.Completed, r.Refused, r.Waiting, r.WaitingOver24h, r.LimitReached, r.Skipped, r.Failed, r.Cancelled, r.Reverted, r.Decided}
	out := ""
	if !slices.Equal(want, got) {
		out = cmp.Diff(want, got)
	}
	rate := func(got *float64, n int) {
		switch {
		case (got == nil) != (decided == 0):
			out += fmt.Sprintf("a rate of %d decided is %v\n", decided, got)
		case got != nil && *got != float64(n)/float64(decided):
			out += fmt.Sprintf("rate %v, want %d/%d\n", *got, n, decided)
		}
	}
	rate(r.SuccessRate, y.n["COMPLETED"])
	rate(r.RefusalRate, y.n["REFUSED"])
	slices.Sort(y.durations)
	for _, q := range []struct {
		got    *float64
		tenths int
	}{{r.TakeoverHoursP50, 5}, {r.TakeoverHoursP90, 9}} {
		if (q.got == nil) != (len(y.durations) == 0) {
			out += fmt.Sprintf("a quantile of %d takeovers is %v\n", len(y.durations), q.got)
		} else if q.got != nil {
			exact := y.durations[(q.tenths*len(y.durations)+9)/10-1].Hours()
			if math.Abs(*q.got-exact) > max(0.05*exact, 1.0/3600) {
				out += fmt.Sprintf("quantile %v, exactly %v\n", *q.got, exact)
			}
		}
	}
	return out
}

// Whatever is asked, the answer is what a scan of all transfers gives.
func TestStatisticsAreWhatAScanOfAllTransfersGives(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.live()
		facts := w.facts()
		seen := map[string]int{}
		for _, f := range facts {
			seen[f.status]++
		}
		for _, s := range []string{"COMPLETED", "REFUSED", "WAITING", "LIMIT_REACHED", "SKIPPED", "FAILED"} {
			if seen[s] == 0 {
				t.Fatalf("no transfer of this test is %s", s)
			}
		}
		below := map[nid.ID][]nid.ID{w.Root: {w.Root, w.sales, w.east, w.service}, w.sales: {w.sales, w.east}, w.east: {w.east}, w.service: {w.service}}
		admin, reporter := w.SignedIn(w.Admin, false), w.SignedIn(w.reporter, false)
		first := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		rapid.Check(t, func(t *rapid.T) {
			a := ask{
				bucket: rapid.SampledFrom([]report.Bucket{report.None, report.Hour, report.Day, report.Week, report.Month}).Draw(t, "bucket"),
				zone:   rapid.SampledFrom([]string{"", "UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York"}).Draw(t, "zone"),
				by:     rapid.SliceOfNDistinct(rapid.SampledFrom(dimensions), 0, 3, rapid.ID[report.Dimension]).Draw(t, "by"),
				fill:   rapid.Bool().Draw(t, "fill"),
			}
			moment := func(name string, from int) *time.Time {
				if rapid.Bool().Draw(t, name+" is open") {
					return nil
				}
				m := first.Add(time.Duration(rapid.IntRange(from, max(from, 320*96*15)).Draw(t, name)) * time.Minute)
				return &m
			}
			a.filter.From = moment("from", 0) // in the middle of a quarter-hour, too
			if a.filter.From != nil {
				a.filter.Until = moment("until", int(a.filter.From.Sub(first)/time.Minute)+1)
			}
			if rapid.Bool().Draw(t, "of a department") {
				d := rapid.SampledFrom([]nid.ID{w.Root, w.sales, w.east, w.service}).Draw(t, "department")
				a.filter.DepartmentID = &d
			}
			a.filter.Kinds = rapid.SampledFrom([][]transfer.Kind{nil, nil, {}, {"GROUP"}, {"CONTACT", "GROUP"}}).Draw(t, "kinds")
			a.filter.HandoverKinds = rapid.SampledFrom([][]enthandover.Kind{nil, nil, {"RESIGNED"}, {"ON_JOB"}}).Draw(t, "handover kinds")
			if rapid.IntRange(0, 3).Draw(t, "of a handover") == 0 {
				h := rapid.SampledFrom(facts).Draw(t, "handover").handover
				a.filter.HandoverID = &h
			}
			ctx, narrow := admin, rapid.Bool().Draw(t, "as reporter")
			if narrow {
				ctx = reporter
			}
			var counted []fact
			for _, f := range facts {
				switch {
				case a.filter.From != nil && f.quarter.Before(*a.filter.From), a.filter.Until != nil && !f.quarter.Before(*a.filter.Until),
					a.filter.Kinds != nil && !slices.Contains(a.filter.Kinds, transfer.Kind(f.kind)),
					a.filter.HandoverKinds != nil && !slices.Contains(a.filter.HandoverKinds, enthandover.Kind(f.case_)),
					a.filter.DepartmentID != nil && !slices.Contains(below[*a.filter.DepartmentID], f.to),
					a.filter.HandoverID != nil && *a.filter.HandoverID != f.handover,
					narrow && !slices.Contains(below[w.sales], f.to) && !slices.Contains(below[w.sales], f.from):
				default:
					counted = append(counted, f)
				}
			}
			inSight := func(f fact) bool {
				return f.handover == *a.filter.HandoverID && (!narrow || slices.Contains(below[w.sales], f.to) || slices.Contains(below[w.sales], f.from))
			}
			if end := w.DB.Now(); a.fill && a.bucket == report.Hour && a.filter.From != nil {
				if a.filter.Until != nil {
					end = *a.filter.Until
				}
				a.fill = end.Sub(*a.filter.From) < (report.MaxBuckets-1)*time.Hour // else INVALID
			}
			got, err := w.ask(ctx, a)
			if a.filter.HandoverID != nil && !slices.ContainsFunc(facts, inSight) {
				if fault.CodeOf(err) != fault.NotFound {
					t.Fatalf("a handover out of sight: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			w.compare(t, a, got, counted)
		})
	})
}

// compare holds an answer against the facts that it is about.
func (w *world) compare(t *rapid.T, a ask, got result, counted []fact) {
	now := w.DB.Now()
	zone, err := time.LoadLocation(got.TimeZone)
	if err != nil || a.zone != "" && a.zone != got.TimeZone || a.zone == "" && got.TimeZone != "Asia/Shanghai" || !got.AsOf.Equal(now) {
		t.Fatalf("%v, as of %v in %s", err, got.AsOf, got.TimeZone)
	}
	whole, rows, groups := &tally{n: map[string]int{}}, map[string]*tally{}, map[string][]string{}
	at := func(key string) *tally {
		if rows[key] == nil {
			rows[key] = &tally{n: map[string]int{}}
		}
		return rows[key]
	}
	from, until := now.Truncate(15*time.Minute).Add(15*time.Minute), now.Truncate(15*time.Minute).Add(15*time.Minute)
	for i := range counted {
		f := &counted[i]
		values := []string{}
		for _, d := range a.by {
			values = append(values, f.value(d))
		}
		groups[key("", values)] = values
		at(key(name(a.bucket, f.quarter, zone), values)).add(f, now)
		whole.add(f, now)
		if f.quarter.Before(from) {
			from = f.quarter
		}
	}
	if len(a.by) == 0 {
		groups[""] = []string{}
	}
	if a.filter.From != nil {
		from = *a.filter.From
	}
	if a.filter.Until != nil {
		until = *a.filter.Until
	}
	cut := false
	if a.fill {
		last, stretches := "-", 0
		for q := from.Truncate(15 * time.Minute); q.Before(until) || last == "-" && a.bucket == report.None; q = q.Add(15 * time.Minute) {
			label := name(a.bucket, q, zone)
			if label != last {
				stretches++
			}
			if cut = stretches > report.MaxBuckets; cut {
				break
			}
			for _, values := range groups {
				if label != last {
					at(key(label, values))
				}
			}
			last = label
		}
	}
	if d := differs(got.Totals, whole); d != "" || got.Totals.BucketStart != nil {
		t.Fatalf("totals: %s", d)
	}
	if want := min(len(rows), report.MaxRows); len(got.Rows) != want || got.Truncated != (cut || len(rows) > report.MaxRows) {
		t.Fatalf("%d rows (truncated: %v), want %d", len(got.Rows), got.Truncated, len(rows))
	}
	ids := map[nid.ID]bool{got.Totals.ID: true}
	last := ""
	for _, r := range got.Rows {
		k := shown(*r, a.by)
		if rows[k] == nil {
			t.Fatalf("a row too much: %q", k)
		}
		if d := differs(*r, rows[k]); d != "" {
			t.Fatalf("%s: %s", k, d)
		}
		delete(rows, k)
		if ids[r.ID] || r.ID.IsZero() {
			t.Fatalf("two rows are %s", r.ID)
		}
		ids[r.ID] = true
		order := k
		if r.BucketStart != nil {
			if n := name(a.bucket, *r.BucketStart, zone); n != *r.BucketLabel || name(a.bucket, r.BucketStart.Add(-1), zone) == n {
				t.Fatalf("bucket %s begins at %v", *r.BucketLabel, r.BucketStart)
			}
			order = r.BucketStart.Format(time.RFC3339) + k
		}
		if order < last {
			t.Fatalf("%q comes after %q", order, last)
		}
		last = order
	}
	if again, err := w.ask(w.SignedIn(w.Admin, false), a); err != nil || again.Totals.ID != got.Totals.ID {
		t.Fatalf("the same question has another id: %v, %v", again.Totals.ID, err)
	}
}

func TestAnAutumnNightInBerlin(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.live()
		from, until := time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 27, 0, 0, 0, 0, time.UTC)
		a := ask{bucket: report.Day, zone: "Europe/Berlin", fill: true, filter: report.Filter{From: &from, Until: &until}}
		got, err := w.ask(w.SignedIn(w.Admin, false), a)
		ok(t, err)
		days := map[string]int{}
		for _, r := range got.Rows {
			days[*r.BucketLabel] = r.Assigned
		}
		perDay := map[string]int{"2026-10-24": 0, "2026-10-25": 0, "2026-10-26": 0, "2026-10-27": 0}
		zone, err := time.LoadLocation("Europe/Berlin")
		ok(t, err)
		for _, f := range w.facts() {
			if !f.assigned.Before(from) && f.assigned.Before(until) {
				perDay[f.assigned.In(zone).Format("2006-01-02")]++
			}
		}
		if d := cmp.Diff(perDay, days); d != "" || days["2026-10-25"] == 0 || days["2026-10-26"] == 0 {
			t.Error(d)
		}
		// The hour that the night has twice is two rows.
		a.bucket = report.Hour
		got, err = w.ask(w.SignedIn(w.Admin, false), a)
		ok(t, err)
		twice := 0
		for _, r := range got.Rows {
			if strings.HasPrefix(*r.BucketLabel, "2026-10-25 02:00 ") && r.Assigned > 0 {
				twice++
			}
		}
		if twice != 2 || len(got.Rows) != 72 {
			t.Errorf("02:00 is there %d times in %d hours", twice, len(got.Rows))
		}
	})
}

func TestStatementsDoNotGrowWithTheAnswer(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.live()
		for _, fill := range []bool{false, true} {
			var statements []string
			ctx := counting(w.SignedIn(w.Admin, false), &statements)
			got, err := w.ask(ctx, ask{bucket: report.Day, by: dimensions, fill: fill})
			ok(t, err)
			if len(statements) > 10 || len(got.Rows) < 20 {
				t.Errorf("%d statements for %d rows:\n%s", len(statements), len(got.Rows), strings.Join(statements, "\n"))
			}
		}
	})
}
