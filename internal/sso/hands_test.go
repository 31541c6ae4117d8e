package sso_test

import (
	"context"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/provision"
	"github.com/openhandover/openhandover/internal/roster"
	"github.com/openhandover/openhandover/internal/sso"
	"github.com/openhandover/openhandover/internal/store"
)

// Whoever has just connected a provider could be everybody whom it links: the two are
// one pair of hands, also after the provider is gone, until the member has an account of
// their own. Who is linked days later is not affected.
func TestWhoConnectsAProviderCouldBeWhomItLinks(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		other := s.Member("other", s.Root)
		s.Grant(other, access.Administrator.Name, nid.ID{})
		f, in := newForger(t), s.input()
		in.Issuer, in.Active = f.server.URL, false
		id, err := s.s.Save(s.Verified(s.Admin), in)
		s.must(err)
		p := &sso.Provider{ID: id, Corp: s.ID, ClientID: in.ClientID}
		signIn := func(name string) {
			t.Helper()
			s.wants(f.comeBack(s, newBrowser(t), p, func(claims map[string]any) {
				claims["sub"], claims["preferred_username"] = "sub-"+name, name+"@example.com"
			}, nil, nil), 303, s.server.URL+"/x")
		}
		s.Clock.Add(100 * time.Hour)
		version := 1
		in.ID, in.Version, in.Active, in.ClientSecret = &id, &version, true, nil
		_, err = s.s.Save(s.Verified(other), in)
		s.must(err)
		signIn("lina")
		for _, by := range []nid.ID{s.Admin, other} { // one wrote it down, one switched it on
			if s.apart(by, s.lina) {
				t.Errorf("%s and lina are two pairs of hands", by)
			}
		}
		s.Clock.Add(100 * time.Hour)
		signIn("wang")
		if !s.apart(s.Admin, s.wang) || s.apart(s.Admin, s.lina) {
			t.Error("wang was linked long after the provider was connected, lina was not")
		}
		s.must(s.s.Delete(s.Verified(s.Admin), id, 2))
		if s.apart(s.Admin, s.lina) {
			t.Error("deleting the provider hides who could be lina")
		}
		s.must(s.DB.Tx(s.SignedIn(s.lina, false), func(ctx context.Context, tx *store.Tx) error {
			return s.Log.Append(ctx, tx, audit.Entry{Action: access.CredentialSet, Subject: s.lina}, audit.Entry{Action: access.CredentialEnrol, Subject: s.lina})
		}))
		if !s.apart(s.Admin, s.lina) || !s.apart(other, s.lina) {
			t.Error("lina has a password and an authenticator of her own")
		}
	})
}

// Whoever makes a token that says who is who at a provider could be everybody whom it
// names: they sign in at the provider with an account of their own, as somebody whom the
// token has made, and give that one a role. Who was there before, and who is linked days
// later, is not affected, nor is who was named by a token without a maker.
func TestWhoNamesAMemberCouldBeWhomAClaimLinks(t *testing.T) {
	for what, change := range map[string]func(name string) roster.UserChange{
		"userName":   func(name string) roster.UserChange { return roster.UserChange{UserName: &name} },
		"externalId": func(name string) roster.UserChange { return roster.UserChange{ExternalID: &name} },
	} {
		t.Run(what, func(t *testing.T) {
			each(t, func(t *testing.T, s *scene) {
				f, in := newForger(t), s.input()
				in.Issuer = f.server.URL
				if in.Matches = sso.ByUserID; what == "externalId" {
					in.Matches = sso.ByExternalID
				}
				id, err := s.s.Save(s.Verified(s.Admin), in)
				s.must(err)
				s.Clock.Add(100 * time.Hour)
				signIn := func(name string) {
					t.Helper()
					s.wants(f.comeBack(s, newBrowser(t), &sso.Provider{ID: id, Corp: s.ID, ClientID: in.ClientID}, func(claims map[string]any) {
						claims["sub"], claims["preferred_username"] = "sub-"+name, name+"@example.com"
					}, nil, nil), 303, s.server.URL+"/x")
				}
				p := &provision.Service{DB: s.DB, Log: s.Log, Member: &member.Service{DB: s.DB, Log: s.Log}}
				bearer := func(ctx context.Context) context.Context {
					t.Helper()
					_, raw, err := s.who.CreateToken(ctx, "hr", []access.Permission{access.ProvisionMembers}, nil, s.DB.Now().Add(1000*time.Hour))
					s.must(err)
					actor, err := s.who.Authenticate(t.Context(), raw)
					s.must(err)
					return access.With(t.Context(), actor)
				}
				mine, machines := bearer(s.Verified(s.Admin)), bearer(store.System(t.Context(), s.ID, "test"))
				joins := func(ctx context.Context, name string, wait time.Duration) nid.ID {
					t.Helper()
					is := roster.UserChange{UserName: &name, ExternalID: &name}
					u, err := p.CreateUser(ctx, is)
					s.must(err)
					s.Clock.Add(wait)
					signIn(name)
					s.Grant(u.ID, access.Approver.Name, nid.ID{})
					return u.ID
				}
				puppet := joins(mine, "puppet", time.Hour)
				if s.apart(s.Admin, puppet) {
					t.Error("whose token made them could be them")
				}
				if !s.apart(s.Admin, joins(machines, "machines", time.Hour)) || !s.apart(s.Admin, joins(mine, "old", 100*time.Hour)) {
					t.Error("a token without a maker, or made long ago")
				}
				// Renamed, until the account at the provider is theirs.
				there := s.Member("there", s.Root)
				_, err = p.UpdateUser(mine, there, change("taken"))
				s.must(err)
				signIn("taken")
				if s.apart(s.Admin, there) {
					t.Error("whose token renamed them could be them")
				}
			})
		})
	}
}

func (s *scene) apart(a, b nid.ID) bool {
	s.t.Helper()
	err := s.DB.Tx(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		return identity.TwoHands(ctx, tx, a, b)
	})
	if err != nil && fault.CodeOf(err) != fault.Forbidden {
		s.t.Fatal(err)
	}
	return err == nil
}
