package handover_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"

	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// Who could have acted as whom, and what somebody has moved in a day, is found by an
// index however long the log and the list of handovers are, also by a plan that knows no
// arguments.
func TestWhatVotingAsksIsFoundByAnIndex(t *testing.T) {
	clock := storetest.NewClock()
	owner, app := storetest.PostgresURLs(t)
	db, err := store.Open(t.Context(), store.Options{URL: app, StatementCache: true, Clock: clock.Now, MaxConns: 2})
	ok(t, err)
	t.Cleanup(func() { _ = db.Close() })
	w := newWorld(t, db, clock, "acme")
	id := func(kind nid.Kind) string {
		return fmt.Sprintf(`(lpad(to_hex(i), 8, '0') || '0000700080000000000000' || '%02x')::uuid`, byte(kind))
	}
	const rows = 40_000
	// One person signs in all their life; others plan.
	ok(t, db.Tx(store.System(t.Context(), w.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Keep(ctx, "audit_entries", `INSERT INTO audit_entries (id, corp_id, created_at, "index", at, actor_id, actor_kind, action, subject_id, leaf, hash)
			SELECT `+id(nid.Audit)+`, $1, $2, 1000000 + i, $2, $3, 'MEMBER', 'session.start', $3, '', '' FROM generate_series(1, $4::int) AS i`, w.ID, tx.Now(), w.people[1], rows)
		return err
	}))
	planners := slices.Clone(w.people)
	for i := range 45 {
		planners = append(planners, w.Member(fmt.Sprint("planner ", i), w.Root))
	}
	w.change("handovers", `INSERT INTO handovers (id, corp_id, created_at, updated_at, version, kind, state, digest, plan, history_mode, leaver_id, requested_by_id, responsible_id, executed_by_id)
		SELECT `+id(nid.Handover)+`, $1, d, d, 1, 'ON_JOB', 'COMPLETED', '', '{}', 'NONE', $5, who, who, who
		FROM (SELECT i, $2::timestamptz - i * interval '1 minute' AS d, ($3::uuid[])[1 + i % 50] AS who FROM generate_series(1, $4::int) AS i) AS g RETURNING id`,
		w.ID, db.Now(), db.IDs(planners), rows/8, w.leaver)
	w.reset(0, 1)
	w.connect(2, 0)
	w.link(1, 0)
	boss, err := sql.Open("postgres", owner)
	ok(t, err)
	defer boss.Close()
	_, err = boss.ExecContext(t.Context(), "ANALYZE")
	ok(t, err)
	type statement struct {
		query string
		args  []any
	}
	var asked []statement
	ctx := store.System(store.Watch(context.Background(), func(query string, args []any) {
		if strings.Contains(query, "SELECT") {
			asked = append(asked, statement{query, args})
		}
	}), w.ID, "test")
	ok(t, db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		asked = nil
		hands, err := identity.HandsOf(ctx, tx, w.people[0], w.people[1])
		if err == nil && (hands.Apart(w.people[0], w.people[1]) || !hands[w.people[1]][w.people[2]]) {
			t.Error("the log was not read")
		}
		if err == nil {
			_, _, err = approval.Recent(ctx, tx, w.people[:1], w.DB.Now().Add(-approval.Window), nid.ID{})
		}
		return err
	}))
	plain, err := sql.Open("postgres", app)
	ok(t, err)
	defer plain.Close()
	tx, err := plain.BeginTx(t.Context(), nil)
	ok(t, err)
	defer tx.Rollback()
	_, err = tx.ExecContext(t.Context(), `SELECT set_config('handover.corp', '`+w.ID.UUID()+`', true), set_config('plan_cache_mode', 'force_generic_plan', true)`)
	ok(t, err)
	used := map[string]bool{}
	for i, s := range asked {
		_, err := tx.ExecContext(t.Context(), fmt.Sprintf(`PREPARE s%d AS %s`, i, s.query))
		ok(t, err)
		text := explained(t, tx, fmt.Sprintf(`EXPLAIN (ANALYZE) EXECUTE s%d(%s)`, i, literals(t, s.args)))
		for _, m := range regexp.MustCompile(`(?:using|Index Scan on) "?(\w+)"?`).FindAllStringSubmatch(text, -1) {
			used[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`(?:actual time=\S+ rows=|Rows Removed by [\w ]+: )(\d+)`).FindAllStringSubmatch(text, -1) {
			limit := 100
			if strings.Contains(s.query, "FROM handovers") {
				limit = 1500 // no more than the corp's of a day
			}
			if n, _ := strconv.Atoi(m[1]); n > limit {
				t.Errorf("%d rows are read:\n%s\n%s", n, s.query, text)
			}
		}
		if strings.Contains(text, "Seq Scan on audit_entries") || strings.Contains(text, "Seq Scan on handovers") {
			t.Errorf("%s\n%s", s.query, text)
		}
	}
	if !used["audit_entries_hands"] {
		t.Errorf("the index is not used: %v", used)
	}
}

func explained(t *testing.T, tx *sql.Tx, query string) string {
	t.Helper()
	rows, err := tx.QueryContext(t.Context(), query)
	ok(t, err)
	defer rows.Close()
	var out strings.Builder
	for rows.Next() {
		var line string
		ok(t, rows.Scan(&line))
		out.WriteString(line + "\n")
	}
	ok(t, rows.Err())
	return out.String()
}

// literals writes arguments as they stand in SQL.
func literals(t *testing.T, args []any) string {
	t.Helper()
	out := make([]string, len(args))
	for i, a := range args {
		if v, is := a.(driver.Valuer); is {
			var err error
			a, err = v.Value()
			ok(t, err)
		}
		switch a := a.(type) {
		case nil:
			out[i] = "NULL"
		case time.Time:
			out[i] = pq.QuoteLiteral(a.Format(time.RFC3339Nano))
		default:
			out[i] = pq.QuoteLiteral(fmt.Sprint(a))
		}
	}
	return strings.Join(out, ", ")
}
