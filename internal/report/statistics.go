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
	"time"

	"github.com/openhandover/openhandover/ent/contact"
	"github.com/openhandover/openhandover/ent/handover"
	"github.com/openhandover/openhandover/ent/transfer"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// MaxRows is how many rows a Result has at most.
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

// Result is statistics as flat rows.
type Result struct {
	// TimeZone is where the buckets begin, AsOf up to when everything is counted.
	TimeZone string
	AsOf     time.Time
	// Rows are in the order of time, then of names.
	Rows   []Row
	Totals Row
	// Truncated: there are more than MaxRows rows; the first ones are given. Totals
	// count everything nevertheless.
	Truncated bool
}

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

// Statistics counts what the actor may see: transfers whose successor's or leaver's
// department, as at assignment, is within reach of VIEW_STATISTICS.
//
// Without From it begins with the first transfer there is, without Until it ends
// with the current quarter-hour. timeZone is an IANA name, empty for the corp's.
// fill also gives the buckets in which nothing was assigned, for each combination
// of dimensions that occurs at all.
//
// Fails with FORBIDDEN without the permission, NOT_FOUND for an unknown department
// and for a handover of which the actor may not count anything, INVALID for what
// cannot be asked.
func Statistics(ctx context.Context, q store.Querier, f Filter, bucket Bucket, timeZone string, groupBy []Dimension, fill bool) (Result, error) {
	a, err := ask(ctx, q, f, bucket, timeZone, groupBy)
	if err != nil {
		return Result{}, err
	}
	result := Result{TimeZone: a.zone.String(), AsOf: a.now}
	total, err := a.count(ctx, []span{{from: a.from, until: a.until}}, nil, 1)
	if err != nil {
		return Result{}, err
	}
	result.Totals.ID = a.rowID("totals")
	if len(total) > 0 {
		result.Totals.fill(&total[0])
	}
	var lines []line
	if fill {
		lines, err = a.filled(ctx)
	} else {
		lines, err = a.occurring(ctx)
	}
	if err != nil {
		return Result{}, err
	}
	if result.Truncated = len(lines) > MaxRows; result.Truncated {
		lines = lines[:MaxRows]
	}
	result.Rows, err = a.rows(ctx, lines)
	return result, err
}

// line is a row before it has names.
type line struct {
	span
	cell
}

// occurring are the lines in which something was assigned, at most one more than fit.
func (a *question) occurring(ctx context.Context) (lines []line, err error) {
	for from := a.from; len(lines) <= MaxRows; {
		// Go on where there is something: years may lie between two hours with transfers.
		first, found, err := a.edge(ctx, from, "ASC")
		if err != nil || !found {
			return lines, err
		}
		spans := a.spans(first, MaxRows)
		cells, err := a.count(ctx, spans, a.by, MaxRows+1-len(lines))
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

// filled are the lines of all buckets, at most a few more than fit.
func (a *question) filled(ctx context.Context) (lines []line, err error) {
	groups := []cell{{}}
	if len(a.by) > 0 {
		if groups, err = a.count(ctx, []span{{from: a.from, until: a.until}}, a.by, MaxRows+1); err != nil || len(groups) == 0 {
			return nil, err
		}
	}
	spans := a.spans(a.from, MaxRows/len(groups)+1)
	cells, err := a.count(ctx, spans, a.by, len(spans)*len(groups))
	if err != nil {
		return nil, err
	}
	at := map[string]cell{}
	for _, c := range cells {
		at[c.key()] = c
	}
	for i, s := range spans {
		for _, g := range groups {
			empty := cell{span: i, by: g.by}
			if c, ok := at[empty.key()]; ok {
				empty = c
			}
			lines = append(lines, line{s, empty})
		}
	}
	return lines, nil
}
