package handover

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/store"
)

// again reports whether a transfer that ended so may be tried again. One whose owner
// changed may not: somebody decided otherwise meanwhile.
func again(t Transfer) bool {
	switch t.Status {
	case TransferFailed, TransferLimitReached, TransferRefused:
		return true
	case TransferSkipped:
		return t.Reason == InProgress
	}
	return false
}

// Retry tries unfinished transfers of a PARTIAL or FAILED handover again; no ids:
// all that can be. With the same successor the handover goes on under its digest,
// and rights and votes count again. Another successor makes a follow-up handover with
// a digest and approvals of its own, which is executed at once where it needs none.
// It gives the handover that does it, and the transfers.
//
// Fails with FORBIDDEN without the permission to execute, STEP_UP_REQUIRED,
// NOT_FOUND for a transfer that is not the handover's, CONFLICT for a wrong state or
// a transfer that cannot be tried again, APPROVAL_REQUIRED. Replaying the key returns
// the first answer.
func (s *Service) Retry(ctx context.Context, id nid.ID, ids []nid.ID, successor *nid.ID, key string) (out nid.ID, err error) {
	if len(ids) > maxIDs {
		return out, fault.Bad("input.transferIds", "at most %d ids", "最多 %d 个 ID", maxIDs)
	}
	follow := nid.New(nid.Handover)
	err = s.Log.Tx(ctx, s.DB, access.HandoverRetry, func(ctx context.Context, tx *store.Tx) error {
		answer := id
		if successor != nil {
			answer = follow
		}
		first, done, err := tx.Claim(ctx, "retryTransfers", key, []any{id, ids, successor}, answer)
		if out = first; err != nil || done {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		r, err := lockCase(ctx, tx, actor, id, "input.handoverId")
		if err != nil {
			return err
		}
		if err := approval.Lock(ctx, tx, r.ID); err != nil {
			return err
		}
		ts, err := retried(ctx, tx, r, ids)
		if err != nil {
			return err
		}
		if err := s.mayExecute(ctx, tx, actor, r, outlined(ts)); err != nil {
			return err
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if r.State != Partial && r.State != Failed {
			_, err := Next(r.State, Retry)
			return err
		}
		for i, t := range ts {
			if !again(t) {
				field := "input.transferIds"
				return fault.Clash(field, "transfer %d is %s and cannot be tried again", "第 %d 条分配记录为 %s,不能重试", i+1, t.Status).With("transferId", t.ID.String())
			}
		}
		if len(ts) == 0 {
			return fault.Clash("", "no transfer of this handover can be tried again", "该交接没有可重试的分配记录")
		}
		if to := outlined(ts).successors; successor != nil && (len(to) != 1 || to[0] != *successor) {
			return s.followUp(ctx, tx, actor, r, ts, *successor, out)
		}
		if successor != nil {
			return fault.Bad("input.successorId", "this is the successor already; leave it out to try again", "接替成员未变更,重试时请勿填写")
		}
		entries, err := s.retry(ctx, tx, actor, r, ts)
		if err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, entries...)
	})
	return out, err
}

// retried reads the transfers to try again, locked with their handover.
func retried(ctx context.Context, tx *store.Tx, r *record, ids []nid.ID) ([]Transfer, error) {
	if ids == nil {
		all, err := chosen(ctx, tx, `handover_id = $2 AND status IN ('FAILED', 'LIMIT_REACHED', 'REFUSED', 'SKIPPED') ORDER BY position`, r.ID)
		return slices.DeleteFunc(all, func(t Transfer) bool { return !again(t) }), err
	}
	ts, err := chosen(ctx, tx, `handover_id = $2 AND id `+tx.DB().In(3)+` ORDER BY position`, r.ID, tx.DB().IDs(ids))
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if !slices.ContainsFunc(ts, func(t Transfer) bool { return t.ID == id }) {
			return nil, fault.Missing("input.transferIds")
		}
	}
	return ts, nil
}

