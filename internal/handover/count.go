package handover

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/histogram"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// expectAll is the last guard: rows that were locked and compared a moment ago
// must all have moved.
func expectAll(err error, got, want int, what string) error {
	if err == nil && got != want {
		err = fmt.Errorf("handover: %d of %d locked %s moved", got, want, what)
	}
	return err
}

// hold reserves what waits for a platform: it stays the leaver's, and nobody
// else's transfer may touch it. What it changes is added to covers.
func hold(ctx context.Context, tx *store.Tx, ts []Transfer, covers map[nid.ID][]nid.ID) error {
	var follows, groups []map[string]any
	for _, t := range ts {
		switch {
		case t.Status != TransferWaiting:
		case t.Kind == Contact:
			follows = append(follows, map[string]any{"id": t.Follow, "transfer": t.ID})
			covers[t.ID] = append(covers[t.ID], t.Follow)
		default:
			groups = append(groups, map[string]any{"id": t.Item.ID, "transfer": t.ID})
			covers[t.ID] = append(covers[t.ID], t.Item.ID)
		}
	}
	for table, batch := range map[string][]map[string]any{"follows": follows, "groups": groups} {
		if len(batch) == 0 {
			continue
		}
		ids, err := tx.Change(ctx, table, `UPDATE `+table+` SET reserved_by_id = v.transfer FROM `+tx.DB().Rows(1, "v", "id uuid", "transfer uuid")+`
			WHERE `+table+`.corp_id = $2 AND `+table+`.id = v.id AND `+table+`.reserved_by_id IS NULL RETURNING `+table+`.id`, tx.DB().Batch(batch), tx.Corp())
		if err := expectAll(err, len(ids), len(batch), table); err != nil {
			return err
		}
	}
	return nil
}

// tally is what changes in a member's counters.
type tally struct{ contacts, keys, groups, reserved, waiting, waitingKeys, waitingGroups int }

