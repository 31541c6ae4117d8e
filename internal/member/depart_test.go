package member_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// staff adds n members to sales.
func (s *scene) staff(n int) []nid.ID {
	s.t.Helper()
	out := make([]nid.ID, n)
	for i := range out {
		out[i] = s.Member(fmt.Sprint("staff ", i), s.sales)
	}
	return out
}

// limits sets how many departures the corp takes for plausible, as two people would.
func (s *scene) limits(perHour, percent int) {
	s.t.Helper()
	s.must(s.raw("corp_settings", `INSERT INTO corp_settings (corp_id, moves_per_contact, moves_within_days, groups_per_day, departures_per_hour, departures_percent, revertible_days, version, updated_at)
		VALUES ($1, 2, 90, 300, $2, $3, 30, 1, $4) ON CONFLICT (corp_id) DO UPDATE SET departures_per_hour = excluded.departures_per_hour,
		departures_percent = excluded.departures_percent RETURNING corp_id`, s.ID, perHour, percent, s.DB.Now()))
}

func (s *scene) held() int {
	s.t.Helper()
	return s.count(`SELECT count(*) FROM members WHERE corp_id = $1 AND status = 'LEAVING' AND departure_held_at IS NOT NULL`, s.ID)
}

func (s *scene) departed() int {
	s.t.Helper()
	return s.count(`SELECT count(*) FROM members WHERE corp_id = $1 AND status = 'DEPARTED'`, s.ID)
}

