package handover

import (
	"context"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
)

// Revert takes back what a COMPLETED or PARTIAL handover moved, by a reverse handover
// that goes through the same steps and leaves alone what people changed since
// (SKIPPED with CHANGED_SINCE). It needs at least as many approvals as the original;
// where none are needed it is executed at once. What went to a leaver goes back to
// them, unassigned and protected again. A reverse handover can itself be reverted.
//
// Fails with FORBIDDEN without REVERT_HANDOVER over the leaver, STEP_UP_REQUIRED,
// INVALID on input.reason, CONFLICT for a wrong state, after the window, or while
// another reverse handover of it is open. Replaying the key returns the first answer.
func (s *Service) Revert(ctx context.Context, id nid.ID, reason, key string) (out nid.ID, err error) {
	reverse := nid.New(nid.Handover)
	err = s.Log.Tx(ctx, s.DB, access.HandoverRevert, func(ctx context.Context, tx *store.Tx) error {
		first, done, err := tx.Claim(ctx, "revertHandover", key, []any{id, reason}, reverse)
		if out = first; err != nil || done {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if bad := words("input.reason", &reason, maxReason); bad != nil {
			return bad
		}
		if strings.TrimSpace(reason) == "" {
			return fault.Bad("input.reason", "say why", "请说明原因")
		}
		r, err := lockCase(ctx, tx, actor, id, "input.id")
		if err != nil {
			return err
		}
		if err := r.may(ctx, tx, actor, access.RevertHandover); err != nil {
			return err
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if err := r.canRevert(ctx, tx); err != nil {
			return err
		}
		p, err := r.reversal(ctx, tx, reason)
		if err != nil {
			return err
		}
		entries, err := s.submitted(ctx, tx, actor, p, out)
		if err != nil {
			return err
		}
		entries[0].Action = access.HandoverRevert
		return s.Log.Append(ctx, tx, entries...)
	})
	return out, err
}

// canRevert checks state, window, and that nobody takes it back already.
func (r *record) canRevert(ctx context.Context, tx *store.Tx) error {
	if _, err := Next(r.State, Revert); err != nil {
		return err
	}
	if r.Revertible == nil {
		return fault.Clash("", "this handover cannot be taken back: its transfers went through a platform, which takes nothing back", "该交接经由平台执行,平台不支持撤销")
	}
	if !tx.Now().Before(*r.Revertible) {
		return fault.Clash("", "the time for taking it back has passed", "已超过可撤销期限").With("revertibleUntil", r.Revertible.Format(time.RFC3339))
	}
	open, found, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} }, `SELECT id FROM handovers
		WHERE corp_id = $1 AND revert_of_id = $2 AND state IN ('DRAFT', 'AWAITING_APPROVAL', 'READY', 'SCHEDULED', 'RUNNING') ORDER BY id LIMIT 1`, tx.Corp(), r.ID)
	if err == nil && found {
		err = fault.Clash("", "it is being taken back already", "该交接正在撤销中").With("handoverId", open.String())
	}
	return err
}

// reversal plans the way back of everything that the handover completed.
func (r *record) reversal(ctx context.Context, tx *store.Tx, reason string) (*planned, error) {
	ts, err := transfers(ctx, tx, r.ID, TransferCompleted)
	if err != nil {
		return nil, err
	}
	p := &planned{
		Input:    Input{Kind: r.Kind, LeaverID: r.Leaver, Successors: Choice{MemberID: &r.Leaver}, Reason: &reason},
		RevertOf: r.ID, Items: make([]Item, len(ts)),
	}
	for i, t := range ts {
		back := t.Item
		back.From, back.To, back.Version, back.Because = t.To, t.From, t.Version+1, GoingBack
		back.RevertOf, back.RuleSet, back.Rule, back.Merged = t.ID, nid.ID{}, -1, false
		p.Items[i] = back
	}
	o := outlined(ts)
	if p.People, err = people(ctx, tx, access.Scope{All: true}, "", append(append(o.successors, o.givers...), r.Leaver)...); err != nil {
		return nil, err
	}
	if p.Policy, err = approval.Load(ctx, tx); err != nil {
		return nil, err
	}
	if err := current(ctx, tx, p.Items); err != nil {
		return nil, err
	}
	p.Need = r.Need.Stricter(p.Policy.Of(len(p.Items), keyContacts(p.Items)))
	p.Digest = digest(tx.Corp(), p)
	return p, nil
}

