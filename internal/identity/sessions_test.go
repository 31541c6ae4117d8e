package identity_test

import (
	"context"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func (s *scene) sessionOf(ctx context.Context) nid.ID {
	s.t.Helper()
	return testcorp.Value[nid.ID](s.Corp, `SELECT id FROM sessions WHERE secret_hash = $1`, access.From(ctx).Session)
}

func (s *scene) over(ctx context.Context) bool {
	s.t.Helper()
	return s.count(`SELECT count(*) FROM sessions WHERE secret_hash = $1`, access.From(ctx).Session) == 0
}

func TestRevokeSession(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		east := s.Department("east", s.Root)
		boss, amy := s.Member("boss", east), s.Member("amy", east)
		s.GrantRole(boss, s.Role("people", access.ManageRoles), east)
		other := testcorp.New(t, s.DB, s.Clock, "other")
		foreign := testcorp.Value[nid.ID](other, `SELECT id FROM sessions WHERE secret_hash = $1`, access.From(other.SignedIn(other.Admin, false)).Session)
		mine, second, hers, his := s.in(), s.in(), s.SignedIn(amy, false), s.SignedIn(boss, false)

		s.must(s.s.RevokeSession(mine, s.sessionOf(second)))
		if !s.over(second) || s.over(mine) {
			t.Error("not the one session, and only that")
		}
		// What may not be seen cannot be told from what is not there.
		var text fault.Text
		for name, id := range map[string]nid.ID{"somebody else's": s.sessionOf(hers), "another corp's": foreign, "unknown": nid.New(nid.Session), "no session": amy, "none": {}} {
			f := wants(t, s.s.RevokeSession(mine, id), fault.NotFound, "input.id")
			if text != (fault.Text{}) && f.Text != text {
				t.Errorf("%s reads %q", name, f.Text.EN)
			}
			text = f.Text
		}
		wants(t, s.s.RevokeSession(his, s.sessionOf(mine)), fault.NotFound, "input.id") // lina is not in east
		id := s.sessionOf(hers)
		s.must(s.s.RevokeSession(his, id))
		wants(t, s.s.RevokeSession(his, id), fault.NotFound, "input.id")
		wants(t, s.s.RevokeSession(hers, s.sessionOf(his)), fault.Unauthenticated, "")
		wants(t, s.s.RevokeSession(t.Context(), id), fault.Unauthenticated, "")
		if n := s.entries(access.SessionRevoke); n != 2 {
			t.Errorf("%d entries", n)
		}

		third := s.in()
		n, err := s.s.RevokeSessions(mine, nil)
		s.must(err)
		if n != 1 || !s.over(third) || s.over(mine) {
			t.Errorf("%d ended", n)
		}
		_, err = s.s.RevokeSessions(his, new(s.lina))
		wants(t, err, fault.Forbidden, "")
		_, err = s.s.RevokeSessions(his, new(other.Admin))
		wants(t, err, fault.NotFound, "input.memberId")
		n, err = s.s.RevokeSessions(s.SignedIn(s.Admin, false), new(s.lina))
		s.must(err)
		if n != 1 || !s.over(mine) {
			t.Errorf("%d ended", n)
		}
		own := s.SignedIn(boss, false)
		s.must(s.s.RevokeSession(own, s.sessionOf(own)))
		wants(t, s.s.RevokeSession(own, s.sessionOf(his)), fault.Unauthenticated, "")
	})
}

func TestSessionKnowsWhereItIsUsed(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		at := func(address, device string) context.Context {
			return access.With(t.Context(), &access.Actor{Kind: access.Anonymous, Address: address, Device: device})
		}
		session, err := s.s.SignIn(at("192.0.2.1", "Firefox on Windows"), nil, "lina", password)
		s.must(err)
		where := func() string {
			return testcorp.Value[string](s.Corp, `SELECT device || ' ' || address || ' ' || method FROM sessions WHERE id = $1`, session.ID)
		}
		if got := where(); got != "Firefox on Windows 192.0.2.1 PASSWORD" {
			t.Error(got)
		}
		s.Clock.Add(2 * minute)
		_, err = s.s.Authenticate(at("198.51.100.9", "curl"), session.Token)
		s.must(err)
		if got := where(); got != "Firefox on Windows 198.51.100.9 PASSWORD" {
			t.Error(got)
		}
	})
}
