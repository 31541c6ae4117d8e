package member

import (
	"context"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// lockAccess locks a member's sessions, grants and the tokens they made, and counts the
// grants in force.
func lockAccess(ctx context.Context, tx *store.Tx, member nid.ID) (granted int, err error) {
	lock := tx.DB().ForUpdate()
	type row struct{ granted, others int }
	r, _, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.granted, &r.others} }, `
		WITH s AS (SELECT member_id FROM sessions WHERE corp_id = $1 AND member_id = $2 ORDER BY secret_hash`+lock+`),
		g AS (SELECT id, expires_at FROM grants WHERE corp_id = $1 AND member_id = $2 AND revoked_at IS NULL ORDER BY id`+lock+`),
		t AS (SELECT id FROM service_tokens WHERE corp_id = $1 AND created_by_id = $2 AND revoked_at IS NULL ORDER BY id`+lock+`)
		SELECT (SELECT count(*) FROM g WHERE expires_at IS NULL OR expires_at > $3), (SELECT count(*) FROM s) + (SELECT count(*) FROM g) + (SELECT count(*) FROM t)`,
		tx.Corp(), member, tx.Now())
	return r.granted, err
}

// lockItems locks a member's open follows together with their contacts, then the
// groups that the member owns or answers for.
func lockItems(ctx context.Context, tx *store.Tx, member nid.ID) error {
	both := ""
	if tx.DB().Postgres() {
		both = tx.DB().ForUpdate() + " OF follows, contacts"
	}
	for _, rows := range []string{
		`SELECT follows.id FROM follows JOIN contacts ON contacts.corp_id = follows.corp_id AND contacts.id = follows.contact_id
			WHERE follows.corp_id = $1 AND follows.member_id = $2 AND follows.ended_at IS NULL ORDER BY follows.contact_id, follows.id` + both,
		`SELECT id FROM groups WHERE corp_id = $1 AND (owner_id = $2 OR accountable_id = $2) ORDER BY id` + tx.DB().ForUpdate(),
	} {
		if _, _, err := store.SelectOne(ctx, tx, func(n *int) []any { return []any{n} }, `SELECT count(*) FROM (`+rows+`) AS locked`, tx.Corp(), member); err != nil {
			return err
		}
	}
	return nil
}
