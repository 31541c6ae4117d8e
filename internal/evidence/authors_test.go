package evidence_test

import (
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/nid"
)

// Whoever planned, submitted or answered for a case at any time is not another person when
// it comes to votes, whoever planned it again or submitted it afterwards.
func TestTheVerifierKnowsTheAuthors(t *testing.T) {
	admin, author, voter, other := nid.New(nid.Member).String(), nid.New(nid.Member).String(), nid.New(nid.Member).String(), nid.New(nid.Member).String()
	person, token := "MEMBER "+admin, "TOKEN "+nid.New(nid.Token).String()
	submitted := func(m *made, by string, after map[string]any) {
		after["state"], after["digest"], after["approvalsRequired"] = "AWAITING_APPROVAL", m.f.Handover.Digest, 1
		m.add("handover.submit", by, m.handover, nil, after)
	}
	replanned := func(m *made, by, responsible string) {
		m.add("handover.replan", by, m.handover, nil, map[string]any{"state": "DRAFT", "kind": "RESIGNED", "leaver": m.leaver,
			"digest": m.f.Handover.Digest, "transfers": 1, "approvalsRequired": 0, "responsible": responsible})
	}
	start := func(m *made, action, by, state string, after map[string]any) {
		after["state"], after["digest"], after["transfers"] = state, m.f.Handover.Digest, 1
		m.add(action, by, m.handover, nil, after)
	}
	for name, c := range map[string]struct {
		log  func(m *made, voter string)
		says string // of the author's vote; of another's it is kept
	}{
		"who created it, planned again": {func(m *made, by string) {
			m.planned("MEMBER "+author, author)
			replanned(m, person, admin)
			submitted(m, person, map[string]any{})
			m.approved(by)
			m.executed(person, admin)
		}, "own"},
		"who answered for it, planned again": {func(m *made, by string) {
			m.planned(token, author)
			replanned(m, person, admin)
			submitted(m, person, map[string]any{})
			m.approved(by)
			m.executed(person, admin)
		}, "own"},
		"who planned it in between": {func(m *made, by string) {
			m.planned(person, admin)
			replanned(m, "MEMBER "+author, author)
			replanned(m, person, admin)
			submitted(m, person, map[string]any{})
			m.approved(by)
			m.executed(person, admin)
		}, "own"},
		"who submitted it": {func(m *made, by string) {
			m.planned(person, admin)
			submitted(m, "MEMBER "+author, map[string]any{"responsible": admin})
			m.approved(by)
			m.executed(person, admin)
		}, "own"},
		"who submitted it before": {func(m *made, by string) {
			m.planned(person, admin)
			submitted(m, "MEMBER "+author, map[string]any{"responsible": admin})
			submitted(m, person, map[string]any{"responsible": admin})
			m.approved(by)
			m.executed(person, admin)
		}, "own"},
		"whose token submitted it": {func(m *made, by string) {
			m.planned(person, admin)
			submitted(m, token, map[string]any{"responsible": admin, "author": author})
			m.approved(by)
			m.executed(person, admin)
		}, "own"},
		"who is responsible at submission": {func(m *made, by string) {
			m.planned(person, admin)
			submitted(m, person, map[string]any{"responsible": author})
			m.approved(by)
			start(m, "handover.execute", person, "COMPLETED", map[string]any{"completed": 1, "responsible": admin, "executor": admin})
		}, "own"},
		"for whom a worker begins": {func(m *made, by string) {
			m.planned(person, admin)
			submitted(m, person, map[string]any{"responsible": admin})
			m.approved(by)
			start(m, "handover.execute", "SYSTEM", "COMPLETED", map[string]any{"completed": 1, "responsible": admin, "executor": author})
		}, "own"},
		"who scheduled it before": {func(m *made, by string) {
			m.planned(person, admin)
			submitted(m, person, map[string]any{"responsible": admin})
			m.approved(other)
			start(m, "handover.schedule", "MEMBER "+author, "SCHEDULED", map[string]any{"responsible": admin, "executor": author})
			m.add("handover.hold", "SYSTEM", m.handover, nil, map[string]any{"state": "READY"})
			submitted(m, person, map[string]any{"responsible": admin})
			m.approved(by)
			m.executed(person, admin)
		}, "own"},
		"another executor than the actor": {func(m *made, by string) {
			m.planned(person, admin)
			submitted(m, person, map[string]any{"responsible": admin})
			m.approved(by)
			is := admin
			if by == author {
				is = voter
			}
			start(m, "handover.execute", person, "COMPLETED", map[string]any{"completed": 1, "responsible": admin, "executor": is})
		}, "another executor"},
	} {
		for _, by := range []string{author, voter} {
			m := newMade(t)
			c.log(m, by)
			h := &m.f.Handover
			h.Executor, h.Responsible, h.Requester = admin, admin, admin
			if name == "for whom a worker begins" {
				h.Executor = author
			}
			s, err := verify(m.pack(), signing.Public(m.corp))
			if by == author && (err == nil || !strings.Contains(err.Error(), c.says) || c.says == "own" && !strings.Contains(err.Error(), author)) {
				t.Errorf("%s: want %q, got %v", name, c.says, err)
			}
			if by == voter && (err != nil || s.FourEyes != offline.Proven) {
				t.Errorf("%s, and another votes: %s, %v", name, s.FourEyes, err)
			}
		}
	}
}
