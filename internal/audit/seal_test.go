package audit_test

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

func key(b byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = b
	return ed25519.NewKeyFromSeed(seed)
}

func (s *scene) sealer() *audit.Sealer {
	return &audit.Sealer{DB: s.db, Log: s.log, Keys: checkpoint.Keys{key(1)}, Folder: s.t.(*testing.T).TempDir()}
}

func (s *scene) sealed(sealer *audit.Sealer, n int) {
	s.t.Helper()
	if n > 0 {
		fill(s, n)
	}
	next, err := sealer.Work(context.Background(), s.corp)
	ok(s.t, err)
	if want := s.db.Now().Add(audit.SealEvery); !next.Equal(want) {
		s.t.Errorf("looks again at %s, want %s", next, want)
	}
}

// broken is what Verify finds.
func (s *scene) broken(trust audit.Trust) *leaf.Broken {
	s.t.Helper()
	_, err := audit.Verify(context.Background(), s.db, s.corp, trust, nil)
	if err == nil {
		return nil
	}
	b, found := errors.AsType[*leaf.Broken](err)
	if !found {
		s.t.Fatal(err)
	}
	return b
}

// unlocked lets the superuser past the triggers that keep the log append-only.
func (s *scene) unlocked() {
	s.t.Helper()
	if s.db.Postgres() {
		for _, t := range []string{"audit_entries", "audit_hashes", "checkpoints"} {
			s.exec(`ALTER TABLE ` + t + ` DISABLE TRIGGER ALL`)
		}
		return
	}
	for _, t := range []string{"audit_entries", "audit_hashes", "checkpoints"} {
		s.exec(`DROP TRIGGER ` + t + `_no_update`)
		s.exec(`DROP TRIGGER ` + t + `_no_delete`)
	}
}

func TestCheckpointsCoverTheLog(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sealer := s.sealer()
		s.sealed(sealer, 5)
		s.sealed(sealer, 0) // nothing new, nothing to do
		s.sealed(sealer, 6002)
		var size int64
		err := s.db.View(s.person(), func(ctx context.Context, q *store.Read) error {
			c, _, err := audit.Newest(ctx, q)
			if err != nil {
				return err
			}
			size = c.Size
			opened, err := checkpoint.Open(c.Note, s.corp, []string{sealer.Keys.Public(s.corp)})
			if err != nil || opened.Size != size || string(opened.Root[:]) != string(c.Root) {
				t.Errorf("%+v, %v", opened, err)
			}
			hash := func(index int64) tlog.Hash {
				h, _, err := store.SelectOne(ctx, q, func(b *[]byte) []any { return []any{b} }, `SELECT hash FROM audit_entries WHERE corp_id = $1 AND "index" = $2`, s.corp, index)
				ok(t, err)
				return tlog.Hash(h)
			}
			for _, index := range []int64{0, 5, 4999, size - 1} {
				proof, covered, err := audit.Inclusion(ctx, q, size, index)
				ok(t, err)
				if err := tlog.CheckRecord(hashes(proof), size, tlog.Hash(opened.Root), index, hash(index)); !covered || err != nil {
					t.Errorf("entry %d: %v", index, err)
				}
			}
			proof, covered, err := audit.Consistency(ctx, q, size, 6)
			ok(t, err)
			old, _, err := store.SelectOne(ctx, q, func(b *[]byte) []any { return []any{b} }, `SELECT root FROM checkpoints WHERE corp_id = $1 AND size = 6`, s.corp)
			ok(t, err)
			if err := tlog.CheckTree(hashes(proof), size, tlog.Hash(opened.Root), 6, tlog.Hash(old)); !covered || err != nil {
				t.Errorf("consistency: %v", err)
			}
			for _, index := range []int64{-1, size} {
				if _, covered, err := audit.Inclusion(ctx, q, size, index); covered || err != nil {
					t.Errorf("entry %d is proven, %v", index, err)
				}
			}
			return nil
		})
		ok(t, err)
		if size != 6008 { // with the entry that names the key
			t.Errorf("sealed up to %d", size)
		}
		r, err := audit.Verify(context.Background(), s.db, s.corp, audit.Trust{Folder: sealer.Folder, Keys: []string{sealer.Keys.Public(s.corp)}}, nil)
		ok(t, err)
		if r.Sealed != 6008 || r.Checkpoints != 6 || r.Copies != 3 {
			t.Errorf("%+v", r)
		}
	})
}

