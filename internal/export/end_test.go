package export_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/export"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// clerk may export all contacts and sees them.
func (s *scene) clerk(name string) nid.ID {
	s.t.Helper()
	id := s.Member(name, s.west)
	s.GrantRole(id, s.Role(name+"'s", access.ExportContacts, access.ViewContacts), nid.ID{})
	return id
}

// midway runs the work and does something when the second page of contacts is read.
func (s *scene) midway(do func()) {
	s.t.Helper()
	pages := 0
	ctx := store.Count(context.Background(), func(q string) {
		if strings.Contains(q, "external_user_id") && strings.Contains(q, "LIMIT") {
			if pages++; pages == 2 {
				do()
			}
		}
	})
	if _, err := s.s.Work(ctx, s.ID); err != nil {
		s.t.Fatal(err)
	}
	if pages < 2 {
		s.t.Fatalf("%d pages were read", pages)
	}
}

func TestDeactivationEndsWhatSomebodyAskedFor(t *testing.T) {
	for _, mode := range []member.Mode{member.Depart, member.Disable} {
		t.Run(string(mode), func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
				s := newScene(t, db, clock)
				s.Contacts(600, s.wang)
				clerk := s.clerk("clerk")
				in := export.Input{Subject: export.Contacts, Format: export.XLSX}
				ready := s.ask(s.Verified(clerk), in)
				s.work()
				link := s.link(ready)
				if w := s.get(link); w.Code != http.StatusOK {
					t.Fatalf("%d: %s", w.Code, w.Body)
				}
				running, queued := s.ask(s.Verified(clerk), in), s.ask(s.Verified(clerk), in)
				s.midway(func() {
					if got := s.state(running); got != "RUNNING " || len(s.files()) < 2 {
						t.Errorf("midway it is %s, of %v", got, s.files())
					}
					if n := testcorp.Value[int](s.Corp, `SELECT rows FROM exports WHERE id = $1`, running); n != 500 {
						t.Errorf("midway %d rows are shown", n)
					}
					if n := testcorp.Value[int](s.Corp, `SELECT total FROM exports WHERE id = $1`, running); n != 600 {
						t.Errorf("midway %d rows are expected", n)
					}
					s.deactivate(clerk, mode)
				})
				if s.state(running) != "FAILED CANCELLED" || s.state(queued) != "FAILED CANCELLED" || s.state(ready) != "EXPIRED " {
					t.Errorf("running, queued and ready are %s, %s, %s", s.state(running), s.state(queued), s.state(ready))
				}
				if files := s.files(); len(files) != 0 {
					t.Errorf("files stay: %v", files)
				}
				if w := s.get(link); w.Code != http.StatusNotFound {
					t.Errorf("the link of somebody who was deactivated: %d", w.Code)
				}
				// Who comes back starts with nothing of it.
				reason := "back"
				if mode == member.Disable {
					ok(t, (&member.Service{DB: s.DB, Log: s.Log}).Reinstate(s.Verified(s.Admin), member.ReinstateInput{MemberID: clerk, Reason: reason}))
					s.work()
					if w := s.get(s.link(ready)); w.Code != http.StatusNotFound || s.state(running) != "FAILED CANCELLED" {
						t.Errorf("after coming back: %d, %s", w.Code, s.state(running))
					}
				}
			})
		})
	}
}