// origins gives each transfer of a reverse handover the one that it takes back.
func origins(ctx context.Context, tx *store.Tx, ts []Transfer) error {
	ids := make([]nid.ID, len(ts))
	for i, t := range ts {
		ids[i] = t.RevertOf
	}
	found, err := chosen(ctx, tx, `id `+tx.DB().In(2), tx.DB().IDs(ids))
	by := map[nid.ID]*Transfer{}
	for i := range found {
		by[found[i].ID] = &found[i]
	}
	for i := range ts {
		ts[i].Back = by[ts[i].RevertOf]
	}
	return err
}

// back decides what becomes of a transfer that takes another back: it is COMPLETED
// only if everything still is as that one left it.
func (st *stage) back(t *Transfer) (Status, Reason) {
	if st.barred != nil && st.barred(t) != "" {
		return TransferFailed, st.barred(t)
	}
	changed := func() (Status, Reason) { return TransferSkipped, ChangedSince }
	if st.who[t.To] == nil || t.Back == nil || t.Back.Status != TransferCompleted {
		return changed()
	}
	own, ok := st.held.owned[t.Item.ID]
	follows := t.Kind == Contact && st.held.followed[pair{t.Item.ID, t.To}] != nil
	switch {
	case t.Kind == Contact && t.Back.Merged:
		ended, there := st.held.ended[t.Follow]
		if !there || !ended.is(t) || follows {
			return changed()
		}
	case !ok || !own.is(t):
		return changed()
	case own.busy:
		return TransferSkipped, InProgress
	case follows && t.Back.Undo != nil && t.Back.Undo.Reopened:
		t.Merged = true // the merge that was undone is done again
	case follows:
		return changed()
	}
	return TransferCompleted, ""
}

// takeBack records on the original what a part of its reverse handover restored, and
// makes it REVERTED when that has ended with something restored.
func (s *Service) takeBack(ctx context.Context, tx *store.Tx, r *record, ts []Transfer) ([]audit.Entry, error) {
	var ids []nid.ID
	var gone, come []Transfer
	for _, t := range ts {
		if t.Status == TransferCompleted {
			ids = append(ids, t.Back.ID)
			gone = append(gone, *t.Back)
			reverted := *t.Back
			reverted.Status = TransferReverted
			come = append(come, reverted)
		}
	}
	origin, err := lockCase(ctx, tx, &access.Actor{Kind: access.System, Corp: tx.Corp()}, r.RevertOf, "handover")
	if err != nil {
		return nil, err
	}
	before, state := origin.State, origin.State
	var by nid.ID
	if r.State != Running && r.Totals.Completed > 0 && origin.State != Reverted {
		if state, err = Next(origin.State, Revert); err != nil {
			return nil, err
		}
		by = r.ID
	}
	if len(ids) == 0 && state == before {
		return nil, nil
	}
	if len(ids) > 0 {
		done, err := tx.Change(ctx, "transfers", `UPDATE transfers SET status = 'REVERTED', updated_at = $3 WHERE corp_id = $1 AND id `+tx.DB().In(2)+` AND CASE WHEN status = 'COMPLETED' THEN true ELSE false END RETURNING id`,
			tx.Corp(), tx.DB().IDs(ids), tx.Now())
		if err := expectAll(err, len(done), len(ids), "transfers"); err != nil {
			return nil, err
		}
		if err := roll(ctx, tx, origin, gone, come); err != nil {
			return nil, err
		}
	}
	if _, err := tx.Change(ctx, "handovers", `UPDATE handovers SET completed = completed - $3, reverted = reverted + $3, state = $4, reverted_by_id = coalesce($5, reverted_by_id),
		version = version + 1, updated_at = $6 WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), origin.ID, len(ids), string(state), by, tx.Now()); err != nil {
		return nil, err
	}
	tx.Tell(Topic(origin.ID))
	if state != before {
		origin.State = state
		origin.Totals.add(TransferCompleted, -len(ids))
		origin.Totals.add(TransferReverted, len(ids))
		if err := origin.emit(ctx, tx, notify.HandoverReverted); err != nil {
			return nil, err
		}
	}
	return []audit.Entry{{Action: access.HandoverRevert, Subject: origin.ID, Handover: origin.ID, Before: map[string]any{"state": string(before)},
		After: map[string]any{"state": string(state), "reverted": len(ids), "by": r.ID}, Covers: ids}}, nil
}

// revertible is until when a handover that ends now can be taken back; nil: never,
// since a platform takes nothing back, or nothing was moved.
func (s *Service) revertible(ctx context.Context, tx *store.Tx, r *record) (*time.Time, error) {
	if s.Platform != nil && s.Platform(tx.Corp()) || r.Totals.Completed == 0 {
		return nil, nil
	}
	settings, err := setting.Load(ctx, tx)
	until := tx.Now().AddDate(0, 0, settings.RevertibleDays)
	return &until, err
}
