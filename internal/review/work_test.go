package review_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/review"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func TestSilenceRevokes(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.start()
		s.must(s.decide(s.Admin, s.item(id, s.fars), review.Keep))
		if next := s.work(); next.After(s.DB.Now().Add(10 * day)) {
			t.Errorf("it looks again only at %s", next)
		}
		s.Clock.Add(10*day - time.Second)
		s.work()
		if s.ended(s.linas) {
			t.Fatal("it was too early")
		}
		s.Clock.Add(time.Second)
		next := s.work()
		first := testcorp.Value[nid.ID](s.Corp, `SELECT grant_id FROM review_items WHERE review_id = $1 AND overdue_at IS NOT NULL AND decision IS NULL`, id)
		if !s.ended(s.linas) || !s.ended(s.seconds) || s.ended(s.fars) || first != s.grantOf(s.Admin) {
			t.Fatal("silence did not revoke what it should, and no more")
		}
		if s.closed(id) || next.After(s.DB.Now().Add(day)) {
			t.Error("what is overdue is not open, or nobody looks after it")
		}
		if n := s.count(`SELECT count(*) FROM review_items WHERE review_id = $1 AND decision = 'REVOKE' AND decided_by_id IS NULL`, id); n != 3 {
			t.Errorf("%d revoked by silence", n)
		}
		was := s.count(`SELECT count(*) FROM audit_entries WHERE corp_id = $1`, s.ID)
		s.work()
		if is := s.count(`SELECT count(*) FROM audit_entries WHERE corp_id = $1`, s.ID); is != was {
			t.Error("it did something again")
		}
		// Somebody new is administrator: the first one stays until somebody says so.
		s.Grant(s.second, access.Administrator.Name, nid.ID{})
		s.work()
		if s.ended(first) {
			t.Fatal("it was revoked without a word")
		}
		s.must(s.decide(s.second, s.item(id, first), review.Keep))
		if !s.closed(id) {
			t.Error("it is still open")
		}
		_, err := audit.Verify(context.Background(), s.DB, s.ID, audit.Trust{}, nil)
		s.must(err)
	})
}

// What ended otherwise needs no decision, and a review without one closes.
func TestNothingLeftToDecide(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id, err := s.s.Start(s.Verified(s.keeper), s.DB.Now().Add(10*day))
		s.must(err)
		s.must(s.decide(s.Admin, s.item(id, s.linas), review.Revoke))
		s.must(s.decide(s.Admin, s.item(id, s.grantOf(s.keeper)), review.Revoke))
		if !s.closed(id) {
			t.Error("it did not close")
		}
		again := s.start()
		s.Clock.Add(10 * day)
		var all sync.WaitGroup
		for range 3 { // replicas
			all.Go(func() {
				if _, err := s.s.Work(context.Background(), s.ID); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = 'grant.revoke'`, s.ID); n != 4 {
			t.Errorf("%d grants revoked, two of them by hand", n)
		}
		if n := s.count(`SELECT count(*) FROM review_items WHERE review_id = $1 AND overdue_at IS NOT NULL`, again); n != 1 {
			t.Errorf("%d overdue", n)
		}
	})
}

// Many items go in several transactions; the administrator stays whichever has them.
func TestSilenceAboutMany(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		for range 430 {
			s.Grant(s.lina, access.Reporter.Name, s.sales)
		}
		id := s.start()
		s.Clock.Add(10 * day)
		ctx, stop := context.WithCancel(context.Background())
		stop()
		if _, err := s.s.Work(ctx, s.ID); err == nil {
			t.Error("it went on without a context")
		}
		s.work()
		if n := s.count(`SELECT count(*) FROM grants WHERE corp_id = $1 AND revoked_at IS NULL`, s.ID); n != 1 || s.ended(s.grantOf(s.Admin)) {
			t.Errorf("%d grants are left", n)
		}
		if n := s.count(`SELECT count(*) FROM review_items WHERE review_id = $1 AND decision IS NULL`, id); n != 1 {
			t.Errorf("%d undecided", n)
		}
	})
}

func TestMonthly(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		zone, err := time.LoadLocation(testcorp.Value[string](s.Corp, `SELECT time_zone FROM corps WHERE id = $1`, s.ID))
		s.must(err)
		begins := func(months int) time.Time {
			now := s.DB.Now().In(zone)
			return time.Date(now.Year(), now.Month()+time.Month(months), 1, 0, 0, 0, 0, zone)
		}
		opened := func() int {
			return s.count(`SELECT count(*) FROM access_reviews WHERE corp_id = $1 AND month IS NOT NULL`, s.ID)
		}
		next := s.work()
		if opened() != 0 || !next.Equal(begins(1)) {
			t.Fatalf("in the month of its founding %d, and then %s", opened(), next)
		}
		s.Clock.Add(next.Sub(s.DB.Now()) - time.Second)
		s.work()
		if opened() != 0 {
			t.Fatal("it was too early")
		}
		s.Clock.Add(time.Second)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if _, err := s.s.Work(context.Background(), s.ID); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if opened() != 1 || s.entries(access.ReviewOpen) != 1 {
			t.Fatalf("%d opened, %d entries", opened(), s.entries(access.ReviewOpen))
		}
		if n := s.count(`SELECT count(*) FROM access_reviews WHERE month = $1 AND started_by_id IS NULL`, s.DB.Now().In(zone).Format("2006-01")); n != 1 {
			t.Error("it has another month")
		}
		if next := s.work(); !next.Equal(s.DB.Now().Add(14 * day)) {
			t.Errorf("it is due at %s", next)
		}
		if all, plain := s.count(`SELECT count(*) FROM review_items WHERE corp_id = $1`, s.ID), s.count(`SELECT count(*) FROM review_items WHERE corp_id = $1 AND rank > 0`, s.ID); all == 0 || plain != 0 {
			t.Errorf("%d items, %d of them of everyday roles", all, plain)
		}
		s.Clock.Add(begins(3).Sub(s.DB.Now()) + 5*day) // nobody worked for two months
		s.work()
		if opened() != 2 {
			t.Errorf("%d opened", opened())
		}
	})
}
