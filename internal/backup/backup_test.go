package backup_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/backup"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/leak"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

var engines = map[string]func(testing.TB, *storetest.Clock) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres}

// empty is a migrated database in which a backup can be put back: as its owner.
var empty = map[string]func(testing.TB, *storetest.Clock) *store.DB{"sqlite": storetest.SQLite, "postgres": func(t testing.TB, clock *storetest.Clock) *store.DB {
	owner, _ := storetest.PostgresURLs(t)
	db, err := store.Open(t.Context(), store.Options{URL: owner, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}}

// signing signs the backups of tests.
var signing = checkpoint.Keys{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}

func newKey(t testing.TB) *age.X25519Identity {
	t.Helper()
	k, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func take(t testing.TB, c *testcorp.Corp, k *age.X25519Identity) ([]byte, backup.Summary) {
	t.Helper()
	var b bytes.Buffer
	s, err := backup.Write(t.Context(), c.DB, c.ID, &b, []age.Recipient{k.Recipient()}, signing, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), s
}

func restore(t testing.TB, db *store.DB, c *testcorp.Corp, file []byte, k age.Identity) (backup.Summary, error) {
	return backup.Restore(t.Context(), db, bytes.NewReader(file), backup.Options{Identities: []age.Identity{k}, Log: c.Log, Wake: []string{"handovers"}})
}

// owners is who owns each contact and group, by what the rows say and by what the
// periods say.
func owners(t testing.TB, db *store.DB, corp nid.ID) map[string]string {
	t.Helper()
	out := map[string]string{}
	type row struct{ what, item, member string }
	err := db.View(store.System(t.Context(), corp, "test"), func(ctx context.Context, r *store.Read) error {
		rows, err := store.Select(ctx, r, func(r *row) []any { return []any{&r.what, &r.item, &r.member} }, `
			SELECT 'follow', CAST(contact_id AS text) || CAST(id AS text), CAST(member_id AS text) FROM follows WHERE corp_id = $1 AND ended_at IS NULL
			UNION ALL SELECT 'group', CAST(id AS text), CAST(owner_id AS text) FROM groups WHERE corp_id = $1
			UNION ALL SELECT 'period', CAST(id AS text), CAST(member_id AS text) FROM ownership_periods WHERE corp_id = $1 AND until_at IS NULL
			UNION ALL SELECT 'count', CAST(member_id AS text), CAST(contacts AS text) || ' ' || CAST(groups AS text) FROM member_counters WHERE corp_id = $1`, corp)
		for _, r := range rows {
			out[r.what+" "+r.item] = r.member
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// counted is what the counters would be if they were counted.
func counted(t testing.TB, db *store.DB, corp nid.ID) (wrong int) {
	t.Helper()
	err := db.View(store.System(t.Context(), corp, "test"), func(ctx context.Context, r *store.Read) (err error) {
		wrong, _, err = store.SelectOne(ctx, r, func(n *int) []any { return []any{n} }, `SELECT count(*) FROM member_counters AS c WHERE c.corp_id = $1
			AND (c.contacts <> (SELECT count(*) FROM follows AS f WHERE f.corp_id = c.corp_id AND f.member_id = c.member_id AND f.ended_at IS NULL)
			  OR c.groups <> (SELECT count(*) FROM groups AS g WHERE g.corp_id = c.corp_id AND g.owner_id = c.member_id))`, corp)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return wrong
}

// torn is how many follows have no period that says so, and how many transfers are
// carried out without an entry in the log, or the other way round.
func torn(t testing.TB, db *store.DB, corp nid.ID) (n int) {
	t.Helper()
	err := db.View(store.System(t.Context(), corp, "test"), func(ctx context.Context, r *store.Read) (err error) {
		n, _, err = store.SelectOne(ctx, r, func(n *int) []any { return []any{n} }, `
			SELECT (SELECT count(*) FROM follows AS f WHERE f.corp_id = $1 AND f.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM ownership_periods AS p
				WHERE p.corp_id = f.corp_id AND p.contact_id = f.contact_id AND p.member_id = f.member_id AND p.until_at IS NULL))
			+ abs((SELECT count(*) FROM transfers WHERE corp_id = $1 AND status = 'COMPLETED')
				- (SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = 'transfer.finish'))`, corp)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// busy is a corp with a bit of everything, in which handovers go on.
func busy(t testing.TB, db *store.DB, clock *storetest.Clock) (c *testcorp.Corp, step func(worker, n int)) {
	c = testcorp.New(t, db, clock, "acme")
	s := &handover.Service{DB: db, Log: c.Log}
	type pair struct {
		a, b     nid.ID
		contacts []nid.ID
		admin    context.Context
	}
	var pairs []*pair
	for i := range 4 {
		p := &pair{a: c.Member(fmt.Sprint("a", i), c.Root), b: c.Member(fmt.Sprint("b", i), c.Root), admin: context.WithoutCancel(c.Verified(c.Admin))}
		p.contacts = c.Contacts(20, p.a)
		c.Group(fmt.Sprint("group ", i), p.a)
		c.Agree(p.contacts[0])
		c.Said(p.a, p.contacts[0], db.Now().Add(-time.Hour), "加我私人微信 private_id_88 <&> \u2028 '\"\\")
		pairs = append(pairs, p)
	}
	if _, err := (&leak.Service{DB: db, Log: c.Log}).Scan(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	return c, func(worker, n int) {
		p := pairs[worker]
		in := handover.Input{Kind: handover.OnJob, LeaverID: p.a, Successors: handover.Choice{MemberID: &p.b},
			Select: &handover.Selection{ContactIDs: p.contacts[n*2 : n*2+2]}}
		if _, err := s.HandOver(p.admin, in, nil, fmt.Sprint(worker, n)); err != nil {
			t.Error(err)
		}
	}
}

// Backups taken while handovers run are put back on either engine: the log verifies,
// every row is what it was, and owners are those of the moment the backup is of.
func TestBackupWhileHandoversRun(t *testing.T) {
	for from, open := range engines {
		t.Run("from "+from, func(t *testing.T) {
			t.Parallel()
			clock := storetest.NewClock()
			db := open(t, clock)
			c, step := busy(t, db, clock)
			key := newKey(t)
			var all sync.WaitGroup
			for w := range 4 {
				all.Go(func() {
					for n := range 10 {
						step(w, n)
					}
				})
			}
			var files [][]byte
			var sums []backup.Summary
			for range 4 {
				file, s := take(t, c, key)
				files, sums = append(files, file), append(sums, s)
			}
			all.Wait()
			file, s := take(t, c, key) // and one at rest
			files, sums = append(files, file), append(sums, s)
			for to, open := range empty {
				for i, file := range files {
					back := open(t, clock)
					got, err := restore(t, back, c, file, key)
					if err != nil {
						t.Fatalf("to %s: %v", to, err)
					}
					sums[i].SignedBy, got.Unknown = got.SignedBy, nil // trust_test.go is about these
					if d := cmp.Diff(sums[i], got); d != "" {
						t.Errorf("to %s: %s", to, d)
					}
					v, err := audit.Verify(t.Context(), back, c.ID, audit.Trust{}, nil)
					if err != nil || v.Entries != got.Entries+1 {
						t.Errorf("to %s: %v, %d entries of %d and the restore's", to, err, v.Entries, got.Entries)
					}
					if n := counted(t, back, c.ID); n != 0 {
						t.Errorf("to %s: %d counters are wrong", to, n)
					}
					if n := torn(t, back, c.ID); n != 0 || got.Tables["follows"] == 0 {
						t.Errorf("to %s: %d rows of %d follows are torn", to, n, got.Tables["follows"])
					}
					if d := cmp.Diff(owners(t, db, c.ID), owners(t, back, c.ID)); d != "" && i == len(files)-1 {
						t.Errorf("to %s: owners differ: %s", to, d)
					}
				}
			}
		})
	}
}

// Every table with rows of corps is in a backup, or is left out for a reason.
func TestEveryTableIsBackedUpOrLeftOut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		_, s := take(t, c, newKey(t))
		var all []store.Table
		if err := db.View(store.System(t.Context(), c.ID, "test"), func(ctx context.Context, r *store.Read) (err error) {
			all, err = store.Tables(ctx, r)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		have := slices.Concat(slices.Collect(maps.Keys(s.Tables)), backup.LeftOut)
		var want []string
		for _, t := range all {
			want = append(want, t.Name)
		}
		slices.Sort(have)
		slices.Sort(want)
		if d := cmp.Diff(want, have); d != "" {
			t.Error(d)
		}
	})
}

// A restored corp works on: names are found, a handover is carried out.
func TestRestoredWorksOn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		lina, wang := c.Member("lina", c.Root), c.Member("wang", c.Root)
		c.Contacts(3, lina)
		if err := db.Tx(store.System(t.Context(), c.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Change(ctx, "exports", `INSERT INTO exports (id, corp_id, created_at, requested_by_id, epoch, subject, format, state, language, run_token, expires_at)
				VALUES ($1, $2, $3, $4, 1, 'CONTACTS', 'CSV', 'READY', 'en', 0, $5) RETURNING id`, nid.New(nid.Export), c.ID, tx.Now(), c.Admin, tx.Now().Add(time.Hour))
			tx.Cover(ids...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		key := newKey(t)
		file, _ := take(t, c, key)
		back := empty[map[bool]string{true: "postgres", false: "sqlite"}[db.Postgres()]](t, clock)
		if _, err := restore(t, back, c, file, key); err != nil {
			t.Fatal(err)
		}
		grams := `SELECT count(*) FROM name_grams WHERE corp_id = $1`
		again := *c
		again.DB = back
		if have, want := testcorp.Value[int](&again, grams, c.ID), testcorp.Value[int](c, grams, c.ID); have != want || want == 0 {
			t.Errorf("%d pieces of names, want %d", have, want)
		}
		if state := testcorp.Value[string](&again, `SELECT state FROM exports WHERE corp_id = $1`, c.ID); state != "EXPIRED" {
			t.Errorf("an export whose file was not backed up is %s", state)
		}
		ctx := again.Verified(c.Admin)
		if _, err := (&handover.Service{DB: back, Log: c.Log}).HandOver(ctx, handover.Input{Kind: handover.OnJob, LeaverID: lina, Successors: handover.Choice{MemberID: &wang}}, nil, "k"); err != nil {
			t.Fatal(err)
		}
		if n := testcorp.Value[int](&again, `SELECT contacts FROM member_counters WHERE corp_id = $1 AND member_id = $2`, c.ID, wang); n != 3 {
			t.Errorf("the successor has %d contacts", n)
		}
		if n := testcorp.Value[int](&again, `SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = $2`, c.ID, string(access.BackupRestore)); n != 1 {
			t.Errorf("%d entries of the restore", n)
		}
		if n := testcorp.Value[int](&again, `SELECT count(*) FROM alarms WHERE corp = $1 AND kind = 'handovers'`, c.ID); n != 1 {
			t.Error("nobody is woken")
		}
		if _, err := restore(t, back, c, file, key); err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("once more: %v", err)
		}
	})
}

// What was changed, cut off, or is not for this key is refused, and nothing is left of it.
func TestDamagedBackupsAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		c.Contacts(30, c.Member("lina", c.Root))
		key := newKey(t)
		file, _ := take(t, c, key)
		back := empty[map[bool]string{true: "postgres", false: "sqlite"}[db.Postgres()]](t, clock)
		if _, err := restore(t, back, c, file, newKey(t)); !errors.Is(err, backup.ErrKey) {
			t.Errorf("another key: %v", err)
		}
		r := rand.New(rand.NewPCG(1, 2))
		for range 40 {
			bad := bytes.Clone(file)
			bad[r.IntN(len(bad))] ^= byte(1 + r.IntN(255))
			if _, err := restore(t, back, c, bad, key); err == nil {
				t.Fatal("a changed byte was not found")
			}
		}
		for _, n := range []int{0, 1, 100, len(file) / 2, len(file) - 1} {
			if _, err := restore(t, back, c, file[:n], key); !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrKey) {
				t.Errorf("cut off at %d: %v", n, err)
			}
		}
		if _, err := restore(t, back, c, append(bytes.Clone(file), 'x'), key); err == nil {
			t.Error("something was added")
		}
		if corps, err := back.Corps(t.Context()); err != nil || len(corps) != 0 {
			t.Errorf("left behind: %v %v", corps, err)
		}
		if _, err := restore(t, back, c, file, key); err != nil {
			t.Error(err)
		}
	})
}