func TestDepartAfterTheLastDay(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("contact", "NORMAL", s.lina)
		s.Grant(s.lina, access.Approver.Name, nid.ID{})
		s.SignedIn(s.lina, false)
		s.must(s.s.Schedule(s.proven(), member.ScheduleInput{MemberID: s.lina, LastDay: today}))
		s.must(s.s.Schedule(s.admin, member.ScheduleInput{MemberID: s.wang, LastDay: "2026-03-05"}))
		s.Clock.Add(7*time.Hour - time.Microsecond) // still today in Shanghai
		if next, want := s.run(), time.Date(2026, 3, 2, 16, 0, 0, 0, time.UTC); s.status(s.lina) != "LEAVING" || !next.Equal(want) {
			t.Fatalf("before midnight lina is %s, next at %s", s.status(s.lina), next)
		}
		s.Clock.Add(time.Microsecond)
		for range 2 { // the second time there is nothing to do
			if next, want := s.run(), time.Date(2026, 3, 5, 16, 0, 0, 0, time.UTC); !next.Equal(want) {
				t.Errorf("next at %s, not %s", next, want)
			}
			if s.status(s.lina) != "DEPARTED" || s.status(s.wang) != "LEAVING" {
				t.Fatalf("lina is %s, wang %s", s.status(s.lina), s.status(s.wang))
			}
		}
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE action = $1 AND subject_id = $2 AND actor_kind = 'SYSTEM'`, string(access.MemberDeactivate), s.lina); n != 1 {
			t.Errorf("%d entries of the system", n)
		}
		if n := s.count(`SELECT count(*) FROM sessions WHERE member_id = $1`, s.lina) + s.count(`SELECT count(*) FROM grants WHERE member_id = $1 AND revoked_at IS NULL`, s.lina); n != 0 {
			t.Errorf("lina has %d sessions and grants", n)
		}
		s.Clock.Add(4 * 24 * time.Hour)
		if next := s.run(); !next.IsZero() || s.status(s.wang) != "DEPARTED" {
			t.Errorf("wang is %s, next at %s", s.status(s.wang), next)
		}
	})
}

// More than are plausible are held back, every one of them, and nothing else of them
// is touched; a person lets them go one by one, confirming where it becomes many.
func TestMassDepartureIsHeldBack(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.limits(3, 100)
		staff := s.staff(5)
		for _, id := range staff[:4] {
			s.Contact("contact", "NORMAL", id)
			s.Leaving(id, yesterday)
		}
		s.run()
		if s.held() != 4 || s.departed() != 0 {
			t.Fatalf("%d held, %d departed", s.held(), s.departed())
		}
		if n := s.entries(access.DepartureHold, staff[0]); n != 1 {
			t.Errorf("%d entries", n)
		}
		if n := s.count(`SELECT count(*) FROM contacts WHERE protected`); n != 0 {
			t.Errorf("%d contacts protected", n)
		}
		// Another one within the hour is held back with them; two hours later nobody
		// goes who was held back, and who comes due then goes.
		s.Clock.Add(30 * time.Minute)
		s.Leaving(staff[4], yesterday)
		s.run()
		if s.held() != 5 {
			t.Fatalf("%d held", s.held())
		}
		s.Clock.Add(2 * time.Hour)
		s.Leaving(s.wang, yesterday)
		s.run()
		if s.held() != 5 || s.departed() != 1 || s.status(s.wang) != "DEPARTED" {
			t.Fatalf("later: %d held, %d departed", s.held(), s.departed())
		}
		// Wang was the first of the hour.
		s.admin = s.SignedIn(s.Admin, false)
		for _, id := range staff[:2] {
			_, err := s.s.Deactivate(s.admin, member.DeactivateInput{MemberID: id, Mode: member.Depart})
			s.must(err)
		}
		in := member.DeactivateInput{MemberID: staff[2], Mode: member.Disable}
		_, err := s.s.Deactivate(s.admin, in)
		want(t, err, fault.Conflict, "input.confirmMassDeparture")
		if f, _ := errors.AsType[*fault.Error](err); f.Details["departures"] != 4 || f.Details["withinMinutes"] != 60 {
			t.Errorf("details %v", f.Details)
		}
		in.ConfirmMassDeparture = true
		_, err = s.s.Deactivate(store.System(t.Context(), s.ID, "no person"), in)
		want(t, err, fault.Conflict, "input.confirmMassDeparture")
		_, err = s.s.Deactivate(s.admin, in)
		want(t, err, fault.StepUpRequired, "")
		_, err = s.s.Deactivate(s.proven(), in) // the clock asked for it, so any person confirms
		s.must(err)
		if s.held() != 2 || s.count(`SELECT count(*) FROM members WHERE departure_held_at IS NOT NULL`) != 2 {
			t.Errorf("%d held after three were let go", s.held())
		}
		// Disabling counts too, whatever has changed of the disabled member since.
		s.limits(4, 100)
		in.MemberID = staff[3]
		in.ConfirmMassDeparture = false
		_, err = s.s.Deactivate(s.admin, in)
		want(t, err, fault.Conflict, "input.confirmMassDeparture")
		s.Clock.Add(61 * time.Minute)
		s.must(s.raw("members", `UPDATE members SET updated_at = $2 WHERE corp_id = $1 AND status = 'DISABLED' RETURNING id`, s.ID, s.DB.Now()))
		_, err = s.s.Deactivate(s.SignedIn(s.Admin, false), in)
		s.must(err)
		// Scheduling anew, and taking the departure back, end a hold as well.
		s.must(s.s.Schedule(s.proven(), member.ScheduleInput{MemberID: staff[4], LastDay: "2026-03-03"}))
		if s.held() != 0 {
			t.Errorf("%d held", s.held())
		}
	})
}

// The percentage is of those who were at work when the hour began, and two may
// always go.
func TestMassDepartureByShare(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.limits(1000, 10)
		staff := s.staff(36) // 40 with the administrator, boss, lina and wang
		leave := func(n int) {
			for _, id := range staff[:n] {
				s.Leaving(id, yesterday)
			}
			staff = staff[n:]
			s.run()
			s.Clock.Add(2 * time.Hour)
		}
		leave(5)
		if s.held() != 5 || s.departed() != 0 {
			t.Fatalf("5 of 40: %d held, %d departed", s.held(), s.departed())
		}
		leave(4)
		if s.departed() != 4 {
			t.Fatalf("4 of 40: %d departed", s.departed())
		}
		s.limits(1000, 1)
		leave(2)
		if s.departed() != 6 {
			t.Errorf("two of 36 at 1%%: %d departed", s.departed())
		}
		leave(3)
		if s.departed() != 6 || s.held() != 8 {
			t.Errorf("three of 34 at 1%%: %d departed, %d held", s.departed(), s.held())
		}
	})
}

// Who cannot go without a person's doing is held back, and nobody else is for it.
func TestDepartureThatNobodyCouldFollow(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Leaving(s.Admin, yesterday) // fallback and only administrator
		s.Leaving(s.lina, yesterday)
		s.run()
		if s.status(s.lina) != "DEPARTED" || s.status(s.Admin) != "LEAVING" || s.held() != 1 {
			t.Errorf("lina is %s, the administrator %s, %d held", s.status(s.lina), s.status(s.Admin), s.held())
		}
		s.run()
		if n := s.entries(access.DepartureHold, s.Admin); n != 1 {
			t.Errorf("%d entries", n)
		}
	})
}

// Replicas may all look at once: every departure is made once.
func TestDepartInSeveralReplicas(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.limits(5, 100)
		staff := s.staff(5)
		for _, id := range staff {
			s.Contact("contact", "NORMAL", id, s.wang)
			s.Leaving(id, yesterday)
		}
		s.replicas(4)
		if s.departed() != 5 {
			t.Fatalf("%d departed", s.departed())
		}
		for _, id := range staff {
			if n := s.entries(access.MemberDeactivate, id); n != 1 {
				t.Errorf("%d entries of one departure", n)
			}
		}
	})
}

// replicas run Depart at the same moment, until none of them has anything left to do.
func (s *scene) replicas(n int) {
	s.t.Helper()
	errs := make([]error, n)
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() {
			for range 5 { // a worker tries again what was in somebody's way
				if _, errs[i] = s.s.Depart(context.Background(), s.ID); errs[i] == nil {
					return
				}
			}
		})
	}
	wait.Wait()
	s.must(errors.Join(errs...))
}

// However departures fall, and whatever people do besides, no more than the limit go
// within any hour without a person.
func TestNeverMoreThanTheLimitDepartByThemselves(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		n := 0
		rapid.Check(t, func(rt *rapid.T) {
			n++
			c := testcorp.New(t, db, clock, fmt.Sprint("corp ", n))
			s := &scene{Corp: c, t: t, s: &member.Service{DB: db, Log: c.Log}, sales: c.Root}
			perHour, percent := rapid.IntRange(1, 5).Draw(rt, "an hour"), rapid.SampledFrom([]int{1, 25, 100}).Draw(rt, "percent")
			s.limits(perHour, percent)
			staff := s.staff(12)
			limit := min(perHour, max(2, percent*len(staff)/100+1)) // the administrator is at work too
			for range rapid.IntRange(2, 8).Draw(rt, "steps") {
				for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(staff)-1), 0, 4).Draw(rt, "due") {
					if s.status(staff[i]) == "ACTIVE" {
						s.Leaving(staff[i], "2026-01-01")
					}
				}
				if i := rapid.IntRange(0, 3*len(staff)).Draw(rt, "deactivated"); i < len(staff) {
					_, err := s.s.Deactivate(s.proven(), member.DeactivateInput{MemberID: staff[i], Mode: member.Disable, ConfirmMassDeparture: true})
					if err != nil && fault.CodeOf(err) != fault.Conflict {
						rt.Fatal(err)
					}
				}
				s.replicas(rapid.IntRange(1, 2).Draw(rt, "replicas"))
				clock.Add(time.Duration(rapid.IntRange(0, 70).Draw(rt, "minutes")) * time.Minute)
			}
			var times []time.Time
			s.must(db.View(store.System(t.Context(), s.ID, "test"), func(ctx context.Context, r *store.Read) (err error) {
				times, err = store.Select(ctx, r, func(t *time.Time) []any { return []any{t} }, `SELECT at FROM audit_entries
					WHERE corp_id = $1 AND action = $2 AND actor_kind = 'SYSTEM' ORDER BY at`, s.ID, string(access.MemberDeactivate))
				return err
			}))
			for i, at := range times {
				within := slices.IndexFunc(times, func(t time.Time) bool { return at.Sub(t) < time.Hour })
				if i-within+1 > limit {
					rt.Fatalf("%d departed by themselves within an hour, the limit is %d: %v", i-within+1, limit, times)
				}
			}
		})
	})
}

// Unless told otherwise the test is short (rapid's own default is 100 sequences) and
// leaves no files.
func init() {
	for name, value := range map[string]string{"rapid.checks": "20", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
}

// People who deactivate at the same moment do not each believe to be the first.
func TestDeactivationsTakeTheirTurn(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.limits(3, 100)
		staff := s.staff(8)
		errs := make([]error, len(staff))
		var wait sync.WaitGroup
		for i, id := range staff {
			wait.Go(func() {
				_, errs[i] = s.s.Deactivate(s.admin, member.DeactivateInput{MemberID: id, Mode: member.Depart})
			})
		}
		wait.Wait()
		for _, err := range errs {
			if err != nil {
				want(t, err, fault.Conflict, "input.confirmMassDeparture")
			}
		}
		if s.departed() != 3 {
			t.Errorf("%d departed", s.departed())
		}
	})
}
