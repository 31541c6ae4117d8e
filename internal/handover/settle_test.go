package handover_test

import (
	"context"
	"testing"

	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// With a platform the transfers wait for its word: nothing moves before, the
// successor's room is reserved, and each outcome moves or releases its item.
func TestAPlatformDecidesLater(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ids := s.Contacts(3, s.lina)
		s.Group("a group", s.lina)
		s.Limit(s.wang, 3)
		zhao := s.Member("zhao", s.Root)
		s.Contacts(1, zhao)
		s.Depart(s.lina)
		s.Depart(zhao)
		s.s.Platform = func(nid.ID) bool { return true }
		admin := s.Verified(s.Corp.Admin)
		id, err := s.s.HandOver(admin, s.all(s.wang), nil, "k")
		ok(t, err)
		if got := s.state(id); got != "RUNNING" {
			t.Fatalf("state %s, want RUNNING", got)
		}
		if n := s.count(`SELECT count(*) FROM follows WHERE member_id = $1 AND ended_at IS NULL AND protected AND reserved_by_id IS NOT NULL`, s.lina); n != 3 {
			t.Errorf("%d follows wait, want 3", n)
		}
		if n := s.count(`SELECT count(*) FROM member_counters WHERE member_id = $1 AND contacts = 3 AND waiting_contacts = 3 AND waiting_groups = 1`, s.lina); n != 1 {
			t.Error("lina's counters do not show what waits")
		}
		if n := s.count(`SELECT count(*) FROM member_counters WHERE member_id = $1 AND contacts = 0 AND reserved_contacts = 3`, s.wang); n != 1 {
			t.Error("wang's room is not reserved")
		}
		// The room is taken, though nothing has arrived.
		in := s.all(s.wang)
		in.LeaverID = zhao
		_, err = s.s.HandOver(admin, in, nil, "full")
		want(t, err, "LIMIT", "input.plan")
		// What waits can be named in a second plan, but ends SKIPPED.
		again := s.all(s.manager)
		again.Select = &handover.Selection{ContactIDs: ids[:1]}
		second, err := s.s.HandOver(admin, again, nil, "k2")
		ok(t, err)
		if n := s.count(`SELECT count(*) FROM transfers WHERE handover_id = $1 AND status = 'SKIPPED' AND reason = 'IN_PROGRESS'`, second); n != 1 {
			t.Error("an item that waits was not skipped")
		}

		s.Clock.Add(1e9 * 3600)
		transfer := func(n int) nid.ID {
			return testcorp.Value[nid.ID](s.Corp, `SELECT id FROM transfers WHERE handover_id = $1 AND contact_id = $2`, id, ids[n])
		}
		group := testcorp.Value[nid.ID](s.Corp, `SELECT id FROM transfers WHERE handover_id = $1 AND kind = 'GROUP'`, id)
		sys := store.System(context.Background(), s.ID, "platform outcome")
		word := []handover.Outcome{{Transfer: transfer(0), Status: handover.TransferCompleted}, {Transfer: transfer(1), Status: handover.TransferRefused, Reason: handover.CustomerRefused}}
		ok(t, s.s.Settle(sys, id, word))
		ok(t, s.s.Settle(sys, id, word)) // heard twice
		if got := s.state(id); got != "RUNNING" {
			t.Fatalf("state %s, want RUNNING while one waits", got)
		}
		ok(t, s.s.Settle(sys, id, []handover.Outcome{{Transfer: transfer(2), Status: handover.TransferCompleted}, {Transfer: group, Status: handover.TransferCompleted}}))
		if got := s.state(id); got != "PARTIAL" {
			t.Errorf("state %s, want PARTIAL", got)
		}
		for _, c := range []struct {
			member nid.ID
			want   string
		}{
			{s.lina, `contacts = 1 AND waiting_contacts = 0 AND groups = 0 AND waiting_groups = 0`},
			{s.wang, `contacts = 2 AND reserved_contacts = 0 AND groups = 1`},
		} {
			if n := s.count(`SELECT count(*) FROM member_counters WHERE member_id = $1 AND `+c.want, c.member); n != 1 {
				t.Errorf("counters of %s are not %s", c.member, c.want)
			}
		}
		if n := s.count(`SELECT count(*) FROM follows WHERE contact_id = $1 AND member_id = $2 AND protected AND reserved_by_id IS NULL AND ended_at IS NULL`, ids[1], s.lina); n != 1 {
			t.Error("the refused contact is not back, protected and free")
		}
		if n := s.count(`SELECT coalesce(sum(n), 0) FROM transfer_rollups WHERE status = 'WAITING'`); n != 0 {
			t.Errorf("statistics still show %d waiting", n)
		}
		if n := s.count(`SELECT sum(n) FROM transfer_rollups WHERE status = 'COMPLETED' AND takeover_slot > 0`); n != 3 {
			t.Errorf("statistics show %d completed after a while, want 3", n)
		}
	})
}
