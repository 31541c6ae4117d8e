package grant_test

import (
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/grant"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// Nobody makes a role of more than they hold over the whole corp, nor changes one that
// has more.
func TestRolesOfNoMoreThanOnesOwn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &grant.Service{DB: db, Log: c.Log}
		clerk := c.Member("clerk", c.Root)
		c.GrantRole(clerk, c.Role("clerks", access.ManageRoles, access.ViewStatistics), nid.ID{})
		ctx := c.Verified(clerk)
		if _, err := s.SaveRole(ctx, grant.RoleInput{Name: "mine", Permissions: []access.Permission{access.ViewStatistics}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.SaveRole(ctx, grant.RoleInput{Name: "more", Permissions: []access.Permission{access.ViewStatistics, access.ExportContacts}}); fault.CodeOf(err) != fault.Forbidden {
			t.Errorf("more than they hold: %v", err)
		}
		id, err := s.SaveRole(c.Verified(c.Admin), grant.RoleInput{Name: "exporters", Permissions: []access.Permission{access.ExportContacts}})
		if err != nil {
			t.Fatal(err)
		}
		one := 1
		if _, err := s.SaveRole(ctx, grant.RoleInput{ID: &id, Version: &one, Name: "exporters", Permissions: []access.Permission{access.ViewStatistics}}); fault.CodeOf(err) != fault.Forbidden {
			t.Errorf("taking away what they do not hold: %v", err)
		}
		part := c.Department("part", c.Root)
		local := c.Member("local", part)
		c.Grant(local, access.Administrator.Name, part)
		if _, err := s.SaveRole(c.Verified(local), grant.RoleInput{Name: "x", Permissions: []access.Permission{access.ViewStatistics}}); fault.CodeOf(err) != fault.Forbidden {
			t.Errorf("an administrator of a department: %v", err)
		}
	})
}

// A role through which alone somebody administers the corp keeps doing so.
func TestTheLastAdministratorsRole(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &grant.Service{DB: db, Log: c.Log}
		ctx := c.Verified(c.Admin)
		all := append([]access.Permission(nil), access.Permissions...)
		id, err := s.SaveRole(ctx, grant.RoleInput{Name: "everything", Permissions: all})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Grant(ctx, c.Admin, id, nil, nil); err != nil {
			t.Fatal(err)
		}
		builtIn := testcorp.Value[nid.ID](c, `SELECT g.id FROM grants AS g JOIN roles AS r ON r.id = g.role_id WHERE g.corp_id = $1 AND g.member_id = $2 AND r.built_in AND g.revoked_at IS NULL`, c.ID, c.Admin)
		if err := s.Revoke(ctx, builtIn, nil); err != nil {
			t.Fatal(err)
		}
		one := 1
		if _, err := s.SaveRole(c.Verified(c.Admin), grant.RoleInput{ID: &id, Version: &one, Name: "everything", Permissions: []access.Permission{access.ViewStatistics}}); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("nobody would administer the corp: %v", err)
		}
		if _, err := s.SaveRole(c.Verified(c.Admin), grant.RoleInput{ID: &id, Version: &one, Name: "managing", Permissions: []access.Permission{access.ManageRoles, access.ViewStatistics}}); err != nil {
			t.Errorf("who still manages roles: %v", err)
		}
	})
}
