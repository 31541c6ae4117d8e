package handover

import (
	"context"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/store"
)

// tell lets webhooks know what became of a part of a run: each successor's share for
// their digest, and the end.
func (r *record) tell(ctx context.Context, tx *store.Tx, ts []Transfer) error {
	heard, err := notify.Heard(ctx, tx)
	if err != nil || !heard {
		return err
	}
	if r.State != Running {
		if err := r.emit(ctx, tx, notify.HandoverFinished); err != nil {
			return err
		}
	}
	gifts := map[nid.ID]notify.Gift{}
	for _, t := range ts {
		if t.Status != TransferCompleted {
			continue
		}
		g := gifts[t.To]
		if t.Kind == Contact {
			g.Contacts++
		} else {
			g.Groups++
		}
		gifts[t.To] = g
	}
	if len(gifts) == 0 || r.reverse() {
		return nil // what is taken back is no news to who has left
	}
	return notify.Given(ctx, tx, r.ID, gifts)
}

// emit sends one event about the handover, with its state and counters.
func (r *record) emit(ctx context.Context, tx *store.Tx, e notify.Event) error {
	t := r.Totals
	data := map[string]any{
		"leaver": r.Leaver, "kind": string(r.Kind), "state": string(r.State), "total": t.Total, "planned": t.Planned, "waiting": t.Waiting, "completed": t.Completed,
		"refused": t.Refused, "limitReached": t.LimitReached, "failed": t.Failed, "skipped": t.Skipped, "cancelled": t.Cancelled, "reverted": t.Reverted,
	}
	if r.reverse() {
		data["revertOf"] = r.RevertOf
	}
	return notify.Emit(ctx, tx, e, r.ID, data)
}
