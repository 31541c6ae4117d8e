package graph

import (
	"context"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
)

// finder reads visible things of one kind by their ids.
type finder func(context.Context, []nid.ID) (map[nid.ID]siblings.Entity, error)

// finders are the kinds that node answers. The kind stands in the id itself.
var finders = map[nid.Kind]finder{
	nid.Corp: find(corps), nid.Department: find(departments), nid.Member: find(members), nid.Contact: find(contacts),
	nid.Follow: findFollow, nid.Group: find(groups), nid.Handover: find(handovers), nid.Transfer: find(transfers),
	nid.Approval: find(approvals), nid.Role: find(roles), nid.RuleSet: find(ruleSets), nid.Grant: find(grants), nid.Token: find(tokens), nid.Audit: find(entries),
	nid.Webhook: ofManagers(find(webhooks)), nid.HistoryGrant: find(historyGrants), nid.Export: find(exports),
	nid.Review: find(accessReviews), nid.ReviewItem: findReviewItems, nid.Policy: find(dataPolicies),
}

func find[T interface {
	siblings.Row
	siblings.Entity
}](t *table[T]) finder {
	return func(ctx context.Context, ids []nid.ID) (map[nid.ID]siblings.Entity, error) {
		rows, err := t.byID(ctx, ids...)
		out := make(map[nid.ID]siblings.Entity, len(rows))
		for id, row := range rows {
			out[id] = row
		}
		return out, err
	}
}

// nodesByID gives what each id names, in one statement for each kind; nil where it
// is unknown or not visible.
func nodesByID(ctx context.Context, ids []nid.ID) (map[nid.ID]siblings.Entity, error) {
	kinds := map[nid.Kind][]nid.ID{}
	for _, id := range ids {
		kinds[id.Kind()] = append(kinds[id.Kind()], id)
	}
	out := make(map[nid.ID]siblings.Entity, len(ids))
	for kind, of := range kinds {
		f, ok := finders[kind]
		if !ok {
			continue
		}
		found, err := f(ctx, of)
		if err != nil {
			return nil, err
		}
		for id, v := range found {
			out[id] = v
		}
	}
	return out, nil
}

func (r *Resolver) nodes(ctx context.Context, ids []nid.ID) ([]siblings.Entity, error) {
	if len(ids) > maxNodes {
		return nil, fault.Bad("ids", "ask for %d nodes at most, not %d", "最多查询 %d 个节点,当前为 %d 个", maxNodes, len(ids))
	}
	found, err := nodesByID(ctx, ids)
	if err == nil {
		err = r.addMessages(ctx, ids, found)
	}
	if err == nil {
		err = r.addFindings(ctx, ids, found)
	}
	out := make([]siblings.Entity, len(ids))
	for i, id := range ids {
		out[i] = found[id]
	}
	return out, err
}
