package erasure_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/backup"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/erasure"
	"github.com/openhandover/openhandover/internal/export"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// house is a data folder with everything that the program keeps in it.
type house struct {
	*testcorp.Corp
	t       *testing.T
	folder  string
	exports *export.Service
	erase   *erasure.Service
	sealer  *audit.Sealer
	key     *age.X25519Identity
	n       int
}

// inHouse opens a database for a data folder: on SQLite, in it.
func inHouse(t *testing.T, postgres bool, folder string, clock *storetest.Clock) *store.DB {
	t.Helper()
	if postgres {
		owner, _ := storetest.PostgresURLs(t)
		db, err := store.Open(t.Context(), store.Options{URL: owner, Clock: clock.Now}) // who restores owns the tables
		ok(t, err)
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	db, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + filepath.Join(folder, "handover.db"), Clock: clock.Now})
	ok(t, err)
	t.Cleanup(func() { _ = db.Close() })
	_, err = db.Migrate(t.Context())
	ok(t, err)
	return db
}

func newHouse(t *testing.T, c *testcorp.Corp, folder string, key *age.X25519Identity) *house {
	t.Helper()
	box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
	ok(t, err)
	links, err := secret.NewSigner(secret.ForDownloads, secret.DemoKey())
	ok(t, err)
	h := &house{Corp: c, t: t, folder: folder, key: key}
	h.sealer = &audit.Sealer{DB: c.DB, Log: c.Log, Folder: filepath.Join(folder, "checkpoints"),
		Keys: checkpoint.Keys{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}}
	h.exports = &export.Service{DB: c.DB, Log: c.Log, Reader: audit.NewReader(box), Links: links, Folder: filepath.Join(folder, "exports"),
		Seal: func(ctx context.Context, corp nid.ID) error { _, err := h.sealer.Work(ctx, corp); return err }}
	h.erase = &erasure.Service{DB: c.DB, Log: c.Log, Folder: filepath.Join(folder, "checkpoints"), Tidy: h.exports.Sweep}
	return h
}

// export makes a file of each subject, as the administrator.
func (h *house) export(cases ...nid.ID) {
	h.t.Helper()
	ask := func(in export.Input) {
		h.n++
		_, err := h.exports.Create(h.Verified(h.Admin), in, fmt.Sprint("export ", h.n))
		ok(h.t, err)
	}
	for _, s := range []export.Subject{export.Contacts, export.Transfers, export.AuditLog} {
		ask(export.Input{Subject: s, Format: export.CSV})
	}
	_, err := h.exports.Work(context.Background(), h.ID)
	ok(h.t, err)
	for _, id := range cases {
		ask(export.Input{Subject: export.Evidence, Format: export.CSV, HandoverID: &id})
	}
	_, err = h.exports.Work(context.Background(), h.ID)
	ok(h.t, err)
	if n := testcorp.Value[int](h.Corp, `SELECT count(*) FROM exports WHERE corp_id = $1 AND state = 'READY'`, h.ID); n != 3+len(cases) {
		h.t.Fatalf("%d exports are ready", n)
	}
}

func (h *house) backup() string {
	h.t.Helper()
	s := &backup.Schedule{DB: h.DB, Log: h.Log, Folder: filepath.Join(h.folder, "backups"), Recipients: []age.Recipient{h.key.Recipient()}}
	f, _, err := s.Take(context.Background(), h.ID, "", nil)
	ok(h.t, err)
	return f.Path
}

// words finds which of them stand in any file of the folder, and where; each file's bytes
// are looked at as they are, whatever the file thinks is in use.
func (h *house) words(words []string) (found []string) {
	h.t.Helper()
	ok(h.t, filepath.WalkDir(h.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		texts := map[string][]byte{filepath.Base(path): b}
		if packed, bad := zip.NewReader(bytes.NewReader(b), int64(len(b))); bad == nil { // evidence
			for _, f := range packed.File {
				r, err := f.Open()
				ok(h.t, err)
				texts[f.Name], err = io.ReadAll(r)
				ok(h.t, errors.Join(err, r.Close()))
			}
		}
		for name, b := range texts {
			for _, w := range words {
				if bytes.Contains(b, []byte(w)) {
					found = append(found, w+" in "+name)
				}
			}
		}
		return err
	}))
	return found
}

