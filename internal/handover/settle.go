package handover

import (
	"context"
	"fmt"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Outcome is what a platform says became of a WAITING transfer.
type Outcome struct {
	Transfer nid.ID
	// Status is COMPLETED, REFUSED, LIMIT_REACHED or FAILED.
	Status Status
	Reason Reason
}

// Settle records outcomes. What is COMPLETED moves now, and is protected at once
// where the successor has left meanwhile: the platform has moved it all the same; the rest goes back to the
// leaver, protected as before. An outcome for a transfer that no longer waits is
// ignored, so hearing it twice changes nothing. The system acts.
func (s *Service) Settle(ctx context.Context, handover nid.ID, outcomes []Outcome) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		r, err := lockCase(ctx, tx, access.From(ctx), handover, "handover")
		if err != nil {
			return err
		}
		all, err := transfers(ctx, tx, r.ID, TransferWaiting)
		if err != nil {
			return err
		}
		var ts []Transfer
		now := tx.Now()
		for _, t := range all {
			i := slices.IndexFunc(outcomes, func(o Outcome) bool { return o.Transfer == t.ID })
			if i < 0 {
				continue
			}
			t.Status, t.Reason = outcomes[i].Status, outcomes[i].Reason
			t.Finished = &now
			if !slices.Contains([]Status{TransferCompleted, TransferRefused, TransferLimitReached, TransferFailed}, t.Status) {
				return fmt.Errorf("handover: %s is not an outcome", t.Status)
			}
			ts = append(ts, t)
		}
		if len(ts) == 0 {
			return nil
		}
		who, err := people(ctx, tx, access.Scope{All: true}, tx.DB().ForNoKeyUpdate(), sorted(append(outlined(ts).successors, r.Leaver))...)
		if err != nil {
			return err
		}
		held, err := lockItems(ctx, tx, ts)
		if err != nil {
			return err
		}
		before, waiting := slices.Clone(ts), slices.Clone(ts)
		for i := range ts {
			waiting[i].Status, waiting[i].Reason = TransferWaiting, ""
			ts[i].Merged = ts[i].Kind == Contact && held.followed[pair{ts[i].Item.ID, ts[i].To}] != nil
			if own, ok := held.owned[ts[i].Item.ID]; !ok || !own.is(&ts[i]) {
				ts[i].Status, ts[i].Reason = TransferSkipped, OwnerChanged
			}
		}
		covers, err := apply(ctx, tx, r, ts, who, held)
		if err != nil {
			return err
		}
		freed, err := release(ctx, tx, ts)
		if err != nil {
			return err
		}
		if err := s.settled(ctx, tx, r, ts); err != nil {
			return err
		}
		// What was promised is taken back as it was promised, then what came is counted.
		// Counters go by the importance of now, statistics by that of the assignment.
		back, come := before, slices.Clone(ts)
		for i := range back {
			back[i].Status = TransferPlanned
		}
		held.important(back, now)
		held.important(come, now)
		if err := count(ctx, tx, back, TransferWaiting); err != nil {
			return err
		}
		if err := count(ctx, tx, come, TransferPlanned); err != nil {
			return err
		}
		if err := roll(ctx, tx, r, waiting, ts); err != nil {
			return err
		}
		if err := r.tell(ctx, tx, ts); err != nil {
			return err
		}
		entries := entriesOf(r, ts, covers)
		// The handover's counters and the reservations follow from the outcomes.
		entries[0].Covers = append(append(entries[0].Covers, r.ID), freed...)
		if r.Totals.Waiting+r.Totals.Planned == 0 {
			entries = append(entries, audit.Entry{Action: access.HandoverFinish, Subject: r.ID, Handover: r.ID,
				Before: map[string]any{"state": string(Running)}, After: map[string]any{"state": string(r.State), "completed": r.Totals.Completed, "transfers": r.Totals.Total}})
		}
		return s.Log.Append(ctx, tx, entries...)
	})
}

// release takes the reservation from what did not move.
func release(ctx context.Context, tx *store.Tx, ts []Transfer) (freed []nid.ID, err error) {
	ids := make([]nid.ID, len(ts))
	for i, t := range ts {
		ids[i] = t.ID
	}
	for _, table := range []string{"follows", "groups"} {
		changed, err := tx.Change(ctx, table, `UPDATE `+table+` SET reserved_by_id = NULL WHERE corp_id = $1 AND reserved_by_id `+tx.DB().In(2)+` RETURNING id`, tx.Corp(), tx.DB().IDs(ids))
		if err != nil {
			return nil, err
		}
		freed = append(freed, changed...)
	}
	return freed, nil
}

// settled writes the outcomes to the transfers and the handover.
func (s *Service) settled(ctx context.Context, tx *store.Tx, r *record, ts []Transfer) error {
	rows := make([]map[string]any, len(ts))
	for i, t := range ts {
		row := map[string]any{"corp": tx.Corp(), "id": t.ID, "status": string(t.Status), "merged": t.Merged}
		if t.Reason != "" {
			row["reason"] = string(t.Reason)
		}
		if t.Undo != nil {
			row["undo"] = t.Undo.json()
		}
		rows[i] = row
		r.Totals.add(TransferWaiting, -1)
		r.Totals.add(t.Status, 1)
	}
	if _, err := tx.Change(ctx, "transfers", `UPDATE transfers SET status = v.status, reason = v.reason, merged = v.merged, undo = v.undo, finished_at = $2, updated_at = $2
		FROM `+tx.DB().Rows(1, "v", "corp uuid", "id uuid", "status text", "reason text", "merged bool", "undo json")+`
		WHERE transfers.corp_id = v.corp AND transfers.id = v.id AND CASE WHEN transfers.status = 'WAITING' THEN true ELSE false END RETURNING transfers.id`, tx.DB().Batch(rows), tx.Now()); err != nil {
		return err
	}
	return s.save(ctx, tx, r, tx.Now())
}
