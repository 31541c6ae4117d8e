// Package report counts what became of transfers.
//
// Statistics come from transfer_rollups, which the handover keeps in the same
// transaction as the transfers: one row for each combination and UTC quarter-hour
// of assignment. So their cost does not grow with the number of transfers, and
// they can be added up to the days of any time zone, since all of today's zones
// are whole quarter-hours from UTC.
package report

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/openhandover/openhandover/ent/contact"
	"github.com/openhandover/openhandover/ent/handover"
	"github.com/openhandover/openhandover/ent/transfer"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// MaxRows is how many rows an Answer has at most.
const MaxRows = 10_000

// Filter says which transfers are counted. Nil parts do not restrict, an empty
// list selects nothing.
type Filter struct {
	// From and Until bound the assignment. A quarter-hour belongs to where it
	// begins, so periods that follow one another never count anything twice.
	From, Until *time.Time
	// DepartmentID is the successor's department or one above it.
	DepartmentID *nid.ID
	// HandoverID is the one handover that is counted.
	HandoverID    *nid.ID
	Kinds         []transfer.Kind
	HandoverKinds []handover.Kind
}

// Bucket is the length of the stretch of time that a row is about.
type Bucket string

// The buckets.
const (
	None  Bucket = "NONE"
	Hour  Bucket = "HOUR"
	Day   Bucket = "DAY"
	Week  Bucket = "WEEK" // ISO 8601: from Monday
	Month Bucket = "MONTH"
)

// Dimension is what tells rows apart beside time.
type Dimension string

// The dimensions, all as at assignment.
const (
	Department     Dimension = "DEPARTMENT" // the successor's
	FromDepartment Dimension = "FROM_DEPARTMENT"
	Leaver         Dimension = "LEAVER"
	Successor      Dimension = "SUCCESSOR"
	Kind           Dimension = "KIND"
	HandoverKind   Dimension = "HANDOVER_KIND"
	Status         Dimension = "STATUS"
	Importance     Dimension = "IMPORTANCE"
	Reason         Dimension = "REASON"
	Rule           Dimension = "RULE" // which one of which rule set chose the successor
)

// columns are where the dimensions are stored. A rule is a set's id and its place
// in the set, which ruleOf takes apart again.
var columns = map[Dimension]string{
	Department: "transfer_rollups.to_department_id", FromDepartment: "transfer_rollups.from_department_id",
	Leaver: "transfer_rollups.leaver_id", Successor: "transfer_rollups.successor_id",
	Kind: "transfer_rollups.kind", HandoverKind: "transfer_rollups.handover_kind", Status: "transfer_rollups.status",
	Importance: "transfer_rollups.importance", Reason: "transfer_rollups.reason",
	Rule: "CAST(transfer_rollups.rule_set_id AS text) || '#' || CAST(transfer_rollups.rule_index AS text)",
}

// MaxBuckets is how many stretches of time a question with fill has at most.
const MaxBuckets = 2000

// Row counts the transfers of one bucket and one combination of dimensions. What
// was not grouped by, and what a transfer does not have, is nil.
type Row struct {
	// ID is the same whenever the same question is asked, and different in each row
	// of every question. It is no object's id.
	ID nid.ID
	// BucketStart is nil with bucket NONE and in totals.
	BucketStart      *time.Time
	BucketLabel      *string
	Department       *string
	DepartmentID     *nid.ID
	FromDepartment   *string
	FromDepartmentID *nid.ID
	Leaver           *string
	LeaverID         *nid.ID
	Successor        *string
	SuccessorID      *nid.ID
	Kind             *transfer.Kind
	HandoverKind     *handover.Kind
	Status           *transfer.Status
	Importance       *contact.Importance
	Reason           *transfer.Reason
	// Rule is the rule set's name and the rule's place in it, from 1: "VIP #2"; the
	// name alone where the set's fallback was taken.
	Rule               *string
	Assigned           int
	Completed, Refused int
	// Waiting are undecided; WaitingOver24h of them were assigned in a quarter-hour
	// that ended at least 24 hours ago.
	Waiting, WaitingOver24h                            int
	LimitReached, Skipped, Failed, Cancelled, Reverted int
	// Decided is completed + refused + limit reached + failed.
	Decided int
	// SuccessRate and RefusalRate are of decided, 0 to 1; nil where nothing is.
	SuccessRate, RefusalRate *float64
	// TakeoverHoursP50 and P90 are from assignment to completion, within 5 %; nil
	// where nothing is completed.
	TakeoverHoursP50, TakeoverHoursP90 *float64
}

// Answer is statistics as flat rows. Totals and rows are two computations; each runs
// when it is asked for, and once. It is good for as long as the transaction is open in
// which it was asked.
type Answer struct {
	// TimeZone is where the buckets begin, AsOf up to when everything is counted.
	TimeZone string
	AsOf     time.Time

	question *question
	fill     bool
	// The second of each has quantiles.
	totals [2]computed[Row]
	rows   [2]computed[listed]
}

// listed are rows, and whether there are more than MaxRows.
type listed struct {
	rows      []*Row
	truncated bool
}

// computed is a value that is computed once.
type computed[T any] struct {
	once  sync.Once
	value T
	err   error
}

func (c *computed[T]) get(compute func() (T, error)) (T, error) {
	c.once.Do(func() { c.value, c.err = compute() })
	return c.value, c.err
}

