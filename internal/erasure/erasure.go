// Package erasure forgets a person. What happened stays: who was handed over to whom
// and when; the log still verifies. Who that was does not.
package erasure

import (
	"context"
	"fmt"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Service erases.
type Service struct {
	DB  *store.DB
	Log *audit.Log
	// Folder is that of the checkpoints, outside of the database. The list of erased
	// people is kept there, so that an older backup does not bring them back.
	Folder string
	// Tidy deletes the files of exports that are no longer READY, as the context's actor.
	Tidy func(ctx context.Context) error
}

// Erase empties what is personal about a contact or a member who has departed, and
// throws away the key under which the log keeps values about them: neither backups of
// the log nor guessing brings those back, since each was hashed with a random salt that
// went with the key. It cannot be undone. Erasing somebody twice records nothing new, and
// finishes what the first time was kept from.
//
// Of a contact that is name, company, the platform's id, tags, what members noted, and
// the text of their messages; consent is withdrawn. Of a member it is name, user id,
// credentials, what an identity provider said of them, and what was written about their handovers.
// Files that were exported before may hold them and are deleted, whoever they are about;
// those that are being made are begun again.
//
// It is for the system and runs on the operator's word. Fails with NOT_FOUND, INVALID
// for what is no person, CONFLICT for a member who has not departed, still has contacts
// or groups, or is the leaver of a handover that is not over; and with audit.ErrOtherKey.
func (s *Service) Erase(ctx context.Context, id nid.ID) error {
	err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.Log.Fits(ctx, tx); err != nil {
			return err
		}
		e := &erasing{ctx: ctx, tx: tx, log: s.Log, id: id}
		return e.erase()
	})
	if err != nil {
		return err
	}
	if err := note(s.Folder, access.From(ctx).Corp, id, s.DB.Now()); err != nil {
		return fmt.Errorf("%s is erased, but it could not be noted for restores, so run the same again: %w", id, err)
	}
	if s.Tidy != nil {
		if err := s.Tidy(ctx); err != nil {
			return fmt.Errorf("%s is erased, but files of exports could not be deleted, so run the same again: %w", id, err)
		}
	}
	if err := s.DB.Scrub(ctx); err != nil {
		return fmt.Errorf("%s is erased: %w", id, err)
	}
	return nil
}

// Again repeats, in a database that is being restored, the erasures that happened after
// the backup was made, whatever state each person is in. It returns the people it erased.
func Again(ctx context.Context, tx *store.Tx, log *audit.Log, folder string) (again []nid.ID, err error) {
	ids, err := List(folder, tx.Corp())
	for _, id := range ids {
		if err != nil {
			return nil, err
		}
		e := &erasing{ctx: ctx, tx: tx, log: log, id: id, anyway: true}
		err = e.erase()
		switch {
		case fault.CodeOf(err) == fault.NotFound: // came after the backup
			err = nil
		case err == nil && !e.done:
			again = append(again, id)
		}
	}
	return again, err
}

type erasing struct {
	ctx    context.Context
	tx     *store.Tx
	log    *audit.Log
	id     nid.ID
	anyway bool // whatever state the person is in
	covers []nid.ID
	done   bool // already
}

func (e *erasing) erase() (err error) {
	switch e.id.Kind() {
	case nid.Contact:
		err = e.contact()
	case nid.Member:
		err = e.member()
	default:
		err = fault.Bad("id", "only contacts and members can be erased", "只能删除客户或成员的个人信息")
	}
	if err != nil || e.done {
		return err
	}
	entries, err := e.exports()
	if err != nil {
		return err
	}
	if _, err := e.tx.Keep(e.ctx, "subject_keys", `INSERT INTO subject_keys (corp_id, subject_id, wrapped, created_at, erased_at) VALUES ($1, $2, NULL, $3, $3)
		ON CONFLICT (corp_id, subject_id) DO UPDATE SET wrapped = NULL, erased_at = excluded.erased_at`, e.tx.Corp(), e.id, e.tx.Now()); err != nil {
		return err
	}
	after := map[string]any{"rows": len(e.covers) + 1, "exports": len(entries)}
	return e.log.Append(e.ctx, e.tx, append(entries, audit.Entry{Action: access.PersonErase, Subject: e.id, Covers: e.covers, After: after})...)
}

