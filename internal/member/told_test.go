package member_test

import (
	"context"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/store"
)

// A webhook hears of a departure when it gets its date, when it is held back, when
// it happens and when it is taken back.
func TestDeparturesAreTold(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.limits(2, 100)
		s.must(s.DB.Tx(store.System(t.Context(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Change(ctx, "webhooks", `INSERT INTO webhooks (id, corp_id, created_at, updated_at, version, name, url, events, active, secret)
				VALUES ($1, $2, $3, $3, 1, 'payroll', 'https://example.com/', $4, true, $5) RETURNING id`, nid.New(nid.Webhook), s.ID, tx.Now(), `[]`, []byte{1})
			tx.Cover(ids...)
			return err
		}))
		told := func(e notify.Event, want int) {
			t.Helper()
			if n := s.count(`SELECT count(*) FROM webhook_deliveries WHERE event = $1`, string(e)); n != want {
				t.Errorf("%s was told %d times, want %d", e, n, want)
			}
		}
		staff := s.staff(3)
		s.limits(20, 10)
		s.must(s.s.Schedule(s.proven(), member.ScheduleInput{MemberID: staff[0], LastDay: today}))
		told(notify.DepartureScheduled, 1)
		for _, id := range staff {
			s.Leaving(id, yesterday)
		}
		s.run()
		told(notify.DepartureHeld, 3)
		told(notify.MemberDeparted, 0)
		s.run()
		told(notify.DepartureHeld, 3)
		_, err := s.s.Deactivate(s.admin, member.DeactivateInput{MemberID: staff[0], Mode: member.Depart})
		s.must(err)
		told(notify.MemberDeparted, 1)
		if n := s.entries(access.DepartureHold, staff[0]); n != 1 {
			t.Errorf("%d entries", n)
		}
	})
}
