package handover_test

import (
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
)

// load is what a preview says of one successor.
func (s *scene) load(in handover.Input, of nid.ID) handover.Load {
	s.t.Helper()
	p, err := preview(s, in)
	ok(s.t, err)
	for _, l := range p.Successors {
		if l.Member == of {
			return l
		}
	}
	s.t.Fatal("no such successor")
	return handover.Load{}
}

// What an open plan will bring a successor counts for the plans of others until it is
// executed or given up, and its own items never count twice.
func TestOpenPlansCountEachOthersLoad(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		zhao := s.Member("zhao", s.Root)
		mine := s.Contacts(3, s.lina)
		s.Contacts(3, zhao)
		s.Contact("shared", "NORMAL", s.lina, s.wang) // takes no room
		s.Group("chat", s.lina)
		s.Contacts(1, s.wang)
		s.Depart(s.lina)
		s.Depart(zhao)
		s.Limit(s.wang, 6)
		first := s.all(s.wang)
		second := handover.Input{Kind: handover.Resigned, LeaverID: zhao, Successors: handover.Choice{MemberID: &s.wang}}
		is := func(what string, before, promised, after int) {
			t.Helper()
			if l := s.load(second, s.wang); l.Before != before || l.Promised != promised || l.After != after || l.Limit != 6 || l.Contacts != 3 {
				t.Errorf("%s: %+v", what, l)
			}
		}
		is("alone", 2, 0, 5)
		id, err := s.s.Create(s.admin, first, nil, nil, "first")
		ok(t, err)
		is("beside a draft", 2, 0, 5)
		ok(t, s.s.Submit(s.admin, id, 1))
		is("beside a plan put forward", 5, 3, 8)
		if l := s.load(first, s.wang); l.Before != 2 || l.Promised != 0 {
			t.Errorf("its own items count twice: %+v", l)
		}
		p, err := preview(s, second)
		ok(t, err)
		if len(p.Problems) != 1 || p.Problems[0].Reason != handover.SuccessorFull || p.Problems[0].Items != 2 ||
			!strings.Contains(p.Problems[0].Text.EN, "the 3 that other open plans") {
			t.Errorf("problems %+v", p.Problems)
		}
		late, err := s.s.Create(s.admin, second, nil, nil, "second")
		ok(t, err)
		want(t, s.s.Submit(s.admin, late, 1), fault.Limit, "input.id")
		_, err = s.s.HandOver(s.admin, second, nil, "at once")
		want(t, err, fault.Limit, "input.plan")
		// Replanned, a plan promises what the new one gives, no more.
		in := first
		in.Select = pickContacts(mine[:1])
		ok(t, s.s.Replan(s.admin, id, s.version(id), in))
		ok(t, s.s.Submit(s.admin, id, s.version(id)))
		is("beside a smaller plan", 3, 1, 6)
		ok(t, s.s.Submit(s.admin, late, s.version(late)))
		// Executing goes by what is there: who comes first has the room.
		ok(t, s.s.Execute(s.admin, late, s.digest(late), "x"))
		s.wantStatuses(late, map[string]int{"COMPLETED ": 3})
		ok(t, s.s.Execute(s.admin, id, s.digest(id), "y"))
		s.wantStatuses(id, map[string]int{"COMPLETED ": 1})
		if l := s.load(func() handover.Input { in := first; in.Select = pickContacts(mine[1:2]); return in }(), s.wang); l.Before != 6 || l.Promised != 0 {
			t.Errorf("after both: %+v", l)
		}
	})
}

// LEAST_LOADED counts what other open plans will bring, so two plans do not both choose
// the one who has the least today.
func TestLeastLoadedCountsOpenPlans(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		zhao, leo := s.Member("zhao", s.Root), s.Member("leo", s.Root)
		s.Contacts(4, s.lina)
		s.Contacts(2, leo)
		s.Contacts(1, zhao)
		s.Depart(s.lina)
		s.Depart(leo)
		share := func(leaver nid.ID) handover.Input {
			return handover.Input{Kind: handover.Resigned, LeaverID: leaver, Successors: handover.Choice{
				Split: &handover.Split{Method: "LEAST_LOADED", MemberIDs: []nid.ID{s.wang, zhao}}}}
		}
		if l := s.load(share(leo), s.wang); l.Contacts != 2 {
			t.Errorf("alone wang gets %+v", l)
		}
		in := s.all(s.wang)
		id, err := s.s.Create(s.admin, in, nil, nil, "k")
		ok(t, err)
		ok(t, s.s.Submit(s.admin, id, 1))
		p, err := preview(s, share(leo))
		ok(t, err)
		for _, it := range p.Items {
			if it.To != zhao {
				t.Errorf("an item goes to %s because %s", it.To, it.Because)
			}
		}
		if p.Items[1].Because != "split:LEAST_LOADED:2" {
			t.Errorf("because %s", p.Items[1].Because)
		}
	})
}
