package handover

import (
	"context"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/store"
)

// tell lets webhooks know what became of a part of a run: what each successor got or
// lost, for their digest, and the end.
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
	given, taken := map[nid.ID]notify.Gift{}, map[nid.ID]notify.Gift{}
	for _, t := range ts {
		if t.Status != TransferCompleted {
			continue
		}
		one := notify.Gift{Groups: 1}
		if t.Kind == Contact {
			one = notify.Gift{Contacts: 1}
		}
		// A reverse handover takes from successors, one that takes that back gives to them
		// again. The leaver is told nothing.
		if t.To != r.Leaver {
			given[t.To] = given[t.To].Plus(one)
		}
		if t.From != r.Leaver {
			taken[t.From] = taken[t.From].Plus(one)
		}
	}
	if err := notify.TakenBack(ctx, tx, r.RevertOf, taken); err != nil {
		return err
	}
	return notify.Given(ctx, tx, r.ID, given)
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
