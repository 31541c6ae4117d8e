package handover_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// work lets the background do all it has to.
func (s *scene) work() {
	s.t.Helper()
	_, err := s.s.Work(context.Background(), s.ID)
	ok(s.t, err)
}

func (s *scene) statuses(id nid.ID) map[string]int {
	s.t.Helper()
	out := map[string]int{}
	type row struct {
		status, reason string
		n              int
	}
	err := s.DB.View(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, q *store.Read) error {
		rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.status, &r.reason, &r.n} },
			`SELECT status, coalesce(reason, ''), count(*) FROM transfers WHERE handover_id = $1 GROUP BY 1, 2`, id)
		for _, r := range rows {
			out[(r.status + " " + r.reason)] += r.n
		}
		return err
	})
	ok(s.t, err)
	return out
}

func (s *scene) wantStatuses(id nid.ID, want map[string]int) {
	s.t.Helper()
	if got := s.statuses(id); fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("transfers are %v, want %v", got, want)
	}
}

func (s *scene) verifies() {
	s.t.Helper()
	if _, err := audit.Verify(context.Background(), s.DB, s.ID, audit.Trust{}, nil); err != nil {
		s.t.Errorf("the log does not verify: %v", err)
	}
}

// running is a handover of n contacts that the background is to carry out.
func (s *scene) running(n int) (id nid.ID, contacts []nid.ID) {
	s.t.Helper()
	contacts = s.Contacts(n, s.lina)
	s.Depart(s.lina)
	id, err := s.s.HandOver(s.admin, s.all(s.wang), nil, "k")
	ok(s.t, err)
	if got := s.state(id); got != "RUNNING" {
		s.t.Fatalf("state %s, want RUNNING", got)
	}
	return id, contacts
}

