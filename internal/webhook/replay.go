package webhook

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

// Replay sends a finished delivery once more: a new one with the same message and
// the same webhook-id, due at once. It needs MANAGE_CONNECTOR in the whole corp
// and a fresh proof of identity.
//
// Fails with FORBIDDEN, STEP_UP_REQUIRED, NOT_FOUND on input.id, and CONFLICT for a
// delivery that is still WAITING or a webhook that is off or deleted.
func (s *Service) Replay(ctx context.Context, delivery nid.ID) (id nid.ID, err error) {
	err = s.Log.Tx(ctx, s.DB, access.DeliveryReplay, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if err := manager(actor); err != nil {
			return err
		}
		type row struct {
			hook         nid.ID
			event, state string
			active       bool
		}
		r, ok, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.hook, &r.event, &r.state, &r.active} },
			`SELECT d.webhook_id, d.event, d.state, w.active AND w.archived_at IS NULL FROM webhook_deliveries AS d
			JOIN webhooks AS w ON w.corp_id = d.corp_id AND w.id = d.webhook_id WHERE d.corp_id = $1 AND d.id = $2`, tx.Corp(), delivery)
		if err != nil {
			return err
		}
		if !ok {
			return fault.Missing("input.id")
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		switch {
		case State(r.state) == Waiting:
			return fault.Clash("input.id", "this delivery is still to be sent", "该消息尚待发送")
		case !r.active:
			return fault.Clash("input.id", "the webhook is switched off or deleted", "该 Webhook 已停用或删除")
		}
		id = nid.New(0)
		if _, err := tx.Keep(ctx, "webhook_deliveries", `INSERT INTO webhook_deliveries (corp_id, id, webhook_id, event, subject_id, body, state, attempts, created_at, next_at)
			SELECT corp_id, $3, webhook_id, event, subject_id, body, 'WAITING', 0, $4, $4 FROM webhook_deliveries WHERE corp_id = $1 AND id = $2`,
			tx.Corp(), delivery, id, tx.Now()); err != nil {
			return err
		}
		if err := tx.Wake(ctx, notify.WorkDeliveries, tx.Now()); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.DeliveryReplay, Subject: r.hook, After: map[string]any{"event": r.event, "delivery": delivery.UUID(), "again": id.UUID()}})
	})
	if err != nil {
		return nid.ID{}, err
	}
	return id, nil
}
