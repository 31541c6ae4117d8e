package handover_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/evidence/evidencetest"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// scene is a corp in which lina has left and wang takes over.
type scene struct {
	*testcorp.Corp
	t          *testing.T
	s          *handover.Service
	lina, wang nid.ID
	manager    nid.ID // may plan and execute for everybody
	approver   nid.ID
	admin      context.Context
}

func each(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		test(t, newScene(t, db, clock))
	})
}

func newScene(t *testing.T, db *store.DB, clock *storetest.Clock) *scene {
	t.Helper()
	c := testcorp.New(t, db, clock, "acme")
	s := &scene{Corp: c, t: t, s: &handover.Service{DB: db, Log: c.Log}}
	s.lina, s.wang = c.Member("lina", c.Root), c.Member("wang", c.Root)
	s.manager, s.approver = c.Member("manager", c.Root), c.Member("approver", c.Root)
	c.Grant(s.manager, access.Manager.Name, nid.ID{})
	c.Grant(s.approver, access.Approver.Name, nid.ID{})
	s.admin = c.Verified(c.Admin)
	t.Cleanup(func() {
		if err := evidencetest.Prove(c); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *scene) all(to nid.ID) handover.Input {
	return handover.Input{Kind: handover.Resigned, LeaverID: s.lina, Successors: handover.Choice{MemberID: &to}}
}

func (s *scene) state(id nid.ID) string {
	s.t.Helper()
	return testcorp.Value[string](s.Corp, `SELECT state FROM handovers WHERE id = $1`, id)
}

func (s *scene) count(query string, args ...any) int {
	s.t.Helper()
	return testcorp.Value[int](s.Corp, query, args...)
}

func (s *scene) digest(id nid.ID) string {
	s.t.Helper()
	return testcorp.Value[string](s.Corp, `SELECT digest FROM handovers WHERE id = $1`, id)
}

func want(t *testing.T, err error, code fault.Code, field string) {
	t.Helper()
	if got := fault.CodeOf(err); got != code {
		t.Fatalf("got %q (%v), want %q", got, err, code)
	}
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Field != field {
		t.Fatalf("field is %q, want %q (%v)", f.Field, field, err)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (cause: %+v)", err, errors.Unwrap(err))
	}
}

func TestHandOverMovesContactsAndGroupsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		contacts := s.Contacts(3, s.lina)
		group := s.Group("a group", s.lina)
		shared := s.Contact("shared", "NORMAL", s.lina, s.wang) // wang follows it already
		s.Depart(s.lina)
		s.Clock.Add(1000)

		id, err := s.s.HandOver(s.Verified(s.Corp.Admin), s.all(s.wang), nil, "key-1")
		ok(t, err)
		if got := s.state(id); got != "COMPLETED" {
			t.Fatalf("state %s", got)
		}
		if n := s.count(`SELECT count(*) FROM follows WHERE member_id = $1 AND ended_at IS NULL AND NOT protected`, s.wang); n != 4 {
			t.Errorf("wang follows %d contacts, want 4", n)
		}
		if n := s.count(`SELECT count(*) FROM follows WHERE contact_id = $1 AND ended_at IS NULL`, shared); n != 1 {
			t.Errorf("the shared contact has %d open follows, want 1", n)
		}
		if n := s.count(`SELECT count(*) FROM transfers WHERE handover_id = $1 AND status = 'COMPLETED' AND merged`, id); n != 1 {
			t.Errorf("%d transfers merged, want 1", n)
		}
		if n := s.count(`SELECT count(*) FROM groups WHERE id = $1 AND owner_id = $2 AND accountable_id = $2 AND status = 'INHERITED' AND NOT protected`, group, s.wang); n != 1 {
			t.Error("the group did not move")
		}
		if n := s.count(`SELECT count(*) FROM contacts WHERE accountable_id = $1 AND NOT protected`, s.wang); n != 4 {
			t.Errorf("wang answers for %d contacts, want 4", n)
		}
		if n := s.count(`SELECT count(*) FROM ownership_periods WHERE member_id = $1 AND until_at IS NULL`, s.lina); n != 0 {
			t.Errorf("lina still has %d open periods", n)
		}
		if n := s.count(`SELECT count(*) FROM ownership_periods WHERE contact_id = $1 AND transfer_id IS NOT NULL AND until_at IS NULL`, contacts[0]); n != 1 {
			t.Error("no period names the transfer")
		}
		for _, c := range []struct {
			member       nid.ID
			contacts, gs int
		}{{s.lina, 0, 0}, {s.wang, 4, 1}} {
			if n := s.count(`SELECT count(*) FROM member_counters WHERE member_id = $1 AND contacts = $2 AND groups = $3`, c.member, c.contacts, c.gs); n != 1 {
				t.Errorf("counters of %s are not %d/%d", c.member, c.contacts, c.gs)
			}
		}
		if n := s.count(`SELECT sum(n) FROM transfer_rollups WHERE status = 'COMPLETED'`); n != 5 {
			t.Errorf("statistics count %d, want 5", n)
		}
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE handover_id = $1 AND action = 'transfer.finish'`, id); n != 5 {
			t.Errorf("%d transfer entries, want 5", n)
		}
		// A replay with the same key is the first answer and changes nothing.
		again, err := s.s.HandOver(s.Verified(s.Corp.Admin), s.all(s.wang), nil, "key-1")
		ok(t, err)
		if again != id {
			t.Errorf("replay answered %s, want %s", again, id)
		}
	})
}

func TestKeyContactsNeedSomebodyElse(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("big customer", "KEY", s.lina)
		s.Contacts(2, s.lina)
		s.Depart(s.lina)
		admin, approver := s.Verified(s.Corp.Admin), s.Verified(s.approver)

		_, err := s.s.HandOver(admin, s.all(s.wang), nil, "k0")
		want(t, err, fault.ApprovalRequired, "")
		if n := s.count(`SELECT count(*) FROM handovers`); n != 0 {
			t.Fatal("a refused handover was stored")
		}
		id, err := s.s.Create(admin, s.all(s.wang), nil, nil, "k1")
		ok(t, err)
		ok(t, s.s.Submit(admin, id, 1))
		if got := s.state(id); got != "AWAITING_APPROVAL" {
			t.Fatalf("state %s", got)
		}
		d := s.digest(id)
		want(t, s.s.Execute(admin, id, d, "x1"), fault.ApprovalRequired, "")
		_, err = s.s.Approve(admin, id, d, nil)
		want(t, err, fault.Forbidden, "")
		_, err = s.s.Approve(s.SignedIn(s.approver, false), id, d, nil)
		want(t, err, fault.StepUpRequired, "")
		_, err = s.s.Approve(approver, id, strings.Repeat("0", 64), nil)
		want(t, err, fault.Conflict, "input.digest")
		vote, err := s.s.Approve(approver, id, d, nil)
		ok(t, err)
		again, err := s.s.Approve(approver, id, d, nil)
		ok(t, err)
		if vote != again || s.count(`SELECT count(*) FROM approvals`) != 1 {
			t.Fatal("a second vote by one person counted")
		}
		ok(t, s.s.Execute(admin, id, d, "x2"))
		if got := s.state(id); got != "COMPLETED" {
			t.Fatalf("state %s", got)
		}
		ok(t, s.s.Execute(admin, id, d, "x2"))
		want(t, s.s.Execute(admin, id, d, "x3"), fault.Conflict, "")
	})
}

func TestWhoMayNotAndWhatIsWrong(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		mine := s.Contacts(2, s.lina)
		others := s.Contacts(1, s.wang)
		other := testcorp.New(t, s.DB, s.Clock, "other")
		foreign := other.Member("spy", other.Root)
		s.Depart(s.lina)
		admin := s.Verified(s.Corp.Admin)
		try := func(ctx context.Context, in handover.Input) error {
			_, err := s.s.HandOver(ctx, in, nil, "key")
			return err
		}
		with := func(change func(*handover.Input)) handover.Input {
			in := s.all(s.wang)
			change(&in)
			return in
		}
		none, digest := "", strings.Repeat("a", 64)
		want(t, try(context.Background(), s.all(s.wang)), fault.Unauthenticated, "")
		want(t, try(s.Verified(s.wang), s.all(s.wang)), fault.Forbidden, "")
		want(t, try(s.SignedIn(s.Corp.Admin, false), s.all(s.wang)), fault.StepUpRequired, "")
		want(t, try(admin, s.all(s.lina)), fault.Invalid, "input.plan.successors.memberId")
		want(t, try(admin, s.all(foreign)), fault.NotFound, "input.plan.successors.memberId")
		want(t, try(admin, s.all(nid.New(nid.Member))), fault.NotFound, "input.plan.successors.memberId")
		want(t, try(admin, with(func(in *handover.Input) { in.LeaverID = foreign })), fault.NotFound, "input.plan.leaverId")
		want(t, try(admin, with(func(in *handover.Input) { in.Kind = handover.OnJob })), fault.Invalid, "input.plan.kind")
		want(t, try(admin, with(func(in *handover.Input) { in.Select = &handover.Selection{ContactIDs: others} })), fault.Invalid, "input.plan.select.contactIds.0")
		want(t, try(admin, with(func(in *handover.Input) { in.Select = &handover.Selection{ContactIDs: []nid.ID{}} })), fault.Invalid, "input.plan.select")
		want(t, try(admin, with(func(in *handover.Input) { in.Select = &handover.Selection{ContactIDs: make([]nid.ID, 5001)} })), fault.Invalid, "input.plan.select.contactIds")
		want(t, try(admin, with(func(in *handover.Input) { in.Successors.Assignments = []handover.Assignment{} })), fault.Invalid, "input.plan.successors")
		want(t, try(admin, with(func(in *handover.Input) { in.History = &handover.HistoryScope{Mode: "WINDOW"} })), fault.Invalid, "input.plan.history")
		want(t, try(admin, with(func(in *handover.Input) { x := "hello"; in.Message = &x })), fault.Invalid, "input.plan.message")
		want(t, try(admin, with(func(in *handover.Input) { x := "a\u202eb"; in.Reason = &x })), fault.Invalid, "input.plan.reason")
		_, err := s.s.HandOver(admin, s.all(s.wang), &digest, "key")
		want(t, err, fault.Conflict, "input.digest")
		_, err = s.s.HandOver(admin, s.all(s.wang), nil, none)
		want(t, err, fault.Invalid, "input.idempotencyKey")
		if n := s.count(`SELECT count(*) FROM follows WHERE member_id = $1 AND ended_at IS NULL`, s.lina); n != len(mine) {
			t.Fatalf("bad input moved something: lina has %d", n)
		}
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE action = 'access.deny'`); n != 1 {
			t.Errorf("%d denials recorded, want 1", n)
		}
	})
}