func TestMoreThanOneTransactionGoesOnInTheBackground(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id, _ := s.running(450)
		s.work()
		s.wantStatuses(id, map[string]int{"COMPLETED ": 450})
		if got := s.state(id); got != "COMPLETED" {
			t.Errorf("state %s", got)
		}
		if n := s.count(`SELECT count(*) FROM follows WHERE member_id = $1 AND ended_at IS NULL`, s.wang); n != 450 {
			t.Errorf("wang follows %d", n)
		}
		if n := s.count(`SELECT contacts FROM member_counters WHERE member_id = $1`, s.wang); n != 450 {
			t.Errorf("wang's counter says %d", n)
		}
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE action = 'transfer.finish' AND handover_id = $1`, id); n != 450 {
			t.Errorf("%d entries", n)
		}
		s.verifies()
	})
}

// Two replicas share the work, and a worker that was frozen wakes up to nothing.
func TestReplicasShareAndStaleClaimsWriteNothing(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.s.AtOnce = 10
		id, _ := s.running(200)
		errs := inParallel(2, func(int) error {
			_, err := (&handover.Service{DB: s.DB, Log: s.Log, AtOnce: 10}).Work(context.Background(), s.ID)
			return err
		})
		for _, err := range errs {
			ok(t, err)
		}
		s.work()
		s.wantStatuses(id, map[string]int{"COMPLETED ": 200})
		s.verifies()
	})
}

func TestRightsVotesAndOwnersAreThoseOfEachChunk(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.s.AtOnce = 2
		id, contacts := s.running(6)
		slices.SortFunc(contacts, func(a, b nid.ID) int { return slices.Compare(a[:], b[:]) })
		// Before the background comes to it, one is moved by somebody else and one becomes KEY.
		s.raw("follows", `UPDATE follows SET owner_version = owner_version + 1 WHERE contact_id = $1 RETURNING id`, contacts[1])
		s.raw("contacts", `UPDATE contacts SET importance = 'KEY' WHERE id = $1 RETURNING id`, contacts[4])
		s.keyCounter(s.lina, 1)
		s.work()
		s.wantStatuses(id, map[string]int{"COMPLETED ": 4, "SKIPPED OWNER_CHANGED": 1, "FAILED NEEDS_APPROVAL": 1})
		if got := s.state(id); got != "PARTIAL" {
			t.Errorf("state %s", got)
		}
		s.verifies()
	})
}

func (s *scene) keyCounter(member nid.ID, n int) {
	s.t.Helper()
	ok(s.t, s.DB.Tx(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Keep(ctx, "member_counters", `UPDATE member_counters SET key_contacts = key_contacts + $2 WHERE member_id = $1`, member, n)
		return err
	}))
}

func TestWhoExecutedLosesTheRight(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.s.AtOnce = 2
		s.Contacts(5, s.lina)
		s.Depart(s.lina)
		id, err := s.s.HandOver(s.Verified(s.manager), s.all(s.wang), nil, "k")
		ok(t, err)
		s.raw("grants", `UPDATE grants SET revoked_at = created_at WHERE member_id = $1 RETURNING id`, s.manager)
		s.work()
		s.wantStatuses(id, map[string]int{"FAILED NOT_PERMITTED": 5})
		if got := s.state(id); got != "FAILED" {
			t.Errorf("state %s", got)
		}
		// Somebody who may tries again.
		out, err := s.s.Retry(s.admin, id, nil, nil, "again")
		ok(t, err)
		if out != id {
			t.Errorf("retried as %s", out)
		}
		s.work()
		s.wantStatuses(id, map[string]int{"COMPLETED ": 5})
		s.verifies()
	})
}

// One transfer that cannot be carried out does not hold up the rest.
func TestAPoisonedTransferFailsAlone(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.s.AtOnce = 8
		id, contacts := s.running(20)
		s.raw("ownership_periods", `DELETE FROM ownership_periods WHERE contact_id = $1 RETURNING id`, contacts[7])
		for range 3 { // a turn may end while it looks for the culprit
			s.work()
		}
		s.wantStatuses(id, map[string]int{"COMPLETED ": 19, "FAILED UNEXPECTED": 1})
		s.verifies()
	})
}

func TestCancelStopsARun(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.s.AtOnce = 2
		id, _ := s.running(6)
		v := s.version(id)
		want(t, s.s.Cancel(s.admin, id, v-1, nil), fault.Conflict, "input.version")
		ok(t, s.s.Cancel(s.admin, id, v, nil))
		want(t, s.s.Cancel(s.admin, id, v+1, nil), fault.Conflict, "")
		s.work()
		s.wantStatuses(id, map[string]int{"CANCELLED ": 6})
		if got := s.state(id); got != "CANCELLED" {
			t.Errorf("state %s", got)
		}
		s.verifies()
	})
}

func TestAStartAhead(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contacts(3, s.lina)
		s.Depart(s.lina)
		past, at := s.DB.Now().Add(-time.Minute), s.DB.Now().Add(2*time.Hour)
		_, err := s.s.Create(s.admin, s.all(s.wang), &past, nil, "k0")
		want(t, err, fault.Invalid, "input.startAt")
		id, err := s.s.Create(s.admin, s.all(s.wang), &at, nil, "k1")
		ok(t, err)
		ok(t, s.s.Submit(s.admin, id, 1))
		ok(t, s.s.Execute(s.Verified(s.Corp.Admin), id, s.digest(id), "k2"))
		if got := s.state(id); got != "SCHEDULED" {
			t.Fatalf("state %s", got)
		}
		next, err := s.s.Work(context.Background(), s.ID)
		ok(t, err)
		if !next.Equal(at) || s.state(id) != "SCHEDULED" {
			t.Fatalf("next at %s, state %s", next, s.state(id))
		}
		s.Clock.Add(2 * time.Hour)
		s.work()
		s.wantStatuses(id, map[string]int{"COMPLETED ": 3})
		s.verifies()
	})
}

func TestAStartIsHeldBack(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contacts(3, s.lina)
		s.Depart(s.lina)
		at := s.DB.Now().Add(time.Hour)
		id, err := s.s.Create(s.admin, s.all(s.wang), &at, nil, "k1")
		ok(t, err)
		ok(t, s.s.Submit(s.admin, id, 1))
		ok(t, s.s.Execute(s.admin, id, s.digest(id), "k2"))
		s.Depart(s.wang)
		s.Clock.Add(time.Hour)
		s.work()
		if got := s.state(id); got != "READY" {
			t.Fatalf("state %s", got)
		}
		stored := testcorp.Value[string](s.Corp, `SELECT hold_reason FROM handovers WHERE id = $1`, id)
		if text, there := handover.HeldBecause(&stored); !there || text.EN != handover.SuccessorNotActive.Text().EN {
			t.Errorf("held because %q", stored)
		}
		s.verifies()
	})
}

func TestApprovalsExpire(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("big customer", "KEY", s.lina)
		s.Depart(s.lina)
		id, _ := s.bound("k")
		s.Clock.Add(73 * time.Hour)
		s.work()
		if got := s.state(id); got != "DRAFT" {
			t.Errorf("state %s", got)
		}
		s.verifies()
	})
}

func (s *scene) groupsPerDay(n int) {
	s.raw("corp_settings", `INSERT INTO corp_settings (corp_id, moves_per_contact, moves_within_days, groups_per_day, departures_per_hour, departures_percent, revertible_days, version, updated_at)
		VALUES ($1, 2, 90, $3, 20, 10, 30, 1, $2) RETURNING corp_id`, s.ID, s.DB.Now(), n)
}

func TestGroupsBeyondADaysQuotaGoTomorrow(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		for i := range 5 {
			s.Group(fmt.Sprint("group ", i), s.lina)
		}
		s.Depart(s.lina)
		s.groupsPerDay(3)
		id, err := s.s.HandOver(s.admin, s.all(s.wang), nil, "k")
		ok(t, err)
		s.wantStatuses(id, map[string]int{"COMPLETED ": 3, "PLANNED ": 2})
		next, err := s.s.Work(context.Background(), s.ID)
		ok(t, err)
		s.wantStatuses(id, map[string]int{"COMPLETED ": 3, "PLANNED ": 2})
		s.Clock.Add(next.Sub(s.DB.Now()))
		s.work()
		s.wantStatuses(id, map[string]int{"COMPLETED ": 5})
		s.verifies()
	})
}

func TestAContactCoolsDown(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		zhao := s.Member("zhao", s.Root)
		s.Contact("wanderer", "NORMAL", s.lina)
		give := func(from, to nid.ID, key string) nid.ID {
			id, err := s.s.HandOver(s.Verified(s.Corp.Admin), handover.Input{Kind: handover.OnJob, LeaverID: from, Successors: handover.Choice{MemberID: &to}}, nil, key)
			ok(t, err)
			s.Clock.Add(24 * time.Hour)
			return id
		}
		give(s.lina, s.wang, "1")
		give(s.wang, zhao, "2")
		s.wantStatuses(give(zhao, s.lina, "3"), map[string]int{"LIMIT_REACHED COOL_DOWN": 1})
		s.Clock.Add(89 * 24 * time.Hour)
		s.wantStatuses(give(zhao, s.lina, "4"), map[string]int{"COMPLETED ": 1})
	})
}

func TestSplitsShareAndSayWhy(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		zhao := s.Member("zhao", s.Root)
		s.Contacts(9, s.lina)
		s.Depart(s.lina)
		in := s.all(s.wang)
		in.Successors = handover.Choice{Split: &handover.Split{Method: "WEIGHTED", MemberIDs: []nid.ID{s.wang, zhao}, Weights: []int{2, 1}}}
		p, err := preview(s, in)
		ok(t, err)
		id, err := s.s.HandOver(s.admin, in, &p.Digest, "k")
		ok(t, err)
		for member, n := range map[nid.ID]int{s.wang: 6, zhao: 3} {
			if got := s.count(`SELECT count(*) FROM transfers WHERE handover_id = $1 AND to_id = $2 AND because LIKE 'split:WEIGHTED%'`, id, member); got != n {
				t.Errorf("%s got %d, want %d", member, got, n)
			}
		}
		// Who cannot take over is passed over and named; where nobody is left, that is a problem.
		s.Contacts(2, s.wang)
		s.Depart(zhao)
		on := handover.Input{Kind: handover.OnJob, LeaverID: s.wang, Successors: handover.Choice{Split: &handover.Split{Method: "EVEN", MemberIDs: []nid.ID{zhao}}}}
		p, err = preview(s, on)
		ok(t, err)
		if len(p.Problems) != 2 || p.Problems[0].Reason != handover.NoSuccessor || !p.Problems[0].Blocking || p.Problems[1].Successor != zhao {
			t.Errorf("problems %+v", p.Problems)
		}
		_, err = s.s.Create(s.admin, on, nil, nil, "k1")
		want(t, err, fault.Limit, "input.plan.successors")
		in.Successors.Split.Weights = []int{1}
		_, err = s.s.HandOver(s.admin, in, nil, "k2")
		want(t, err, fault.Invalid, "input.plan.successors.split.weights")
	})
}

func preview(s *scene, in handover.Input) (p *handover.Preview, err error) {
	ctx, done := s.DB.Reading(s.admin)
	defer done()
	return s.s.Preview(ctx, in)
}
