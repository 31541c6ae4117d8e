package graph

import (
	"context"
	"encoding/json"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

type casesOf struct{ whole bool }

// theirCase reports whether the viewer may see the reason, plan and comments of a handover
// that they see (rule.OfCase).
func theirCase(ctx context.Context, h *ent.Handover) (bool, error) {
	found, err := siblings.Load(ctx, h, casesOf{}, func(ctx context.Context, rows []*ent.Handover) (map[nid.ID]bool, error) {
		return casesAmong(ctx, idsOf(rows, handovers.id), rule.OfCase)
	})
	return found[h.ID], err
}

// casesAmong gives the handovers that the rule lets the viewer see.
func casesAmong(ctx context.Context, ids []nid.ID, of func(*access.Actor) (string, []any)) (map[nid.ID]bool, error) {
	out := make(map[nid.ID]bool, len(ids))
	condition, args := of(access.From(ctx))
	if condition == "" {
		for _, id := range ids {
			out[id] = true
		}
		return out, nil
	}
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	var w store.Where
	w.And("handovers.corp_id = ?", corpOf(ctx))
	w.And("handovers.id "+q.DB().InList(), q.DB().IDs(ids))
	w.And(condition, args...)
	where, args := w.SQL(1)
	rows, err := store.Select(ctx, q, func(id *nid.ID) []any { return []any{id} }, `SELECT handovers.id FROM handovers WHERE `+where, args...)
	for _, id := range rows {
		out[id] = true
	}
	return out, err
}

// ofCase returns a value of a handover to viewers who may see its reason; else nil.
func ofCase[T any](ctx context.Context, h *ent.Handover, v T) (none T, err error) {
	if theirs, err := theirCase(ctx, h); err != nil || !theirs {
		return none, err
	}
	return v, nil
}

// planOf is the plan as it was last given.
func planOf(ctx context.Context, h *ent.Handover) (json.RawMessage, error) {
	return ofCase(ctx, h, h.Plan)
}

// reasonsOf is why a plan needs approvals, with numbers of what it moves.
func reasonsOf(ctx context.Context, h *ent.Handover) ([]string, error) {
	reasons, err := ofCase(ctx, h, h.ApprovalReasons)
	if reasons == nil {
		reasons = []string{}
	}
	return reasons, err
}

type commentsOf struct{}

// commentOf is the comment of an approver, for viewers who may see the handover's reason.
func commentOf(ctx context.Context, a *ent.Approval) (*string, error) {
	found, err := siblings.Load(ctx, a, commentsOf{}, func(ctx context.Context, rows []*ent.Approval) (map[nid.ID]bool, error) {
		return casesAmong(ctx, idsOf(rows, func(a *ent.Approval) nid.ID { return a.HandoverID }), rule.OfCase)
	})
	if err != nil || !found[a.HandoverID] {
		return nil, err
	}
	return a.Comment, nil
}

// progressFor is how far a handover has come, of the transfers that the viewer may see.
func progressFor(ctx context.Context, h *ent.Handover) (*ent.Handover, error) {
	whole, err := siblings.Load(ctx, h, casesOf{whole: true}, func(ctx context.Context, rows []*ent.Handover) (map[nid.ID]bool, error) {
		return casesAmong(ctx, idsOf(rows, handovers.id), rule.WholeCase)
	})
	if err != nil || whole[h.ID] {
		return h, err
	}
	all, err := outcomes(ctx, h)
	if err != nil {
		return nil, err
	}
	seen := *h
	seen.Total = 0
	counters := map[string]*int{
		"PLANNED": &seen.Planned, "WAITING": &seen.Waiting, "COMPLETED": &seen.Completed, "REFUSED": &seen.Refused, "LIMIT_REACHED": &seen.LimitReached,
		"FAILED": &seen.Failed, "SKIPPED": &seen.Skipped, "CANCELLED": &seen.Cancelled, "REVERTED": &seen.Reverted,
	}
	for _, n := range counters {
		*n = 0
	}
	for _, o := range all {
		*counters[string(o.Status)] += o.Transfers
		seen.Total += o.Transfers
	}
	return &seen, nil
}
