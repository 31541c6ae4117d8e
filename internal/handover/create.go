package handover

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Create stores a plan as a DRAFT. seen is the digest of the preview, if the
// caller had one: a plan that has changed since is a CONFLICT and nothing is
// written. A start time makes executing it schedule it. Replaying the key returns the
// first answer. Fails with what planning fails with.
func (s *Service) Create(ctx context.Context, in Input, startAt *time.Time, seen *string, key string) (nid.ID, error) {
	id := nid.New(nid.Handover)
	err := s.Log.Tx(ctx, s.DB, access.HandoverCreate, func(ctx context.Context, tx *store.Tx) error {
		first, done, err := tx.Claim(ctx, "createHandover", key, []any{in, startAt, seen}, id)
		if id = first; err != nil || done {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Can(whoMayPlan...) {
			return fault.Denied("you may not plan handovers", "您无权规划交接")
		}
		if err := checkStart(startAt, tx.Now()); err != nil {
			return err
		}
		p, err := work(ctx, tx, actor, in, "input.plan", "")
		if err != nil {
			return err
		}
		if err := p.notice.check(startAt); err != nil {
			return err
		}
		// The preview knows no start; what was seen is the plan without it.
		if err := p.same(seen); err != nil {
			return err
		}
		if startAt != nil {
			p.StartAt = startAt
			p.Digest = digest(tx.Corp(), p)
		}
		if err := p.complete("input.plan"); err != nil {
			return err
		}
		ts, err := p.store(ctx, tx, id, requester(actor), Draft, nil)
		if err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, p.entry(access.HandoverCreate, id, Draft, ts, nil))
	})
	return id, err
}

// requester is the person who asks; a rule's plan has none.
func requester(a *access.Actor) nid.ID {
	if a.Kind == access.Person {
		return a.ID
	}
	return nid.ID{}
}

// same compares the digest that the caller saw.
func (p *planned) same(seen *string) error {
	if seen != nil && *seen != p.Digest {
		return fault.Clash("input.digest", "the plan has changed since it was previewed; preview it again", "计划自预览后已变更,请重新预览").With("digest", p.Digest)
	}
	return nil
}

// entry records a plan with its digest; its transfers are the entry's set.
func (p *planned) entry(action access.Action, id nid.ID, state State, ts []Transfer, before map[string]any) audit.Entry {
	covers := make([]nid.ID, len(ts))
	for i, t := range ts {
		covers[i] = t.ID
	}
	after := map[string]any{
		"state": string(state), "kind": string(p.Kind), "leaver": p.LeaverID, "digest": p.Digest, "transfers": len(ts), "approvalsRequired": p.Need.Votes,
	}
	for name, of := range map[string]nid.ID{"revertOf": p.RevertOf, "followUpOf": p.FollowUpOf, "responsible": p.Responsible} {
		told(after, name, of)
	}
	if p.Reason != nil {
		// Words a person wrote, about the leaver as likely as not.
		after["reason"] = audit.Personal{Subject: p.LeaverID, Value: *p.Reason}
	}
	return audit.Entry{Action: action, Subject: id, Handover: id, Before: before, After: after, Covers: covers}
}

// Replan replaces the plan of a handover that is not yet executed; it has to be
// submitted again, which voids all votes. Fails with CONFLICT for a
// stale version or a state that does not allow it, and with what planning fails with.
func (s *Service) Replan(ctx context.Context, id nid.ID, version int, in Input) error {
	return s.Log.Tx(ctx, s.DB, access.HandoverReplan, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		r, err := lockCase(ctx, tx, actor, id, "input.id")
		if err != nil {
			return err
		}
		if err := r.may(ctx, tx, actor, whoMayPlan...); err != nil {
			return err
		}
		if err := r.expect(version); err != nil {
			return err
		}
		to, err := Next(r.State, Replan)
		if err != nil {
			return err
		}
		if r.reverse() {
			return fault.Clash("", "what is taken back cannot be planned anew", "撤销的交接不能重新规划")
		}
		if in.LeaverID != r.Leaver {
			return fault.Bad("input.plan.leaverId", "a handover keeps its leaver; create another one", "交接的离开成员不可更改,请新建交接")
		}
		// Nothing refers to a transfer that was only planned, and what the old plan promised
		// does not count against the new one.
		gone, err := tx.Change(ctx, "transfers", `DELETE FROM transfers WHERE corp_id = $1 AND handover_id = $2 RETURNING id`, tx.Corp(), r.ID)
		if err != nil {
			return err
		}
		p, err := work(ctx, tx, actor, in, "input.plan", "")
		if err != nil {
			return err
		}
		if r.StartAt != nil {
			p.StartAt = r.StartAt
			p.Digest = digest(tx.Corp(), p)
		}
		if err := p.complete("input.plan"); err != nil {
			return err
		}
		if p.Need, err = needed(ctx, tx, p.Policy, some(p.Responsible), r.ID, len(p.Items), keyContacts(p.Items), p.historyReasons(p.Responsible)...); err != nil {
			return err
		}
		ts, err := p.store(ctx, tx, r.ID, requester(actor), to, r)
		if err != nil {
			return err
		}
		e := p.entry(access.HandoverReplan, r.ID, to, ts, map[string]any{"state": string(r.State), "digest": r.Digest, "transfers": r.Totals.Total})
		e.Covers = append(e.Covers, gone...)
		return s.Log.Append(ctx, tx, e)
	})
}