// forms are a name, its folded form, and the pieces of two and three characters that
// search keeps. Pieces of one are three bytes, which chance may make too: see grams.
func forms(title string) []string {
	folded := []rune(name.Fold(title))
	out := []string{title, string(folded)}
	for _, n := range []int{2, 3} {
		for i := 0; i+n <= len(folded); i++ {
			out = append(out, string(folded[i:i+n]))
		}
	}
	return out
}

func (h *house) grams(id nid.ID) int {
	return testcorp.Value[int](h.Corp, `SELECT count(*) FROM name_grams WHERE corp_id = $1 AND id = $2`, h.ID, id)
}

// verified checks the log, against the folder's checkpoints too.
func (h *house) verified() {
	h.t.Helper()
	_, err := h.sealer.Work(context.Background(), h.ID)
	ok(h.t, err)
	_, err = audit.Verify(context.Background(), h.DB, h.ID, audit.Trust{Folder: h.sealer.Folder}, nil)
	ok(h.t, err)
}

// After erasing a contact and a member who has departed, nothing of them is in any byte
// of the data folder, nor where a backup from before is put back, nor in an export.
func TestNoByteOfAPersonIsLeft(t *testing.T) {
	for engine, postgres := range map[string]bool{"sqlite": false, "postgres": true} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			clock, folder := storetest.NewClock(), t.TempDir()
			key, err := age.GenerateX25519Identity()
			ok(t, err)
			c := testcorp.New(t, inHouse(t, postgres, folder, clock), clock, "acme")
			h := newHouse(t, c, folder, key)
			const title, login, remark = "龘靐齉爨鱻麤", "靁驫贔灪", "彐屮彑丬"
			lina, wang := c.Member(login, c.Root), c.Member("wang", c.Root)
			// Others around them, so that pages fill, split and move rows about.
			others := c.Contacts(60, wang)
			person := c.Contact(title, "NORMAL", lina, wang)
			others = append(others, c.Contacts(60, wang)...)
			for i, id := range append(slices.Clone(others[50:70]), person) {
				renamed := fmt.Sprintf("renamed %d", i)
				if id == person {
					renamed = title + "二"
				}
				ok(t, (&contact.Service{DB: c.DB, Log: c.Log}).Update(c.Verified(c.Admin), contact.UpdateInput{ID: id, Version: 1, Name: &renamed}))
			}
			c.Agree(person)
			c.Said(person, lina, c.DB.Now(), remark+" says "+title)
			c.Depart(lina)
			reason := login + " " + remark
			handovers := &handover.Service{DB: c.DB, Log: c.Log}
			in := handover.Input{Kind: handover.Resigned, LeaverID: lina, Successors: handover.Choice{MemberID: &wang}, Reason: &reason}
			id, err := handovers.HandOver(c.Verified(c.Admin), in, nil, "k")
			ok(t, err)
			h.export(id)
			before := h.backup()
			if _, err := h.sealer.Work(context.Background(), c.ID); err != nil {
				t.Fatal(err)
			}
			words := append(append(append(forms(title), forms(login)...), remark), "remark of "+title)
			if n := len(h.words(words)); n < len(words) && !postgres {
				t.Fatalf("only %d places to begin with", n)
			}
			system := store.System(context.Background(), c.ID, "test")
			for _, id := range []nid.ID{person, lina} {
				ok(t, h.erase.Erase(system, id))
				ok(t, h.erase.Erase(system, id))
				if n := h.grams(id); n > 0 {
					t.Errorf("%d pieces of a name are left", n)
				}
			}
			gone := func(h *house, where string) {
				t.Helper()
				if left := h.words(words); len(left) > 0 {
					t.Errorf("%s: %v", where, left)
				}
				for _, w := range words {
					if left := holding(t, h.DB, h.ID, w); len(left) > 0 {
						t.Errorf("%s: %s stands in the tables %v", where, w, left)
					}
				}
				h.verified()
			}
			gone(h, "erased")
			h.export(id)
			gone(h, "exported")
			if ids, err := erasure.List(h.erase.Folder, c.ID); err != nil || !slices.Equal(ids, []nid.ID{person, lina}) {
				t.Errorf("noted are %v, %v", ids, err)
			}

			// The backup from before, put back into a folder of its own.
			again := *c
			elsewhere := t.TempDir()
			again.DB = inHouse(t, postgres, elsewhere, clock)
			r := newHouse(t, &again, elsewhere, key)
			file, err := os.Open(before)
			ok(t, err)
			defer file.Close()
			sum, err := backup.Restore(t.Context(), again.DB, file, backup.Options{Identities: []age.Identity{key}, Log: c.Log,
				Forget: func(ctx context.Context, tx *store.Tx) ([]nid.ID, error) {
					return erasure.Again(ctx, tx, c.Log, h.erase.Folder)
				}})
			ok(t, err)
			ok(t, again.DB.Scrub(t.Context()))
			if !slices.Equal(sum.Erased, []nid.ID{person, lina}) {
				t.Errorf("erased again: %v", sum.Erased)
			}
			gone(r, "restored")
			if n := testcorp.Value[int](&again, `SELECT count(*) FROM subject_keys WHERE corp_id = $1 AND subject_id IN ($2, $3)
				AND wrapped IS NOT NULL`, c.ID, person, lina); n > 0 {
				t.Error("their keys are back")
			}
			r.export(id)
			gone(r, "restored and exported")
		})
	}
}

