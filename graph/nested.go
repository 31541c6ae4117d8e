package graph

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

// branch is how rows of a table hang on rows of another.
type branch struct {
	field string
	// from is a FROM clause that has the table under its name and the parent's id in
	// the column parent.
	from, parent string
	// of is the condition that a row of the table hangs on the parent ?.
	of string
}

// hangs is a branch by a column of the table itself.
func hangs(field, table, column string) branch {
	return branch{field: field, from: table, parent: column, of: column + " = ?"}
}

// nested reads the page of a list inside another object. One parent reads it as any
// page. Siblings read theirs together: one statement numbers the rows of each
// parent and picks the page's, a second reads these rows.
func nested[P, T siblings.Row](ctx context.Context, parent P, id func(P) nid.ID, b branch, t *table[T], w *store.Where, o order[T], s span) (*model.Connection[T], error) {
	if len(siblings.Of(parent)) == 1 {
		one := *w
		one.And(b.of, id(parent))
		return page(ctx, t, &one, o, s)
	}
	if err := s.read(ctx, o.stamp(t.name)); err != nil {
		return nil, err
	}
	where, args := w.SQL(1)
	asked, err := json.Marshal([]any{b.field, o.stamp(t.name), s.limit, s.skip, s.from, where, args})
	if err != nil {
		return nil, err
	}
	g := &grove[T]{branch: b, table: t, where: w, order: o, span: s}
	count := func(ctx context.Context) (int, error) {
		n, err := siblings.Load(ctx, parent, countOf{string(asked)}, func(ctx context.Context, rows []P) (map[nid.ID]int, error) {
			return g.count(ctx, idsOf(rows, id))
		})
		return n[id(parent)], err
	}
	if !selected(ctx, "nodes", "edges", "pageInfo") {
		return &model.Connection[T]{Count: count}, nil
	}
	found, err := siblings.Load(ctx, parent, pageOf{string(asked)}, func(ctx context.Context, rows []P) (map[nid.ID][]T, error) {
		return g.pages(ctx, idsOf(rows, id))
	})
	if err != nil {
		return nil, err
	}
	rows := found[id(parent)]
	more := len(rows) > s.limit
	if more {
		rows = rows[:s.limit]
	}
	return connect(t, o, s, rows, more, count), nil
}

type (
	pageOf  struct{ asked string }
	countOf struct{ asked string }
)

// MarshalJSON lets a place stand in the key of a shared load.
func (p *place) MarshalJSON() ([]byte, error) { return json.Marshal(p.value + p.id.String()) }

// grove is the same page of the same branch of many parents.
type grove[T siblings.Row] struct {
	branch
	table *table[T]
	where *store.Where
	order order[T]
	span  span
}

// trees is the condition for rows of any of the parents that the viewer may see.
func (g *grove[T]) trees(ctx context.Context, db *store.DB, parents []nid.ID) *store.Where {
	w := *g.where
	w.And(g.table.name+".corp_id = ?", corpOf(ctx))
	w.And(g.parent+" "+db.InList(), db.IDs(parents))
	if condition, args := rule.Visible(access.From(ctx), g.table.name); condition != "" {
		w.And(condition, args...)
	}
	return &w
}

// pages gives for each parent one row more than a page has.
func (g *grove[T]) pages(ctx context.Context, parents []nid.ID) (map[nid.ID][]T, error) {
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	w := g.trees(ctx, q.DB(), parents)
	if !g.order.beyond(w, g.table.name, &g.span) {
		return nil, fault.Bad("after", "this cursor is not from this list in this order", "该游标不属于此列表或此排序")
	}
	where, args := w.SQL(1)
	type leaf struct{ parent, id nid.ID }
	leaves, err := store.Select(ctx, q, func(l *leaf) []any { return []any{&l.parent, &l.id} }, fmt.Sprintf(
		`SELECT parent, id FROM (SELECT %s AS parent, %s.id AS id, ROW_NUMBER() OVER (PARTITION BY %s ORDER BY %s) AS n FROM %s WHERE %s) AS numbered
		WHERE n > $%d AND n <= $%d ORDER BY parent, n`,
		g.parent, g.table.name, g.parent, g.order.by(g.table.name, g.span.backward), g.from, where, len(args)+1, len(args)+2),
		append(args, g.span.skip, g.span.skip+g.span.limit+1)...)
	if err != nil {
		return nil, err
	}
	rows, err := g.table.byID(ctx, idsOf(leaves, func(l leaf) nid.ID { return l.id })...)
	out := make(map[nid.ID][]T, len(parents))
	for _, l := range leaves {
		if row, ok := rows[l.id]; ok {
			out[l.parent] = append(out[l.parent], row)
		}
	}
	return out, err
}

// count counts the whole list of each parent.
func (g *grove[T]) count(ctx context.Context, parents []nid.ID) (map[nid.ID]int, error) {
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	where, args := g.trees(ctx, q.DB(), parents).SQL(1)
	type tree struct {
		parent nid.ID
		n      int
	}
	rows, err := store.Select(ctx, q, func(t *tree) []any { return []any{&t.parent, &t.n} },
		fmt.Sprintf(`SELECT %s, COUNT(*) FROM %s WHERE %s GROUP BY %s`, g.parent, g.from, where, g.parent), args...)
	out := make(map[nid.ID]int, len(rows))
	for _, t := range rows {
		out[t.parent] = t.n
	}
	return out, err
}
