package identity_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func TestAuthenticate(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sales := s.Department("sales", s.Root)
		g := s.Grant(s.lina, access.Reporter.Name, sales)
		expired := s.Grant(s.lina, access.Auditor.Name, nid.ID{})
		s.do("grants", `UPDATE grants SET expires_at = $2 WHERE id = $1 RETURNING id`, expired, s.DB.Now())
		session, err := s.signIn("lina", password)
		s.must(err)
		var statements int
		ctx := access.With(store.Count(t.Context(), func(string) { statements++ }), &access.Actor{Kind: access.Anonymous, RequestID: "r", Address: "a", Lang: "zh"})
		a, err := s.s.Authenticate(ctx, session.Token)
		s.must(err)
		if statements > 2 {
			t.Fatalf("%d statements", statements)
		}
		if a.ID != s.lina || a.Corp != s.ID || a.Label != "lina" || a.RequestID != "r" || a.Address != "a" || a.Lang != "zh" ||
			len(a.Grants) != 1 || a.Grants[0].ID != g || a.Grants[0].Department != sales {
			t.Fatalf("%+v", a)
		}
		for name, token := range map[string]string{
			"empty": "", "unknown": secret.NewToken(secret.Session, s.ID), "unknown corp": secret.NewToken(secret.Session, nid.New(nid.Corp)),
			"unknown service token": secret.NewToken(secret.Service, s.ID), "as a service token": "hot_" + session.Token[4:], "cut": session.Token[:len(session.Token)-1],
		} {
			a, err := s.s.Authenticate(t.Context(), token)
			wants(t, err, fault.Unauthenticated, "")
			if a != nil {
				t.Fatalf("%s: an actor", name)
			}
		}
	})
}

func TestSessionsEnd(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		idle, err := s.signIn("lina", password)
		s.must(err)
		used, err := s.signIn("lina", password)
		s.must(err)
		alive := func(session identity.Session, want bool) {
			t.Helper()
			if _, err := s.s.Authenticate(t.Context(), session.Token); (err == nil) != want {
				t.Fatalf("alive = %v, want %v (%v)", err == nil, want, err)
			}
		}
		seen := func() time.Time {
			return testcorp.Value[time.Time](s.Corp, `SELECT last_seen_at FROM sessions WHERE secret_hash = $1`, secret.Hash(used.Token)).UTC()
		}
		start := s.DB.Now()
		s.Clock.Add(59 * time.Second)
		if alive(used, true); !seen().Equal(start) {
			t.Fatal("written down within a minute")
		}
		s.Clock.Add(time.Second)
		if alive(used, true); !seen().Equal(start.Add(minute)) {
			t.Fatal("not written down after a minute")
		}
		s.Clock.Add(119 * minute)
		alive(used, true)
		alive(idle, false) // two hours
		for range 10 {
			s.Clock.Add(59 * minute)
			alive(used, true)
		}
		s.Clock.Add(10 * minute)
		alive(used, false) // twelve hours
		s.must(s.s.Sweep(s.system()))
		if n := s.count(`SELECT count(*) FROM sessions WHERE member_id = $1`, s.lina); n != 0 {
			t.Fatalf("%d sessions left", n)
		}
		if n := s.count(`SELECT count(*) FROM lockouts WHERE corp_id = $1`, s.ID); n != 0 {
			t.Fatalf("%d lockouts left", n)
		}
	})
}

func TestDeactivatedMembersSessionsDie(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		for name, set := range map[string]string{"epoch": "epoch = epoch + 1", "status": "status = 'DISABLED', answers = false"} {
			session, err := s.signIn("lina", password)
			s.must(err)
			ctx := s.with(session.Token)
			s.do("members", `UPDATE members SET `+set+` WHERE id = $1 RETURNING id`, s.lina)
			_, err = s.s.Authenticate(t.Context(), session.Token)
			wants(t, err, fault.Unauthenticated, "")
			// What was under way when it happened does not get through either.
			err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { _, err := identity.Confirm(ctx, tx); return err })
			if wants(t, err, fault.Unauthenticated, ""); name == "status" {
				s.do("members", `UPDATE members SET status = 'ACTIVE', answers = true WHERE id = $1 RETURNING id`, s.lina)
			}
		}
	})
}

func TestSignOut(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		session, err := s.signIn("lina", password)
		s.must(err)
		stays := s.in()
		ctx := s.with(session.Token)
		s.must(s.s.SignOut(ctx))
		_, err = s.s.Authenticate(t.Context(), session.Token)
		wants(t, err, fault.Unauthenticated, "")
		wants(t, s.s.SignOut(ctx), fault.Unauthenticated, "")
		wants(t, s.s.SignOut(t.Context()), fault.Unauthenticated, "")
		wants(t, s.s.SignOut(s.system()), fault.Invalid, "")
		if n := s.entries(access.SessionEnd); n != 1 {
			t.Fatalf("%d entries", n)
		}
		s.must(s.s.SignOut(stays))
	})
}

// A use case that holds a session does not hold up the other requests of it.
func TestTouchPassesOverAHeldSession(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		if !s.DB.Postgres() {
			return // one writer at a time: there is nothing to pass over
		}
		session, err := s.signIn("lina", password)
		s.must(err)
		ctx := s.with(session.Token)
		s.Clock.Add(2 * minute)
		s.must(s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			if _, err := identity.Confirm(ctx, tx); err != nil {
				return err
			}
			quick, cancel := context.WithTimeout(t.Context(), 2*time.Second) // a lock would be waited for for three
			defer cancel()
			_, err := s.s.Authenticate(quick, session.Token)
			return errors.Join(err, quick.Err())
		}))
	})
}

func TestSweepIsForTheSystem(t *testing.T) {
	each(t, func(t *testing.T, s *scene) { wants(t, s.s.Sweep(s.in()), fault.Forbidden, "") })
}
