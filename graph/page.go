package graph

import (
	"context"
	"slices"

	"entgo.io/ent/dialect/sql"
	"github.com/99designs/gqlgen/graphql"

	"github.com/openhandover/openhandover/graph/edge"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/notice"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

// The size of pages (api.md). Reporting tokens read in larger ones.
const (
	defaultPage   = 25
	maxPage       = 100
	maxReportPage = 500
	maxSavedPage  = 1000 // of the reports' own documents, which ask for little of each row
	maxOffset     = 10_000
)

// span is the paging arguments of a list.
type span struct {
	first       *int
	after       *string
	last        *int
	before      *string
	offset      *int
	from        *place // after or before, read
	backward    bool
	limit, skip int
}

// read checks the arguments against the list's order. Fails with INVALID naming
// each argument that is wrong.
func (s *span) read(ctx context.Context, stamp string) error {
	var bad fault.List
	refuse := func(field, en, zh string, args ...any) { bad = append(bad, fault.Bad(field, en, zh, args...)) }
	s.backward, s.limit = s.last != nil || s.before != nil, defaultPage
	if s.backward && (s.first != nil || s.after != nil) {
		refuse("last", "page forwards with first and after, or backwards with last and before, not both", "请使用 first/after 向前翻页或 last/before 向后翻页,不能同时使用")
	}
	most := maxPage
	if a := access.From(ctx); a.Kind == access.Token && a.Can(access.ViewStatistics) {
		most = maxReportPage
	}
	if edge.Saved(ctx) {
		most = maxSavedPage
	}
	if access.From(ctx).Leaving {
		most = notice.PageSize
	}
	for name, n := range map[string]*int{"first": s.first, "last": s.last} {
		if n == nil {
			continue
		}
		if *n < 1 || *n > most {
			refuse(name, "a page has 1 to %d rows", "每页为 1 至 %d 行", most)
		}
		s.limit = *n
	}
	cursor, name := s.after, "after"
	if s.backward {
		cursor, name = s.before, "before"
	}
	if cursor != nil {
		p, ok := readCursor(stamp, *cursor)
		if !ok {
			refuse(name, "this cursor is not from this list in this order", "该游标不属于此列表或此排序")
		}
		s.from = &p
	}
	if s.offset != nil {
		if s.after != nil || s.before != nil || s.last != nil {
			refuse("offset", "use an offset or cursors, not both", "offset 与游标不能同时使用")
		}
		if *s.offset < 0 || *s.offset > maxOffset {
			refuse("offset", "an offset is 0 to %d; use cursors to go further", "offset 为 0 至 %d,更远请使用游标", maxOffset)
		}
		s.skip = *s.offset
	}
	return bad.Err()
}

// selected reports whether one of the fields is asked for in the answer of the
// field that is being resolved.
func selected(ctx context.Context, names ...string) bool {
	if !graphql.HasOperationContext(ctx) || graphql.GetFieldContext(ctx) == nil {
		return true
	}
	of := graphql.GetFieldContext(ctx).Field.Definition.Type.Name()
	return slices.ContainsFunc(graphql.CollectFieldsCtx(ctx, []string{of}), func(f graphql.CollectedField) bool {
		return slices.Contains(names, f.Name)
	})
}

// words gives the direction of the statement and the comparison that leads on.
func (o order[T]) words(backward bool) (direction, beyond string) {
	if o.desc != backward {
		return " DESC", "<"
	}
	return " ASC", ">"
}

// beyond adds the condition that a row comes after the place, as one comparison of
// rows: an index on (column, id) begins right there, however deep the page.
func (o order[T]) beyond(w *store.Where, table string, s *span) bool {
	if s.from == nil {
		return true
	}
	v, ok := o.value(s.from.value)
	if !ok {
		return false
	}
	_, than := o.words(s.backward)
	if o.column == "" {
		w.And(table+".id "+than+" ?", s.from.id)
	} else {
		w.And("("+o.column+", "+table+".id) "+than+" (?, ?)", v, s.from.id)
	}
	return true
}

// by sorts the statement.
func (o order[T]) by(table string, backward bool) string {
	direction, _ := o.words(backward)
	if o.column == "" {
		return table + ".id" + direction
	}
	return o.column + direction + ", " + table + ".id" + direction
}

// page reads one page of a table: what is visible, matches w, in the order o.
func page[T siblings.Row](ctx context.Context, t *table[T], w *store.Where, o order[T], s span) (*model.Connection[T], error) {
	stamp := o.stamp(t.name)
	if err := s.read(ctx, stamp); err != nil {
		return nil, err
	}
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	count := func(ctx context.Context) (int, error) { return t.count(ctx, q.Ent(), w.Apply) }
	if !selected(ctx, "nodes", "edges", "pageInfo") {
		return &model.Connection[T]{Count: count}, nil
	}
	deep := *w
	if !o.beyond(&deep, t.name, &s) {
		return nil, fault.Bad("after", "this cursor is not from this list in this order", "该游标不属于此列表或此排序")
	}
	rows, err := t.rows(ctx, q.Ent(), func(sel *sql.Selector) {
		deep.Apply(sel)
		sel.OrderExpr(sql.Raw(o.by(t.name, s.backward))).Limit(s.limit + 1)
		if s.skip > 0 {
			sel.Offset(s.skip)
		}
	})
	if err != nil {
		return nil, err
	}
	more := len(rows) > s.limit
	if more {
		rows = rows[:s.limit]
	}
	if err := shows(ctx, t.name, len(rows)); err != nil {
		return nil, err
	}
	return connect(t, o, s, siblings.Join(rows), more, count), nil
}

// connect makes the page of its rows, which come in the statement's order.
func connect[T siblings.Row](t *table[T], o order[T], s span, rows []T, more bool, count func(context.Context) (int, error)) *model.Connection[T] {
	stamp := o.stamp(t.name)
	at := func(row T) string { return place{o.text(row), t.id(row)}.cursor(stamp) }
	info := &model.PageInfo{HasNextPage: more, HasPreviousPage: s.after != nil || s.skip > 0}
	if s.backward {
		// The rows are siblings in the statement's order; the page has its own.
		rows = slices.Clone(rows)
		slices.Reverse(rows)
		info.HasNextPage, info.HasPreviousPage = s.before != nil, more
	}
	if len(rows) > 0 {
		first, last := at(rows[0]), at(rows[len(rows)-1])
		info.StartCursor, info.EndCursor = &first, &last
	}
	return &model.Connection[T]{Nodes: rows, PageInfo: info, Place: at, Count: count}
}
