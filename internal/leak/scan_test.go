package leak_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/detect"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/leak"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// scene is a corp with a member who moves a customer and one who does not.
type scene struct {
	*testcorp.Corp
	*leak.Service
	lina, zhao, auditor nid.ID
	contact             nid.ID
	moved, harmless     nid.ID // messages
}

func each(t *testing.T, test func(t *testing.T, s *scene, clock *storetest.Clock)) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &scene{Corp: c, Service: &leak.Service{DB: db, Log: c.Log}}
		s.lina, s.zhao, s.auditor = c.Member("lina", c.Root), c.Member("zhao", c.Root), c.Member("auditor", c.Root)
		c.Grant(s.auditor, access.Auditor.Name, nid.ID{})
		s.contact = c.Contact("customer", "NORMAL", s.lina)
		c.Agree(s.contact)
		s.moved = c.Said(s.lina, s.contact, db.Now().Add(-time.Hour), "我下周离职，加我私人微信 lina_private88 以后联系")
		s.harmless = c.Said(s.lina, s.contact, db.Now().Add(-time.Minute), "see our site https://acme.example.com/offer")
		test(t, s, clock)
	})
}

func (s *scene) later(t *testing.T, ids ...nid.ID) {
	t.Helper()
	for _, id := range ids {
		s.between(t, id, id)
	}
}

