package history_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/history"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

type said struct {
	id, member, contact, group nid.ID
	at                         time.Time
}

type granted struct {
	leaver, contact, group nid.ID
	from, until, expires   *time.Time
	ended                  bool
}

// covers is the rule in plain words, to hold the statement against. lost is the contact
// that the successor does not look after.
func (g granted) covers(m said, now time.Time, lost nid.ID) bool {
	switch {
	case g.contact == lost && g.group.IsZero():
		return false
	case g.ended, g.expires != nil && !now.Before(*g.expires), g.from != nil && m.at.Before(*g.from), g.until != nil && !m.at.Before(*g.until):
		return false
	case !g.group.IsZero():
		return m.group == g.group
	}
	return m.contact == g.contact && m.member == g.leaver
}

// A successor reads exactly what the grants cover, whatever grants and windows
// there are, and nothing once they have expired or ended.
func TestASuccessorReadsWhatIsGranted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		lina, wang, zhao := c.Member("lina", c.Root), c.Member("wang", c.Root), c.Member("zhao", c.Root)
		var contacts []nid.ID
		for i := range 3 {
			followers := []nid.ID{lina, zhao, wang}
			contacts = append(contacts, c.Contact(fmt.Sprint("contact ", i), "NORMAL", followers[:3-i/2]...)) // wang lost the last
			c.Agree(contacts[i])
		}
		silent := c.Contact("never agreed", "NORMAL", lina, wang)
		group := c.Group("chat", lina)
		now := db.Now()
		var all []said
		for day := range 8 {
			at := now.AddDate(0, 0, -day)
			for i, contact := range contacts {
				m := said{member: []nid.ID{lina, zhao}[(day+i)%2], contact: contact, at: at}
				m.id = c.Said(m.member, contact, at, "hello")
				all = append(all, m)
			}
			all = append(all, said{id: c.Said(lina, group, at, "all"), group: group, at: at})
			c.Said(lina, silent, at, "what nobody may read")
		}
		// The grants of the test hang on a real handover, which grants nothing itself.
		c.Depart(lina)
		s := &handover.Service{DB: db, Log: c.Log}
		id, err := s.HandOver(c.Verified(c.Admin), handover.Input{Kind: handover.Resigned, LeaverID: lina, Successors: handover.Choice{MemberID: &zhao},
			Select: &handover.Selection{ContactIDs: []nid.ID{silent}}}, nil, "k")
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Tx(store.System(t.Context(), c.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Change(ctx, "groups", `UPDATE groups SET owner_id = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, c.ID, group, wang)
			tx.Cover(ids...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		transfer := testcorp.Value[nid.ID](c, `SELECT id FROM transfers WHERE handover_id = $1`, id)
		reads := func(rt *rapid.T, ctx context.Context) (out []nid.ID) {
			err := db.View(ctx, func(ctx context.Context, q *store.Read) error {
				var w store.Where
				history.Readable(&w, access.From(ctx), db.Now())
				condition, args := w.SQL(1)
				var err error
				out, err = store.Select(ctx, q, func(id *nid.ID) []any { return []any{id} }, `SELECT id FROM messages WHERE `+condition+` ORDER BY id`, args...)
				return err
			})
			if err != nil {
				rt.Fatal(err)
			}
			return out
		}
		ctx := c.SignedIn(wang, false)
		rapid.Check(t, func(rt *rapid.T) {
			when := func(name string) *time.Time {
				if rapid.Bool().Draw(rt, "open "+name) {
					return nil
				}
				at := now.Add(time.Duration(rapid.IntRange(-9*48, 48).Draw(rt, name)) * 30 * time.Minute)
				return &at
			}
			var grants []granted
			for range rapid.IntRange(0, 4).Draw(rt, "grants") {
				g := granted{leaver: rapid.SampledFrom([]nid.ID{lina, zhao}).Draw(rt, "leaver"), from: when("from"), until: when("until"), expires: when("expires"), ended: rapid.IntRange(0, 4).Draw(rt, "ended") == 0}
				if rapid.IntRange(0, 3).Draw(rt, "of the group") == 0 {
					g.group, g.leaver = group, lina // zhao is not in it and has nothing to give
				} else {
					g.contact = rapid.SampledFrom(append(contacts, silent)).Draw(rt, "contact")
				}
				grants = append(grants, g)
			}
			err := db.Tx(store.System(context.Background(), c.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
				ids, err := tx.Change(ctx, "history_grants", `UPDATE history_grants SET ended_at = $2 WHERE corp_id = $1 AND ended_at IS NULL RETURNING id`, c.ID, tx.Now())
				tx.Cover(ids...)
				for _, g := range grants {
					if err != nil {
						return err
					}
					one := history.Grant{ID: tx.NewID(nid.HistoryGrant), Successor: wang, Leaver: g.leaver, Contact: g.contact, Group: g.group, Transfer: transfer}
					_, err = history.Write(ctx, tx, id, history.Scope{From: g.from, Until: g.until, ExpiresAt: g.expires}, []history.Grant{one})
					tx.Cover(one.ID)
					if g.ended && err == nil {
						_, err = tx.Change(ctx, "history_grants", `UPDATE history_grants SET ended_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, c.ID, one.ID, tx.Now())
					}
				}
				return err
			})
			if err != nil {
				rt.Fatal(err)
			}
			var want []nid.ID
			for _, m := range all {
				if slices.ContainsFunc(grants, func(g granted) bool { return g.covers(m, db.Now(), contacts[2]) }) {
					want = append(want, m.id)
				}
			}
			slices.SortFunc(want, func(a, b nid.ID) int { return slices.Compare(a[:], b[:]) })
			if diff := cmp.Diff(want, reads(rt, ctx)); diff != "" {
				rt.Error(diff)
			}
			if got := reads(rt, c.SignedIn(c.Admin, false)); len(got) != 0 {
				rt.Errorf("somebody without grants reads %d messages", len(got))
			}
		})
	})
}
