package graph

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// planned is what the tests below read of a handover.
type planned struct {
	ID, State, Digest, HoldReason string
	Version                       int
	RequestedBy, Responsible      *struct{ UserID string }
}

const plannedFields = `id state digest version requestedBy { userId } responsible { userId }`

// plan has a program or person plan and submit some of a leaver's contacts.
func (s *site) plan(token string, leaver, to nid.ID, contacts ...nid.ID) planned {
	s.t.Helper()
	var made struct {
		CreateHandover struct{ Handover planned }
	}
	s.good(token, `mutation($leaver: ID!, $to: ID!, $contacts: [ID!], $key: String!) { createHandover(input: {plan: {leaverId: $leaver, select: {contactIds: $contacts},
		successors: {memberId: $to}}, idempotencyKey: $key}) { handover { `+plannedFields+` } } }`,
		map[string]any{"leaver": leaver, "to": to, "contacts": contacts, "key": fmt.Sprint(contacts)}, &made)
	var sent struct {
		SubmitHandover struct{ Handover planned }
	}
	s.good(token, `mutation($id: ID!, $version: Int!) { submitHandover(input: {id: $id, version: $version}) { handover { `+plannedFields+` } } }`,
		map[string]any{"id": made.CreateHandover.Handover.ID, "version": made.CreateHandover.Handover.Version}, &sent)
	return sent.SubmitHandover.Handover
}

const (
	approveText = `mutation($id: ID!, $digest: String!) { approveHandover(input: {id: $id, digest: $digest}) { handover { state } } }`
	executeText = `mutation($id: ID!, $digest: String!) { executeHandover(input: {id: $id, digest: $digest, idempotencyKey: $digest}) { handover { ` + plannedFields + ` } } }`
)

func (p planned) named() map[string]any { return map[string]any{"id": p.ID, "digest": p.Digest} }

// program makes a service token that plans.
func (s *site) program(boss string) string {
	s.t.Helper()
	var made struct{ CreateServiceToken struct{ Secret string } }
	s.good(boss, `mutation($until: Time!) { createServiceToken(input: {name: "planner", permissions: [PLAN_HANDOVER, VIEW_CONTACTS], expiresAt: $until}) { secret } }`,
		map[string]any{"until": s.DB.Now().AddDate(0, 1, 0).Format(time.RFC3339)}, &made)
	return made.CreateServiceToken.Secret
}

// entry reads what the log says after the handover's newest entry of an action.
func (s *site) entry(handover string, action access.Action) (actor string, after map[string]any) {
	s.t.Helper()
	id, err := nid.Parse(handover)
	if err != nil {
		s.t.Fatal(err)
	}
	var leaf struct {
		Actor struct{ ID string }
		After map[string]any
	}
	if err := json.Unmarshal(testcorp.Value[[]byte](s.Corp, `SELECT leaf FROM audit_entries WHERE subject_id = $1 AND action = $2 ORDER BY "index" DESC LIMIT 1`, id, string(action)), &leaf); err != nil {
		s.t.Fatal(err)
	}
	return leaf.Actor.ID, leaf.After
}

// An administrator makes a service token, has it plan the handover of a KEY contact,
// becomes the approver by a reset, and executes: that is one pair of hands.
func TestAnAdministratorAndTheirTokenAreOnePairOfHands(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newSite(t, db, clock)
		lina, wang, approver := s.Member("lina", s.Root), s.Member("wang", s.Root), s.Member("approver", s.Root)
		s.Grant(approver, access.Approver.Name, nid.ID{})
		one, two := s.Contact("one", "KEY", lina), s.Contact("two", "KEY", lina)
		s.Depart(lina)
		boss, program := s.Bearer(s.Admin, true), ""
		program = s.program(boss)

		// The vote of somebody independent does not count any more after the reset.
		second := s.plan(program, lina, wang, two)
		var voted struct{ ApproveHandover struct{ Handover planned } }
		s.good(s.Bearer(approver, true), approveText, second.named(), &voted)
		if voted.ApproveHandover.Handover.State != "READY" {
			t.Fatalf("%+v", voted)
		}

		first := s.plan(program, lina, wang, one)
		if first.State != "AWAITING_APPROVAL" || first.RequestedBy != nil || first.Responsible == nil || first.Responsible.UserID != "root-admin" {
			t.Errorf("%+v", first)
		}
		for _, action := range []access.Action{access.HandoverCreate, access.HandoverSubmit} {
			if _, after := s.entry(first.ID, action); after["responsible"] != s.Admin.String() {
				t.Errorf("%s: %v", action, after)
			}
		}
		s.ask(boss, approveText, first.named()).refused("FORBIDDEN", "")

		var given struct {
			ResetPassword struct{ Login, Password string }
		}
		s.good(boss, resetText, map[string]any{"id": approver}, &given)
		chosen := "the administrator's own words"
		them := s.signIn(given.ResetPassword.Login, given.ResetPassword.Password, &chosen)
		s.enrolTotp(them, chosen)
		s.ask(them, approveText, first.named()).refused("FORBIDDEN", "")
		s.ask(boss, executeText, first.named()).refused("APPROVAL_REQUIRED", "")
		s.ask(boss, executeText, second.named()).refused("APPROVAL_REQUIRED", "")
		if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM follows WHERE member_id = $1`, wang); n != 0 {
			t.Errorf("%d key contacts were handed over by one person", n)
		}

		// Days later the account is the approver's own, as far as anybody noticed.
		clock.Add(73 * time.Hour)
		third := s.plan(program, lina, wang, one, two)
		s.good(s.Bearer(approver, true), approveText, third.named(), &voted)
		var done struct{ ExecuteHandover struct{ Handover planned } }
		s.good(s.Bearer(s.Admin, true), executeText, third.named(), &done)
		if done.ExecuteHandover.Handover.State != "COMPLETED" {
			t.Errorf("%+v", done)
		}
		if actor, after := s.entry(third.ID, access.HandoverExecute); actor != s.Admin.String() || after["responsible"] != actor || after["executor"] != actor {
			t.Errorf("%s %v", actor, after)
		}
	})
}

// Four plans of two by a token are eight in a day, whoever executes them.
func TestWhatATokenPlansAddsUp(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newSite(t, db, clock)
		lina, wang, approver, manager := s.Member("lina", s.Root), s.Member("wang", s.Root), s.Member("approver", s.Root), s.Member("manager", s.Root)
		s.Grant(approver, access.Approver.Name, nid.ID{})
		s.Grant(manager, access.Manager.Name, nid.ID{})
		contacts := s.Contacts(8, lina)
		s.Depart(lina)
		boss := s.Bearer(s.Admin, true)
		var saved any
		s.good(boss, `mutation { saveApprovalPolicy(input: {above: 2}) { policy { above } } }`, nil, &saved)
		program := s.program(boss)
		for i := range 4 {
			p := s.plan(program, lina, wang, contacts[2*i], contacts[2*i+1])
			executor := []string{boss, s.Bearer(manager, true)}[i%2]
			if i > 0 {
				if p.State != "AWAITING_APPROVAL" {
					t.Errorf("plan %d is %s", i+1, p.State)
				}
				s.ask(executor, executeText, p.named()).refused("APPROVAL_REQUIRED", "")
				continue
			}
			var done struct{ ExecuteHandover struct{ Handover planned } }
			s.good(executor, executeText, p.named(), &done)
		}
		if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM follows WHERE member_id = $1`, wang); n != 2 {
			t.Errorf("%d contacts moved without a vote, want 2", n)
		}
	})
}
