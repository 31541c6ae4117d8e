package sso_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/provision"
	"github.com/openhandover/openhandover/internal/roster"
	"github.com/openhandover/openhandover/internal/sso"
	"github.com/openhandover/openhandover/internal/store"
)

// Whoever holds a token gives an administrator's name to nobody: before and after they
// became one. They link the provider themselves, once they have proven who they are.
func TestATokenMakesNobodySomebodyElse(t *testing.T) {
	for what, matches := range map[string]sso.Match{"userName": sso.ByUserID, "externalId": sso.ByExternalID} {
		t.Run(what, func(t *testing.T) {
			each(t, func(t *testing.T, s *scene) {
				sales := s.Department("sales", s.Root)
				boss, later := s.Member("boss", sales), s.Member("later", sales)
				in := s.input()
				in.Matches = matches
				id := s.connect(in)
				s.Grant(boss, access.Administrator.Name, nid.ID{})
				_, raw, err := s.who.CreateToken(store.System(t.Context(), s.ID, "test"), "hr", []access.Permission{access.ProvisionMembers}, &sales, s.DB.Now().Add(time.Hour))
				s.must(err)
				actor, err := s.who.Authenticate(t.Context(), raw)
				s.must(err)
				p := &provision.Service{DB: s.DB, Log: s.Log, Member: &member.Service{DB: s.DB, Log: s.Log}}
				call := func(who nid.ID, name string) {
					t.Helper()
					change := roster.UserChange{UserName: &name}
					if matches == sso.ByExternalID {
						change = roster.UserChange{ExternalID: &name}
					}
					_, err := p.UpdateUser(access.With(t.Context(), actor), who, change)
					s.must(err)
				}
				call(boss, "stranger")
				call(later, "wang2")
				s.Grant(later, access.Administrator.Name, nid.ID{})
				s.op.user("sub-wang2", "wang2@example.com", "wang2@example.com", true)
				s.op.says("mfa", time.Time{})
				for _, name := range []string{"stranger", "wang2"} {
					b := newBrowser(t)
					s.wants(s.signIn(b, id, name+"@example.com", ""), 303, s.server.URL+"/?sso_error=refused")
					if got := s.is(b); got != " false" {
						t.Errorf("%s is %s", name, got)
					}
				}
				// By themselves, with another proof; not with the provider's.
				b := newBrowser(t)
				ctx := s.in(b, boss, true)
				s.wants(s.signIn(b, id, "stranger@example.com", "?prove=1"), 303, s.server.URL+"/?sso_error=refused")
				s.wants(s.link(ctx, b, id, "stranger@example.com"), 303, s.server.URL+"/mine")
				again := newBrowser(t)
				s.wants(s.signIn(again, id, "stranger@example.com", ""), 303, s.server.URL+"/")
				s.wantIs(again, boss, true)
			})
		})
	}
}

// A logout ends what it is about, also where the provider said no sid, or a long one.
func TestALogoutEndsSessionsWithoutASid(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		f := newForger(t)
		p := f.connect(s)
		for what, sid := range map[string]string{"long": strings.Repeat("s", 300), "none": ""} {
			b := newBrowser(t)
			f.comeBack(s, b, p, func(c map[string]any) {
				if c["sid"] = sid; sid == "" {
					delete(c, "sid")
				}
			}, nil, nil)
			s.wantIs(b, s.lina, false)
			now, said := s.DB.Now(), sid
			if said == "" {
				said = "s9"
			}
			token := f.sign(jose.RS256, f.key, map[string]any{"iss": f.server.URL, "aud": p.ClientID, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": what,
				"sub": "sub-lina", "sid": said, "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})
			if got := newBrowser(t).do("POST", s.s.LogoutURI(p), url.Values{"logout_token": {token}}); got.status != 200 || s.is(b) != " false" {
				t.Errorf("%s: %+v, and the session is %q", what, got, s.is(b))
			}
		}
	})
}
