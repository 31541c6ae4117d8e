package sso_test

import (
	"context"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
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
