package graph

import (
	"context"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
)

func myCorp(ctx context.Context, v *model.Viewer) (*ent.Corp, error) {
	found, err := corps.byID(ctx, v.Actor.Corp)
	return found[v.Actor.Corp], err
}

// me is the signed-in member; nil for a service token.
func me(ctx context.Context, v *model.Viewer) (*ent.Member, error) {
	if v.Actor.Kind != access.Person {
		return nil, nil
	}
	found, err := members.byID(ctx, v.Actor.ID)
	return found[v.Actor.ID], err
}

// reach gives the departments of a scope: nil is the whole corp.
func reach(ctx context.Context, s access.Scope) ([]*ent.Department, error) {
	if s.All {
		return nil, nil
	}
	found, err := departments.byID(ctx, s.Departments...)
	out := make([]*ent.Department, 0, len(found))
	for _, id := range s.Departments {
		if d := found[id]; d != nil {
			out = append(out, d)
		}
	}
	return out, err
}

// fresh is until when the proof of identity holds; nil where it does not.
func (r *Resolver) fresh(v *model.Viewer) *time.Time {
	if until := v.Actor.VerifiedUntil; until.After(r.DB.Now()) {
		return &until
	}
	return nil
}

func policy(ctx context.Context) (*approval.Policy, error) {
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	p, err := approval.Load(ctx, q)
	return &p, err
}

func settings(ctx context.Context) (*setting.Settings, error) {
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	s, err := setting.Load(ctx, q)
	return &s, err
}

// allSaid puts sentences in the caller's language.
func allSaid(ctx context.Context, texts []fault.Text) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = said(ctx, t)
	}
	return out
}

// votes gives all votes on a handover's plans, oldest first.
func votes(ctx context.Context, h *ent.Handover) ([]*ent.Approval, error) {
	return many(ctx, h, "approvals", handovers.id, maxApprovals, func(a *ent.Approval) nid.ID { return a.HandoverID }, func(ctx context.Context, ids []nid.ID) ([]*ent.Approval, error) {
		var w store.Where
		if err := in(ctx, &w, "approvals.handover_id", ids); err != nil {
			return nil, err
		}
		return approvals.load(ctx, &w, func(s *sql.Selector) { s.OrderBy(s.C("decided_at"), s.C("id")) })
	})
}

// firstTransfers gives a handover's first transfers, in the order of the plan.
func firstTransfers(ctx context.Context, h *ent.Handover, first *int) ([]*ent.Transfer, error) {
	s := span{first: first}
	if err := s.read(ctx, inPlanOrder.stamp(transfers.name)); err != nil {
		return nil, err
	}
	var w store.Where
	w.And("transfers.handover_id = ?", h.ID)
	return transfers.load(ctx, &w, func(q *sql.Selector) { q.OrderBy(q.C("position")).Limit(s.limit) })
}

// outcomes counts what became of those of a handover's transfers that the viewer may see.
func outcomes(ctx context.Context, h *ent.Handover) ([]*model.TransferOutcome, error) {
	return many(ctx, h, "outcomes", handovers.id, maxOutcomes, func(o *model.TransferOutcome) nid.ID { return o.HandoverID }, func(ctx context.Context, ids []nid.ID) ([]*model.TransferOutcome, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		var w store.Where
		w.And("transfers.corp_id = ?", corpOf(ctx))
		w.And("transfers.handover_id "+q.DB().InList(), q.DB().IDs(ids))
		if condition, args := rule.Visible(access.From(ctx), "transfers"); condition != "" {
			w.And(condition, args...)
		}
		where, args := w.SQL(1)
		found, err := store.Select(ctx, q, func(o *model.TransferOutcome) []any {
			return []any{&o.HandoverID, &o.Status, &o.Reason, &o.Transfers}
		}, `SELECT transfers.handover_id, transfers.status, transfers.reason, count(*) FROM transfers WHERE `+where+`
			GROUP BY transfers.handover_id, transfers.status, transfers.reason ORDER BY 1, 2, 3`, args...)
		out := make([]*model.TransferOutcome, len(found))
		for i := range found {
			out[i] = &found[i]
		}
		return out, err
	})
}

// because says why a successor was chosen, in the viewer's language.
func because(ctx context.Context, t *ent.Transfer) *string {
	if t.Because == nil {
		return nil
	}
	return reasoned(ctx, *t.Because)
}

// reasoned puts the code of why a successor was chosen into the viewer's language.
func reasoned(ctx context.Context, code string) *string {
	if code == "" {
		return nil
	}
	s := said(ctx, handover.Because(code))
	return &s
}

// heldBecause says why a handover did not begin by itself, in the viewer's language.
func heldBecause(ctx context.Context, h *ent.Handover) (*string, error) {
	t, ok := handover.HeldBecause(h.HoldReason)
	if !ok {
		return nil, nil
	}
	s := said(ctx, t)
	return ofCase(ctx, h, &s)
}

// firstOf gives the first of a list; nil for an empty one.
func firstOf[T any](list []T) (first T) {
	if len(list) > 0 {
		first = list[0]
	}
	return first
}

// given makes a nullable String of one that may be empty.
func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