// exports ends the corp's exports: which of their files hold the person is not known. A
// running export starts again, and the new run does not find the person.
func (e *erasing) exports() (entries []audit.Entry, err error) {
	ended, err := e.tx.Change(e.ctx, "exports", `UPDATE exports SET state = 'EXPIRED' WHERE corp_id = $1 AND state = 'READY' RETURNING id`, e.tx.Corp())
	if err != nil {
		return nil, err
	}
	for _, id := range ended {
		entries = append(entries, audit.Entry{Action: access.ExportExpire, Subject: id, Before: map[string]any{"state": "READY"},
			After: map[string]any{"state": "EXPIRED", "because": string(access.PersonErase)}})
	}
	begun, err := e.tx.Change(e.ctx, "exports", `UPDATE exports SET state = 'QUEUED', run_token = run_token + 1, lease_until = NULL
		WHERE corp_id = $1 AND state = 'RUNNING' RETURNING id`, e.tx.Corp())
	e.covers = append(e.covers, begun...)
	return entries, err
}

// found locks the person. done: there is nothing left to erase.
func (e *erasing) found(table, also string) error {
	type row struct {
		erased bool
		status string
	}
	r, ok, err := store.SelectOne(e.ctx, e.tx, func(r *row) []any { return []any{&r.erased, &r.status} },
		`SELECT erased_at IS NOT NULL, `+also+` FROM `+table+` WHERE corp_id = $1 AND id = $2`+e.tx.DB().ForUpdate(), e.tx.Corp(), e.id)
	switch {
	case err != nil:
		return err
	case !ok:
		return fault.Missing("id")
	case r.status != "" && r.status != "DEPARTED" && !r.erased && !e.anyway:
		return fault.Clash("id", "only a member who has departed can be erased", "仅可删除已离职成员的个人信息").With("status", r.status)
	}
	e.done = r.erased
	return nil
}

// change runs a statement whose $1 and $2 are corp and person.
func (e *erasing) change(table, query string, args ...any) error {
	ids, err := e.tx.Change(e.ctx, table, query, append([]any{e.tx.Corp(), e.id}, args...)...)
	e.covers = append(e.covers, ids...)
	return err
}

func (e *erasing) contact() error {
	if err := e.found("contacts", "''"); err != nil || e.done {
		return err
	}
	now := e.tx.Now()
	for _, c := range []struct {
		table, query string
		args         []any
	}{
		{"contacts", `UPDATE contacts SET name = $3, name_key = '', company = NULL, external_user_id = NULL, chat_consent = 'REFUSED',
			erased_at = $4, updated_at = $4, version = version + 1 WHERE corp_id = $1 AND id = $2 RETURNING id`, []any{leaf.Erased, now}},
		{"contact_tags", `DELETE FROM contact_tags WHERE corp_id = $1 AND contact_id = $2 RETURNING contact_id`, nil},
		{"follow_tags", `DELETE FROM follow_tags WHERE corp_id = $1 AND follow_id IN (SELECT id FROM follows WHERE corp_id = $1 AND contact_id = $2) RETURNING follow_id`, nil},
		{"follows", `UPDATE follows SET remark = NULL, description = NULL, updated_at = $3, version = version + 1
			WHERE corp_id = $1 AND contact_id = $2 RETURNING id`, []any{now}},
		{"messages", `UPDATE messages SET text = NULL, attachment = NULL WHERE corp_id = $1 AND (contact_id = $2 OR from_contact AND author_id = $2) RETURNING id`, nil},
		{"leak_findings", `UPDATE leak_findings SET note = NULL, marks = '[]', updated_at = $3, version = version + 1 WHERE corp_id = $1 AND contact_id = $2 RETURNING id`, []any{now}},
		{"transfers", `UPDATE transfers SET detail = NULL, updated_at = $3 WHERE corp_id = $1 AND contact_id = $2 AND detail IS NOT NULL RETURNING id`, []any{now}},
	} {
		if err := e.change(c.table, c.query, c.args...); err != nil {
			return err
		}
	}
	_, err := e.tx.Keep(e.ctx, "notice_baselines", `DELETE FROM notice_baselines WHERE corp_id = $1 AND contact_id = $2`, e.tx.Corp(), e.id)
	return err
}

