package audit_test

import (
	"context"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// Where the operator has PostgreSQL acknowledge commits early, the transaction that
// seals waits all the same, which takes what it covers to the disk with it.
func TestSealingWaitsForTheDisk(t *testing.T) {
	clock := storetest.NewClock()
	_, app := storetest.PostgresURLs(t)
	sep := "?"
	if strings.Contains(app, "?") {
		sep = "&"
	}
	db, err := store.Open(t.Context(), store.Options{URL: app + sep + "synchronous_commit=off", Clock: clock.Now})
	ok(t, err)
	t.Cleanup(func() { _ = db.Close() })
	s := newScene(t, db, clock, nil, nil)
	fill(s, 3)
	waits := func(durable bool) (mode string) {
		ok(t, db.Tx(store.System(context.Background(), s.corp, "test"), func(ctx context.Context, tx *store.Tx) (err error) {
			if durable {
				ok(t, tx.Durable(ctx))
			}
			mode, _, err = store.SelectOne(ctx, tx, func(s *string) []any { return []any{s} }, `SELECT current_setting('synchronous_commit')`)
			return err
		}))
		return mode
	}
	if off, on := waits(false), waits(true); off != "off" || on != "on" {
		t.Errorf("synchronous_commit is %s, and %s where it matters", off, on)
	}
	asked, signed := -1, -1
	n := 0
	ctx := store.Count(context.Background(), func(query string) {
		n++
		if strings.Contains(query, "synchronous_commit") {
			asked = n
		}
		if strings.HasPrefix(query, "INSERT INTO checkpoints") {
			signed = n
		}
	})
	_, err = s.sealer().Work(ctx, s.corp)
	ok(t, err)
	if asked < 0 || signed < asked {
		t.Errorf("statement %d waits, statement %d keeps the checkpoint", asked, signed)
	}
}
