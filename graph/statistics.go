package graph

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"github.com/99designs/gqlgen/graphql"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/report"
	"github.com/openhandover/openhandover/internal/store"
)

// asked holds the questions of one operation, so that a question under several
// aliases is answered once, and counts the rows that they give.
type asked struct {
	mu      sync.Mutex
	answers map[string]*answered
	rows    int
	shown   map[*report.Answer]bool // those that were listed; true: their rows are in the answer
}

// list gives the rows of an answer and whether some are missing; what an operation asks
// for is listed one after the other. show says that the rows go into the answer, which is
// made in memory: it fails with LIMIT where those of an operation are more than
// report.MaxRows together, before more is computed.
func (a *asked) list(ctx context.Context, of *report.Answer, show bool) ([]*report.Row, bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	shown, known := a.shown[of]
	if !known && a.rows >= report.MaxRows {
		return nil, false, tooManyRows()
	}
	rows, truncated, err := of.Rows(ctx, quantiles(ctx, "rows"))
	if !known || show && shown {
		a.rows += len(rows)
	}
	a.shown[of] = shown || show
	if err == nil && a.rows > report.MaxRows {
		err = tooManyRows()
	}
	return rows, truncated, err
}

func tooManyRows() error {
	return fault.New(fault.Limit, "", fault.T("the statistics of one request give at most %d rows together; ask for fewer rows or in several requests",
		"一次请求中的统计合计最多返回 %d 行；请减少行数或分次查询", report.MaxRows))
}

type answered struct {
	once   sync.Once
	answer *report.Answer
	err    error
}

type askedKey struct{}

func withAsked(ctx context.Context) context.Context {
	return context.WithValue(ctx, askedKey{}, &asked{answers: map[string]*answered{}, shown: map[*report.Answer]bool{}})
}

func askedOf(ctx context.Context) *asked { return ctx.Value(askedKey{}).(*asked) }

// statistics asks a question, or gives the answer of an earlier field that asked the same.
func statistics(ctx context.Context, f report.Filter, bucket report.Bucket, timeZone string, by []report.Dimension, fill bool) (*report.Answer, error) {
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	known := askedOf(ctx)
	key, err := json.Marshal([]any{f, bucket, timeZone, by, fill})
	if err != nil {
		return nil, err
	}
	known.mu.Lock()
	a := known.answers[string(key)]
	if a == nil {
		a = &answered{}
		known.answers[string(key)] = a
	}
	known.mu.Unlock()
	a.once.Do(func() { a.answer, a.err = report.Statistics(ctx, q, f, bucket, timeZone, by, fill) })
	return a.answer, a.err
}

// quantiles reports whether the field around a field of TransferStatistics selects
// durations in its rows or totals: they cost more than all counts together. All
// fields of one question look at the same selection, so that they share one computation.
func quantiles(ctx context.Context, field string) bool {
	around := graphql.GetFieldContext(ctx).Parent
	oc := graphql.GetOperationContext(ctx)
	for _, f := range graphql.CollectFields(oc, around.Field.Selections, []string{"TransferStatistics"}) {
		if f.Name == field && slices.ContainsFunc(graphql.CollectFields(oc, f.Selections, []string{"TransferStatisticsRow"}), isQuantile) {
			return true
		}
	}
	return false
}

func isQuantile(f graphql.CollectedField) bool {
	return f.Name == "takeoverHoursP50" || f.Name == "takeoverHoursP90"
}
