package sso_test

import (
	"context"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/sso"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// What a provider vouched for ends with it.
func TestAProviderThatIsTakenAway(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id, version := s.connect(s.input()), 1
		admin := s.Verified(s.Admin)
		save := func(change func(*sso.Input)) {
			t.Helper()
			in := s.input()
			in.ID, in.Version = &id, &version
			change(&in)
			_, err := s.s.Save(admin, in)
			s.must(err)
			version++
		}
		links := func() int {
			return testcorp.Value[int](s.Corp, `SELECT count(*) FROM member_identities WHERE corp_id = $1`, s.ID)
		}
		b := newBrowser(t)
		s.signIn(b, id, lina, "")
		s.wantIs(b, s.lina, false)
		save(func(in *sso.Input) { in.Name = "Another name" })
		s.wantIs(b, s.lina, false)
		save(func(in *sso.Input) { in.Active = false })
		if s.is(b) != " false" || links() != 1 {
			t.Errorf("switched off, %q goes on, %d links", s.is(b), links())
		}
		save(func(*sso.Input) {})
		s.signIn(b, id, lina, "")
		save(func(in *sso.Input) { in.Issuer = newCompany(t).url() })
		if s.is(b) != " false" || links() != 0 {
			t.Errorf("of another issuer, %q goes on, %d links", s.is(b), links())
		}
		s.must(s.s.Delete(admin, id, version))
		if got := s.begin(b, id, ""); got.status != 404 {
			t.Errorf("%+v", got)
		}
		if n := s.entries(access.SessionRevoke); n != 2 {
			t.Errorf("%d ends recorded", n)
		}
	})
}

// Who lacks one permission connects no provider, wherever they manage roles.
func TestWhoConnectsProviders(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		almost := s.Member("almost", s.Root)
		s.GrantRole(almost, s.Role("almost", access.ManageRoles, access.ManagePolicies, access.ManageTokens), nid.ID{})
		part := s.Member("part", s.Root)
		s.Grant(part, access.Administrator.Name, s.Root)
		for _, who := range []nid.ID{almost, part, s.lina} {
			if _, err := s.s.Save(s.Verified(who), s.input()); fault.CodeOf(err) != fault.Forbidden {
				t.Errorf("%v", err)
			}
		}
		if _, err := s.s.Save(s.SignedIn(s.Admin, false), s.input()); fault.CodeOf(err) != fault.StepUpRequired {
			t.Errorf("%v", err)
		}
		for i := range 10 {
			in := s.input()
			in.Name, in.ClientID, in.Active = string(rune('a'+i)), string(rune('a'+i)), false
			_, err := s.s.Save(s.Verified(s.Admin), in)
			s.must(err)
		}
		if _, err := s.s.Save(s.Verified(s.Admin), s.input()); fault.CodeOf(err) != fault.Limit {
			t.Errorf("%v", err)
		}
	})
}

func TestClientSecretsAreSealedAnew(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.connect(s.input())
		fresh, err := secret.ParseKeys("key", secret.NewKey())
		s.must(err)
		both, err := secret.NewBox(secret.ForProviders, fresh[0], secret.DemoKey())
		s.must(err)
		s.s.Box = both
		ctx := store.System(t.Context(), s.ID, "test")
		if _, err := s.s.Reseal(s.Verified(s.Admin)); fault.CodeOf(err) != fault.Forbidden {
			t.Error(err)
		}
		for _, want := range []int{1, 0} {
			if n, err := s.s.Reseal(ctx); err != nil || n != want {
				t.Errorf("%d, %v", n, err)
			}
		}
		s.s.Box, err = secret.NewBox(secret.ForProviders, fresh[0])
		s.must(err)
		b := newBrowser(t)
		s.wants(s.signIn(b, id, lina, ""), 303, s.server.URL+"/")
		s.wantIs(b, s.lina, false)
	})
}

// Nobody becomes the only administrator, who connects providers alone, by taking the role of
// the other one.
func TestTakingTheOthersRoleConnectsNoProvider(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		boss := s.Member("boss", s.Root)
		s.Grant(boss, access.Administrator.Name, nid.ID{})
		s.must(s.DB.Tx(store.System(t.Context(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Change(ctx, "grants", `UPDATE grants SET revoked_at = $3 WHERE corp_id = $1 AND member_id = $2 RETURNING id`, s.ID, boss, tx.Now())
			tx.Cover(ids...)
			return err
		}))
		if _, err := s.s.Save(s.Verified(s.Admin), s.input()); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("at once: %v", err)
		}
		s.Clock.Add(identity.Patience)
		s.connect(s.input())
	})
}

// Wherever there are two administrators, another one switches a provider on, unchanged.
func TestTwoConnectAProvider(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		boss := s.Member("boss", s.Root)
		s.Grant(boss, access.Administrator.Name, nid.ID{})
		in := s.input()
		if _, err := s.s.Save(s.Verified(s.Admin), in); fault.CodeOf(err) != fault.Conflict {
			t.Error(err)
		}
		in.Active = false
		id := s.connect(in)
		in.ID, in.Version, in.Active, in.ClientSecret = &id, new(1), true, nil
		if _, err := s.s.Save(s.Verified(s.Admin), in); fault.CodeOf(err) != fault.Conflict {
			t.Error(err)
		}
		_, err := s.s.Save(s.Verified(boss), in)
		s.must(err)
		b := newBrowser(t)
		s.wants(s.signIn(b, id, lina, ""), 303, s.server.URL+"/")
		// What it is, nobody changes alone, also while it is in use.
		in.Version, in.Matches = new(2), sso.ByLogin
		if _, err := s.s.Save(s.Verified(boss), in); fault.CodeOf(err) != fault.Conflict {
			t.Error(err)
		}
		in.Matches, in.Name = sso.ByUserID, "Renamed"
		_, err = s.s.Save(s.Verified(boss), in)
		s.must(err)
		s.wantIs(b, s.lina, false)
		// Whoever wrote it down does not switch it on again.
		in.Version, in.Active = new(3), false
		_, err = s.s.Save(s.Verified(s.Admin), in)
		s.must(err)
		in.Version, in.Active = new(4), true
		if _, err := s.s.Save(s.Verified(s.Admin), in); fault.CodeOf(err) != fault.Conflict {
			t.Error(err)
		}
		// One who may be the other is no second one.
		_, err = s.who.ResetPassword(s.Verified(s.Admin), boss, nil)
		s.must(err)
		if _, err := s.s.Save(s.Verified(boss), in); fault.CodeOf(err) != fault.Forbidden {
			t.Error(err)
		}
	})
}
