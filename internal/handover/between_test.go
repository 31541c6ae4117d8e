package handover_test

import (
	"context"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/member"
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
		id, err := s.s.Create(s.admin, s.all(s.wang), nil, nil, "k")
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

// Statistics are of the time of assignment: neither of when it was planned nor of
// when the platform gave its word.
func TestStatisticsAreOfTheAssignment(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sales := s.Department("sales", s.Root)
		big := s.Contact("big", "KEY", s.lina)
		contacts := &contact.Service{DB: s.DB, Log: s.Log}
		become := func(importance string) {
			t.Helper()
			ok(t, contacts.Update(s.admin, contact.UpdateInput{ID: big, Version: s.count(`SELECT version FROM contacts WHERE id = $1`, big), Importance: &importance}))
		}
		s.s.Platform = func(nid.ID) bool { return true }
		in := s.all(s.wang)
		in.Kind = handover.OnJob
		id, err := s.s.Create(s.admin, in, nil, nil, "k")
		ok(t, err)
		become("NORMAL")
		s.raw("member_departments", `UPDATE member_departments SET department_id = $3 WHERE corp_id = $1 AND member_id = $2 RETURNING member_id`, s.ID, s.wang, sales)
		ok(t, s.s.Submit(s.admin, id, 1))
		_, err = s.s.Approve(s.Verified(s.approver), id, s.digest(id), nil) // it counts as KEY, though statistics do not
		ok(t, err)
		ok(t, s.s.Execute(s.admin, id, s.digest(id), "x"))
		become("KEY")
		s.raw("member_departments", `UPDATE member_departments SET department_id = $3 WHERE corp_id = $1 AND member_id = $2 RETURNING member_id`, s.ID, s.wang, s.Root)
		transfer := testcorp.Value[nid.ID](s.Corp, `SELECT id FROM transfers WHERE handover_id = $1`, id)
		ok(t, s.s.Settle(store.System(t.Context(), s.ID, "platform"), id, []handover.Outcome{{Transfer: transfer, Status: handover.TransferCompleted}}))
		if n := s.count(`SELECT count(*) FROM transfers WHERE importance = 'NORMAL' AND to_department_id = $1`, sales); n != 1 {
			t.Error("the transfer is not as it was when assigned")
		}
		if n := s.count(`SELECT count(*) FROM transfer_rollups WHERE n <> 0`); n != 1 {
			t.Errorf("statistics have %d cells, want 1", n)
		}
		if n := s.count(`SELECT n FROM transfer_rollups WHERE status = 'COMPLETED' AND importance = 'NORMAL' AND to_department_id = $1`, sales); n != 1 {
			t.Errorf("statistics count %d, want 1", n)
		}
		if n := s.count(`SELECT count(*) FROM member_counters WHERE member_id = $1 AND contacts = 1 AND key_contacts = 1`, s.wang); n != 1 {
			t.Error("wang's counters do not show the key contact")
		}
		if n := s.count(`SELECT count(*) FROM member_counters WHERE member_id = $1 AND contacts + key_contacts + waiting_contacts + waiting_key_contacts = 0`, s.lina); n != 1 {
			t.Error("lina's counters still show something")
		}
	})
}

// A platform moves things to a successor who has left while it was deciding: they
// arrive protected, and somebody at work answers for them.
func TestASuccessorLeavesWhileAPlatformDecides(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		alone, group := s.Contact("alone", "NORMAL", s.lina), s.Group("group", s.lina)
		merged, shared := s.Contact("merged", "NORMAL", s.lina, s.wang), s.Contact("shared", "NORMAL", s.lina, s.manager)
		s.s.Platform = func(nid.ID) bool { return true }
		in := s.all(s.wang)
		in.Kind = handover.OnJob
		id, err := s.s.HandOver(s.admin, in, nil, "k")
		ok(t, err)
		members := &member.Service{DB: s.DB, Log: s.Log}
		_, err = members.Deactivate(s.admin, member.DeactivateInput{MemberID: s.wang, Mode: member.Depart, CaretakerID: &s.approver})
		ok(t, err)
		var word []handover.Outcome
		for _, item := range []nid.ID{alone, group, merged, shared} {
			word = append(word, handover.Outcome{Status: handover.TransferCompleted,
				Transfer: testcorp.Value[nid.ID](s.Corp, `SELECT id FROM transfers WHERE handover_id = $1 AND (contact_id = $2 OR group_id = $2)`, id, item)})
		}
		ok(t, s.s.Settle(store.System(t.Context(), s.ID, "platform"), id, word))
		if got := s.state(id); got != "COMPLETED" {
			t.Errorf("state %s", got)
		}
		if n := s.count(`SELECT count(*) FROM follows WHERE member_id = $1 AND ended_at IS NULL AND protected`, s.wang); n != 3 {
			t.Errorf("%d protected follows, want 3", n)
		}
		for contact, answers := range map[nid.ID]nid.ID{alone: s.approver, merged: s.approver, shared: s.manager} {
			if n := s.count(`SELECT count(*) FROM contacts WHERE id = $1 AND protected AND accountable_id = $2`, contact, answers); n != 1 {
				t.Errorf("%s is not protected with %s answering", contact, answers)
			}
		}
		if n := s.count(`SELECT count(*) FROM groups WHERE id = $1 AND owner_id = $2 AND protected AND status = 'OWNER_LEFT' AND accountable_id = $3`, group, s.wang, s.approver); n != 1 {
			t.Error("the group is not as a leaver's")
		}
	})
}
