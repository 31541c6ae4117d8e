// Package notice keeps what a member who is leaving has written, and counts what they read.
//
//	notice.go   the baseline: how their contacts looked when the notice began
//	changes.go  what has changed since
//	restore.go  putting it back
//	reads.go    how much they read, by day and kind
//
// The baseline is a copy, one row for each open follow. Whoever changes a contact later, by
// hand, by import or from a platform, needs to know nothing of it: what changed is what
// differs (docs/decisions/0019-notice-baseline.md).
package notice

import (
	"context"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Service is the use cases of the notice period.
type Service struct {
	DB  *store.DB
	Log *audit.Log
}

// tags is the expression for the ids of the tags on a row of follows or contacts, sorted,
// with commas between.
func tags(db *store.DB, join, column, of string) string {
	from := ` FROM ` + join + ` AS t WHERE t.corp_id = ` + of + `.corp_id AND t.` + column + ` = ` + of + `.id`
	if db.Postgres() {
		return `(SELECT COALESCE(string_agg(t.tag_id::text, ',' ORDER BY t.tag_id::text COLLATE "C"), '')` + from + `)`
	}
	return `(SELECT COALESCE(group_concat(o.tag_id, ','), '') FROM (SELECT t.tag_id` + from + ` ORDER BY t.tag_id) AS o)`
}

// present is the condition that a contact is there. CASE keeps PostgreSQL, where it has no
// statistics yet, from reading the whole index of contacts that are not archived for each.
const present = `CASE WHEN contacts.archived_at IS NULL THEN contacts.erased_at IS NULL ELSE false END`

// Begin keeps how the contacts of members who are LEAVING look now: of the members given,
// else of all. What is kept already stays, so a notice has one beginning. The caller has set
// their status in the same transaction.
func Begin(ctx context.Context, tx *store.Tx, of ...nid.ID) error {
	db, one, args := tx.DB(), "", []any{tx.Corp(), tx.Now()}
	if len(of) > 0 {
		one, args = ` AND m.id `+db.In(3), append(args, db.IDs(of))
	}
	n, err := tx.Keep(ctx, "notice_baselines", `INSERT INTO notice_baselines (corp_id, member_id, follow_id, contact_id, taken_at,
			remark, description, tags, importance, contact_tags, name, company)
		SELECT follows.corp_id, follows.member_id, follows.id, follows.contact_id, $2, follows.remark, follows.description,
			`+tags(db, "follow_tags", "follow_id", "follows")+`,
			contacts.importance, `+tags(db, "contact_tags", "contact_id", "contacts")+`, contacts.name, contacts.company
		FROM (SELECT m.corp_id, m.id FROM members AS m WHERE m.corp_id = $1 AND m.status = 'LEAVING'`+one+`) AS m`+
		db.Lookup("follows", "follows.corp_id = m.corp_id AND follows.member_id = m.id AND follows.ended_at IS NULL")+
		db.Lookup("contacts", "contacts.corp_id = follows.corp_id AND contacts.id = follows.contact_id AND "+present)+`
		WHERE true
		ON CONFLICT DO NOTHING`, args...)
	if err != nil || n == 0 {
		return err
	}
	return tx.Wake(ctx, WorkNotice, tx.Now())
}

// End forgets the baselines of members who stay after all: of the members given, else of all
// who are ACTIVE.
func End(ctx context.Context, tx *store.Tx, of ...nid.ID) error {
	one, args := "", []any{tx.Corp()}
	if len(of) > 0 {
		one, args = ` AND m.id `+tx.DB().In(2), append(args, tx.DB().IDs(of))
	}
	_, err := tx.Keep(ctx, "notice_baselines", `DELETE FROM notice_baselines WHERE corp_id = $1
		AND member_id IN (SELECT m.id FROM members AS m WHERE m.corp_id = $1 AND m.status = 'ACTIVE'`+one+`)`, args...)
	return err
}

// Tidy forgets what was kept of follows that are the member's no longer: a handover has moved
// them, or they have ended.
func Tidy(ctx context.Context, tx *store.Tx) error {
	_, err := tx.Keep(ctx, "notice_baselines", `DELETE FROM notice_baselines WHERE corp_id = $1 AND NOT EXISTS (SELECT 1 FROM follows AS f
		WHERE f.corp_id = notice_baselines.corp_id AND f.id = notice_baselines.follow_id AND f.member_id = notice_baselines.member_id AND f.ended_at IS NULL)`, tx.Corp())
	return err
}