// count keeps the members' counters with the change of each transfer from a
// status to the one it has now.
func count(ctx context.Context, tx *store.Tx, ts []Transfer, from Status) error {
	by := map[nid.ID]*tally{}
	of := func(id nid.ID) *tally {
		if by[id] == nil {
			by[id] = &tally{}
		}
		return by[id]
	}
	// state adds (or takes away) what a transfer means to the counters while it is in a status.
	state := func(t Transfer, s Status, n int) {
		key := 0
		if t.Importance == "KEY" {
			key = n
		}
		leaver, successor := of(t.From), of(t.To)
		switch {
		case t.Kind == Group && s == TransferCompleted:
			leaver.groups -= n
			successor.groups += n
		case t.Kind == Group && s == TransferWaiting:
			leaver.waitingGroups += n
		case s == TransferCompleted && t.Undo != nil && t.Undo.Reopened:
			successor.contacts += n // who gives back keeps a follow of their own
			successor.keys += key
		case s == TransferCompleted:
			leaver.contacts -= n
			leaver.keys -= key
			if !t.Merged {
				successor.contacts += n
				successor.keys += key
			}
		case s == TransferWaiting:
			leaver.waiting += n
			leaver.waitingKeys += key
			if !t.Merged {
				successor.reserved += n
			}
		}
	}
	for _, t := range ts {
		state(t, from, -1)
		state(t, t.Status, 1)
	}
	var rows []map[string]any
	for id, d := range by {
		if *d != (tally{}) {
			rows = append(rows, map[string]any{"id": id, "contacts": d.contacts, "keys": d.keys, "grps": d.groups, "reserved": d.reserved,
				"waiting": d.waiting, "waiting_keys": d.waitingKeys, "waiting_groups": d.waitingGroups})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	byID(rows)
	n, err := tx.Keep(ctx, "member_counters", `UPDATE member_counters SET contacts = member_counters.contacts + v.contacts,
		key_contacts = key_contacts + v.keys, groups = groups + v.grps, reserved_contacts = reserved_contacts + v.reserved,
		waiting_contacts = waiting_contacts + v.waiting, waiting_key_contacts = waiting_key_contacts + v.waiting_keys, waiting_groups = member_counters.waiting_groups + v.waiting_groups
		FROM `+tx.DB().Rows(1, "v", "id uuid", "contacts int", "keys int", "grps int", "reserved int", "waiting int", "waiting_keys int", "waiting_groups int")+`
		WHERE corp_id = $2 AND member_id = v.id`, tx.DB().Batch(rows), tx.Corp())
	return expectAll(err, n, len(rows), "counters")
}

func byID(rows []map[string]any) {
	slices.SortFunc(rows, func(a, b map[string]any) int {
		x, y := a["id"].(nid.ID), b["id"].(nid.ID)
		return bytes.Compare(x[:], y[:])
	})
}

// cell is one combination of the statistics.
type cell struct {
	bucket                                          time.Time
	from, to, fromDepartment, toDepartment, ruleSet nid.ID
	rule                                            int
	kind                                            ItemKind
	importance                                      string
	status                                          Status
	reason                                          Reason
	slot                                            int
}

// cellOf is where a transfer is counted: in the quarter-hour of its assignment, as
// it was then.
func cellOf(t Transfer) cell {
	c := cell{
		t.Assigned.Truncate(15 * time.Minute), t.From, t.To, t.FromDepartment, t.ToDepartment, t.RuleSet, t.Rule,
		t.Kind, t.Importance, t.Status, t.Reason, histogram.None,
	}
	if t.RuleSet.IsZero() {
		c.rule = -1
	}
	if t.Status == TransferCompleted {
		c.slot = histogram.Slot(t.Finished.Sub(*t.Assigned))
	}
	return c
}

// roll keeps the statistics: transfers that are no longer what they were, and what
// they are now.
func roll(ctx context.Context, tx *store.Tx, r *record, gone, come []Transfer) error {
	cells := map[cell]int{}
	for _, t := range gone {
		cells[cellOf(t)]--
	}
	for _, t := range come {
		cells[cellOf(t)]++
	}
	none := nid.ID{}.UUID()
	text := func(id nid.ID) string {
		if id.IsZero() {
			return none
		}
		return id.UUID()
	}
	rows := make([]map[string]any, 0, len(cells))
	for c, n := range cells {
		if n != 0 {
			rows = append(rows, map[string]any{
				"bucket": c.bucket, "from_id": text(c.from), "to_id": text(c.to), "from_department": text(c.fromDepartment), "to_department": text(c.toDepartment),
				"rule_set": text(c.ruleSet), "rule": c.rule,
				"kind": string(c.kind), "importance": c.importance, "status": string(c.status), "reason": string(c.reason), "slot": c.slot, "n": n,
			})
		}
	}
	slices.SortFunc(rows, func(a, b map[string]any) int { return bytes.Compare([]byte(fmt.Sprint(a)), []byte(fmt.Sprint(b))) })
	_, err := tx.Keep(ctx, "transfer_rollups", `INSERT INTO transfer_rollups (corp_id, bucket, leaver_id, successor_id, from_department_id, to_department_id,
		kind, handover_kind, importance, status, reason, rule_set_id, rule_index, takeover_slot, n)
		SELECT $2, bucket, from_id, to_id, from_department, to_department, kind, $3, importance, status, reason, rule_set, rule, slot, n
		FROM `+tx.DB().Rows(1, "v", "bucket time", "from_id uuid", "to_id uuid", "from_department uuid", "to_department uuid", "rule_set uuid", "rule int",
		"kind text", "importance text", "status text", "reason text", "slot int", "n int")+`
		WHERE true ON CONFLICT (corp_id, bucket, leaver_id, successor_id, from_department_id, to_department_id, kind, handover_kind, importance, status, reason, rule_set_id, rule_index, takeover_slot)
		DO UPDATE SET n = transfer_rollups.n + excluded.n`,
		tx.DB().Batch(rows), tx.Corp(), string(r.Kind))
	return err
}
