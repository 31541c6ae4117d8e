package handover_test

import (
	"testing"

	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/rule"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// An automatic rule set plans when a member departs; a person executes.
func TestRulesPlanByThemselves(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		zhao := s.Member("zhao", s.Root)
		rules := &rule.Service{DB: s.DB, Log: s.Log}
		key := s.Contact("big customer", "KEY", s.lina)
		s.Contacts(4, s.lina)
		_, err := rules.Save(s.admin, rule.Input{Name: "when somebody goes", Automatic: true, Fallback: &s.wang, Rules: []rule.Rule{
			{Importance: "KEY", Method: rule.ToMember, Members: []nid.ID{zhao}},
			{Method: rule.Even, Members: []nid.ID{s.wang, zhao}},
		}})
		ok(t, err)
		s.work()
		if n := s.count(`SELECT count(*) FROM handovers`); n != 0 {
			t.Fatalf("%d handovers before anybody left", n)
		}
		s.Depart(s.lina)
		s.work()
		s.work() // planning twice plans once
		if n := s.count(`SELECT count(*) FROM handovers`); n != 1 {
			t.Fatalf("%d handovers", n)
		}
		id := testcorp.Value[nid.ID](s.Corp, `SELECT id FROM handovers WHERE requested_by_id IS NULL`)
		if got := s.state(id); got != "AWAITING_APPROVAL" {
			t.Errorf("state %s", got)
		}
		if n := s.count(`SELECT count(*) FROM transfers WHERE contact_id = $1 AND to_id = $2 AND rule_index = 0 AND because = 'rule:1:MEMBER'`, key, zhao); n != 1 {
			t.Error("the key contact did not go by its rule")
		}
		for member, n := range map[nid.ID]int{s.wang: 3, zhao: 2} {
			if got := s.count(`SELECT count(*) FROM transfers WHERE to_id = $1`, member); got != n {
				t.Errorf("%s gets %d, want %d", member, got, n)
			}
		}
		_, err = s.s.Approve(s.Verified(s.approver), id, s.digest(id), nil)
		ok(t, err)
		ok(t, s.s.Execute(s.admin, id, s.digest(id), "e"))
		if got := s.state(id); got != "COMPLETED" {
			t.Errorf("state %s", got)
		}
		s.verifies()
	})
}

func pickContacts(ids []nid.ID) *handover.Selection { return &handover.Selection{ContactIDs: ids} }

// Many small plans of one person are one large one.
func TestSplittingAPlanDoesNotDodgeTheThreshold(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		contacts := s.Contacts(5, s.lina)
		s.Depart(s.lina)
		s.raw("approval_policies", `UPDATE approval_policies SET above = 3 WHERE corp_id = $1 RETURNING corp_id`, s.ID)
		in := s.all(s.wang)
		in.Select = pickContacts(contacts[:2])
		_, err := s.s.HandOver(s.admin, in, nil, "1")
		ok(t, err)
		in.Select = pickContacts(contacts[2:4])
		_, err = s.s.HandOver(s.admin, in, nil, "2")
		want(t, err, "APPROVAL_REQUIRED", "")
		in.Select = pickContacts(contacts[2:3])
		_, err = s.s.HandOver(s.admin, in, nil, "3")
		ok(t, err)
		s.Clock.Add(25 * 60 * 60 * 1e9)
		in.Select = pickContacts(contacts[3:])
		_, err = s.s.HandOver(s.Verified(s.Corp.Admin), in, nil, "4")
		ok(t, err)
	})
}