func hashes(proof [][]byte) (out []tlog.Hash) {
	for _, p := range proof {
		out = append(out, tlog.Hash(p))
	}
	return out
}

// What somebody does who may do anything to the database, but does not have the key.
func TestTheSuperuserIsFoundOut(t *testing.T) {
	// rewrite makes the log anew from an entry on, rightly chained, head and tree too,
	// and signs it with a key of their own.
	rewrite := func(s *scene, announced bool) {
		s.unlocked()
		for _, t := range []string{"audit_entries", "audit_heads", "audit_hashes", "checkpoints"} {
			s.exec(`DELETE FROM ` + t)
		}
		forger := s.sealer()
		forger.Keys = checkpoint.Keys{key(66)}
		if !announced {
			forger.Folder = ""
		}
		fill(s, 9)
		_, err := forger.Work(context.Background(), s.corp)
		ok(s.t, err)
	}
	for name, c := range map[string]struct {
		do   func(s *scene)
		why  leaf.Why
		at   int64
		bare leaf.Why // where no key is known from elsewhere; empty: the same
	}{
		"writes the whole log anew": {func(s *scene) { rewrite(s, true) }, leaf.SealDiffers, 6, leaf.NotSigned},
		"puts yesterday's database back": {func(s *scene) {
			s.unlocked()
			s.exec(`DELETE FROM audit_entries WHERE "index" >= 7`)
			s.exec(`DELETE FROM checkpoints WHERE size > 7`)
			s.exec(`DELETE FROM audit_hashes WHERE n >= 11`)
			s.exec(`UPDATE audit_heads SET size = 7, hash = (SELECT hash FROM audit_entries WHERE "index" = 6)`)
		}, leaf.Forgotten, 7, ""},
		"goes on with yesterday's database": {func(s *scene) {
			s.unlocked()
			s.exec(`DELETE FROM audit_entries WHERE "index" >= 7`)
			s.exec(`DELETE FROM checkpoints WHERE size > 7`)
			s.exec(`DELETE FROM audit_hashes WHERE n >= 11`)
			s.exec(`UPDATE audit_heads SET size = 7, hash = (SELECT hash FROM audit_entries WHERE "index" = 6)`)
			fill(s, 2)
		}, leaf.Forgotten, 7, ""},
		"changes a root": {func(s *scene) {
			s.unlocked()
			s.exec(`UPDATE checkpoints SET root = (SELECT hash FROM audit_entries WHERE "index" = 1) WHERE size = 7`)
		}, leaf.SealDiffers, 6, ""},
		"changes a note": {func(s *scene) {
			s.unlocked()
			s.exec(`UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE size = 13) WHERE size = 7`)
		}, leaf.SealDiffers, 6, ""},
		"empties a note": {func(s *scene) { s.unlocked(); s.exec(`UPDATE checkpoints SET note = '' WHERE size = 7`) }, leaf.NotSigned, 6, ""},
		"changes a hash of the tree": {func(s *scene) {
			s.unlocked()
			s.exec(`UPDATE audit_hashes SET hash = (SELECT hash FROM audit_entries WHERE "index" = 1) WHERE n = 2`)
		}, leaf.TreeDiffers, 1, ""},
		"takes a hash of the tree away": {func(s *scene) { s.unlocked(); s.exec(`DELETE FROM audit_hashes WHERE n = 4`) }, leaf.TreeDiffers, 3, ""},
		"adds a hash to the tree": {func(s *scene) {
			s.exec(`INSERT INTO audit_hashes (corp_id, n, hash) SELECT corp_id, 1000, hash FROM audit_hashes WHERE n = 0`)
		}, leaf.TreeDiffers, 12, ""},
		"takes all checkpoints away": {func(s *scene) {
			s.unlocked()
			s.exec(`DELETE FROM checkpoints`)
			s.exec(`DELETE FROM audit_hashes`)
		}, leaf.TreeDiffers, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *scene) {
				sealer := s.sealer()
				s.sealed(sealer, 6)
				s.sealed(sealer, 6)
				known := audit.Trust{Folder: sealer.Folder, Keys: []string{sealer.Keys.Public(s.corp)}}
				if b := s.broken(known); b != nil {
					t.Fatal(b)
				}
				c.do(s)
				found := func(trust audit.Trust, want leaf.Why) {
					t.Helper()
					if b := s.broken(trust); b == nil || b.Why != want || b.Index != c.at {
						t.Errorf("found %v, want %s at %d", b, want, c.at)
					}
				}
				found(known, c.why)
				found(audit.Trust{Folder: sealer.Folder}, cmp.Or(c.bare, c.why))
			})
		})
	}
}