func TestOneWinner(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contacts(5, s.lina)
		s.Depart(s.lina)
		admin := s.Verified(s.Corp.Admin)
		id, err := s.s.Create(admin, s.all(s.wang), nil, nil, "k")
		ok(t, err)
		ok(t, s.s.Submit(admin, id, 1))
		d := s.digest(id)

		errs := inParallel(50, func(i int) error { return s.s.Execute(admin, id, d, fmt.Sprint("key-", i)) })
		won, lost := 0, 0
		for _, err := range errs {
			switch fault.CodeOf(err) {
			case "":
				won++
			case fault.Conflict:
				lost++
			default:
				t.Fatal(err)
			}
		}
		if won != 1 || lost != 49 {
			t.Fatalf("%d won and %d lost; want 1 and 49", won, lost)
		}
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE action = 'transfer.finish'`); n != 5 {
			t.Errorf("%d transfers finished, want 5", n)
		}
	})
}

func TestOneKeyOneEffect(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contacts(5, s.lina)
		s.Depart(s.lina)
		admin := s.Verified(s.Corp.Admin)
		id, err := s.s.Create(admin, s.all(s.wang), nil, nil, "k")
		ok(t, err)
		ok(t, s.s.Submit(admin, id, 1))
		d := s.digest(id)
		for _, err := range inParallel(50, func(int) error { return s.s.Execute(admin, id, d, "the key") }) {
			ok(t, err)
		}
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE action = 'handover.execute'`); n != 1 {
			t.Errorf("executed %d times", n)
		}
	})
}

