package handover

import (
	"context"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/store"
)

// Cancel ends a handover. What is still planned becomes CANCELLED: at once where it
// has not begun, and at the end of the chunk that is being carried out where it runs.
// The requester may always take the case back; others need PLAN_HANDOVER or the
// permission to execute. Fails with INVALID on input.reason, CONFLICT for a stale
// version or wrong state.
func (s *Service) Cancel(ctx context.Context, id nid.ID, version int, reason *string) error {
	return s.Log.Tx(ctx, s.DB, access.HandoverCancel, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if bad := words("input.reason", reason, maxReason); bad != nil {
			return bad
		}
		r, err := lockCase(ctx, tx, actor, id, "input.id")
		if err != nil {
			return err
		}
		if actor.ID != r.Requester || r.Requester.IsZero() {
			if err := r.may(ctx, tx, actor, access.PlanHandover, access.ExecuteResignedContacts, access.ExecuteResignedGroups, access.ExecuteOnJob); err != nil {
				return err
			}
		}
		if err := r.expect(version); err != nil {
			return err
		}
		after := map[string]any{}
		if reason != nil {
			after["reason"] = audit.Personal{Subject: r.Leaver, Value: *reason}
		}
		if r.State == Running {
			return s.askToStop(ctx, tx, r, after)
		}
		from, err := r.move(ctx, tx, Cancel)
		if err != nil {
			return err
		}
		ids, err := tx.Change(ctx, "transfers", `UPDATE transfers SET status = 'CANCELLED', finished_at = $3, updated_at = $3
			WHERE corp_id = $1 AND handover_id = $2 AND status = 'PLANNED' RETURNING id`, tx.Corp(), r.ID, tx.Now())
		if err != nil {
			return err
		}
		if _, err := tx.Change(ctx, "handovers", `UPDATE handovers SET planned = planned - $3, cancelled = cancelled + $3, finished_at = $4
			WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), r.ID, len(ids), tx.Now()); err != nil {
			return err
		}
		after["state"], after["transfers"] = string(r.State), len(ids)
		tx.Tell(Topic(r.ID))
		r.Totals.add(TransferPlanned, -len(ids))
		r.Totals.add(TransferCancelled, len(ids))
		if err := r.emit(ctx, tx, notify.HandoverCancelled); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{
			Action: access.HandoverCancel, Subject: r.ID, Handover: r.ID, Before: map[string]any{"state": string(from)}, After: after, Covers: ids,
		})
	})
}

// askToStop notes that a running handover is to stop; its worker does it.
func (s *Service) askToStop(ctx context.Context, tx *store.Tx, r *record, after map[string]any) error {
	if r.Totals.Planned == 0 {
		return fault.Clash("", "nothing is left to cancel: it waits for the platform", "已无可取消的内容,正在等待平台结果")
	}
	if r.Cancel != nil {
		return fault.Clash("", "it is being cancelled already", "该交接正在取消中")
	}
	r.Version++
	if _, err := tx.Change(ctx, "handovers", `UPDATE handovers SET cancel_requested_at = $3, version = $4, updated_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`,
		tx.Corp(), r.ID, tx.Now(), r.Version); err != nil {
		return err
	}
	if err := tx.Wake(ctx, WorkHandovers, tx.Now()); err != nil {
		return err
	}
	after["state"], after["planned"] = string(r.State), r.Totals.Planned
	return s.Log.Append(ctx, tx, audit.Entry{Action: access.HandoverCancel, Subject: r.ID, Handover: r.ID, Before: map[string]any{"state": string(r.State)}, After: after})
}