// A backup from before a member departed has them at work; erased is erased.
func TestErasedWhateverTheyWereThen(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		lina, wang := c.Member("zauberlina", c.Root), c.Member("wang", c.Root)
		c.Contact("kunde", "NORMAL", lina)
		reason := "zauberlina moves"
		s := &handover.Service{DB: db, Log: c.Log}
		in := handover.Input{Kind: handover.OnJob, LeaverID: lina, Successors: handover.Choice{MemberID: &wang}, Reason: &reason}
		_, err := s.Create(c.Verified(c.Admin), in, nil, nil, "k")
		ok(t, err)
		folder := t.TempDir()
		ok(t, os.WriteFile(audit.Erased(folder, c.ID), fmt.Appendf(nil,
			"{\"id\":%q,\"at\":\"2026-03-02T09:00:00Z\"}\n{\"id\":%q}\n{\"id\":\"con_0", lina, nid.New(nid.Contact)), 0o600))
		var again []nid.ID
		ok(t, db.Tx(store.System(context.Background(), c.ID, "test"), func(ctx context.Context, tx *store.Tx) (err error) {
			again, err = erasure.Again(ctx, tx, c.Log, folder)
			return err
		}))
		if left := holding(t, db, c.ID, "zauberlina"); len(left) > 0 || !slices.Equal(again, []nid.ID{lina}) {
			t.Errorf("%v are erased again; the name stands in %v", again, left)
		}
		_, err = audit.Verify(context.Background(), db, c.ID, audit.Trust{}, nil)
		ok(t, err)
	})
}

