package report

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/histogram"
	"github.com/openhandover/openhandover/internal/store"
)

// cell is what was counted in one span for one combination of dimensions.
type cell struct {
	span int      // which of those asked for
	by   []string // a value for each dimension, as stored
	counts
}

type counts struct {
	assigned, completed, refused, waiting, overdue, limited, skipped, failed, cancelled, reverted int
	half, nine                                                                                    sql.NullInt64 // slots of the quantiles
}

// sums are the counts as conditions on a stored row, in the order in which cells
// are read; $2 is the last quarter-hour in which what still waits is overdue.
var sums = [...]struct{ name, condition string }{
	{"assigned", "1 = 1"},
	{"completed", "status = 'COMPLETED'"},
	{"refused", "status = 'REFUSED'"},
	{"waiting", "status = 'WAITING'"},
	{"overdue", "status = 'WAITING' AND bucket <= $2"},
	{"limited", "status = 'LIMIT_REACHED'"},
	{"skipped", "status = 'SKIPPED'"},
	{"failed", "status = 'FAILED'"},
	{"cancelled", "status = 'CANCELLED'"},
	{"reverted", "status = 'REVERTED'"},
	{"timed", "status = 'COMPLETED' AND takeover_slot >= 0"},
}

// count adds up, in one statement, what is in each span, by the dimensions, at
// most limit cells in the order of spans. Quantiles, where they are wanted, are found
// there too, from the running sum of each cell's histogram, so that nothing but the
// answer comes back.
func (a *question) count(ctx context.Context, spans []span, by []Dimension, limit int, quantiles bool) ([]cell, error) {
	rows := make([]map[string]any, len(spans))
	for i, s := range spans {
		rows[i] = map[string]any{"i": i, "lo": s.from, "hi": s.until}
	}
	condition, args := a.where.SQL(3)
	args = append([]any{a.db.Batch(rows), a.now.Add(-24*time.Hour - quarter)}, args...)
	most := fmt.Sprintf(" LIMIT $%d", len(args)+1)
	matching := "transfer_rollups.bucket >= span.lo AND transfer_rollups.bucket < span.hi AND " + condition
	args = append(args, limit)
	joined := a.db.Lookup("transfer_rollups", matching)
	if a.one != nil { // a few rows in memory, and no index
		var cells string
		cells, args = a.rollups(args)
		joined = " JOIN " + cells + " ON " + matching
	}
	keys, stored, named := "i", "span.i", "span.i AS i"
	for n, d := range by {
		keys += fmt.Sprintf(", d%d", n)
		stored += ", " + columns[d]
		named += fmt.Sprintf(", %s AS d%d", columns[d], n)
	}
	from := ` FROM ` + a.db.Rows(1, "span", "i int", "lo time", "hi time") + joined
	statement := `SELECT ` + named + summed(false) + `, NULL, NULL` + from + ` GROUP BY ` + stored + ` ORDER BY ` + keys + most
	if quantiles {
		statement = `WITH slots AS (
			SELECT ` + named + `, takeover_slot AS slot` + summed(true) + from + ` GROUP BY ` + stored + `, takeover_slot),
		running AS (
			SELECT slots.*, sum(timed) OVER (PARTITION BY ` + keys + ` ORDER BY slot) AS seen, sum(timed) OVER (PARTITION BY ` + keys + `) AS whole FROM slots)
		SELECT ` + keys + again() + `,
			min(CASE WHEN timed > 0 AND seen * 2 >= whole THEN slot END), min(CASE WHEN timed > 0 AND seen * 10 >= whole * 9 THEN slot END)
		FROM running GROUP BY ` + keys + ` ORDER BY ` + keys + most
	}
	return store.Select(ctx, a.q, func(c *cell) []any {
		c.by = make([]string, len(by))
		dest := []any{&c.span}
		for n := range by {
			dest = append(dest, &c.by[n])
		}
		return append(dest, &c.assigned, &c.completed, &c.refused, &c.waiting, &c.overdue, &c.limited, &c.skipped, &c.failed, &c.cancelled, &c.reverted, &c.half, &c.nine)
	}, statement, args...)
}

// summed are the sums over stored rows; timed adds that of the durations.
func summed(timed bool) string {
	var b strings.Builder
	for _, s := range sums {
		if timed || s.name != "timed" {
			fmt.Fprintf(&b, ", CAST(sum(CASE WHEN %s THEN n ELSE 0 END) AS bigint) AS %s", s.condition, s.name)
		}
	}
	return b.String()
}

// again sums up what was summed by slot.
func again() string {
	var b strings.Builder
	for _, s := range sums {
		if s.name != "timed" {
			fmt.Fprintf(&b, ", CAST(sum(%s) AS bigint)", s.name)
		}
	}
	return b.String()
}

// fill puts the counts into the row.
func (r *Row) fill(c *cell) {
	r.Assigned, r.Completed, r.Refused, r.Waiting, r.WaitingOver24h = c.assigned, c.completed, c.refused, c.waiting, c.overdue
	r.LimitReached, r.Skipped, r.Failed, r.Cancelled, r.Reverted = c.limited, c.skipped, c.failed, c.cancelled, c.reverted
	r.Decided = c.completed + c.refused + c.limited + c.failed
	if r.Decided > 0 {
		success, refusal := float64(c.completed)/float64(r.Decided), float64(c.refused)/float64(r.Decided)
		r.SuccessRate, r.RefusalRate = &success, &refusal
	}
	r.TakeoverHoursP50, r.TakeoverHoursP90 = hours(c.half), hours(c.nine)
}

func hours(slot sql.NullInt64) *float64 {
	if !slot.Valid {
		return nil
	}
	h := histogram.Middle(int(slot.Int64)).Hours()
	return &h
}
