package grant_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/grant"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// Under dual control a sensitive role takes two, whoever comes first and however many at
// once, within 72 hours; what has lapsed is gone.
func TestASensitiveRoleTakesTwo(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		boss := s.Member("boss", s.Root)
		s.Grant(boss, access.Administrator.Name, nid.ID{})
		s.must((&setting.Service{DB: s.DB, Log: s.Log}).Save(s.Verified(s.Admin), setting.SaveInput{DualControl: new(true)}))
		manager := s.Roles[access.Manager.Name]
		give := func(who nid.ID) error {
			_, err := s.s.Grant(s.Verified(who), s.lina, manager, nil, nil)
			return err
		}
		has := func() int {
			return s.count(`SELECT count(*) FROM grants WHERE corp_id = $1 AND member_id = $2 AND role_id = $3`, s.ID, s.lina, manager)
		}
		waiting := func() int { return s.count(`SELECT count(*) FROM pending_changes WHERE corp_id = $1`, s.ID) }
		who := &identity.Service{DB: s.DB, Log: s.Log, Demo: true}
		s.must(give(s.Admin))
		_, err := who.ResetPassword(s.Verified(s.Admin), boss, nil)
		s.must(err)
		wants(t, give(boss), fault.Forbidden, "") // boss may be who has asked
		s.Clock.Add(72 * time.Hour)
		s.must(s.DB.Tx(s.SignedIn(boss, false), func(ctx context.Context, tx *store.Tx) error { // has an account of their own again
			return s.Log.Append(ctx, tx, audit.Entry{Action: access.CredentialSet, Subject: boss}, audit.Entry{Action: access.CredentialEnrol, Subject: boss})
		}))
		s.must(give(boss)) // asks anew
		if has() != 0 || waiting() != 1 {
			t.Fatalf("%d grants, %d wait", has(), waiting())
		}
		var both sync.WaitGroup
		for range 4 { // of many who say yes at once, one gives
			both.Go(func() { _ = give(s.Admin) })
			both.Go(func() { _ = give(boss) })
		}
		both.Wait()
		if has() != 1 {
			t.Errorf("%d grants", has())
		}
	})
}

// What the second one seconds is what the first one asked for, and the first one could
// still give it.
func TestTheFirstWordIsHeldToWhatItWas(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		boss, third := s.Member("boss", s.Root), s.Member("third", s.Root)
		s.Grant(boss, access.Administrator.Name, nid.ID{})
		asker := s.Grant(third, access.Administrator.Name, nid.ID{})
		s.must((&setting.Service{DB: s.DB, Log: s.Log}).Save(s.Verified(s.Admin), setting.SaveInput{DualControl: new(true)}))
		exporter, err := s.s.SaveRole(s.Verified(s.Admin), grant.RoleInput{Name: "exporter", Permissions: []access.Permission{access.ExportContacts}})
		s.must(err)
		give := func(who, role nid.ID) {
			t.Helper()
			_, err := s.s.Grant(s.Verified(who), s.lina, role, nil, nil)
			s.must(err)
		}
		has := func(role nid.ID) int {
			return s.count(`SELECT count(*) FROM grants WHERE corp_id = $1 AND member_id = $2 AND role_id = $3`, s.ID, s.lina, role)
		}
		give(s.Admin, exporter)
		_, err = s.s.SaveRole(s.Verified(boss), grant.RoleInput{ID: &exporter, Version: new(1), Name: "exporter", Permissions: []access.Permission{access.ExportContacts, access.ManageRoles}})
		s.must(err)
		give(boss, exporter) // asks, for what it is now
		if has(exporter) != 0 {
			t.Error("one has widened what another had asked for")
		}
		give(s.Admin, exporter)
		if has(exporter) != 1 {
			t.Error("two have asked for the same")
		}
		manager := s.Roles[access.Manager.Name]
		give(third, manager)
		s.must(s.s.Revoke(s.Verified(s.Admin), asker, nil))
		give(boss, manager)
		if has(manager) != 0 {
			t.Error("the word of somebody counts who may no longer give it")
		}
		give(s.Admin, manager)
		if n := s.count(`SELECT count(*) FROM pending_changes WHERE corp_id = $1`, s.ID); has(manager) != 1 || n != 0 {
			t.Errorf("%d grants, %d wait", has(manager), n)
		}
	})
}

// Who administers for an hour is nobody who stays.
func TestTheLastLastingAdministratorStays(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		helper := s.Member("helper", s.Root)
		until := s.DB.Now().Add(time.Hour)
		_, err := s.s.Grant(s.Verified(s.Admin), helper, s.Roles[access.Administrator.Name], nil, &until)
		s.must(err)
		lasting := testcorp.Value[nid.ID](s.Corp, `SELECT id FROM grants WHERE corp_id = $1 AND member_id = $2`, s.ID, s.Admin)
		wants(t, s.s.Revoke(s.Verified(helper), lasting, nil), fault.Conflict, "input.id")
		other := s.Member("other", s.Root)
		s.Grant(other, access.Administrator.Name, nid.ID{})
		s.must(s.s.Revoke(s.Verified(helper), lasting, nil))
	})
}