func TestRoomForOne(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		zhao := s.Member("zhao", s.Root)
		s.Contacts(1, s.lina)
		s.Contacts(1, zhao)
		s.Limit(s.wang, 2)
		s.Depart(s.lina)
		s.Depart(zhao)
		admin := s.Verified(s.Corp.Admin)
		var cases []nid.ID
		for i, leaver := range []nid.ID{s.lina, zhao} {
			in := s.all(s.wang)
			in.LeaverID = leaver
			id, err := s.s.Create(admin, in, nil, nil, fmt.Sprint("k", i))
			ok(t, err)
			ok(t, s.s.Submit(admin, id, 1))
			cases = append(cases, id)
		}
		s.Limit(s.wang, 1) // lowered after both plans had room
		for _, err := range inParallel(2, func(i int) error { return s.s.Execute(admin, cases[i], s.digest(cases[i]), fmt.Sprint("x", i)) }) {
			ok(t, err)
		}
		if n := s.count(`SELECT count(*) FROM transfers WHERE status = 'LIMIT_REACHED' AND reason = 'SUCCESSOR_FULL'`); n != 1 {
			t.Errorf("%d ended LIMIT_REACHED, want 1", n)
		}
		if n := s.count(`SELECT contacts FROM member_counters WHERE member_id = $1`, s.wang); n != 1 {
			t.Errorf("wang has %d contacts with room for 1", n)
		}
	})
}