// retry puts the transfers back to PLANNED, out of the statistics, and starts.
func (s *Service) retry(ctx context.Context, tx *store.Tx, actor *access.Actor, r *record, ts []Transfer) ([]audit.Entry, error) {
	if err := r.lockOrigin(ctx, tx); err != nil {
		return nil, err
	}
	if err := roll(ctx, tx, r, ts, nil); err != nil {
		return nil, err
	}
	ids := make([]nid.ID, len(ts))
	for i, t := range ts {
		ids[i] = t.ID
		r.Totals.add(t.Status, -1)
		r.Totals.add(TransferPlanned, 1)
	}
	if _, err := tx.Change(ctx, "transfers", `UPDATE transfers SET status = 'PLANNED', reason = NULL, detail = NULL, assigned_at = NULL, finished_at = NULL, updated_at = $3
		WHERE corp_id = $1 AND id `+tx.DB().In(2)+` RETURNING id`, tx.Corp(), tx.DB().IDs(ids), tx.Now()); err != nil {
		return nil, err
	}
	t := r.Totals
	if _, err := tx.Change(ctx, "handovers", `UPDATE handovers SET planned = $3, refused = $4, limit_reached = $5, failed = $6, skipped = $7, finished_at = NULL,
		revertible_until = NULL, cancel_requested_at = NULL WHERE corp_id = $1 AND id = $2 RETURNING id`,
		tx.Corp(), r.ID, t.Planned, t.Refused, t.LimitReached, t.Failed, t.Skipped); err != nil {
		return nil, err
	}
	r.Cancel = nil
	o, err := outlineOf(ctx, tx, r) // with what counts as KEY now
	if err != nil {
		return nil, err
	}
	entries, err := s.start(ctx, tx, actor, r, o, Retry, nil)
	if err != nil {
		return nil, err
	}
	entries[0].Action = access.HandoverRetry
	entries[0].Covers = append(entries[0].Covers, ids...)
	return entries, nil
}

// followUp plans the transfers for another successor, as a handover of its own.
func (s *Service) followUp(ctx context.Context, tx *store.Tx, actor *access.Actor, r *record, ts []Transfer, successor, id nid.ID) error {
	if r.reverse() {
		return fault.Bad("input.successorId", "what is taken back goes to whom it came from", "撤销的交接只能归还原归属人")
	}
	in := Input{Kind: r.Kind, LeaverID: r.Leaver, Select: &Selection{ContactIDs: []nid.ID{}, GroupIDs: []nid.ID{}}, Successors: Choice{MemberID: &successor}}
	if r.History.Mode != "NONE" {
		in.History = &r.History
	}
	for _, t := range ts {
		if t.Kind == Contact {
			in.Select.ContactIDs = append(in.Select.ContactIDs, t.Item.ID)
		} else {
			in.Select.GroupIDs = append(in.Select.GroupIDs, t.Item.ID)
		}
	}
	p, err := work(ctx, tx, actor, in, "input", "")
	if f, ok := errors.AsType[*fault.Error](err); ok {
		switch {
		case strings.HasPrefix(f.Field, "input.select."):
			return fault.Clash("input.transferIds", "the leaver no longer has what one of these transfers is about; name the others", "其中有分配对象已不属于离开的成员,请指定其余分配记录").Because(err)
		case strings.HasPrefix(f.Field, "input.successors"):
			here := *f
			here.Field = "input.successorId" // where the caller has named them
			return &here
		}
	}
	if err != nil {
		return err
	}
	p.FollowUpOf = r.ID
	entries, err := s.submitted(ctx, tx, actor, p, id)
	if err != nil {
		return err
	}
	entries[0].Action = access.HandoverRetry
	return s.Log.Append(ctx, tx, entries...)
}

// submitted stores a plan that needs no further decision of its requester: it is
// executed at once where it needs no approval, and else waits for votes.
func (s *Service) submitted(ctx context.Context, tx *store.Tx, actor *access.Actor, p *planned, id nid.ID) ([]audit.Entry, error) {
	p.Responsible = requester(actor)
	state := Ready
	if p.Need.Votes > 0 {
		state = AwaitingApproval
	}
	ts, err := p.store(ctx, tx, id, requester(actor), state, nil)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Change(ctx, "handovers", `UPDATE handovers SET submitted_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), id, tx.Now()); err != nil {
		return nil, err
	}
	entries := []audit.Entry{p.entry(access.HandoverCreate, id, state, ts, nil)}
	if state == AwaitingApproval {
		if err := p.record(id, requester(actor), state).emit(ctx, tx, notify.HandoverSubmitted); err != nil {
			return nil, err
		}
		return entries, tx.Wake(ctx, WorkHandovers, tx.Now().Add(p.Policy.Expiry()))
	}
	r := p.record(id, requester(actor), Ready)
	started, err := s.start(ctx, tx, actor, r, outlined(ts), Execute, nil)
	return append(entries, started...), err
}
