package handover_test

import (
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
)

// bound makes a handover of a KEY contact to wang and submits it.
func (s *scene) bound(key string) (id nid.ID, digest string) {
	s.t.Helper()
	id, err := s.s.Create(s.admin, s.all(s.wang), nil, key)
	ok(s.t, err)
	ok(s.t, s.s.Submit(s.admin, id, 1))
	return id, s.digest(id)
}

func (s *scene) version(id nid.ID) int {
	s.t.Helper()
	return s.count(`SELECT version FROM handovers WHERE id = $1`, id)
}

// Whoever replans somebody else's handover has made the plan: the first requester
// may approve it, they may not.
func TestWhoReplansCannotApprove(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("big", "KEY", s.lina)
		zhao, second := s.Member("zhao", s.Root), s.Member("second", s.Root)
		s.Grant(second, access.Administrator.Name, nid.ID{})
		s.Depart(s.lina)
		id, _ := s.bound("k")
		replanner := s.Verified(second)
		ok(t, s.s.Replan(replanner, id, s.version(id), s.all(zhao)))
		ok(t, s.s.Submit(replanner, id, s.version(id)))
		_, err := s.s.Approve(replanner, id, s.digest(id), nil)
		want(t, err, fault.Forbidden, "")
		_, err = s.s.Approve(s.admin, id, s.digest(id), nil)
		ok(t, err)
		ok(t, s.s.Execute(replanner, id, s.digest(id), "x"))
	})
}
