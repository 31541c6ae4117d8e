package handover_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
)

// shanghai is the time zone of the corp of the tests.
var shanghai = time.FixedZone("UTC+8", 8*60*60)

// What the forecast says of groups is what then happens, day after day.
func TestTheForecastOfGroupsComesTrue(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		for i := range 7 {
			s.Group(fmt.Sprint("group ", i), s.lina)
		}
		s.Contacts(4, s.lina)
		s.Depart(s.lina)
		s.groupsPerDay(3)
		in := s.all(s.wang)
		p, err := preview(s, in)
		ok(t, err)
		last := s.DB.Now().AddDate(0, 0, 2).In(shanghai).Format(time.DateOnly)
		want := handover.Forecast{
			Today: handover.Share{Contacts: 4, Groups: 3}, Tomorrow: handover.Share{Groups: 3}, Later: handover.Share{Groups: 1}, LastDay: &last,
		}
		if diff := cmp.Diff(want, p.Forecast); diff != "" {
			t.Error(diff)
		}
		id, err := s.s.HandOver(s.admin, in, &p.Digest, "k")
		ok(t, err)
		s.wantStatuses(id, map[string]int{"COMPLETED ": 7, "PLANNED ": 4})
		s.Clock.Add(24 * time.Hour)
		s.work()
		s.wantStatuses(id, map[string]int{"COMPLETED ": 10, "PLANNED ": 1})
		s.Clock.Add(24 * time.Hour)
		s.work()
		s.wantStatuses(id, map[string]int{"COMPLETED ": 11})
	})
}

// A contact that cools down is named as what blocks nothing, and counts on the day
// on which it may move again. What is blocked counts on no day.
func TestTheForecastKnowsWhatCoolsDown(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		zhao := s.Member("zhao", s.Root)
		give := func(from, to nid.ID) handover.Input {
			return handover.Input{Kind: handover.OnJob, LeaverID: from, Successors: handover.Choice{MemberID: &to}}
		}
		s.Contact("wanderer", "NORMAL", s.lina)
		first := s.DB.Now()
		for i, in := range []handover.Input{give(s.lina, s.wang), give(s.wang, zhao)} {
			_, err := s.s.HandOver(s.Verified(s.Corp.Admin), in, nil, fmt.Sprint(i))
			ok(t, err)
			s.Clock.Add(time.Hour)
		}
		s.Contact("newcomer", "NORMAL", zhao)
		check := func(want handover.Forecast, lastDay time.Time) {
			t.Helper()
			p, err := preview(s, give(zhao, s.lina))
			ok(t, err)
			day := lastDay.In(shanghai).Format(time.DateOnly)
			want.LastDay = &day
			if diff := cmp.Diff(want, p.Forecast); diff != "" {
				t.Error(diff)
			}
			cooling := want.Later.Contacts + want.Tomorrow.Contacts
			if cooling == 0 && len(p.Problems) != 0 {
				t.Errorf("problems %+v", p.Problems)
			}
			if cooling > 0 && (len(p.Problems) != 1 || p.Problems[0].Reason != handover.CoolDown || p.Problems[0].Blocking || p.Problems[0].Items != cooling) {
				t.Errorf("problems %+v", p.Problems)
			}
		}
		again := first.AddDate(0, 0, 90)
		check(handover.Forecast{Today: handover.Share{Contacts: 1}, Later: handover.Share{Contacts: 1}}, again)
		s.Clock.Add(again.Sub(s.DB.Now()) - 24*time.Hour)
		check(handover.Forecast{Today: handover.Share{Contacts: 1}, Tomorrow: handover.Share{Contacts: 1}}, again)
		s.Clock.Add(24 * time.Hour)
		check(handover.Forecast{Today: handover.Share{Contacts: 2}}, s.DB.Now())

		s.Depart(s.lina)
		p, err := preview(s, give(zhao, s.lina))
		ok(t, err)
		if diff := cmp.Diff(handover.Forecast{}, p.Forecast); diff != "" {
			t.Errorf("of what is blocked: %s", diff)
		}
	})
}