func (s *scene) between(t *testing.T, first, last nid.ID) {
	t.Helper()
	if err := s.Corp.DB.Tx(store.System(t.Context(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		return setting.LookLater(ctx, tx, first, last)
	}); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) scan(t *testing.T) {
	t.Helper()
	if _, err := s.Scan(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) found(message nid.ID) int {
	return testcorp.Value[int](s.Corp, `SELECT count(*) FROM leak_findings WHERE corp_id = $1 AND message_id = $2`, s.ID, message)
}

func (s *scene) finding(message nid.ID) (id nid.ID) {
	return testcorp.Value[nid.ID](s.Corp, `SELECT id FROM leak_findings WHERE corp_id = $1 AND message_id = $2 ORDER BY score DESC LIMIT 1`, s.ID, message)
}

// The first look is at everything; later ones at what came since, and looking twice
// finds nothing twice.
func TestScan(t *testing.T) {
	each(t, func(t *testing.T, s *scene, clock *storetest.Clock) {
		s.scan(t)
		if s.found(s.moved) != 1 {
			t.Fatalf("%d findings in the message that moves a customer", s.found(s.moved))
		}
		if why := testcorp.Value[string](s.Corp, `SELECT why_en FROM leak_findings WHERE corp_id = $1 AND message_id = $2`, s.ID, s.moved); why == "" || strings.Contains(why, "lina_private88") {
			t.Errorf("the reason is %q", why)
		}
		size := testcorp.Value[int](s.Corp, `SELECT size FROM audit_heads WHERE corp_id = $1`, s.ID)
		s.later(t, s.moved, s.harmless)
		s.scan(t)
		if n := testcorp.Value[int](s.Corp, `SELECT size FROM audit_heads WHERE corp_id = $1`, s.ID); n != size {
			t.Errorf("looking again wrote %d entries", n-size)
		}
		again := s.Said(s.lina, s.contact, s.Corp.DB.Now(), "QQ 823715501 加我")
		s.later(t, again)
		s.scan(t)
		if s.found(again) != 1 || s.found(s.moved) != 1 {
			t.Errorf("found %d in the new message, %d in the old", s.found(again), s.found(s.moved))
		}
		if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM chat_scans WHERE corp_id = $1`, s.ID); n != 0 {
			t.Errorf("%d scans are left", n)
		}
	})
}

// What the company says is its own is found no more, also in what was looked at long
// ago; what somebody has decided on stays.
func TestOwn(t *testing.T) {
	each(t, func(t *testing.T, s *scene, clock *storetest.Clock) {
		kept := s.Said(s.lina, s.contact, s.Corp.DB.Now(), "加我微信 lina_private88")
		s.scan(t)
		if s.found(s.harmless) != 1 || s.found(kept) != 1 {
			t.Fatalf("a link outside was found %d times, an account %d times", s.found(s.harmless), s.found(kept))
		}
		v := leak.Confirmed
		if err := s.Review(s.SignedIn(s.auditor, false), leak.ReviewInput{ID: s.finding(kept), Version: 1, Verdict: &v}); err != nil {
			t.Fatal(err)
		}
		settings := &setting.Service{DB: s.Corp.DB, Log: s.Corp.Log}
		if err := settings.Save(s.Verified(s.Admin), setting.SaveInput{Own: &detect.Own{Domains: []string{"example.com"}, Accounts: []string{"lina_private88"}}}); err != nil {
			t.Fatal(err)
		}
		s.scan(t)
		if s.found(s.harmless) != 0 || s.found(kept) != 1 {
			t.Errorf("now the link is found %d times, what was confirmed %d times", s.found(s.harmless), s.found(kept))
		}
	})
}

// More than fits into one transaction, and a contact who does not agree (any more).
func TestScanGoesOn(t *testing.T) {
	each(t, func(t *testing.T, s *scene, clock *storetest.Clock) {
		s.scan(t) // so that later looks find nothing new at first
		silent := s.Contact("silent", "NORMAL", s.lina)
		var ids []nid.ID
		for range 1100 {
			ids = append(ids, s.Said(s.lina, s.contact, s.Corp.DB.Now(), "ok"))
		}
		unheard := s.Said(s.lina, silent, s.Corp.DB.Now(), "加我私人微信 lina_private88")
		last := s.Said(s.lina, s.contact, s.Corp.DB.Now(), "加我私人微信 lina_private88")
		s.between(t, ids[0], last)
		s.scan(t)
		if s.found(ids[0]) != 0 || s.found(unheard) != 0 || s.found(last) != 1 {
			t.Errorf("found %d, %d, %d", s.found(ids[0]), s.found(unheard), s.found(last))
		}
	})
}

func TestReview(t *testing.T) {
	each(t, func(t *testing.T, s *scene, clock *storetest.Clock) {
		s.scan(t)
		id := s.finding(s.moved)
		s.Grant(s.lina, access.Auditor.Name, nid.ID{})
		other := s.Department("other", nid.ID{})
		far := s.Member("far", other)
		s.Grant(far, access.Auditor.Name, other)
		confirmed, harmless := leak.Confirmed, leak.Harmless
		long := strings.Repeat("长", 1001)
		ctx := s.SignedIn(s.auditor, false)
		for _, c := range []struct {
			what string
			ctx  context.Context
			in   leak.ReviewInput
			want fault.Code
		}{
			{"somebody without the permission", s.SignedIn(s.zhao, false), leak.ReviewInput{ID: id, Version: 1, Verdict: &confirmed}, fault.NotFound},
			{"an auditor elsewhere", s.SignedIn(far, false), leak.ReviewInput{ID: id, Version: 1, Verdict: &confirmed}, fault.NotFound},
			{"whom it is about", s.SignedIn(s.lina, false), leak.ReviewInput{ID: id, Version: 1, Verdict: &harmless}, fault.NotFound},
			{"another id", ctx, leak.ReviewInput{ID: s.lina, Version: 1, Verdict: &confirmed}, fault.NotFound},
			{"a long note", ctx, leak.ReviewInput{ID: id, Version: 1, Verdict: &confirmed, Note: &long}, fault.Invalid},
			{"the auditor", ctx, leak.ReviewInput{ID: id, Version: 1, Verdict: &confirmed, Note: new("called the customer")}, ""},
			{"a stale version", ctx, leak.ReviewInput{ID: id, Version: 1, Verdict: &harmless}, fault.Conflict},
			{"no change", ctx, leak.ReviewInput{ID: id, Version: 2, Verdict: &confirmed, Note: new("called the customer")}, ""},
			{"opening it again", ctx, leak.ReviewInput{ID: id, Version: 2}, ""},
		} {
			err := s.Review(c.ctx, c.in)
			if fault.CodeOf(err) != c.want {
				t.Errorf("%s: got %v, want %q", c.what, err, c.want)
			}
			if f, ok := errors.AsType[*fault.Error](err); ok && f.Field == "" {
				t.Errorf("%s: no field is named", c.what)
			}
		}
		if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = 'finding.review'`, s.ID); n != 2 {
			t.Errorf("%d reviews in the log, want 2", n)
		}
	})
}
