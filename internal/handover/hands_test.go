package handover_test

import (
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
)

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
		reset(boss, s.Admin)
		reset(boss, s.approver)
		_, err = s.s.Approve(s.Verified(s.approver), id, d, nil)
		want(t, err, fault.Forbidden, "") // one may be both of them
		_, err = s.s.Approve(s.Verified(boss), id, d, nil)
		want(t, err, fault.Forbidden, "") // the approver may be the requester

		again("k3") // by way of a third
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
		_, err = s.s.Approve(s.Verified(boss), id, d, nil)
		ok(t, err)
	})
}