// A flipped bit anywhere in what is stored of the log is found.
func TestFlippedBits(t *testing.T) {
	s := onSQLite(t)
	sealer := s.sealer()
	s.sealed(sealer, 40)
	s.unlocked()
	rng := rand.New(rand.NewPCG(1, 2))
	targets := []struct{ table, column, order string }{
		{"audit_entries", "leaf", `"index"`}, {"audit_entries", "hash", `"index"`}, {"audit_hashes", "hash", "n"}, {"checkpoints", "root", "size"},
	}
	trust := audit.Trust{Folder: sealer.Folder}
	for range 1000 {
		target := targets[rng.IntN(len(targets))]
		n := s.count(`SELECT count(*) FROM ` + target.table)
		var rowid int64
		var was []byte
		if err := s.super.QueryRow(`SELECT rowid, `+target.column+` FROM `+target.table+` ORDER BY `+target.order+` LIMIT 1 OFFSET $1`, rng.IntN(n)).Scan(&rowid, &was); err != nil {
			t.Fatal(err)
		}
		is := append([]byte(nil), was...)
		is[rng.IntN(len(is))] ^= 1 << rng.IntN(8)
		s.exec(`UPDATE `+target.table+` SET `+target.column+` = $1 WHERE rowid = $2`, is, rowid)
		if s.broken(trust) == nil {
			t.Fatalf("a bit of %s.%s was flipped, and nothing found", target.table, target.column)
		}
		s.exec(`UPDATE `+target.table+` SET `+target.column+` = $1 WHERE rowid = $2`, was, rowid)
	}
	if b := s.broken(trust); b != nil {
		t.Fatal(b)
	}
}

func TestNobodyOfTheProgramChangesSeals(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.sealed(s.sealer(), 3)
		for _, q := range []string{`UPDATE checkpoints SET note = ''`, `DELETE FROM checkpoints`, `UPDATE audit_hashes SET n = n + 1`, `DELETE FROM audit_hashes`} {
			if _, err := s.app.Exec(q); err == nil {
				t.Errorf("%s is allowed", q)
			}
		}
	})
}

