package handover

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/history"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// finish writes what became of the transfers and of the handover.
func (s *Service) finish(ctx context.Context, tx *store.Tx, r *record, ts []Transfer, now time.Time) error {
	rows := make([]map[string]any, len(ts))
	for i, t := range ts {
		row := map[string]any{"corp": tx.Corp(), "id": t.ID, "status": string(t.Status), "merged": t.Merged, "attempt": t.Attempt,
			"importance": t.Importance, "from_department": t.FromDepartment, "to_department": t.ToDepartment}
		if t.Reason != "" {
			row["reason"] = string(t.Reason)
		}
		if t.Undo != nil {
			row["undo"] = t.Undo.json()
		}
		if t.Status != TransferWaiting {
			row["finished"] = now
		}
		rows[i] = row
		r.Totals.add(TransferPlanned, -1)
		r.Totals.add(t.Status, 1)
	}
	// CASE as in items.
	if _, err := tx.Change(ctx, "transfers", `UPDATE transfers SET status = v.status, reason = v.reason, merged = v.merged, attempt = v.attempt, undo = v.undo,
		importance = v.importance, from_department_id = v.from_department, to_department_id = v.to_department,
		assigned_at = $2, finished_at = v.finished, updated_at = $2
		FROM `+tx.DB().Rows(1, "v", "corp uuid", "id uuid", "status text", "reason text", "merged bool", "attempt int", "undo json", "finished time",
		"importance text", "from_department uuid", "to_department uuid")+`
		WHERE transfers.corp_id = v.corp AND transfers.id = v.id AND CASE WHEN transfers.status = 'PLANNED' THEN true ELSE false END RETURNING transfers.id`, tx.DB().Batch(rows), now); err != nil {
		return err
	}
	return s.save(ctx, tx, r, now)
}

// save ends the run where nothing is open any more, and writes state and counters.
func (s *Service) save(ctx context.Context, tx *store.Tx, r *record, now time.Time) error {
	t := r.Totals
	var finished *time.Time
	if t.Planned+t.Waiting == 0 {
		event := FinishSome
		switch {
		case t.Completed == t.Total:
			event = FinishAll
		case t.Completed == 0 && t.Cancelled > 0:
			event = StopRun
		case t.Completed == 0:
			event = FinishNone
		}
		var err error
		if r.State, err = Next(r.State, event); err != nil {
			return err
		}
		finished = &now
		if r.Revertible, err = s.revertible(ctx, tx, r); err != nil {
			return err
		}
	}
	r.Version++
	if _, err := tx.Change(ctx, "handovers", `UPDATE handovers SET state = $3, version = $4, updated_at = $5, started_at = coalesce(started_at, $5), finished_at = $6,
		planned = $7, waiting = $8, completed = $9, refused = $10, limit_reached = $11, failed = $12, skipped = $13, cancelled = $14, reverted = $15,
		resume_at = $16, executed_by_id = $17, responsible_id = $19, revertible_until = $18, hold_reason = NULL
		WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), r.ID, string(r.State), r.Version, now, nullTime(finished),
		t.Planned, t.Waiting, t.Completed, t.Refused, t.LimitReached, t.Failed, t.Skipped, t.Cancelled, t.Reverted,
		nullTime(r.Resume), r.Executor, nullTime(r.Revertible), r.Responsible); err != nil {
		return err
	}
	tx.Tell(Topic(r.ID))
	return nil
}

// Topic is what is told (store.Tx.Tell) whenever a handover has come further.
func Topic(handover nid.ID) string { return "handover:" + handover.String() }

// entriesOf makes one audit entry for each transfer.
func entriesOf(r *record, ts []Transfer, covers map[nid.ID][]nid.ID) []audit.Entry {
	out := make([]audit.Entry, len(ts))
	for i, t := range ts {
		after := map[string]any{"status": string(t.Status), "attempt": t.Attempt}
		if t.Reason != "" {
			after["reason"] = string(t.Reason)
		}
		if t.Status == TransferCompleted {
			after["owner"], after["merged"], after["ownerVersion"] = t.To, t.Merged, t.Version+1
		} else {
			after["to"] = t.To
		}
		if len(t.Granted) > 0 {
			after["history"] = grantsOf(t.Granted)
		}
		out[i] = audit.Entry{
			Action: access.TransferFinish, Subject: t.ID, Handover: r.ID,
			Before: map[string]any{"item": t.Item.ID, "owner": t.From, "ownerVersion": t.Version}, After: after, Covers: covers[t.ID],
		}
	}
	return out
}

// grantsOf is what an entry says of the chats that a successor may read.
func grantsOf(grants []history.Grant) []any {
	out := make([]any, len(grants))
	for i, g := range grants {
		out[i] = map[string]any{"id": g.ID, "from": stamp(g.From), "until": stamp(g.Until), "expiresAt": stamp(g.ExpiresAt)}
	}
	return out
}
