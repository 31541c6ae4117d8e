package handover_test

import (
	"context"
	"testing"

	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// Things that happen between planning and executing.

// raw changes rows as something outside of this package would.
func (s *scene) raw(table, query string, args ...any) {
	s.t.Helper()
	ok(s.t, s.DB.Tx(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, table, query, args...)
		tx.Cover(ids...)
		return err
	}))
}

// A follow that ended and one that an import began later are two, though both are
// the leaver's and at version 1.
func TestAFollowBegunAnewIsAnother(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ids := s.Contacts(2, s.lina)
		s.Depart(s.lina)
		id, err := s.s.Create(s.admin, s.all(s.wang), nil, "k")
		ok(t, err)
		ok(t, s.s.Submit(s.admin, id, 1))
		s.raw("follows", `UPDATE follows SET ended_at = $3, protected = false WHERE contact_id = $1 AND member_id = $2 RETURNING id`, ids[0], s.lina, s.DB.Now())
		s.raw("follows", `INSERT INTO follows (id, corp_id, created_at, updated_at, version, contact_id, member_id, since, protected, owner_version)
			VALUES ($1, $2, $3, $3, 1, $4, $5, $3, true, 1) RETURNING id`, nid.New(nid.Follow), s.ID, s.DB.Now(), ids[0], s.lina)
		ok(t, s.s.Execute(s.admin, id, s.digest(id), "x"))
		if got := testcorp.Value[string](s.Corp, `SELECT reason FROM transfers WHERE handover_id = $1 AND contact_id = $2`, id, ids[0]); got != string(handover.OwnerChanged) || s.state(id) != "PARTIAL" {
			t.Errorf("reason %s, handover %s", got, s.state(id))
		}
	})
}