// A new key is named in the log, and the former one signs for it. Whoever knows the
// first key needs to know no other.
func TestKeysAreRotated(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sealer := s.sealer()
		first := sealer.Keys.Public(s.corp)
		s.sealed(sealer, 3)
		sealer.Keys = checkpoint.Keys{key(2), key(1)}
		s.sealed(sealer, 3)
		sealer.Keys = checkpoint.Keys{key(2)} // the former is thrown away
		s.sealed(sealer, 3)
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE action = $1`, string(access.CheckpointKey)); n != 2 {
			t.Errorf("%d keys are named", n)
		}
		if b := s.broken(audit.Trust{Folder: sealer.Folder, Keys: []string{first}}); b != nil {
			t.Error(b)
		}
		// A key that the former did not sign for is nobody's.
		sealer.Keys = checkpoint.Keys{key(3)}
		s.sealed(sealer, 3)
		if b := s.broken(audit.Trust{Folder: sealer.Folder, Keys: []string{first}}); b == nil || b.Why != leaf.NotSigned {
			t.Errorf("found %v", b)
		}
		if b := s.broken(audit.Trust{Folder: sealer.Folder}); b != nil {
			t.Errorf("by its own word the log is in order, but %v", b)
		}
	})
}

func TestDamageIsNotSealed(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sealer := s.sealer()
		s.sealed(sealer, 3)
		fill(s, 3)
		s.unlocked()
		s.exec(`DELETE FROM audit_entries WHERE "index" = 5`)
		if _, err := sealer.Work(context.Background(), s.corp); err == nil || !strings.Contains(err.Error(), "entry 5") {
			t.Errorf("sealed a gap: %v", err)
		}
	})
}

// The sealer does not sign another past than the one it signed before: its signature
// would make good what somebody did to the database.
func TestForksAreNotSealed(t *testing.T) {
	for name, do := range map[string]func(s *scene){
		"put back to yesterday": func(s *scene) {
			s.exec(`DELETE FROM audit_entries WHERE "index" >= 7`)
			s.exec(`DELETE FROM checkpoints WHERE size > 7`)
			s.exec(`DELETE FROM audit_hashes WHERE n >= 11`)
			s.exec(`UPDATE audit_heads SET size = 7, hash = (SELECT hash FROM audit_entries WHERE "index" = 6)`)
		},
		"written anew": func(s *scene) {
			for _, t := range []string{"audit_entries", "audit_heads", "audit_hashes", "checkpoints"} {
				s.exec(`DELETE FROM ` + t)
			}
			forger := s.sealer()
			forger.Keys = checkpoint.Keys{key(66)}
			fill(s, 20)
			_, err := forger.Work(context.Background(), s.corp)
			ok(s.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *scene) {
				sealer := s.sealer()
				s.sealed(sealer, 6)
				s.sealed(sealer, 6)
				s.unlocked()
				do(s)
				fill(s, 3)
				entries, seals := s.count(`SELECT count(*) FROM audit_entries`), s.count(`SELECT count(*) FROM checkpoints`)
				if _, err := sealer.Work(context.Background(), s.corp); !errors.Is(err, audit.ErrForked) {
					t.Errorf("sealed a fork: %v", err)
				}
				if s.count(`SELECT count(*) FROM audit_entries`) != entries || s.count(`SELECT count(*) FROM checkpoints`) != seals {
					t.Error("something was written")
				}
			})
		})
	}
}

// The copy goes on where it ended, and mends a line that a crash cut off.
func TestCopiesGoOn(t *testing.T) {
	s := onSQLite(t)
	sealer := s.sealer()
	s.sealed(sealer, 3)
	file := audit.File(sealer.Folder, s.corp)
	whole, err := os.ReadFile(file)
	ok(t, err)
	ok(t, os.WriteFile(file, whole[:len(whole)-10], 0o600))
	s.sealed(sealer, 3)
	if b := s.broken(audit.Trust{Folder: sealer.Folder}); b != nil {
		t.Error(b)
	}
	again, err := os.ReadFile(file)
	ok(t, err)
	if n := strings.Count(string(again), "\n"); n != 3 || !strings.Contains(string(again), string(whole)) {
		t.Errorf("%d lines:\n%s", n, again)
	}
}

func TestUnsealed(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		age := func() (d time.Duration) {
			t.Helper()
			ok(t, s.db.View(s.system(), func(ctx context.Context, q *store.Read) (err error) { d, err = audit.Unsealed(ctx, q); return err }))
			return d
		}
		if age() != 0 {
			t.Error("an empty log waits")
		}
		fill(s, 1)
		s.clock.Add(time.Hour)
		fill(s, 1)
		if age() != time.Hour {
			t.Errorf("waits for %s", age())
		}
		s.sealed(s.sealer(), 0)
		if age() != 0 {
			t.Errorf("sealed, and waits for %s", age())
		}
	})
}

func TestEachCorpHasItsOwnOrigin(t *testing.T) {
	a, b := nid.New(nid.Corp), nid.New(nid.Corp)
	if k := (checkpoint.Keys{key(1)}); k.Public(a) == k.Public(b) || checkpoint.Origin(a) == checkpoint.Origin(b) {
		t.Error("two corps share an origin")
	}
}