func TestRightsAreThoseOfNow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.Contacts(600, s.wang)
		in := export.Input{Subject: export.Contacts, Format: export.CSV}
		revoke := func(who nid.ID) {
			ok(t, db.Tx(store.System(t.Context(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
				ids, err := tx.Change(ctx, "grants", `UPDATE grants SET revoked_at = $3 WHERE corp_id = $1 AND member_id = $2 RETURNING id`, tx.Corp(), who, tx.Now())
				tx.Cover(ids...)
				return err
			}))
		}
		before, during, after := s.clerk("before"), s.clerk("during"), s.clerk("after")
		id := s.ask(s.Verified(before), in)
		revoke(before)
		if s.work(); s.state(id) != "FAILED NOT_PERMITTED" {
			t.Errorf("revoked before it began: %s", s.state(id))
		}
		id = s.ask(s.Verified(during), in)
		s.midway(func() { revoke(during) })
		if s.state(id) != "FAILED NOT_PERMITTED" || len(s.files()) != 0 {
			t.Errorf("revoked midway: %s, %v", s.state(id), s.files())
		}
		id = s.ask(s.Verified(after), in)
		s.work()
		link := s.link(id)
		if w := s.get(link); w.Code != http.StatusOK {
			t.Fatalf("%d", w.Code)
		}
		// A smaller reach than the file was made with is not enough.
		revoke(after)
		s.GrantRole(after, s.Role("less", access.ExportContacts, access.ViewContacts), s.west)
		if w := s.get(link); w.Code != http.StatusNotFound {
			t.Errorf("with less reach: %d", w.Code)
		}
		if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = 'access.deny' AND actor_id = $2`, s.ID, after); n != 1 {
			t.Errorf("%d refusals are recorded", n)
		}
		s.GrantRole(after, s.Role("more", access.ExportContacts, access.ViewContacts, access.ViewGroups), nid.ID{})
		if w := s.get(link); w.Code != http.StatusOK {
			t.Errorf("with more reach: %d", w.Code)
		}
	})
}

func TestFilesExpireAndOrphansGo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.Contact("one", "NORMAL", s.wang)
		id := s.ask(s.Verified(s.Admin), export.Input{Subject: export.Contacts, Format: export.CSV})
		next, err := s.s.Work(context.Background(), s.ID)
		if ok(t, err); !next.Equal(db.Now().Add(export.Keep)) {
			t.Errorf("there is work again at %s", next)
		}
		folder := filepath.Dir(s.files()[0])
		for _, name := range []string{"orphan.1", "orphan.2.part", filepath.Base(s.files()[0]) + ".part"} {
			ok(t, os.WriteFile(filepath.Join(folder, name), []byte("x"), 0o600))
		}
		ok(t, os.MkdirAll(filepath.Join(folder, "orphan.3.tmp", "sheet"), 0o700))
		ok(t, s.s.Sweep(store.System(t.Context(), s.ID, "sweep")))
		if files := s.files(); len(files) != 1 {
			t.Errorf("after the sweep there are %v", files)
		}
		clock.Add(export.Keep - time.Microsecond)
		if s.work(); s.state(id) != "READY " || s.get(s.link(id)).Code != http.StatusOK {
			t.Errorf("a moment before it expires it is %s", s.state(id))
		}
		link := s.link(id)
		clock.Add(time.Microsecond)
		if w := s.get(link); w.Code != http.StatusNotFound {
			t.Errorf("past its time, before anybody worked: %d", w.Code)
		}
		if s.work(); s.state(id) != "EXPIRED " || len(s.files()) != 0 {
			t.Errorf("it is %s, of %v", s.state(id), s.files())
		}
	})
}

func TestTwoReplicasAndACrash(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.Contacts(600, s.wang)
		in := export.Input{Subject: export.Contacts, Format: export.CSV}
		ids := make([]nid.ID, 4)
		for i := range ids {
			ids[i] = s.ask(s.Verified(s.Admin), in)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for {
					next, err := s.s.Work(context.Background(), s.ID)
					if err != nil {
						t.Error(err)
						return
					}
					if next.After(db.Now().Add(time.Hour)) {
						return
					}
				}
			})
		}
		wg.Wait()
		for _, id := range ids {
			if got := column(parse(t, s.taken(id)), "name"); len(strings.Fields(got)) != 1200 {
				t.Errorf("%s has %d words", id, len(strings.Fields(got)))
			}
			if n := testcorp.Value[int](s.Corp, `SELECT run_token FROM exports WHERE id = $1`, id); n != 1 {
				t.Errorf("%s was begun %d times", id, n)
			}
		}
		// A worker that is stopped midway lets others begin anew; one that dies is overtaken
		// when its lease has run out, and what it still writes is nobody's.
		id := s.ask(s.Verified(s.Admin), in)
		ctx, stop := context.WithCancel(context.Background())
		ctx = store.Count(ctx, func(q string) {
			if strings.Contains(q, "external_user_id") && strings.Contains(q, "LIMIT") {
				stop()
			}
		})
		if _, err := s.s.Work(ctx, s.ID); err == nil || s.state(id) != "RUNNING " {
			t.Errorf("stopped midway it is %s: %v", s.state(id), err)
		}
		overtaken := false
		s.midway(func() {
			ok(t, db.Tx(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
				_, _, err := tx.Lease(ctx, "exports", `UPDATE exports SET lease_until = NULL WHERE corp_id = $1 AND id = $2 RETURNING id, run_token`, s.ID, id)
				return err
			}))
			s.work() // the other replica, from the start
			overtaken = s.state(id) == "READY "
		})
		if !overtaken || s.state(id) != "READY " || len(bytes.Split(s.taken(id), []byte("\r\n"))) != 602 {
			t.Errorf("overtaken %v, it is %s", overtaken, s.state(id))
		}
		if n := len(s.files()); n != 5 {
			t.Errorf("%d files for five exports", n)
		}
		// What fails every time ends.
		id = s.ask(s.Verified(s.Admin), in)
		for range 8 {
			if strings.HasPrefix(s.state(id), "FAILED") {
				break
			}
			ctx, stop := context.WithCancel(context.Background())
			ctx = store.Count(ctx, func(q string) {
				if strings.Contains(q, "external_user_id") && strings.Contains(q, "LIMIT") {
					stop()
				}
			})
			_, _ = s.s.Work(ctx, s.ID)
			stop()
		}
		if s.state(id) != "FAILED UNEXPECTED" {
			t.Errorf("begun again and again it is %s", s.state(id))
		}
	})
}

func TestAFolderThatTakesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.s.Folder = filepath.Join(s.s.Folder, "file")
		ok(t, os.WriteFile(s.s.Folder, nil, 0o600))
		id := s.ask(s.Verified(s.Admin), export.Input{Subject: export.Contacts, Format: export.CSV})
		_, _ = s.s.Work(context.Background(), s.ID)
		if s.state(id) != "FAILED NO_SPACE" {
			t.Errorf("it is %s", s.state(id))
		}
	})
}
