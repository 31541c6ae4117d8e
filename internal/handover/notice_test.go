package handover_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/member"
)

// A RESIGNED plan for somebody who is still at work says when it can be executed and
// offers a start; with that start it is scheduled, and begins once the leaver has left.
func TestAPlanDuringTheNoticePeriod(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contacts(3, s.lina)
		s.Group("chat", s.lina)
		s.Leaving(s.lina, "2026-03-31") // now is 17:00 on March 2 in Shanghai
		from := time.Date(2026, 4, 1, 0, 0, 0, 0, shanghai)
		in := s.all(s.wang)
		p, err := preview(s, in)
		ok(t, err)
		if len(p.Problems) != 1 || p.Problems[0].Reason != handover.LeaverStatus || !p.Problems[0].Blocking || p.Problems[0].Items != 4 ||
			p.Problems[0].ExecutableFrom == nil || !p.Problems[0].ExecutableFrom.Equal(from) || p.StartAt == nil || !p.StartAt.Equal(from) {
			t.Fatalf("the preview says %+v, start %v", p.Problems, p.StartAt)
		}
		if f := p.Forecast; f.Later != (handover.Share{Contacts: 3, Groups: 1}) || f.LastDay == nil || *f.LastDay != "2026-04-01" {
			t.Errorf("the forecast is %+v", f)
		}
		_, err = s.s.HandOver(s.admin, in, &p.Digest, "now")
		early := func(err error) {
			t.Helper()
			want(t, err, fault.Conflict, "")
			f, _ := errors.AsType[*fault.Error](err)
			if f.Details["reason"] != "LEAVER_STATUS" || f.Details["executableFrom"] != "2026-03-31T16:00:00Z" || f.Details["startAt"] != "2026-03-31T16:00:00Z" {
				t.Errorf("the refusal says %v", f.Details)
			}
		}
		early(err)
		tooEarly := from.Add(-time.Second)
		_, err = s.s.Create(s.admin, in, &tooEarly, &p.Digest, "too early")
		want(t, err, fault.Invalid, "input.startAt")
		// Without a start it can be put forward, but not executed.
		open, err := s.s.Create(s.admin, in, nil, &p.Digest, "open")
		ok(t, err)
		ok(t, s.s.Submit(s.admin, open, 1))
		early(s.s.Execute(s.admin, open, s.digest(open), "x"))
		ok(t, s.s.Cancel(s.admin, open, s.version(open), nil))

		id, err := s.s.Create(s.admin, in, p.StartAt, &p.Digest, "k")
		ok(t, err)
		ok(t, s.s.Submit(s.admin, id, 1))
		ok(t, s.s.Execute(s.admin, id, s.digest(id), "e"))
		if got := s.state(id); got != "SCHEDULED" {
			t.Fatalf("state %s", got)
		}
		// At the start the departure may not have been made yet: the handover waits for it.
		s.Clock.Add(from.Sub(s.Clock.Now()))
		next, err := s.s.Work(context.Background(), s.ID)
		ok(t, err)
		if got := s.state(id); got != "SCHEDULED" || !next.After(s.Clock.Now()) {
			t.Fatalf("before the departure it is %s, and looked at again at %s", got, next)
		}
		if _, err := (&member.Service{DB: s.DB, Log: s.Log}).Depart(context.Background(), s.ID); err != nil {
			t.Fatal(err)
		}
		s.work()
		if got := s.state(id); got != "COMPLETED" {
			t.Errorf("after the departure it is %s", got)
		}
	})
}

// Where a person has to decide on the departure nobody knows when: the plan says that it
// waits, and a start that comes before the decision holds it back.
func TestAPlanWhileTheDepartureIsHeld(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contacts(1, s.lina)
		s.Held(s.lina, "2026-03-01")
		p, err := preview(s, s.all(s.wang))
		ok(t, err)
		if len(p.Problems) != 1 || p.Problems[0].Reason != handover.LeaverStatus || p.Problems[0].ExecutableFrom != nil || p.StartAt != nil {
			t.Fatalf("the preview says %+v, start %v", p.Problems[0], p.StartAt)
		}
		_, err = s.s.HandOver(s.admin, s.all(s.wang), nil, "now")
		want(t, err, fault.Conflict, "")
		at := s.Clock.Now().Add(time.Hour)
		id, err := s.s.Create(s.admin, s.all(s.wang), &at, nil, "k")
		ok(t, err)
		ok(t, s.s.Submit(s.admin, id, 1))
		ok(t, s.s.Execute(s.admin, id, s.digest(id), "e"))
		s.Clock.Add(time.Hour)
		s.work()
		if got := s.state(id); got != "READY" {
			t.Errorf("state %s", got)
		}
	})
}

// A last day that has passed minutes ago: the departure is due, and the start is soon.
func TestAPlanBetweenTheLastDayAndTheDeparture(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contacts(1, s.lina)
		s.Leaving(s.lina, "2026-03-01")
		p, err := preview(s, s.all(s.wang))
		ok(t, err)
		if from := time.Date(2026, 3, 2, 0, 0, 0, 0, shanghai); !p.Problems[0].ExecutableFrom.Equal(from) {
			t.Errorf("executable from %v", p.Problems[0].ExecutableFrom)
		}
		if p.StartAt == nil || p.StartAt.Sub(s.Clock.Now()) < 30*time.Minute || p.StartAt.Sub(s.Clock.Now()) > 90*time.Minute {
			t.Fatalf("the start is %v", p.StartAt)
		}
		_, err = s.s.Create(s.admin, s.all(s.wang), p.StartAt, &p.Digest, "k")
		ok(t, err)
		// ON_JOB is for those at work.
		on, err := preview(s, s.onJob())
		ok(t, err)
		if len(on.Problems) != 0 || on.StartAt != nil {
			t.Errorf("ON_JOB: %+v", on.Problems)
		}
	})
}

// A message that no platform can carry is refused, whatever the kind.
func TestAMessageIsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contacts(1, s.lina)
		hello := "hello"
		for _, in := range []handover.Input{s.onJob(), s.all(s.wang)} {
			in.Message = &hello
			_, err := preview(s, in)
			want(t, err, fault.Invalid, "input.message")
			_, err = s.s.Create(s.admin, in, nil, nil, "k")
			want(t, err, fault.Invalid, "input.plan.message")
			_, err = s.s.HandOver(s.admin, in, nil, "k")
			want(t, err, fault.Invalid, "input.plan.message")
		}
	})
}
