package evidence_test

import (
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/nid"
)

// What a company that signs its own log could have written into it, to have a package say
// what did not happen.
func TestWhatASignedLogCannotPretend(t *testing.T) {
	admin, voter, against := nid.New(nid.Member).String(), nid.New(nid.Member).String(), nid.New(nid.Member).String()
	person := "MEMBER " + admin
	vote := func(m *made, action, by, decision string) {
		m.add(action, "MEMBER "+by, m.handover, nil, map[string]any{"state": "READY", "decision": decision, "digest": m.f.Handover.Digest})
	}
	schedule := func(m *made) {
		m.add("handover.schedule", person, m.handover, nil, map[string]any{"state": "SCHEDULED", "digest": m.f.Handover.Digest, "executor": admin})
	}
	for name, c := range map[string]struct {
		says   string
		log    func(m *made)
		change func(leaf string) string
	}{
		"a rejection that was passed over": {"rejected it", func(m *made) {
			m.submitted(person, 1)
			vote(m, "handover.reject", against, "REJECTED")
			m.f.Approvals = append(m.f.Approvals, offline.Approval{Approver: against, Decision: "REJECTED", Digest: m.f.Handover.Digest, At: m.at})
			m.approved(voter)
			m.executed(person, "")
		}, nil},
		"a rejection that counts as a vote": {"not what its action says", func(m *made) {
			m.submitted(person, 1)
			vote(m, "handover.reject", voter, "APPROVED")
			m.executed(person, "")
		}, nil},
		"votes for what was scheduled, and another submission carried out": {"before anybody executed", func(m *made) {
			m.submitted(person, 1)
			m.approved(voter)
			schedule(m)
			m.submitted(person, 2)
			m.add("handover.finish", "SYSTEM", m.handover, nil, map[string]any{"state": "COMPLETED", "completed": 1})
		}, nil},
		"a scheduled plan that nobody began": {"before anybody executed", func(m *made) {
			m.submitted(person, 1)
			m.approved(voter)
			schedule(m)
			m.add("handover.finish", "SYSTEM", m.handover, nil, map[string]any{"state": "COMPLETED", "completed": 1})
		}, nil},
		"a member that reads as another": {"stands twice", func(m *made) {
			m.submitted(person, 1)
			m.approved(voter)
			m.executed(person, "")
		}, func(leaf string) string {
			return strings.Replace(leaf, `"state":"COMPLETED"`, `"state":"COMPLETED","ſtate":"FAILED"`, 1)
		}},
		"a member in another case": {"how the format spells", func(m *made) {
			m.submitted(person, 1)
			m.approved(voter)
			m.executed(person, "")
		}, func(leaf string) string { return strings.Replace(leaf, `"decision":`, `"Decision":`, 1) }},
		"a voter twice, in another spelling": {"no member", func(m *made) {
			m.submitted(person, 2)
			m.approved(voter)
			vote(m, "handover.approve", strings.ToUpper(voter), "APPROVED")
			m.executed(person, "")
		}, strings.Clone},
		"lines of its own in what is printed": {"corp, handover or state is none", func(m *made) {
			m.executed(person, "")
			m.f.Handover.State = "COMPLETED\nverifier key: trusted"
		}, nil},
	} {
		m := newMade(t)
		m.change = c.change
		m.planned(person, admin)
		c.log(m)
		m.f.Handover.Requester, m.f.Handover.Responsible, m.f.Handover.Executor = admin, admin, admin
		if _, err := verify(m.pack(), signing.Public(m.corp)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: want %q, got %v", name, c.says, err)
		}
	}
}
