package report

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/histogram"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Rollups do not tell handovers apart. Those of one handover are made of its own
// transfers when they are asked for: its items are what that costs, never the corp's.

// countable fails with NOT_FOUND unless something of the handover is in scope: an
// unknown one, another corp's and one out of sight answer alike.
func countable(ctx context.Context, q store.Querier, id nid.ID, scope access.Scope) error {
	var w store.Where
	corp := access.From(ctx).Corp
	w.And("transfers.corp_id = ? AND transfers.handover_id = ?", corp, id)
	within(store.EngineOf(q), &w, corp, scope, "transfers.to_department_id", "transfers.from_department_id")
	condition, args := w.SQL(1)
	_, found, err := store.SelectOne(ctx, q, func(id *nid.ID) []any { return []any{id} },
		`SELECT id FROM transfers WHERE `+condition+` LIMIT 1`, args...)
	if err == nil && !found {
		return fault.Missing("filter.handoverId")
	}
	return err
}

// alike are transfers of one handover that no statistics tell apart.
type alike struct {
	leaver, successor, from, to, ruleSet           nid.ID
	kind, handoverKind, importance, status, reason string
	rule, n                                        int
	assigned                                       time.Time
	finished                                       sql.NullTime
}

// ofHandover gives a handover's transfers as cells of rollups.
func ofHandover(ctx context.Context, q store.Querier, id nid.ID) (any, error) {
	corp := access.From(ctx).Corp
	same := `transfers.from_id, transfers.to_id, transfers.from_department_id, transfers.to_department_id, transfers.rule_set_id, transfers.kind, handovers.kind,
		transfers.importance, transfers.status, COALESCE(transfers.reason, ''), COALESCE(transfers.rule_index, -1), transfers.assigned_at, transfers.finished_at`
	found, err := store.Select(ctx, q, func(a *alike) []any {
		return []any{&a.leaver, &a.successor, &a.from, &a.to, &a.ruleSet, &a.kind, &a.handoverKind, &a.importance, &a.status, &a.reason, &a.rule, &a.assigned, &a.finished, &a.n}
	}, `SELECT `+same+`, COUNT(*) FROM transfers JOIN handovers ON handovers.corp_id = transfers.corp_id AND handovers.id = transfers.handover_id
		WHERE transfers.corp_id = $1 AND transfers.handover_id = $2 AND transfers.assigned_at IS NOT NULL GROUP BY `+same, corp, id)
	if err != nil {
		return nil, err
	}
	rows := make([]map[string]any, len(found))
	for i, a := range found {
		slot := histogram.None
		if a.status == "COMPLETED" && a.finished.Valid {
			slot = histogram.Slot(a.finished.Time.Sub(a.assigned))
		}
		rows[i] = map[string]any{
			"corp_id": corp, "bucket": a.assigned.UTC().Truncate(quarter), "leaver_id": a.leaver.UUID(), "successor_id": a.successor.UUID(),
			"from_department_id": a.from.UUID(), "to_department_id": a.to.UUID(), "kind": a.kind, "handover_kind": a.handoverKind, "importance": a.importance,
			"status": a.status, "reason": a.reason, "rule_set_id": a.ruleSet.UUID(), "rule_index": a.rule, "takeover_slot": slot, "n": a.n,
		}
	}
	return store.EngineOf(q).Batch(rows), nil
}

// rollups is where the question's counts are, and the arguments with it.
func (a *question) rollups(args []any) (string, []any) {
	if a.one == nil {
		return "transfer_rollups", args
	}
	args = append(args, a.one)
	return a.db.Rows(len(args), "transfer_rollups", "corp_id uuid", "bucket time", "leaver_id uuid", "successor_id uuid", "from_department_id uuid", "to_department_id uuid",
		"kind text", "handover_kind text", "importance text", "status text", "reason text", "rule_set_id uuid", "rule_index int", "takeover_slot int", "n int"), args
}

// moment is a time out of a table or out of a batch, where SQLite has the text that
// its driver stores.
type moment struct{ time.Time }

// Scan is sql.Scanner.
func (m *moment) Scan(v any) (err error) {
	switch v := v.(type) {
	case time.Time:
		m.Time = v
	case string:
		m.Time, err = time.Parse("2006-01-02 15:04:05.999999999-07:00", v)
	default:
		err = fmt.Errorf("report: %T is no time", v)
	}
	return err
}

// ruleOf takes a value of the dimension RULE apart: the set's UUID and the rule's
// place in it, from 1; 0 where the set's fallback was taken.
func ruleOf(value string) (set string, place int) {
	set, index, _ := strings.Cut(value, "#")
	n, err := strconv.Atoi(index)
	if err != nil {
		return set, 0
	}
	return set, n + 1
}

// ruleLabel names a rule for people.
func ruleLabel(set string, place int) string {
	if place < 1 {
		return set
	}
	return fmt.Sprintf("%s #%d", set, place)
}
