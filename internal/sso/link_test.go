package sso_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/sso"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// in gives a browser a session of a member, and the context in which it acts.
func (s *scene) in(b *browser, member nid.ID, verified bool) context.Context {
	s.t.Helper()
	token := s.Bearer(member, verified)
	b.signedIn(s, token)
	actor, err := s.who.Authenticate(s.t.Context(), token)
	s.must(err)
	return access.With(s.t.Context(), actor)
}

// link has somebody link a provider from a browser and gives what our server said.
func (s *scene) link(ctx context.Context, b *browser, provider nid.ID, user string) answer {
	s.t.Helper()
	address, err := s.s.Link(ctx, provider, "/mine")
	s.must(err)
	start := b.do("GET", address, nil)
	if start.status != 303 {
		s.t.Fatalf("%+v", start)
	}
	return b.do("GET", s.authenticate(b, start.to, user), nil)
}

// linked has a member link a provider from a browser of their own.
func (s *scene) linked(provider, member nid.ID, user string) {
	s.t.Helper()
	b := newBrowser(s.t)
	s.wants(s.link(s.in(b, member, true), b, provider, user), 303, s.server.URL+"/mine")
}

// Whoever calls themselves like an administrator at the provider is not let in as one,
// by whichever claim, and also where the role was given while they were at the provider.
func TestNobodyIsAnAdministratorByName(t *testing.T) {
	for _, matches := range []sso.Match{sso.ByLogin, sso.ByUserID} {
		t.Run(string(matches), func(t *testing.T) {
			each(t, func(t *testing.T, s *scene) {
				in := s.input()
				in.Matches = matches
				id := s.connect(in)
				s.login("root-admin", s.Admin)
				s.login("wang", s.wang)
				s.op.user("stranger-77", "root-admin@example.com", "stranger@example.com", true)
				s.op.says("mfa", time.Time{})
				b := newBrowser(t)
				s.wants(s.signIn(b, id, "root-admin@example.com", ""), 303, s.server.URL+"/?sso_error=refused")
				if got := s.is(b); got != " false" {
					t.Errorf("the stranger is %s", got)
				}
				back := s.authenticate(b, s.begin(b, id, "").to, wang)
				s.Grant(s.wang, access.Approver.Name, s.Root)
				s.wants(b.do("GET", back, nil), 303, s.server.URL+"/?sso_error=refused")
				if got := s.is(b); got != " false" || s.entries(access.IdentityLink) != 0 {
					t.Errorf("%s is signed in, %d links", got, s.entries(access.IdentityLink))
				}
			})
		})
	}
}

// Whoever holds a role links a provider themselves, from a session with a fresh proof.
func TestLinkingOneself(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.connect(s.input())
		s.op.user("sub-admin", "root-admin@example.com", "root-admin@example.com", true)
		s.op.says("mfa", time.Time{})
		b, other := newBrowser(t), newBrowser(t)
		if _, err := s.s.Link(s.in(b, s.Admin, false), id, ""); fault.CodeOf(err) != fault.StepUpRequired {
			t.Errorf("without a proof: %v", err)
		}
		ctx := s.in(b, s.Admin, true)
		for what, c := range map[string]struct {
			id   nid.ID
			back string
			code fault.Code
		}{"no provider": {nid.New(nid.Provider), "", fault.NotFound}, "another page": {id, "https://evil.example.com/", fault.Invalid}} {
			if _, err := s.s.Link(ctx, c.id, c.back); fault.CodeOf(err) != c.code {
				t.Errorf("%s: %v", what, err)
			}
		}
		address, err := s.s.Link(ctx, id, "")
		s.must(err)
		// The address is of use in this session only, for five minutes, and for this provider.
		if got := other.do("GET", address, nil); got.status != 400 {
			t.Errorf("in another browser: %+v", got)
		}
		s.in(other, s.lina, true)
		if got := other.do("GET", address, nil); got.status != 400 {
			t.Errorf("in another session: %+v", got)
		}
		if got := b.do("GET", address+"x", nil); got.status != 400 {
			t.Errorf("changed: %+v", got)
		}
		// The claim names them, too.
		s.wants(s.link(ctx, b, id, wang), 303, s.server.URL+"/mine?sso_error=unproven")
		s.wants(s.link(ctx, b, id, "root-admin@example.com"), 303, s.server.URL+"/mine")
		if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM member_identities WHERE corp_id = $1 AND member_id = $2 AND own`, s.ID, s.Admin); n != 1 || s.entries(access.IdentityLink) != 1 {
			t.Errorf("%d links, %d recorded", n, s.entries(access.IdentityLink))
		}
		if _, err := s.s.Link(ctx, id, ""); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("once more: %v", err)
		}
		again := newBrowser(t)
		s.wants(s.signIn(again, id, "root-admin@example.com", ""), 303, s.server.URL+"/")
		s.wantIs(again, s.Admin, true)
		s.Clock.Add(6 * time.Minute)
		if got := b.do("GET", address, nil); got.status != 400 {
			t.Errorf("after five minutes: %+v", got)
		}
	})
}

// A role that is given later makes a name no proof either: what a claim has linked lets in
// and proves nothing, until the member links the provider themselves; then another subject
// of that name is out.
func TestARoleThatIsGivenLater(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.connect(s.input())
		s.op.users["sub-stranger"].Username = lina
		s.op.users["sub-lina"].Username = "lina2@example.com"
		s.op.says("mfa", time.Time{})
		stranger := newBrowser(t)
		s.wants(s.signIn(stranger, id, lina, ""), 303, s.server.URL+"/") // before lina has a role
		s.Grant(s.lina, access.Approver.Name, nid.ID{})
		stranger = newBrowser(t)
		s.wants(s.signIn(stranger, id, lina, ""), 303, s.server.URL+"/")
		s.wantIs(stranger, s.lina, false)
		s.wants(s.signIn(stranger, id, lina, "?prove=1"), 303, s.server.URL+"/?sso_error=unproven")
		s.wantIs(stranger, s.lina, false)

		s.op.users["sub-stranger"].Username = "stranger@example.com"
		s.op.users["sub-lina"].Username = lina
		b := newBrowser(t)
		s.wants(s.link(s.in(b, s.lina, true), b, id, lina), 303, s.server.URL+"/mine")
		if got := s.is(stranger); got != " false" {
			t.Errorf("the stranger is still %s", got)
		}
		s.wants(s.signIn(stranger, id, "stranger@example.com", ""), 303, s.server.URL+"/?sso_error=refused")
		mine := newBrowser(t)
		s.wants(s.signIn(mine, id, lina, ""), 303, s.server.URL+"/")
		s.wantIs(mine, s.lina, true)
	})
}

// A link that began ends with its session.
func TestALinkEndsWithItsSession(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.connect(s.input())
		b := newBrowser(t)
		address, err := s.s.Link(s.in(b, s.lina, true), id, "")
		s.must(err)
		back := s.authenticate(b, b.do("GET", address, nil).to, lina)
		s.in(b, s.wang, true)
		s.wants(b.do("GET", back, nil), 303, s.server.URL+"/?sso_error=expired")
		if s.entries(access.IdentityLink) != 0 {
			t.Error("linked")
		}
		u, err := url.Parse(address)
		s.must(err)
		if u.Query().Get("link") == "" {
			t.Error(address)
		}
	})
}
