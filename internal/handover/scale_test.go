package handover_test

import (
	"context"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// bulk adds n contacts of a member at once.
func (s *scene) bulk(n int, owner nid.ID) {
	s.t.Helper()
	batch := make([]map[string]any, n)
	for i := range batch {
		batch[i] = map[string]any{"id": nid.New(nid.Contact), "follow": nid.New(nid.Follow), "period": nid.New(nid.Period)}
	}
	rows := s.DB.Rows(1, "v", "id uuid", "follow uuid", "period uuid")
	for _, q := range []struct{ table, sql string }{
		{"contacts", `INSERT INTO contacts (id, corp_id, created_at, updated_at, name, name_key, accountable_id) SELECT id, $2, $3, $3, 'c', 'c', $4 FROM `},
		{"follows", `INSERT INTO follows (id, corp_id, created_at, updated_at, contact_id, member_id, since) SELECT follow, $2, $3, $3, id, $4, $3 FROM `},
		{"ownership_periods", `INSERT INTO ownership_periods (id, corp_id, created_at, contact_id, member_id, from_at) SELECT period, $2, $3, id, $4, $3 FROM `},
	} {
		s.raw(q.table, q.sql+rows+` WHERE true RETURNING id`, s.DB.Batch(batch), s.ID, s.DB.Now(), owner)
	}
	ok(s.t, s.DB.Tx(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Keep(ctx, "member_counters", `UPDATE member_counters SET contacts = contacts + $2 WHERE member_id = $1`, owner, n)
		return err
	}))
}

// Handing over 200 costs what 200 cost, however many contacts the corp has, and
// though neither engine has counted them yet: this is the hour after an import.
func TestHandingOverDoesNotCostWhatTheCorpHas(t *testing.T) {
	for engine, open := range map[string]func(testing.TB, *storetest.Clock) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(engine, func(t *testing.T) {
			normal := "NORMAL"
			took := func(others int) (out [2]time.Duration) {
				clock := storetest.NewClock()
				s := newScene(t, open(t, clock), clock)
				for range others {
					s.bulk(5000, s.Member(nid.New(nid.Member).String(), s.Root))
				}
				zhao := s.Member("zhao", s.Root)
				s.bulk(200, zhao)
				s.bulk(5000, s.lina)
				var ids []nid.ID
				ok(t, s.DB.View(store.System(t.Context(), s.ID, "test"), func(ctx context.Context, r *store.Read) (err error) {
					ids, err = store.Select(ctx, r, func(id *nid.ID) []any { return []any{id} },
						`SELECT contact_id FROM follows WHERE corp_id = $1 AND member_id = $2 ORDER BY id LIMIT 200`, s.ID, s.lina)
					return err
				}))
				s.Depart(s.lina)
				s.Depart(zhao)
				for i, in := range []handover.Input{
					{LeaverID: zhao, Select: &handover.Selection{Contacts: &contact.Filter{Importance: &normal}}},
					{LeaverID: s.lina, Select: &handover.Selection{ContactIDs: ids}},
				} {
					in.Kind, in.Successors.MemberID, in.History = handover.Resigned, &s.wang, &handover.HistoryScope{Mode: "ALL"}
					begin := time.Now()
					_, err := s.s.HandOver(s.admin, in, nil, in.LeaverID.String())
					ok(t, err)
					out[i] = time.Since(begin)
				}
				return out
			}
			small, large := took(0), took(8)
			for i, how := range []string{"by filter", "by id"} {
				if large[i] > 4*small[i]+200*time.Millisecond {
					t.Errorf("200 contacts %s took %v in a corp of 45,000, and %v in one of 5,200", how, large[i], small[i])
				}
			}
		})
	}
}
