package review_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/grant"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/review"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func TestReview(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.start()
		if n := s.count(`SELECT count(*) FROM review_items WHERE review_id = $1`, id); n != 5 {
			t.Fatalf("%d items for five grants", n)
		}
		if n := s.count(`SELECT count(*) FROM review_items AS i JOIN grants AS g ON g.id = i.grant_id JOIN roles AS r ON r.id = g.role_id
			WHERE (i.rank = 0) <> r.sensitive`); n != 0 {
			t.Error("what is sensitive does not come first")
		}
		note := "moved to the shop"
		s.must(s.s.Decide(s.Verified(s.Admin), review.DecideInput{ID: s.item(id, s.linas), Decision: review.Revoke, Note: &note}))
		if !s.ended(s.linas) || s.entries(access.GrantRevoke) != 1 {
			t.Error("the grant is still in force")
		}
		s.must(s.decide(s.Admin, s.item(id, s.fars), review.Keep))
		if n := s.count(`SELECT count(*) FROM grants WHERE id = $1 AND revoked_at IS NULL AND last_reviewed_at IS NOT NULL`, s.fars); n != 1 {
			t.Error("the grant was not kept")
		}
		s.must(s.decide(s.Admin, s.item(id, s.seconds), review.Keep))
		s.must(s.decide(s.Admin, s.item(id, s.grantOf(s.keeper)), review.Keep))
		if s.closed(id) {
			t.Fatal("it closed with the administrator's own grant undecided")
		}
		own := s.grantOf(s.Admin)
		s.wants(s.decide(s.Admin, s.item(id, own), review.Keep), fault.Forbidden, "")
		s.must(s.decide(s.second, s.item(id, own), review.Keep))
		if !s.closed(id) || s.entries(access.ReviewDecide) != 5 || s.entries(access.ReviewClose) != 1 {
			t.Error("it did not close with the last decision")
		}
		_, err := audit.Verify(context.Background(), s.DB, s.ID, audit.Trust{}, nil)
		s.must(err)
	})
}

func TestReviewRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		in := func(d time.Duration) time.Time { return s.DB.Now().Add(d) }
		start := func(ctx context.Context, due time.Time) error { _, err := s.s.Start(ctx, due); return err }
		s.wants(start(s.SignedIn(s.Admin, false), in(10*day)), fault.StepUpRequired, "")
		s.wants(start(s.Verified(s.lina), in(10*day)), fault.Forbidden, "")
		s.wants(start(context.Background(), in(10*day)), fault.Unauthenticated, "")
		for _, d := range []time.Duration{-day, 0, 7*day - time.Second, 90*day + time.Second, 1e6 * time.Hour} {
			s.wants(start(s.Verified(s.Admin), in(d)), fault.Invalid, "input.dueAt")
		}
		id := s.start()
		s.wants(start(s.Verified(s.Admin), in(10*day)), fault.Conflict, "")
		item, other := s.item(id, s.linas), testcorp.New(t, s.DB, s.Clock, "other")

		s.wants(s.decide(s.lina, item, review.Keep), fault.Forbidden, "")
		s.wants(s.decide(s.keeper, s.item(id, s.fars), review.Keep), fault.NotFound, "input.id")
		s.wants(s.decide(s.keeper, s.item(id, s.grantOf(s.keeper)), review.Keep), fault.Forbidden, "")
		s.wants(s.decide(s.Admin, nid.New(nid.ReviewItem), review.Keep), fault.NotFound, "input.id")
		s.wants(s.decide(s.Admin, nid.ID{}, review.Keep), fault.NotFound, "input.id")
		s.wants((&review.Service{DB: s.DB, Log: other.Log}).Decide(other.Verified(other.Admin), review.DecideInput{ID: item, Decision: review.Revoke}), fault.NotFound, "input.id")
		s.wants(s.s.Decide(s.SignedIn(s.Admin, false), review.DecideInput{ID: item, Decision: review.Revoke}), fault.StepUpRequired, "")
		s.wants(s.decide(s.Admin, item, "PERHAPS"), fault.Invalid, "input.decision")
		bad := "a\x00b"
		s.wants(s.s.Decide(s.Verified(s.Admin), review.DecideInput{ID: item, Decision: review.Revoke, Note: &bad}), fault.Invalid, "input.note")

		// A grant in sales that reaches the whole corp is not sales' to review.
		wide := s.Grant(s.lina, access.Auditor.Name, nid.ID{})
		s.must((&grant.Service{DB: s.DB, Log: s.Log}).Revoke(s.Verified(s.second), s.linas, nil))
		s.wants(s.decide(s.Admin, item, review.Keep), fault.Conflict, "input.id")
		again, err := s.s.Start(s.Verified(s.second), in(10*day))
		s.must(err)
		s.wants(s.decide(s.keeper, s.item(again, wide), review.Revoke), fault.Forbidden, "")
		s.must(s.decide(s.Admin, s.item(again, wide), review.Keep))
		s.wants(s.decide(s.Admin, s.item(again, wide), review.Revoke), fault.Conflict, "input.id")
		s.wants(s.decide(s.second, s.item(again, wide), review.Keep), fault.Conflict, "input.id")
	})
}

