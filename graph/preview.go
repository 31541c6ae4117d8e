package graph

import (
	"context"
	"strconv"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

// previewed gives a plan that was worked out the shape of the API.
func previewed(p *handover.Preview) *model.HandoverPreview {
	v := &model.HandoverPreview{Preview: p}
	for _, l := range p.Successors {
		v.Loads = append(v.Loads, &model.SuccessorLoad{Load: l})
	}
	snags := map[*handover.Problem]*model.PlanProblem{}
	for _, s := range p.Problems {
		snags[s] = &model.PlanProblem{Problem: s}
		v.Snags = append(v.Snags, snags[s])
	}
	for i, it := range p.Items {
		v.Rows = append(v.Rows, &model.PlanItem{Item: it, Position: i, Snag: snags[it.Problem]})
	}
	v.Marked = marked(p.FormerKeys)
	siblings.Join(v.Marked.Contacts)
	siblings.Join(v.Loads)
	siblings.Join(v.Snags)
	return v
}

// marked gives the contacts whose key mark was taken off the shape of the API.
func marked(k handover.FormerKeys) *model.FormerKeyContacts {
	out := &model.FormerKeyContacts{Total: k.Total, Contacts: []*model.FormerKeyContact{}}
	for _, c := range k.First {
		out.Contacts = append(out.Contacts, &model.FormerKeyContact{FormerKey: c})
	}
	return out
}

// formerKeys gives the contacts of a stored plan whose key mark was taken off.
func formerKeys(ctx context.Context, h *ent.Handover) (*model.FormerKeyContacts, error) {
	// They are why a plan needs approval, and so for those who may see its reasons.
	if theirs, err := theirCase(ctx, h); err != nil || !theirs {
		return marked(handover.FormerKeys{}), err
	}
	by, err := siblings.Load(ctx, h, oneOf{"formerKeyContacts"}, func(ctx context.Context, hs []*ent.Handover) (map[nid.ID]*model.FormerKeyContacts, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		ids := make([]nid.ID, len(hs))
		for i, h := range hs {
			ids[i] = h.ID
		}
		found, err := handover.FormerKeysOf(ctx, q, ids)
		out := map[nid.ID]*model.FormerKeyContacts{}
		var all []*model.FormerKeyContact
		for _, id := range ids {
			out[id] = marked(found[id])
			all = append(all, out[id].Contacts...)
		}
		siblings.Join(all)
		return out, err
	})
	return by[h.ID], err
}

// items pages what a plan would do. It is in memory.
func items(ctx context.Context, v *model.HandoverPreview, s span) (*model.PlanItemConnection, error) {
	o := order[*model.PlanItem]{key: numberKey("POSITION", "", func(it *model.PlanItem) int64 { return int64(it.Position) })}
	t := &table[*model.PlanItem]{name: "items " + v.Digest, id: func(it *model.PlanItem) nid.ID { return it.ID }}
	if err := s.read(ctx, o.stamp(t.name)); err != nil {
		return nil, err
	}
	begin := s.skip
	if s.from != nil {
		n, err := strconv.Atoi(s.from.value)
		if err != nil {
			return nil, fault.Bad("after", "this cursor is not from this list in this order", "该游标不属于此列表或此排序")
		}
		begin = n + 1
	}
	begin = min(max(begin, 0), len(v.Rows))
	end := min(begin+s.limit, len(v.Rows))
	siblings.Join(v.Rows[begin:end]) // what is asked about these is not read for the whole plan
	total := func(context.Context) (int, error) { return len(v.Rows), nil }
	return connect(t, o, s, v.Rows[begin:end], end < len(v.Rows), total), nil
}

// said gives a sentence in the viewer's language.
func said(ctx context.Context, t fault.Text) string { return t.In(access.From(ctx).Lang) }
