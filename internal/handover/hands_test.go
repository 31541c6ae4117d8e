package handover_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// owns writes down that a member has changed what they sign in with.
func (s *scene) owns(member nid.ID, actions ...access.Action) {
	s.t.Helper()
	ok(s.t, s.DB.Tx(s.SignedIn(member, false), func(ctx context.Context, tx *store.Tx) error {
		var entries []audit.Entry
		for _, a := range actions {
			entries = append(entries, audit.Entry{Action: a, Subject: member})
		}
		return s.Log.Append(ctx, tx, entries...)
	}))
}

// A vote does not count any more once whoever stands behind the plan could have been
// the voter, and whoever executes it is told so.
func TestAResetTakesTheVoteBack(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("big", "KEY", s.lina)
		s.Depart(s.lina)
		who := &identity.Service{DB: s.DB, Log: s.Log, Demo: true}
		id, d := s.bound("k")
		_, err := s.s.Approve(s.Verified(s.approver), id, d, nil)
		ok(t, err)
		_, err = who.ResetPassword(s.Verified(s.Admin), s.approver, nil)
		ok(t, err)
		err = s.s.Execute(s.admin, id, d, "x")
		want(t, err, fault.ApprovalRequired, "")
		if f, _ := errors.AsType[*fault.Error](err); f.Details["dependentVotes"] != 1 || !strings.Contains(f.Text.EN, "because of a reset") || !strings.Contains(f.Text.ZH, "因重置而不计入") {
			t.Errorf("%+v", f)
		}
		if s.state(id) != "READY" {
			t.Errorf("the handover is %s", s.state(id))
		}
		// The requester is behind the plan, whoever executes it.
		want(t, s.s.Execute(s.Verified(s.manager), id, d, "y"), fault.ApprovalRequired, "")
	})
}

// Whoever votes cannot execute by their own vote, and is told that somebody else can.
func TestTheVoterDoesNotExecute(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("big", "KEY", s.lina)
		s.Depart(s.lina)
		second := s.Member("second", s.Root)
		s.Grant(second, access.Administrator.Name, nid.ID{})
		id, d := s.bound("k")
		voter := s.Verified(second)
		_, err := s.s.Approve(voter, id, d, nil)
		ok(t, err)
		err = s.s.Execute(voter, id, d, "x")
		want(t, err, fault.ApprovalRequired, "")
		if f, _ := errors.AsType[*fault.Error](err); !strings.Contains(f.Text.EN, "own vote") {
			t.Errorf("%+v", f.Text)
		}
		ok(t, s.s.Execute(s.admin, id, d, "y"))
	})
}

// Whoever has just given somebody a password could be them: what takes two people's word
// is not had by one who resets another's.
func TestTwoVotesTakeTwoHands(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("big", "KEY", s.lina)
		s.Depart(s.lina)
		who := &identity.Service{DB: s.DB, Log: s.Log, Demo: true}
		boss := s.Member("boss", s.Root)
		s.Grant(boss, access.Administrator.Name, nid.ID{})
		reset := func(by, of nid.ID) {
			t.Helper()
			_, err := who.ResetPassword(s.Verified(by), of, nil)
			ok(t, err)
		}
		id, d := s.bound("k")
		reset(s.Admin, s.approver)
		_, err := s.s.Approve(s.Verified(s.approver), id, d, nil)
		want(t, err, fault.Forbidden, "") // the requester may be the approver
		_, err = s.s.Reject(s.Verified(s.approver), id, d, "no")
		want(t, err, fault.Forbidden, "")
		reset(boss, s.approver) // takes nothing back: what the first one left there is there still
		_, err = s.s.Approve(s.Verified(s.approver), id, d, nil)
		want(t, err, fault.Forbidden, "")
		again := func(key string) {
			t.Helper()
			ok(t, s.s.Cancel(s.Verified(s.Admin), id, s.version(id), nil))
			s.Clock.Add(72 * time.Hour)
			s.admin = s.Verified(s.Admin)
			id, d = s.bound(key)
		}
		again("k2")
		_, err = s.s.Approve(s.Verified(s.approver), id, d, nil)
		want(t, err, fault.Forbidden, "") // the clock alone gives nobody their account back
		s.owns(s.approver, access.CredentialSet)
		_, err = s.s.Approve(s.Verified(s.approver), id, d, nil)
		want(t, err, fault.Forbidden, "") // nor does the password alone
		s.owns(s.approver, access.CredentialEnrol)
		reset(boss, s.Admin)
		reset(boss, s.approver)
		_, err = s.s.Approve(s.Verified(s.approver), id, d, nil)
		want(t, err, fault.Forbidden, "") // one may be both of them
		_, err = s.s.Approve(s.Verified(boss), id, d, nil)
		want(t, err, fault.Forbidden, "") // the approver may be the requester

		s.owns(s.Admin, access.CredentialSet, access.CredentialEnrol)
		s.owns(s.approver, access.CredentialSet, access.CredentialEnrol)
		_, err = s.s.Approve(s.Verified(boss), id, d, nil)
		want(t, err, fault.Forbidden, "") // not before 72 hours have passed
		again("k3")                       // by way of a third
		third := s.Member("third", s.Root)
		s.Grant(third, access.Administrator.Name, nid.ID{})
		reset(s.Admin, third)
		reset(third, boss)
		_, err = s.s.Approve(s.Verified(boss), id, d, nil)
		want(t, err, fault.Forbidden, "")
		other := s.Member("other", s.Root)
		s.Grant(other, access.Approver.Name, nid.ID{})
		_, err = s.s.Approve(s.Verified(other), id, d, nil)
		ok(t, err)

		again("k4")
		s.owns(boss, access.CredentialSet, access.CredentialEnrol)
		s.owns(third, access.CredentialSet, access.CredentialEnrol)
		_, err = s.s.Approve(s.Verified(boss), id, d, nil)
		ok(t, err)
	})
}
