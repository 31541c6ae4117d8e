package handover

import (
	"context"
	"slices"

	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// outline is what the checks need to know of what a handover still has to do,
// however many transfers that are.
type outline struct {
	total, keys int // keys: contacts that count as KEY today
	kinds       []ItemKind
	successors  []nid.ID // in id order
	givers      []nid.ID // the leaver; in a reverse handover those who give back
}

func outlineOf(ctx context.Context, tx *store.Tx, r *record) (outline, error) {
	type row struct {
		kind     ItemKind
		from, to nid.ID
		n, keys  int
	}
	rows, err := store.Select(ctx, tx, func(v *row) []any { return []any{&v.kind, &v.from, &v.to, &v.n, &v.keys} }, `
		SELECT t.kind, t.from_id, t.to_id, count(*), sum(CASE WHEN c.importance = 'KEY' OR `+contact.FormerKey("c", "$3")+` THEN 1 ELSE 0 END)
		FROM transfers AS t LEFT JOIN contacts AS c ON c.corp_id = t.corp_id AND c.id = t.contact_id
		WHERE t.corp_id = $1 AND t.handover_id = $2 AND t.status = 'PLANNED' GROUP BY t.kind, t.from_id, t.to_id`, tx.Corp(), r.ID, contact.KeySince(tx.Now()))
	var o outline
	for _, v := range rows {
		o.total += v.n
		o.keys += v.keys
		o.kinds, o.successors, o.givers = append(o.kinds, v.kind), append(o.successors, v.to), append(o.givers, v.from)
	}
	slices.Sort(o.kinds)
	o.kinds = slices.Compact(o.kinds)
	o.successors, o.givers = sorted(o.successors), sorted(o.givers)
	return o, err
}

// outlined is outlineOf for transfers that are at hand.
func outlined(ts []Transfer) (o outline) {
	for _, t := range ts {
		o.total++
		if t.Key {
			o.keys++
		}
		o.kinds, o.successors, o.givers = appendNew(o.kinds, t.Kind), appendNew(o.successors, t.To), appendNew(o.givers, t.From)
	}
	o.successors, o.givers = sorted(o.successors), sorted(o.givers)
	return o
}

func appendNew[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

// sorted puts ids in the order in which rows are locked, each once.
func sorted(ids []nid.ID) []nid.ID {
	slices.SortFunc(ids, func(a, b nid.ID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

// people are those whom carrying it out locks, in id order.
func (o outline) people(r *record) []nid.ID {
	return sorted(append(slices.Concat(o.successors, o.givers), r.Leaver))
}

// need is the stricter of the policy at submission and the one now.
func (r *record) need(ctx context.Context, q store.Querier, p approval.Policy, o outline, executor nid.ID) (approval.Need, error) {
	now, err := needed(ctx, q, p, eyes.Summed(r, executor), r.ID, o.total, o.keys, r.History.reasons(r.Kind, o.successors, r.behind(executor)...)...)
	return r.Need.Stricter(now), err
}

// needed is what a plan needs under a policy. A threshold is about the sum of what the
// people behind it move in a day: splitting a plan does not dodge it. also are reasons
// beside the policy's own.
func needed(ctx context.Context, q store.Querier, p approval.Policy, behind []nid.ID, except nid.ID, total, keys int, also ...string) (approval.Need, error) {
	if !p.Sums() || len(behind) == 0 {
		return p.Of(total, keys).Also(p, also...), nil
	}
	recent, recentKeys, err := approval.Recent(ctx, q, behind, store.EngineOf(q).Now().Add(-approval.Window), except)
	return p.OfSum(total, keys, recent, recentKeys).Also(p, also...), err
}
