package graph

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/report"
	"github.com/openhandover/openhandover/internal/store"
)

// byAssignment is the order of the transfers that statistics count.
var byAssignment = order[*report.Item]{key: timeKey("ASSIGNED_AT", "transfers.assigned_at", func(i *report.Item) time.Time { return i.AssignedAt })}

// listItems reads a page of the transfers that statistics count. Statistics have a
// scope of their own, so this list is the report's and not one of ent's rows.
func (r *Resolver) listItems(ctx context.Context, f report.Filter, s span) (*model.TransferItemConnection, error) {
	stamp := byAssignment.stamp("transferItems")
	if err := s.read(ctx, stamp); err != nil {
		return nil, err
	}
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	items, err := report.ListItems(ctx, q, f)
	if err != nil {
		return nil, err
	}
	if !selected(ctx, "nodes", "edges", "pageInfo") {
		return &model.TransferItemConnection{Count: items.Count}, nil
	}
	var at time.Time
	var id nid.ID
	if s.from != nil {
		v, ok := byAssignment.value(s.from.value)
		if at, _ = v.(time.Time); !ok {
			return nil, fault.Bad("after", "this cursor is not from this list in this order", "该游标不属于此列表或此排序")
		}
		id = s.from.id
	}
	rows, err := items.After(ctx, at, id, s.limit+1)
	if err != nil {
		return nil, err
	}
	c := &model.TransferItemConnection{
		Nodes: rows[:min(len(rows), s.limit)], Count: items.Count,
		Place:    func(i *report.Item) string { return place{byAssignment.text(i), i.ID}.cursor(stamp) },
		PageInfo: &model.PageInfo{HasNextPage: len(rows) > s.limit, HasPreviousPage: s.after != nil},
	}
	if n := len(c.Nodes); n > 0 {
		first, last := c.Place(c.Nodes[0]), c.Place(c.Nodes[n-1])
		c.PageInfo.StartCursor, c.PageInfo.EndCursor = &first, &last
	}
	return c, nil
}