// Erasing waits for what somebody has yet to take over, and for the right secret key.
func TestErasingIsRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		lina, chen, wang := c.Member("lina", c.Root), c.Member("chen", c.Root), c.Member("wang", c.Root)
		c.Contact("kunde", "NORMAL", lina)
		c.Group("friends", chen)
		c.Depart(lina)
		c.Depart(chen)
		system := store.System(context.Background(), c.ID, "test")
		e := &erasure.Service{DB: db, Log: c.Log, Folder: t.TempDir()}
		for id, text := range map[nid.ID]string{lina: "still has 1 contacts and 0 groups", chen: "still has 0 contacts and 1 groups"} {
			if err := e.Erase(system, id); fault.CodeOf(err) != fault.Conflict || !strings.Contains(err.Error(), text) {
				t.Errorf("%v, want %s", err, text)
			}
		}
		s := &handover.Service{DB: db, Log: c.Log}
		in := handover.Input{Kind: handover.Resigned, LeaverID: lina, Successors: handover.Choice{MemberID: &wang}}
		_, err := s.HandOver(c.Verified(c.Admin), in, nil, "k")
		ok(t, err)

		other, err := secret.ParseKeys("secret-key", secret.NewKey())
		ok(t, err)
		box, err := secret.NewBox(secret.ForSubjects, other...)
		ok(t, err)
		contact := &contact.Service{DB: db, Log: c.Log} // so that the log has something sealed
		remarked := "kunde zwei"
		ok(t, contact.Update(c.Verified(c.Admin), contactNamed(c, "kunde", remarked)))
		foreign := &erasure.Service{DB: db, Log: audit.New(box), Folder: e.Folder}
		if err := foreign.Erase(system, lina); !errors.Is(err, audit.ErrOtherKey) {
			t.Errorf("with another secret key: %v", err)
		}
		if n := testcorp.Value[int](c, `SELECT count(*) FROM members WHERE corp_id = $1 AND erased_at IS NOT NULL`, c.ID); n != 0 {
			t.Error("somebody was erased all the same")
		}
		if ids, err := erasure.List(e.Folder, c.ID); err != nil || len(ids) > 0 {
			t.Errorf("noted: %v, %v", ids, err)
		}
		ok(t, e.Erase(system, lina))
	})
}

func contactNamed(c *testcorp.Corp, was, is string) contact.UpdateInput {
	return contact.UpdateInput{Name: &is, ID: testcorp.Value[nid.ID](c, `SELECT id FROM contacts WHERE corp_id = $1 AND name = $2`, c.ID, was),
		Version: testcorp.Value[int](c, `SELECT version FROM contacts WHERE corp_id = $1 AND name = $2`, c.ID, was)}
}

// A file that is being made when somebody is erased may hold them: its run is not the
// newest any more, and the next begins without them.
func TestErasingBeginsRunningExportsAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		person := c.Contact("zauberkunde", "NORMAL", c.Admin)
		h := newHouse(t, c, t.TempDir(), nil)
		id, err := h.exports.Create(c.Verified(c.Admin), export.Input{Subject: export.Contacts, Format: export.CSV}, "k")
		ok(t, err)
		ok(t, db.Tx(store.System(context.Background(), c.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Change(ctx, "exports", `UPDATE exports SET state = 'RUNNING', run_token = 1, lease_until = $3, scopes = '{}'
				WHERE corp_id = $1 AND id = $2 RETURNING id`,
				c.ID, id, tx.Now().AddDate(1, 0, 0))
			tx.Cover(ids...)
			return err
		}))
		part := filepath.Join(h.exports.Folder, c.ID.UUID(), id.UUID()+".1.part")
		ok(t, os.MkdirAll(filepath.Dir(part), 0o700))
		ok(t, os.WriteFile(part, []byte("zauberkunde"), 0o600))
		ok(t, h.erase.Erase(store.System(context.Background(), c.ID, "test"), person))
		if _, err := os.Stat(part); !errors.Is(err, fs.ErrNotExist) {
			t.Error("the file that was being made is still there")
		}
		_, err = h.exports.Work(context.Background(), c.ID)
		ok(t, err)
		if left := h.words([]string{"zauberkunde"}); len(left) > 0 {
			t.Error(left)
		}
		if state := testcorp.Value[string](c, `SELECT state FROM exports WHERE corp_id = $1 AND id = $2`, c.ID, id); state != string(export.Ready) {
			t.Errorf("the export is %s", state)
		}
	})
}
