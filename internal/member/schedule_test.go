package member_test

import (
	"context"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// The tests' clock starts on 2026-03-02 at 09:00 UTC, which is 17:00 in Shanghai.
const today, yesterday = "2026-03-02", "2026-03-01"

func (s *scene) lastDay(id nid.ID) string {
	s.t.Helper()
	return testcorp.Value[string](s.Corp, `SELECT coalesce(last_day, '') FROM members WHERE id = $1`, id)
}

// alarm is when departures are to be looked for.
func (s *scene) alarm() time.Time {
	s.t.Helper()
	return testcorp.Value[time.Time](s.Corp, `SELECT due_at FROM alarms WHERE corp = $1 AND kind = $2`, s.ID, member.WorkDepartures)
}

// run makes the departures that are due.
func (s *scene) run() time.Time {
	s.t.Helper()
	next, err := s.s.Depart(context.Background(), s.ID)
	s.must(err)
	return next
}

func TestSchedule(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.must(s.s.Schedule(s.admin, member.ScheduleInput{MemberID: s.lina, LastDay: "2026-03-31"}))
		if got := s.status(s.lina) + " " + s.lastDay(s.lina); got != "LEAVING 2026-03-31" {
			t.Errorf("lina is %s", got)
		}
		// The first of April begins in Shanghai at 16:00 UTC of the day before.
		if got, want := s.alarm(), time.Date(2026, 3, 31, 16, 0, 0, 0, time.UTC); !got.Equal(want) {
			t.Errorf("the alarm is set for %s, not %s", got, want)
		}
		want(t, s.s.Schedule(s.admin, member.ScheduleInput{MemberID: s.lina, LastDay: today}), fault.StepUpRequired, "")
		s.must(s.s.Schedule(s.proven(), member.ScheduleInput{MemberID: s.lina, LastDay: today}))
		if got, want := s.alarm(), time.Date(2026, 3, 2, 16, 0, 0, 0, time.UTC); !got.Equal(want) {
			t.Errorf("an earlier day: the alarm is set for %s, not %s", got, want)
		}
		if n := s.entries(access.DepartureSet, s.lina); n != 2 {
			t.Errorf("%d entries", n)
		}
		if n := s.count(`SELECT version FROM members WHERE id = $1`, s.lina); n != 3 {
			t.Errorf("version %d", n)
		}
	})
}

// Whose access ends by it holds a grant: a session that somebody else got hold of does not
// do that, on whatever day.
func TestScheduleNeedsAProofForWhoHoldsAGrant(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		in := member.ScheduleInput{MemberID: s.lina, LastDay: "2026-03-31"}
		s.Grant(s.lina, access.Approver.Name, nid.ID{})
		want(t, s.s.Schedule(s.admin, in), fault.StepUpRequired, "")
		if got := s.status(s.lina); got != "ACTIVE" {
			t.Errorf("lina is %s", got)
		}
		s.must(s.s.Schedule(s.proven(), in))
		s.must(s.raw("grants", `UPDATE grants SET revoked_at = $3 WHERE corp_id = $1 AND member_id = $2 RETURNING id`, s.ID, s.lina, s.DB.Now()))
		in.LastDay = "2026-04-30"
		s.must(s.s.Schedule(s.admin, in))
	})
}

func TestScheduleRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		schedule := func(ctx context.Context, id nid.ID, day string) error {
			return s.s.Schedule(ctx, member.ScheduleInput{MemberID: id, LastDay: day})
		}
		for _, day := range []string{yesterday, "2028-03-03", "2026-02-30", "2026-3-9", "tomorrow", ""} {
			want(t, schedule(s.admin, s.lina, day), fault.Invalid, "input.lastDay")
		}
		s.must(schedule(s.admin, s.wang, "2028-03-02"))
		// At 16:30 UTC it is the next day in Shanghai.
		s.Clock.Add(7*time.Hour + 30*time.Minute)
		want(t, schedule(s.SignedIn(s.Admin, false), s.lina, today), fault.Invalid, "input.lastDay")
		admin := s.SignedIn(s.Admin, false)

		const day = "2026-04-01"
		manager := s.Member("manager", s.sales)
		s.Grant(manager, access.Manager.Name, s.sales)
		far := s.Member("far", s.Root)
		s.must(schedule(s.SignedIn(manager, false), s.lina, day))
		want(t, schedule(s.SignedIn(manager, false), far, day), fault.Forbidden, "")
		want(t, schedule(s.SignedIn(manager, false), manager, day), fault.Invalid, "input.memberId")
		want(t, schedule(s.SignedIn(s.wang, false), s.lina, day), fault.Forbidden, "")
		want(t, schedule(admin, nid.New(nid.Member), day), fault.NotFound, "input.memberId")
		want(t, schedule(store.System(t.Context(), s.ID, "test"), s.Admin, day), fault.Conflict, "input.memberId") // the fallback
		s.depart(far)
		want(t, schedule(admin, far, day), fault.Conflict, "input.memberId")
	})
}

func TestReinstateTakesADepartureBack(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		k := s.Contact("contact", "NORMAL", s.lina)
		plans := &handover.Service{DB: s.DB, Log: s.Log}
		s.must(s.s.Schedule(s.proven(), member.ScheduleInput{MemberID: s.lina, LastDay: today}))
		id, err := plans.Create(s.admin, handover.Input{Kind: handover.Resigned, LeaverID: s.lina, Successors: handover.Choice{MemberID: &s.wang}}, nil, nil, "key")
		s.must(err)
		touched := testcorp.Value[time.Time](s.Corp, `SELECT updated_at FROM contacts WHERE id = $1`, k)
		s.Clock.Add(time.Minute)
		s.must(s.s.Reinstate(s.proven(), back(s.lina)))
		if got := s.status(s.lina) + s.lastDay(s.lina); got != "ACTIVE" {
			t.Errorf("lina is %s", got)
		}
		if got := testcorp.Value[string](s.Corp, `SELECT state FROM handovers WHERE id = $1`, id); got != "CANCELLED" {
			t.Errorf("the plan is %s", got)
		}
		if got := testcorp.Value[time.Time](s.Corp, `SELECT updated_at FROM contacts WHERE id = $1`, k); !got.Equal(touched) {
			t.Error("her contact was touched, which nothing had happened to")
		}
		s.Clock.Add(24 * time.Hour)
		s.run()
		if got := s.status(s.lina); got != "ACTIVE" {
			t.Errorf("a departure that was taken back: lina is %s", got)
		}
	})
}
