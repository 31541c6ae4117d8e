package history_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/history"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// A group that passes from hand to hand shows nobody more of its past than the one
// before could read: what they were granted, and what was said since they joined.
func TestNobodyPassesOnMoreOfAGroupThanTheyHad(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		var start time.Time
		at := func(hours int) *time.Time { w := start.Add(time.Duration(hours) * time.Hour); return &w }
		window := func(from, until int) func() *handover.HistoryScope {
			return func() *handover.HistoryScope {
				return &handover.HistoryScope{Mode: "WINDOW", From: at(from), Until: at(until)}
			}
		}
		all := func() *handover.HistoryScope { return &handover.HistoryScope{Mode: "ALL"} }
		none := func() *handover.HistoryScope { return nil }
		brief := func() *handover.HistoryScope { return &handover.HistoryScope{Mode: "ALL", ExpiresAt: at(6)} }
		for name, has := range map[string]struct {
			first, second func() *handover.HistoryScope
			// want are the hours whose messages zhao reads. Messages are said each hour;
			// wang gets the group after hour 2, zhao after hour 5.
			want   []int
			grants int
			later  time.Duration // between wang's departure and the second handover
		}{
			"all of all":                        {all, all, []int{0, 1, 2, 3, 4, 5}, 1, 0},
			"all of nothing":                    {none, all, []int{3, 4, 5}, 1, 0},
			"all of a window":                   {window(1, 2), all, []int{1, 3, 4, 5}, 2, 0},
			"a window over a window":            {window(1, 3), window(2, 5), []int{2, 3, 4}, 2, 0},
			"a window beside a window":          {window(0, 1), window(1, 2), nil, 0, 0},
			"nothing of all":                    {all, none, nil, 0, 0},
			"what has expired is not passed on": {brief, all, []int{3, 4, 5}, 1, 2 * time.Hour},
		} {
			t.Run(name, func(t *testing.T) {
				start = db.Now()
				c := testcorp.New(t, db, clock, "acme-"+nid.New(nid.Corp).String()[20:])
				lina, wang, zhao := c.Member("lina", c.Root), c.Member("wang", c.Root), c.Member("zhao", c.Root)
				c.Grant(zhao, access.Staff.Name, nid.ID{})
				group := c.Group("chat", lina)
				hours := map[nid.ID]int{}
				say := func(who nid.ID, from, to int) {
					for h := from; h <= to; h++ {
						clock.Add(at(h).Sub(db.Now()))
						hours[c.Said(who, group, db.Now(), "hello")] = h
					}
					clock.Add(30 * time.Minute)
				}
				s := &handover.Service{DB: db, Log: c.Log}
				move := func(from, to nid.ID, scope *handover.HistoryScope, later time.Duration) nid.ID {
					t.Helper()
					_, err := (&member.Service{DB: db, Log: c.Log}).Deactivate(c.Verified(c.Admin), member.DeactivateInput{MemberID: from, Mode: member.Depart})
					if err != nil {
						t.Fatal(err)
					}
					clock.Add(later)
					id, err := s.HandOver(c.Verified(c.Admin), handover.Input{Kind: handover.Resigned, LeaverID: from, Successors: handover.Choice{MemberID: &to},
						Select: &handover.Selection{GroupIDs: []nid.ID{group}}, History: scope}, nil, "k"+from.String())
					if err != nil {
						t.Fatal(err)
					}
					return id
				}
				say(lina, 0, 2)
				move(lina, wang, has.first(), 0)
				say(wang, 3, 5)
				id := move(wang, zhao, has.second(), has.later)
				if got := testcorp.Value[int](c, `SELECT count(*) FROM history_grants WHERE handover_id = $1`, id); got != has.grants {
					t.Errorf("%d grants, want %d", got, has.grants)
				}
				var got []int
				ctx := c.SignedIn(zhao, false)
				if err := db.View(ctx, func(ctx context.Context, q *store.Read) error {
					var w store.Where
					history.Readable(&w, access.From(ctx), db.Now())
					condition, args := w.SQL(1)
					found, err := store.Select(ctx, q, func(id *nid.ID) []any { return []any{id} }, `SELECT id FROM messages WHERE `+condition, args...)
					for _, id := range found {
						got = append(got, hours[id])
					}
					return err
				}); err != nil {
					t.Fatal(err)
				}
				if slices.Sort(got); !slices.Equal(got, has.want) {
					t.Errorf("zhao reads hours %v, want %v", got, has.want)
				}
			})
		}
	})
}
