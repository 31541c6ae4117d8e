package handover_test

import (
	"testing"
	"time"

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

// A rule set says what of the chats the successors may read, in whole days, for the
// plans that say nothing else; the set of the leaver's nearest department plans.
func TestRuleSetsCarryAHistoryScope(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		rules := &rule.Service{DB: s.DB, Log: s.Log}
		sales := s.Department("sales", s.Root)
		leo := s.Member("leo", sales)
		s.Contacts(2, s.lina)
		s.Contacts(2, leo)
		save := func(title string, department *nid.ID, h *rule.History) nid.ID {
			t.Helper()
			id, err := rules.Save(s.admin, rule.Input{Name: title, Automatic: true, Fallback: &s.wang, Department: department, History: h})
			ok(t, err)
			return id
		}
		wide := save("of all", nil, &rule.History{Mode: "ALL"})
		near := save("of sales", &sales, &rule.History{Mode: "WINDOW", Days: 90, ExpiresAfter: 30})
		scope := func(id nid.ID) string {
			return testcorp.Value[string](s.Corp, `SELECT history_mode || ' ' || CASE WHEN history_from IS NULL THEN 'open' ELSE 'window' END FROM handovers WHERE id = $1`, id)
		}
		s.Depart(s.lina)
		s.Depart(leo)
		s.work()
		if n := s.count(`SELECT count(*) FROM handovers`); n != 2 {
			t.Fatalf("%d handovers", n)
		}
		for leaver, want := range map[nid.ID]struct {
			set   nid.ID
			scope string
		}{s.lina: {wide, "ALL open"}, leo: {near, "WINDOW window"}} {
			id := testcorp.Value[nid.ID](s.Corp, `SELECT id FROM handovers WHERE leaver_id = $1`, leaver)
			if got := scope(id); got != want.scope {
				t.Errorf("the scope is %s, want %s", got, want.scope)
			}
			if n := s.count(`SELECT count(*) FROM transfers WHERE handover_id = $1 AND rule_set_id = $2`, id, want.set); n != 2 {
				t.Errorf("%d transfers by the set, want 2", n)
			}
		}
		day := func(d int) time.Time { return time.Date(2026, 3, 2+d, 0, 0, 0, 0, shanghai) }
		if n := s.count(`SELECT count(*) FROM handovers WHERE leaver_id = $1 AND history_from = $2 AND history_until = $3 AND history_expires_at = $4`,
			leo, day(-90).UTC(), day(1).UTC(), day(31).UTC()); n != 1 {
			t.Error("the window is not the last 90 days, for 30 days")
		}
		// By hand too; what the plan says itself goes first.
		in := handover.Input{Kind: handover.Resigned, LeaverID: leo, Successors: handover.Choice{RuleSetID: &near}}
		p, err := preview(s, in)
		ok(t, err)
		s.Clock.Add(time.Hour)
		id, err := s.s.Create(s.admin, in, nil, &p.Digest, "k")
		ok(t, err)
		if got := scope(id); got != "WINDOW window" {
			t.Errorf("by hand the scope is %s", got)
		}
		in.History = &handover.HistoryScope{Mode: "NONE"}
		id, err = s.s.Create(s.admin, in, nil, nil, "k2")
		ok(t, err)
		if got := scope(id); got != "NONE open" {
			t.Errorf("the plan said NONE, the scope is %s", got)
		}
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