// Statistics asks about what the actor may see: transfers whose successor's or leaver's
// department, as at assignment, is within reach of VIEW_STATISTICS. It computes nothing.
//
// Without From it begins with the first transfer there is, without Until it ends
// with the current quarter-hour. timeZone is an IANA name, empty for the corp's.
// fill also gives the buckets in which nothing was assigned, for each combination
// of dimensions that occurs at all.
//
// Fails with FORBIDDEN without the permission, NOT_FOUND for an unknown department
// and for a handover of which the actor may not count anything, INVALID for what
// cannot be asked.
func Statistics(ctx context.Context, q store.Querier, f Filter, bucket Bucket, timeZone string, groupBy []Dimension, fill bool) (*Answer, error) {
	a, err := ask(ctx, q, f, bucket, timeZone, groupBy)
	if err != nil {
		return nil, err
	}
	return &Answer{TimeZone: a.zone.String(), AsOf: a.now, question: a, fill: fill}, nil
}

// Totals counts everything in one row; quantiles says whether its TakeoverHours are
// wanted, which cost more than all other counts.
func (r *Answer) Totals(ctx context.Context, quantiles bool) (Row, error) {
	return r.totals[index(quantiles)].get(func() (row Row, err error) {
		a := r.question
		if err := a.period(ctx); err != nil {
			return row, err
		}
		total, err := a.count(ctx, []span{{from: a.from, until: a.until}}, nil, 1, quantiles)
		if err != nil {
			return row, err
		}
		row.ID = a.rowID("totals")
		if len(total) > 0 {
			row.fill(&total[0])
		}
		return row, nil
	})
}

// Rows are in the order of time, then of names. Where there are more than MaxRows,
// truncated is set and rows without a transfer are left out first, the latest of them
// before earlier ones, then the last ones of the rest.
// Fails with INVALID where fill makes more than MaxBuckets stretches of time since From;
// without From only the first of them are filled.
func (r *Answer) Rows(ctx context.Context, quantiles bool) (rows []*Row, truncated bool, err error) {
	v, err := r.rows[index(quantiles)].get(func() (v listed, err error) {
		a := r.question
		if err := r.bounded(); err != nil {
			return v, err
		}
		if err := a.period(ctx); err != nil {
			return v, err
		}
		lines, err := a.occurring(ctx, quantiles)
		if err != nil {
			return v, err
		}
		if v.truncated = len(lines) > MaxRows; v.truncated {
			lines = lines[:MaxRows]
		} else if r.fill {
			lines, v.truncated = a.filled(lines)
		}
		v.rows, err = a.rows(ctx, lines)
		return v, err
	})
	return v.rows, v.truncated, err
}

func index(quantiles bool) int {
	if quantiles {
		return 1
	}
	return 0
}

// bounded refuses to fill more than MaxBuckets from a beginning that was asked for,
// before anything is read.
func (r *Answer) bounded() error {
	a := r.question
	a.mu.Lock()
	defer a.mu.Unlock()
	if !r.fill || a.open {
		return nil
	}
	limited := question{bucket: a.bucket, zone: a.zone, from: a.from, until: a.until}
	if limited.until.IsZero() {
		limited.until = a.now
	}
	if len(limited.spans(a.from, MaxBuckets+1)) <= MaxBuckets {
		return nil
	}
	return fault.Bad("bucket", "the period has more than %d stretches of time; ask for a shorter period, a longer bucket, or fill: false",
		"该时间段超过 %d 个时间粒度；请缩短时间范围、增大时间粒度或设置 fill: false", MaxBuckets)
}

// line is a row before it has names.
type line struct {
	span
	cell
}

// occurring are the lines in which something was assigned, at most one more than fit.
func (a *question) occurring(ctx context.Context, quantiles bool) (lines []line, err error) {
	for from := a.from; len(lines) <= MaxRows && from.Before(a.until); {
		first := from
		if a.bucket != None {
			// Go on where there is something: years may lie between two hours with transfers.
			var found bool
			if first, found, err = a.edge(ctx, from, "ASC"); err != nil || !found {
				return lines, err
			}
		}
		spans := a.spans(first, MaxBuckets)
		cells, err := a.count(ctx, spans, a.by, MaxRows+1-len(lines), quantiles)
		if err != nil {
			return nil, err
		}
		for _, c := range cells {
			lines = append(lines, line{spans[c.span], c})
		}
		from = spans[len(spans)-1].until
	}
	return lines, nil
}

// filled adds lines without a transfer to those that occur, as many as fit from the
// beginning on, and says whether some did not.
func (a *question) filled(lines []line) (_ []line, truncated bool) {
	groups, at := [][]string{}, map[string]bool{}
	for i := range lines {
		if k := fmt.Sprint(lines[i].by); !at[k] {
			at[k], groups = true, append(groups, lines[i].by)
		}
		at[lines[i].place()] = true
	}
	if len(a.by) == 0 {
		groups = [][]string{nil}
	}
	spans := a.spans(a.from, MaxBuckets+1)
	if truncated = len(spans) > MaxBuckets; truncated {
		spans = spans[:MaxBuckets]
	}
	for _, s := range spans {
		for _, by := range groups {
			empty := line{s, cell{by: by}}
			if at[empty.place()] {
				continue
			}
			if len(lines) == MaxRows {
				return lines, true
			}
			lines = append(lines, empty)
		}
	}
	return lines, truncated
}

// place tells lines apart.
func (l *line) place() string { return fmt.Sprint(l.from.UnixMicro(), l.by) }
