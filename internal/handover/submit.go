package handover

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/store"
)

// Submit puts a DRAFT up for approval, or makes it READY where none is needed.
// Votes of an earlier submission do not count. It fails with LIMIT where a successor has no room and with INVALID where one cannot
// take over, CONFLICT for a stale version or wrong state.
func (s *Service) Submit(ctx context.Context, id nid.ID, version int) error {
	return s.Log.Tx(ctx, s.DB, access.HandoverSubmit, func(ctx context.Context, tx *store.Tx) error {
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
		policy, err := approval.Load(ctx, tx)
		if err != nil {
			return err
		}
		if r.expired(policy, tx.Now()) {
			r.State = Draft // the wait ran out: it is submitted anew
		}
		ts, err := transfers(ctx, tx, r.ID, TransferPlanned)
		if err != nil {
			return err
		}
		p := &planned{Items: make([]Item, len(ts))}
		for i, t := range ts {
			p.Items[i] = t.Item
		}
		if err := current(ctx, tx, p.Items); err != nil {
			return err
		}
		o := outlined(ts)
		if p.People, err = people(ctx, tx, actor.Scope(whoMayPlan...), "", append(o.successors, r.Leaver)...); err != nil {
			return err
		}
		if err := p.promise(ctx, tx, p.People); err != nil {
			return err
		}
		if err := p.mergers(ctx, tx); err != nil {
			return err
		}
		if err := p.allowsHistory(ctx, tx, r.History); err != nil {
			return err
		}
		need, err := needed(ctx, tx, policy, eyes.Summed(r, nid.ID{}), r.ID, len(p.Items), keyContacts(p.Items),
			r.History.reasons(r.Kind, o.successors, r.behind(nid.ID{})...)...)
		if err != nil {
			return err
		}
		event := SubmitFree
		if need.Votes > 0 {
			event = SubmitBound
		}
		before := r.State
		if _, err := Next(r.State, event); err != nil {
			return err
		}
		if err := p.blocked("input.id"); err != nil {
			return err
		}
		if _, err := r.move(ctx, tx, event); err != nil {
			return err
		}
		reasons, err := json.Marshal(need.Reasons)
		if err != nil {
			return err
		}
		submitter, err := eyes.Responsible(ctx, tx, actor)
		if err != nil {
			return err
		}
		authors, err := json.Marshal(r.by(submitter))
		if err != nil {
			return err
		}
		if _, err := tx.Change(ctx, "handovers", `UPDATE handovers SET submitted_at = $3, approvals_required = $4, approval_reasons = $5,
			authors = $6, hold_reason = NULL WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), r.ID, tx.Now(), need.Votes, string(reasons), string(authors)); err != nil {
			return err
		}
		if r.State == AwaitingApproval {
			if err := tx.Wake(ctx, WorkHandovers, tx.Now().Add(policy.Expiry())); err != nil {
				return err
			}
		}
		if err := r.emit(ctx, tx, notify.HandoverSubmitted); err != nil {
			return err
		}
		// Votes are for this submission: the same plan, replanned, has the same digest.
		void, err := tx.Change(ctx, "approvals", `UPDATE approvals SET expires_at = decided_at WHERE corp_id = $1 AND handover_id = $2 RETURNING id`, tx.Corp(), r.ID)
		if err != nil {
			return err
		}
		after := map[string]any{"state": string(r.State), "digest": r.Digest, "approvalsRequired": need.Votes, "voidedVotes": len(void)}
		told(after, "responsible", r.Responsible)
		if submitter != r.Responsible {
			told(after, "author", submitter)
		}
		return s.Log.Append(ctx, tx, audit.Entry{
			Action: access.HandoverSubmit, Subject: r.ID, Handover: r.ID, Before: map[string]any{"state": string(before)}, After: after, Covers: void,
		})
	})
}

// current brings the importance of planned contacts up to date, and what counts as KEY.
func current(ctx context.Context, tx *store.Tx, items []Item) error {
	var ids []nid.ID
	for _, it := range items {
		if it.Kind == Contact {
			ids = append(ids, it.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	type row struct {
		id         nid.ID
		importance string
		keyUntil   *time.Time
	}
	rows, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.id, &r.importance, &r.keyUntil} },
		`SELECT id, importance, key_until FROM contacts WHERE corp_id = $1 AND id `+tx.DB().In(2), tx.Corp(), tx.DB().IDs(ids))
	now := map[nid.ID]row{}
	for _, r := range rows {
		now[r.id] = r
	}
	for i := range items {
		if v, ok := now[items[i].ID]; ok {
			items[i].Importance, items[i].keyUntil = v.importance, v.keyUntil
			items[i].count(tx.Now())
		}
	}
	return err
}

// Approve votes for the plan with the given digest. The voter needs
// APPROVE_HANDOVER over the leaver and a fresh proof of identity, takes no part in the
// handover (excluded) and is independent of those who do and of the other voters
// (identity.HandsOf); FORBIDDEN otherwise. Voting twice is one vote: the first is
// returned. Fails with INVALID on input.comment, CONFLICT for another digest, a state other than
// AWAITING_APPROVAL, or when the time for votes has run out.
func (s *Service) Approve(ctx context.Context, id nid.ID, digest string, comment *string) (nid.ID, error) {
	return s.vote(ctx, id, digest, "APPROVED", comment)
}

// Reject ends the case with one vote against it; a comment says why.
// It needs and refuses what Approve does.
func (s *Service) Reject(ctx context.Context, id nid.ID, digest, comment string) (nid.ID, error) {
	return s.vote(ctx, id, digest, "REJECTED", &comment)
}

func (s *Service) vote(ctx context.Context, id nid.ID, digest, decision string, comment *string) (vote nid.ID, err error) {
	action, event := access.HandoverApprove, Approve
	if decision == "REJECTED" {
		action, event = access.HandoverReject, Reject
	}
	err = s.Log.Tx(ctx, s.DB, action, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if bad := words("input.comment", comment, maxReason); bad != nil {
			return bad
		}
		r, err := lockCase(ctx, tx, actor, id, "input.id")
		if err != nil {
			return err
		}
		if err := r.may(ctx, tx, actor, access.ApproveHandover); err != nil {
			return err
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		o, err := outlineOf(ctx, tx, r)
		if err != nil {
			return err
		}
		if slices.Contains(r.excluded(o, nid.ID{}), actor.ID) {
			return fault.Denied("the requester, the responsible person, the executor, the leaver and the successors cannot vote on a handover, nor can anybody who planned or submitted it",
				"发起人、方案负责人、执行人、离职成员和接替成员不能审批该交接单，规划或提交过该方案的人也不能审批")
		}
		if digest != r.Digest {
			return fault.Clash("input.digest", "the plan has changed; read it again", "计划已变更,请重新读取").With("digest", r.Digest)
		}
		t, votes, err := r.tally(ctx, tx, o, nid.ID{})
		if err != nil {
			return err
		}
		for _, v := range votes {
			if v.Approver == actor.ID && v.Digest == digest && v.Decision == decision && v.ExpiresAt.After(tx.Now()) {
				vote = v.ID
				return nil
			}
		}
		if ok, err := independent(ctx, tx, actor.ID, append(r.behind(nid.ID{}), t.counted...)); err != nil {
			return err
		} else if !ok {
			return identity.OneHand()
		}
		policy, err := approval.Load(ctx, tx)
		if err != nil {
			return err
		}
		if r.expired(policy, tx.Now()) {
			return fault.Clash("", "the time for approval has run out; the handover must be submitted again", "审批已过期,需要重新提交交接")
		}
		if r.State != AwaitingApproval {
			_, err := Next(r.State, event)
			return err
		}
		// A vote that is void gives way to the new one; the log has both.
		cast, err := tx.Change(ctx, "approvals", `INSERT INTO approvals (id, corp_id, created_at, handover_id, approver_id, decision, digest, comment, decided_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $3, $9)
			ON CONFLICT (corp_id, handover_id, digest, approver_id) DO UPDATE SET decision = excluded.decision, comment = excluded.comment,
				decided_at = excluded.decided_at, expires_at = excluded.expires_at WHERE approvals.expires_at <= excluded.decided_at
			RETURNING id`, tx.NewID(nid.Approval), tx.Corp(), tx.Now(), r.ID, actor.ID, decision, digest, comment, tx.Now().Add(policy.Expiry()))
		if err != nil {
			return err
		}
		if len(cast) == 0 {
			return fault.Clash("", "you have voted on this plan already", "您已对该计划投过票")
		}
		vote = cast[0]
		before := r.State
		if decision == "REJECTED" || len(t.counted)+1 >= r.Need.Votes {
			if _, err := r.move(ctx, tx, event); err != nil {
				return err
			}
		}
		if r.State != before {
			tx.Tell(Topic(r.ID))
			if err := r.emit(ctx, tx, map[Event]notify.Event{Approve: notify.HandoverApproved, Reject: notify.HandoverRejected}[event]); err != nil {
				return err
			}
		}
		after := map[string]any{"state": string(r.State), "digest": digest, "decision": decision, "votes": len(t.counted) + 1, "approvalsRequired": r.Need.Votes}
		if comment != nil {
			after["comment"] = audit.Personal{Subject: r.Leaver, Value: *comment} // it is about their case, and goes with them
		}
		return s.Log.Append(ctx, tx, audit.Entry{
			Action: action, Subject: r.ID, Handover: r.ID, Before: map[string]any{"state": string(before)}, After: after, Covers: []nid.ID{vote},
		})
	})
	return vote, err
}
