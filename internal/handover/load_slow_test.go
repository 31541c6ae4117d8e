package handover_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// A database in which a chunk takes longer than a statement may gets smaller ones,
// and no transfer is blamed.
func TestAChunkThatTakesTooLongIsMadeSmaller(t *testing.T) {
	t.Parallel()
	const n, atOnce = 70, 64
	owner, app := storetest.PostgresURLs(t)
	clock := storetest.NewClock()
	db, err := store.Open(t.Context(), store.Options{URL: app + "&statement_timeout=1000", StatementCache: true, Clock: clock.Now, MaxConns: 4})
	ok(t, err)
	t.Cleanup(func() { _ = db.Close() })
	s := newScene(t, db, clock)
	s.s.AtOnce = atOnce
	id, _ := s.running(n)
	slow(t, owner)
	ctx, calls := context.Background(), 0
	for s.state(id) == "RUNNING" {
		if calls++; calls > 10 {
			t.Fatalf("still RUNNING, transfers are %v", s.statuses(id))
		}
		_, err := s.s.Work(ctx, s.ID)
		ok(t, err)
	}
	s.wantStatuses(id, map[string]int{"COMPLETED ": n})
	s.verifies()
}

// slow makes each change of a transfer take 30 ms: 64 of them are too many for a second.
func slow(t *testing.T, owner string) {
	t.Helper()
	c, err := sql.Open("postgres", owner)
	ok(t, err)
	defer c.Close()
	tx, err := c.BeginTx(t.Context(), nil)
	ok(t, err)
	for _, statement := range []string{
		`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.03); RETURN NEW; END $$`,
		`CREATE TRIGGER slow BEFORE UPDATE ON transfers FOR EACH ROW EXECUTE FUNCTION slow()`,
	} {
		_, err = tx.ExecContext(t.Context(), statement)
		ok(t, err)
	}
	ok(t, tx.Commit())
}

// What a chunk looks for among the transfers it finds by their ids or places, even
// before the database has statistics of a plan that was stored a moment ago: the state
// that most of them share would find them all each time.
func TestAChunkFindsItsTransfersWithoutStatistics(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	db := storetest.Postgres(t, clock)
	l := newLoad(t, db, clock, 2000, 2)
	s := &handover.Service{DB: db, Log: l.Log}
	_, err := s.HandOver(l.Verified(l.Admin), l.input(), nil, "k")
	ok(t, err)
	type statement struct {
		query string
		args  []any
	}
	seen := map[string]statement{}
	_, err = s.Work(store.Watch(context.Background(), func(query string, args []any) {
		for _, begin := range []string{"UPDATE transfers SET status", "SELECT id, kind, contact_id"} {
			if strings.HasPrefix(query, begin) && seen[begin].query == "" {
				seen[begin] = statement{query, args}
			}
		}
	}), l.ID)
	ok(t, err)
	if len(seen) != 2 {
		t.Fatalf("saw %d statements", len(seen))
	}
	for begin, st := range seen {
		ok(t, db.View(store.System(context.Background(), l.ID, "test"), func(ctx context.Context, q *store.Read) error {
			lines, err := store.Select(ctx, q, func(line *string) []any { return []any{line} }, "EXPLAIN "+st.query, st.args...)
			if plan := strings.Join(lines, "\n"); strings.Contains(plan, "status_id") || strings.Contains(plan, "Seq Scan on transfers") {
				t.Errorf("%s:\n%s", begin, plan)
			}
			return err
		}))
	}
}