func TestTwoLeaversOfOneContact(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		zhao := s.Member("zhao", s.Root)
		contact := s.Contact("shared", "NORMAL", s.lina, zhao)
		s.Depart(s.lina)
		s.Depart(zhao)
		admin := s.Verified(s.Corp.Admin)
		leavers := []nid.ID{s.lina, zhao}
		for _, err := range inParallel(2, func(i int) error {
			in := s.all(s.wang)
			in.LeaverID = leavers[i]
			_, err := s.s.HandOver(admin, in, nil, fmt.Sprint("k", i))
			return err
		}) {
			ok(t, err)
		}
		if n := s.count(`SELECT count(*) FROM follows WHERE contact_id = $1 AND ended_at IS NULL AND member_id = $2`, contact, s.wang); n != 1 {
			t.Errorf("%d open follows, want 1", n)
		}
		if n := s.count(`SELECT count(*) FROM transfers WHERE status = 'COMPLETED'`); n != 2 {
			t.Errorf("%d transfers completed, want 2", n)
		}
		if n := s.count(`SELECT count(*) FROM contacts WHERE id = $1 AND protected`, contact); n != 0 {
			t.Error("still protected")
		}
	})
}

func TestAnOwnerThatChangedIsSkipped(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ids := s.Contacts(3, s.lina)
		zhao := s.Member("zhao", s.Root)
		s.Depart(s.lina)
		admin := s.Verified(s.Corp.Admin)
		first, err := s.s.Create(admin, s.all(s.wang), nil, nil, "k1")
		ok(t, err)
		ok(t, s.s.Submit(admin, first, 1))
		in := s.all(zhao)
		in.Select = &handover.Selection{ContactIDs: ids[:1]}
		_, err = s.s.HandOver(admin, in, nil, "k2")
		ok(t, err)
		ok(t, s.s.Execute(admin, first, s.digest(first), "x"))
		if got := s.state(first); got != "PARTIAL" {
			t.Errorf("state %s, want PARTIAL", got)
		}
		if n := s.count(`SELECT count(*) FROM follows WHERE contact_id = $1 AND member_id = $2 AND ended_at IS NULL`, ids[0], zhao); n != 1 {
			t.Error("the new owner was overwritten")
		}
		if n := s.count(`SELECT count(*) FROM transfers WHERE handover_id = $1 AND status = 'SKIPPED' AND reason = 'OWNER_CHANGED'`, first); n != 1 {
			t.Errorf("%d skipped, want 1", n)
		}
	})
}

func TestReplanVoidsVotesAndCancelEnds(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("big", "KEY", s.lina)
		s.Depart(s.lina)
		zhao := s.Member("zhao", s.Root)
		admin := s.Verified(s.Corp.Admin)
		id, err := s.s.Create(admin, s.all(s.wang), nil, nil, "k")
		ok(t, err)
		want(t, s.s.Submit(admin, id, 7), fault.Conflict, "input.version")
		ok(t, s.s.Submit(admin, id, 1))
		old := s.digest(id)
		_, err = s.s.Approve(s.Verified(s.approver), id, old, nil)
		ok(t, err)
		v := s.count(`SELECT version FROM handovers WHERE id = $1`, id)
		ok(t, s.s.Replan(admin, id, v, s.all(zhao)))
		if s.digest(id) == old {
			t.Fatal("another successor, the same digest")
		}
		ok(t, s.s.Submit(admin, id, v+1))
		want(t, s.s.Execute(admin, id, old, "x"), fault.Conflict, "input.digest")
		want(t, s.s.Execute(admin, id, s.digest(id), "x"), fault.ApprovalRequired, "")
		_, err = s.s.Reject(s.Verified(s.approver), id, s.digest(id), "not to zhao")
		ok(t, err)
		if got := s.state(id); got != "REJECTED" {
			t.Fatalf("state %s", got)
		}
		v = s.count(`SELECT version FROM handovers WHERE id = $1`, id)
		want(t, s.s.Cancel(admin, id, v, nil), fault.Conflict, "")
		ok(t, s.s.Replan(admin, id, v, s.all(s.wang)))
		ok(t, s.s.Cancel(admin, id, v+1, nil))
		if n := s.count(`SELECT count(*) FROM transfers WHERE handover_id = $1 AND status = 'CANCELLED'`, id); n != 1 {
			t.Errorf("%d cancelled, want 1", n)
		}
	})
}

func TestHandingOver200CostsFewStatements(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contacts(200, s.lina)
		s.Depart(s.lina)
		n := 0
		var mu sync.Mutex
		var texts []string
		ctx := store.Count(s.Verified(s.Corp.Admin), func(q string) {
			mu.Lock()
			defer mu.Unlock()
			n++
			texts = append(texts, strings.Join(strings.Fields(q)[:min(4, len(strings.Fields(q)))], " "))
		})
		in := s.all(s.wang)
		in.History = &handover.HistoryScope{Mode: "ALL"}
		_, err := s.s.HandOver(ctx, in, nil, "k")
		ok(t, err)
		if n > 31 {
			t.Errorf("%d statements, want at most 31:\n%s", n, strings.Join(texts, "\n"))
		}
		if c := s.count(`SELECT count(*) FROM history_grants`); c != 200 {
			t.Errorf("%d history grants, want 200", c)
		}
	})
}

func inParallel(n int, do func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return errs
}
