package handover_test

import (
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
)

// regions is a scene with a manager of one department and people of another.
func (s *scene) regions() (north, south, leaver, successor nid.ID) {
	north, south = s.Department("north", s.Root), s.Department("south", s.Root)
	return north, south, s.Member("leaver", north), s.Member("successor", south)
}

// What one may read one may be refused; what one may not read is not there. Reading
// and the use cases go by the same rule.
func TestWhoSeesIsForbiddenWhoDoesNotFindsNothing(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		north, south, leaver, successor := s.regions()
		s.Contacts(1, leaver)
		s.Depart(leaver)
		id, err := s.s.Create(s.admin, handover.Input{Kind: handover.Resigned, LeaverID: leaver, Successors: handover.Choice{MemberID: &successor}}, nil, nil, "k")
		ok(t, err)
		ok(t, s.s.Submit(s.admin, id, 1))
		east := s.Department("east", s.Root)
		for _, c := range []struct {
			who    string
			member nid.ID
			in     nid.ID
			role   string
			code   fault.Code
			field  string
		}{
			{"sees the leaver", s.Member("a", s.Root), north, access.Approver.Name, fault.Forbidden, ""},
			{"sees the successor", s.Member("b", s.Root), south, access.Manager.Name, fault.Forbidden, ""},
			{"sees neither", s.Member("c", s.Root), east, access.Manager.Name, fault.NotFound, "input.id"},
			{"reads statistics", s.Member("d", s.Root), nid.ID{}, access.Reporter.Name, fault.NotFound, "input.id"},
		} {
			s.Grant(c.member, c.role, c.in)
			want(t, s.s.Execute(s.Verified(c.member), id, s.digest(id), c.who), c.code, c.field)
		}
	})
}

// A preview tells of a successor outside the planner's scope that they are outside,
// and nothing about their work.
func TestPreviewShowsNothingOfOutsiders(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		north, _, leaver, successor := s.regions()
		s.Contacts(2, leaver)
		s.Contacts(3, successor)
		s.Depart(leaver)
		s.Depart(successor)
		boss := s.Member("boss", north)
		s.Grant(boss, access.Manager.Name, north)
		in := handover.Input{Kind: handover.Resigned, LeaverID: leaver, Successors: handover.Choice{MemberID: &successor}}
		ctx, done := s.DB.Reading(s.Verified(boss))
		defer done()
		p, err := s.s.Preview(ctx, in)
		ok(t, err)
		if got, want := p.Successors[0], (handover.Load{Member: successor, Contacts: 2, After: 2}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if len(p.Problems) != 1 || p.Problems[0].Reason != handover.SuccessorOutOfScope || !p.Problems[0].Blocking {
			t.Errorf("problems: %+v", p.Problems)
		}
		_, err = s.s.HandOver(s.Verified(boss), in, nil, "k")
		want(t, err, fault.Invalid, "input.plan")
	})
}
