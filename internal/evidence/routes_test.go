package evidence_test

import (
	"context"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// Whichever way an approved handover takes, and whatever comes of it, its package verifies
// and the four-eyes rule is proven: planned and submitted by several, begun at its time by
// the background, carried out in parts, tried again, and taken back.
func TestEveryWayOfAHandoverIsProven(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		service := &handover.Service{DB: db, Log: s.Log, AtOnce: 2}
		second, approver := s.Member("second", s.Root), s.Member("approver two", s.Root)
		s.Grant(second, access.Administrator.Name, nid.ID{})
		s.Grant(approver, access.Approver.Name, nid.ID{})
		admin := func() context.Context { return s.Verified(s.Admin) }
		version := func() int { return testcorp.Value[int](s.Corp, `SELECT version FROM handovers WHERE id = $1`, s.id) }
		text := func(column string) string {
			return testcorp.Value[string](s.Corp, `SELECT `+column+` FROM handovers WHERE id = $1`, s.id)
		}
		work := func() {
			_, err := service.Work(t.Context(), s.ID)
			ok(t, err)
		}
		proven := func(state string) {
			t.Helper()
			s.seal()
			pack, err := s.write(admin())
			ok(t, err)
			got, err := verify(pack, s.sealer.Keys.Public(s.ID))
			if err != nil || got.FourEyes != offline.Proven || got.State != state {
				t.Errorf("%s: %s, %s, %v", state, got.State, got.FourEyes, err)
			}
		}
		approve := func() {
			t.Helper()
			_, err := service.Approve(s.Verified(approver), s.id, text("digest"), nil)
			ok(t, err)
		}
		leaver, to := s.Member("leaver", s.Root), s.Member("to", s.Root)
		s.Contact("important", "KEY", leaver)
		s.Contacts(4, leaver)
		s.Depart(leaver)
		plan := handover.Input{Kind: handover.Resigned, LeaverID: leaver, Successors: handover.Choice{MemberID: &to}}
		at := clock.Now().Add(time.Hour)
		var err error
		s.id, err = service.Create(s.Verified(second), plan, &at, nil, "ways")
		ok(t, err)
		ok(t, service.Replan(admin(), s.id, version(), plan))
		ok(t, service.Submit(s.Verified(second), s.id, version()))
		approve()
		ok(t, service.Execute(admin(), s.id, text("digest"), "ways"))
		proven("SCHEDULED")
		s.Limit(to, 1) // by the time it starts there is no room for all
		clock.Add(2 * time.Hour)
		work()
		proven("PARTIAL")
		s.Limit(to, 100)
		_, err = service.Retry(s.Verified(second), s.id, nil, nil, "again")
		ok(t, err)
		proven("RUNNING")
		work()
		proven("COMPLETED")
		origin := s.id
		s.id, err = service.Revert(admin(), origin, "a mistake", "back")
		ok(t, err)
		approve()
		ok(t, service.Execute(admin(), s.id, text("digest"), "back"))
		proven("RUNNING")
		work()
		proven("COMPLETED")
		s.id = origin
		proven("REVERTED")
	})
}