func TestReviewOfADepartment(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Grant(s.far, access.Auditor.Name, s.sales) // somebody else's member
		s.Grant(s.lina, access.Auditor.Name, nid.ID{})
		id, err := s.s.Start(s.Verified(s.keeper), s.DB.Now().Add(10*day))
		s.must(err)
		if n := s.count(`SELECT count(*) FROM review_items WHERE review_id = $1 AND grant_id IN ($2, $3)`, id, s.linas, s.grantOf(s.keeper)); n != 2 || s.count(`SELECT count(*) FROM review_items`) != 2 {
			t.Fatalf("%d items of the department's", n)
		}
		s.must(s.decide(s.keeper, s.item(id, s.linas), review.Keep))
	})
}

// One decision answers every open review that asks about the grant.
func TestOneDecisionForAll(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		one := s.start()
		two, err := s.s.Start(s.Verified(s.second), s.DB.Now().Add(20*day))
		s.must(err)
		s.must(s.decide(s.Admin, s.item(one, s.linas), review.Revoke))
		s.wants(s.decide(s.Admin, s.item(two, s.linas), review.Keep), fault.Conflict, "input.id")
		if n := s.count(`SELECT count(*) FROM review_items WHERE grant_id = $1 AND decision = 'REVOKE' AND decided_by_id = $2`, s.linas, s.Admin); n != 2 {
			t.Errorf("%d decisions", n)
		}
	})
}

// Two administrators who take each other's role away at the same moment: one stays.
func TestTwoRevokeEachOther(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.start()
		mine, theirs := s.item(id, s.grantOf(s.Admin)), s.item(id, s.seconds)
		errs := make([]error, 2)
		var all sync.WaitGroup
		for i, ctx := range []context.Context{s.Verified(s.Admin), s.Verified(s.second)} {
			all.Go(func() {
				errs[i] = s.s.Decide(ctx, review.DecideInput{ID: []nid.ID{theirs, mine}[i], Decision: review.Revoke})
			})
		}
		all.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("%v and %v", errs[0], errs[1])
		}
		if n := s.count(`SELECT count(*) FROM grants WHERE role_id = $1 AND revoked_at IS NULL`, s.Roles[access.Administrator.Name]); n != 1 {
			t.Errorf("%d administrators are left", n)
		}
	})
}

// One item is decided once, however many try.
func TestManyDecideAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.start()
		item := s.item(id, s.linas)
		var mu sync.Mutex
		var all sync.WaitGroup
		good := 0
		for i := range 8 {
			ctx := s.Verified([]nid.ID{s.Admin, s.second}[i%2])
			all.Go(func() {
				if s.s.Decide(ctx, review.DecideInput{ID: item, Decision: review.Keep}) == nil {
					mu.Lock()
					defer mu.Unlock()
					good++
				}
			})
		}
		all.Wait()
		if good != 1 || s.entries(access.ReviewDecide) != 1 {
			t.Errorf("%d decided, %d entries", good, s.entries(access.ReviewDecide))
		}
	})
}
