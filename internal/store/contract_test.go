package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func system(c *testcorp.Corp) context.Context {
	return store.System(context.Background(), c.ID, "test")
}

// A set of rows arrives as it was sent, whatever the engine.
func TestRowsRoundTrip(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		at := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
		type row struct {
			ID    nid.ID
			Text  string
			N     int
			Flag  bool
			Bytes []byte
			JSON  string
		}
		want := []row{
			{nid.New(nid.Contact), "李娜 \"quoted\" \\ ' \u2028", 1<<53 - 1, true, []byte{0, 255, 16}, `{"a":[1,"x"]}`},
			{nid.New(nid.Contact), "", -1, false, []byte{1}, `[]`},
		}
		var batch []map[string]any
		for _, w := range want {
			batch = append(batch, map[string]any{"id": w.ID, "txt": w.Text, "n": w.N, "flag": w.Flag, "b": w.Bytes, "j": json.RawMessage(w.JSON), "at": at})
		}
		err := db.View(system(c), func(ctx context.Context, r *store.Read) error {
			got, err := store.Select(ctx, r, func(r *row) []any { return []any{&r.ID, &r.Text, &r.N, &r.Flag, &r.Bytes, &r.JSON} },
				`SELECT id, txt, n, flag, b, j FROM `+db.Rows(1, "v", "id uuid", "txt text", "n int", "flag bool", "b hex", "j json", "at time")+` ORDER BY n DESC`, db.Batch(batch))
			if err != nil {
				return err
			}
			for i, w := range want {
				g := got[i]
				g.JSON = strings.ReplaceAll(g.JSON, " ", "")
				if g.ID != w.ID || g.Text != w.Text || g.N != w.N || g.Flag != w.Flag || !slices.Equal(g.Bytes, w.Bytes) || g.JSON != w.JSON {
					t.Errorf("sent %+v, got %+v", w, g)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// A time sent in a batch compares with one that the driver stored.
		member := c.Member("m", c.Root)
		err = db.Tx(system(c), func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.Keep(ctx, "sessions", `INSERT INTO sessions (secret_hash, corp_id, id, member_id, epoch, method, created_at, expires_at, last_seen_at) VALUES ($1, $2, $3, $3, 1, 'PASSWORD', $4, $4, $4)`,
				[]byte("x"), c.ID, member, at); err != nil {
				return err
			}
			n, found, err := store.SelectOne(ctx, tx, func(n *int) []any { return []any{n} },
				`SELECT 1 FROM sessions AS s JOIN `+db.Rows(1, "v", "at time")+` ON s.created_at = v.at`, db.Batch([]map[string]any{{"at": at}}))
			if err == nil && (!found || n != 1) {
				t.Error("the same time, sent in two ways, is not equal")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// Names sort by code point on both engines: a page of one engine is a page of the other.
func TestNamesSortAlike(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		names := []string{"Zoë", "ann", "Ann B", "李娜", "李 娜", "王芳", "a-b", "a b", "ab", "Émile", "_x", "10", "9", "名"}
		var want []string
		for _, n := range names {
			c.Contact(n, "NORMAL", c.Admin)
			want = append(want, name.Fold(n))
		}
		slices.Sort(want)
		err := db.View(system(c), func(ctx context.Context, r *store.Read) error {
			got, err := store.Select(ctx, r, func(s *string) []any { return []any{s} }, `SELECT name_key FROM contacts ORDER BY name_key, id`)
			if !slices.Equal(got, want) {
				t.Errorf("got %q\nwant %q", got, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// The database itself refuses a member to go while somebody's contact would be
// left with nobody accountable.
func TestSomebodyIsAlwaysAccountable(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		lina := c.Member("lina", c.Root)
		c.Contact("customer", "NORMAL", lina)
		err := db.Tx(system(c), func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Change(ctx, "members", `UPDATE members SET status = 'DEPARTED', answers = false WHERE id = $1 RETURNING id`, lina)
			tx.Cover(ids...)
			return err
		})
		if fault.CodeOf(err) != fault.Conflict {
			t.Fatalf("got %v, want CONFLICT", err)
		}
		if s := testcorp.Value[string](c, `SELECT status FROM members WHERE id = $1`, lina); s != "ACTIVE" {
			t.Errorf("the member is %s", s)
		}
	})
}

// A change without an audit entry is not committed.
func TestTheGuard(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		lina := c.Member("lina", c.Root)
		bySQL := func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Change(ctx, "members", `UPDATE members SET name = 'x' WHERE id = $1 RETURNING id`, lina)
			return err
		}
		byEnt := func(ctx context.Context, tx *store.Tx) error {
			return tx.Ent().Member.UpdateOneID(lina).SetName("x").Exec(ctx)
		}
		for how, fn := range map[string]func(context.Context, *store.Tx) error{"SQL": bySQL, "ent": byEnt} {
			if err := db.Tx(system(c), fn); fault.CodeOf(err) != fault.Internal {
				t.Errorf("%s: got %v, want INTERNAL", how, err)
			}
		}
		if err := db.Tx(system(c), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Keep(ctx, "sessions", `UPDATE members SET name = 'x' WHERE id = $1`, lina)
			return err
		}); err == nil {
			t.Error("Keep wrote a recorded table")
		}
		if err := db.Tx(system(c), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Change(ctx, "contacts", `UPDATE members SET name = 'x' WHERE id = $1 RETURNING id`, lina)
			return err
		}); err == nil {
			t.Error("Change wrote another table than it said")
		}
		if s := testcorp.Value[string](c, `SELECT name FROM members WHERE id = $1`, lina); s != "lina" {
			t.Errorf("the name is %q", s)
		}
	})
}

// Two transactions that lock the same rows in opposite orders both succeed: the
// one that the database gives up is repeated.
func TestADeadlockIsRepeated(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		a, b := c.Member("a", c.Root), c.Member("b", c.Root)
		var first sync.WaitGroup // both hold their first row; once, not at the repetition
		first.Add(2)
		arrive := [2]func(){sync.OnceFunc(first.Done), sync.OnceFunc(first.Done)}
		run := func(i int, ids ...nid.ID) error {
			return db.Tx(system(c), func(ctx context.Context, tx *store.Tx) error {
				for n, id := range ids {
					if _, err := store.Select(ctx, tx, func(id *nid.ID) []any { return []any{id} }, `SELECT id FROM members WHERE id = $1`+db.ForUpdate(), id); err != nil {
						return err
					}
					if n == 0 && db.Postgres() { // SQLite has one lock: nobody else gets this far
						arrive[i]()
						first.Wait()
					}
				}
				return nil
			})
		}
		errs := make([]error, 2)
		var wg sync.WaitGroup
		wg.Go(func() { errs[0] = run(0, a, b) })
		wg.Go(func() { errs[1] = run(1, b, a) })
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	})
}

// The statements of one query see one moment.
func TestOneSnapshot(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		count := func(ctx context.Context, r *store.Read) int {
			n, _, err := store.SelectOne(ctx, r, func(n *int) []any { return []any{n} }, `SELECT count(*) FROM members`)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		err := db.View(system(c), func(ctx context.Context, r *store.Read) error {
			before := count(ctx, r)
			c.Member("new", c.Root)
			if after := count(ctx, r); after != before {
				t.Errorf("%d members, then %d in the same query", before, after)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// Every foreign key has an index that begins with its columns, so that no check
// and no join scans a table.
func TestForeignKeysAreIndexed(t *testing.T) {
	db := storetest.Postgres(t, storetest.NewClock())
	c := testcorp.New(t, db, storetest.NewClock(), "acme")
	err := db.View(system(c), func(ctx context.Context, r *store.Read) error {
		missing, err := store.Select(ctx, r, func(s *string) []any { return []any{s} }, `
			SELECT k.conrelid::regclass || ' ' || k.conname FROM pg_constraint AS k
			WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace AND k.conparentid = 0
			  AND NOT EXISTS (SELECT 1 FROM pg_index AS i WHERE i.indrelid = k.conrelid AND i.indpred IS NULL
			    AND k.conkey[1:2] <@ (string_to_array(i.indkey::text, ' ')::int2[])[1:array_length(k.conkey[1:2], 1)])
			ORDER BY 1`)
		for _, m := range missing {
			t.Error("no index for foreign key ", m)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