// over lists the final states of a handover.
const over = `'COMPLETED', 'PARTIAL', 'FAILED', 'REJECTED', 'CANCELLED', 'REVERTED'`

// left refuses a member who still has contacts or groups, since nobody would know whose
// they are, and a leaver of an open handover, whose plan is still read.
func (e *erasing) left() error {
	type row struct{ contacts, groups, open int }
	r, _, err := store.SelectOne(e.ctx, e.tx, func(r *row) []any { return []any{&r.contacts, &r.groups, &r.open} }, `SELECT
		(SELECT count(*) FROM follows WHERE corp_id = $1 AND member_id = $2 AND ended_at IS NULL),
		(SELECT count(*) FROM groups WHERE corp_id = $1 AND owner_id = $2 AND archived_at IS NULL),
		(SELECT count(*) FROM handovers WHERE corp_id = $1 AND leaver_id = $2 AND state NOT IN (`+over+`))`, e.tx.Corp(), e.id)
	switch {
	case err != nil:
		return err
	case r.contacts > 0 || r.groups > 0:
		return fault.Clash("id", "this member still has %d contacts and %d groups; hand them over first",
			"该成员仍有 %d 个客户和 %d 个客户群，请先完成交接", r.contacts, r.groups)
	case r.open > 0:
		return fault.Clash("id", "this member is the leaver of %d handovers that are not over; finish or cancel them first",
			"该成员仍有 %d 个未结束的交接单，请先完成或取消", r.open)
	}
	return nil
}

func (e *erasing) member() error {
	if err := e.found("members", "status"); err != nil || e.done {
		return err
	}
	if !e.anyway {
		if err := e.left(); err != nil {
			return err
		}
	}
	now := e.tx.Now()
	if err := e.change("members", `UPDATE members SET name = $3, name_key = '', user_id = $4, last_login_at = NULL, erased_at = $5, updated_at = $5, version = version + 1
		WHERE corp_id = $1 AND id = $2 RETURNING id`, leaf.Erased, e.id.String(), now); err != nil {
		return err
	}
	without := `json_remove(CAST(plan AS text), '$.reason', '$.message')`
	if e.tx.DB().Postgres() {
		without = `(CAST(plan AS jsonb) - 'reason' - 'message')::json`
	}
	if err := e.change("handovers", `UPDATE handovers SET reason = NULL, message = NULL, plan = `+without+`, updated_at = $3, version = version + 1
		WHERE corp_id = $1 AND leaver_id = $2 AND (reason IS NOT NULL OR message IS NOT NULL) RETURNING id`, now); err != nil {
		return err
	}
	if err := e.change("approvals", `UPDATE approvals SET comment = NULL WHERE corp_id = $1 AND comment IS NOT NULL
		AND (approver_id = $2 OR handover_id IN (SELECT id FROM handovers WHERE corp_id = $1 AND leaver_id = $2)) RETURNING id`); err != nil {
		return err
	}
	if err := e.change("leak_findings", `UPDATE leak_findings SET note = NULL, updated_at = $3, version = version + 1
		WHERE corp_id = $1 AND member_id = $2 AND note IS NOT NULL RETURNING id`, now); err != nil {
		return err
	}
	for _, table := range []string{"passkeys", "recovery_codes", "member_identities", "scim_users"} {
		if err := e.change(table, `DELETE FROM `+table+` WHERE corp_id = $1 AND member_id = $2 RETURNING member_id`); err != nil {
			return err
		}
	}
	if _, err := e.tx.Keep(e.ctx, "notice_baselines", `DELETE FROM notice_baselines WHERE corp_id = $1 AND member_id = $2`, e.tx.Corp(), e.id); err != nil {
		return err
	}
	if err := e.change("review_items", `UPDATE review_items SET note = NULL WHERE corp_id = $1 AND note IS NOT NULL
		AND (member_id = $2 OR token_id IN (SELECT id FROM service_tokens WHERE corp_id = $1 AND created_by_id = $2)) RETURNING id`); err != nil {
		return err
	}
	return e.change("credentials", `DELETE FROM credentials WHERE corp_id = $1 AND member_id = $2 RETURNING member_id`)
}
