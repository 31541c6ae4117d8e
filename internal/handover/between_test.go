package handover_test

import (
	"context"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// Things that happen between planning and executing.

// raw changes rows as something outside of this package would.
func (s *scene) raw(table, query string, args ...any) {
	s.t.Helper()
	ok(s.t, s.DB.Tx(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, table, query, args...)
		tx.Cover(ids...)
		return err
	}))
}

// A follow that ended and one that an import began later are two, though both are
// the leaver's and at version 1.
func TestAFollowBegunAnewIsAnother(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ids := s.Contacts(2, s.lina)
		s.Depart(s.lina)
		id, err := s.s.Create(s.admin, s.all(s.wang), nil, "k")
		ok(t, err)
		ok(t, s.s.Submit(s.admin, id, 1))
		s.raw("follows", `UPDATE follows SET ended_at = $3, protected = false WHERE contact_id = $1 AND member_id = $2 RETURNING id`, ids[0], s.lina, s.DB.Now())
		s.raw("follows", `INSERT INTO follows (id, corp_id, created_at, updated_at, version, contact_id, member_id, since, protected, owner_version)
			VALUES ($1, $2, $3, $3, 1, $4, $5, $3, true, 1) RETURNING id`, nid.New(nid.Follow), s.ID, s.DB.Now(), ids[0], s.lina)
		ok(t, s.s.Execute(s.admin, id, s.digest(id), "x"))
		if got := testcorp.Value[string](s.Corp, `SELECT reason FROM transfers WHERE handover_id = $1 AND contact_id = $2`, id, ids[0]); got != string(handover.OwnerChanged) || s.state(id) != "PARTIAL" {
			t.Errorf("reason %s, handover %s", got, s.state(id))
		}
	})
}

// Who may execute contacts in one place and groups in another gives neither to
// whom the other permission reaches.
func TestEachKindReachesItsOwnSuccessors(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		both := s.Department("both", s.Root)
		north, south := s.Department("north", both), s.Department("south", both)
		leaver, norther, souther := s.Member("leaver", north), s.Member("norther", north), s.Member("souther", south)
		s.raw("member_departments", `INSERT INTO member_departments (corp_id, member_id, department_id, position) VALUES ($1, $2, $3, 1) RETURNING member_id`, s.ID, leaver, south)
		clerk := s.Member("clerk", s.Root)
		s.GrantRole(clerk, s.Role("planner", access.PlanHandover), s.Root)
		s.GrantRole(clerk, s.Role("contacts", access.ExecuteResignedContacts), north)
		s.GrantRole(clerk, s.Role("groups", access.ExecuteResignedGroups), south)
		contacts := s.Contacts(2, leaver)
		groups := []nid.ID{s.Group("a", leaver), s.Group("b", leaver)}
		s.Depart(leaver)
		id, err := s.s.HandOver(s.Verified(clerk), handover.Input{Kind: handover.Resigned, LeaverID: leaver, Successors: handover.Choice{Assignments: []handover.Assignment{
			{MemberID: norther, ContactIDs: contacts[:1], GroupIDs: groups[:1]}, {MemberID: souther, ContactIDs: contacts[1:], GroupIDs: groups[1:]},
		}}}, nil, "k")
		ok(t, err)
		for _, c := range []struct {
			item   nid.ID
			status string
		}{{contacts[0], "COMPLETED"}, {contacts[1], "FAILED"}, {groups[0], "FAILED"}, {groups[1], "COMPLETED"}} {
			if got := testcorp.Value[string](s.Corp, `SELECT status FROM transfers WHERE handover_id = $1 AND (contact_id = $2 OR group_id = $2)`, id, c.item); got != c.status {
				t.Errorf("%s ended %s, want %s", c.item, got, c.status)
			}
		}
	})
}
