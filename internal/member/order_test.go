package member_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// What the leaver does just now is finished first, and neither has to begin again:
// deactivation waits for the leaver's session before it holds anything that the
// leaver's act may want. SQLite has one writer at a time and no such order.
func TestDeactivateWaitsForWhatTheLeaverIsDoing(t *testing.T) {
	clock := storetest.NewClock()
	db := storetest.Postgres(t, clock)
	c := testcorp.New(t, db, clock, "acme")
	service := &member.Service{DB: db, Log: c.Log}
	lina := c.Member("lina", c.Root)
	asLina, admin := c.SignedIn(lina, false), c.SignedIn(c.Admin, false)

	var acts, departures atomic.Int32
	counting := store.Count(admin, func(q string) {
		if strings.HasPrefix(q, "UPDATE members SET status") {
			departures.Add(1)
		}
	})
	left := make(chan error, 1)
	err := db.Tx(asLina, func(ctx context.Context, tx *store.Tx) error {
		if _, err := identity.Confirm(ctx, tx); err != nil {
			return err
		}
		if acts.Add(1) == 1 {
			go func() {
				_, err := service.Deactivate(counting, member.DeactivateInput{MemberID: lina, Mode: member.Depart})
				left <- err
			}()
			for testcorp.Value[int](c, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0 {
				if t.Context().Err() != nil {
					return t.Context().Err()
				}
			}
		}
		_, _, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} },
			`SELECT id FROM members WHERE corp_id = $1 AND id = $2`+db.ForNoKeyUpdate(), tx.Corp(), lina)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-left; err != nil {
		t.Fatal(err)
	}
	if acts.Load() != 1 || departures.Load() != 1 {
		t.Errorf("the leaver's act ran %d times, the deactivation got to the member %d times", acts.Load(), departures.Load())
	}
	if got := testcorp.Value[string](c, `SELECT status FROM members WHERE id = $1`, lina); got != "DEPARTED" {
		t.Errorf("lina is %s", got)
	}
}

// A handover that begins while a reinstatement waits for the member's lock was not
// there when the handovers were locked, and counts all the same.
func TestReinstateSeesAHandoverThatBeganMeanwhile(t *testing.T) {
	clock := storetest.NewClock()
	db := storetest.Postgres(t, clock)
	c := testcorp.New(t, db, clock, "acme")
	service := &member.Service{DB: db, Log: c.Log}
	lina, wang := c.Member("lina", c.Root), c.Member("wang", c.Root)
	c.Contacts(1, lina)
	c.Depart(lina)
	admin, second := c.Verified(c.Admin), c.Verified(c.Admin)
	platform := &handover.Service{DB: db, Log: c.Log, Platform: func(nid.ID) bool { return true }}
	reinstated := make(chan error, 1)
	var once sync.Once
	ctx := store.Count(admin, func(q string) {
		if !strings.HasPrefix(strings.TrimSpace(q), "UPDATE handovers") { // its members are locked
			return
		}
		once.Do(func() {
			go func() { reinstated <- service.Reinstate(second, member.ReinstateInput{MemberID: lina, Reason: "back"}) }()
			for testcorp.Value[int](c, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0 {
				if t.Context().Err() != nil {
					return
				}
			}
		})
	})
	if _, err := platform.HandOver(ctx, handover.Input{Kind: handover.Resigned, LeaverID: lina, Successors: handover.Choice{MemberID: &wang}}, nil, "key"); err != nil {
		t.Fatal(err)
	}
	want(t, <-reinstated, fault.Conflict, "input.memberId")
}
