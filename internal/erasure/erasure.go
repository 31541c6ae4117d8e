// Package erasure forgets a person. What happened stays: who was handed over to whom
// and when; the log still verifies. Who that was does not.
package erasure

import (
	"context"

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
}

// Erase empties what is personal about a contact or a member who has departed, and
// throws away the key under which the log keeps values about them: neither backups of
// the log nor guessing brings those back, since each was hashed with a random salt that
// went with the key. It cannot be undone. Erasing somebody twice changes nothing.
//
// Of a contact that is name, company, the platform's id, tags, what members noted, and
// the text of their messages; consent is withdrawn. Of a member it is name, user id,
// credentials, what an identity provider said of them, and what was written about their handovers.
//
// It is for the system and runs on the operator's word. Fails with NOT_FOUND, INVALID
// for what is no person, and CONFLICT for a member who has not departed.
func (s *Service) Erase(ctx context.Context, id nid.ID) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		e := &erasing{ctx: ctx, tx: tx, id: id}
		var err error
		switch id.Kind() {
		case nid.Contact:
			err = e.contact()
		case nid.Member:
			err = e.member()
		default:
			return fault.Bad("id", "only contacts and members can be erased", "只能删除客户或成员的个人信息")
		}
		if err != nil || e.done {
			return err
		}
		if _, err := tx.Keep(ctx, "subject_keys", `INSERT INTO subject_keys (corp_id, subject_id, wrapped, created_at, erased_at) VALUES ($1, $2, NULL, $3, $3)
			ON CONFLICT (corp_id, subject_id) DO UPDATE SET wrapped = NULL, erased_at = excluded.erased_at`, tx.Corp(), id, tx.Now()); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.PersonErase, Subject: id, Covers: e.covers, After: map[string]any{"rows": len(e.covers) + 1}})
	})
}

type erasing struct {
	ctx    context.Context
	tx     *store.Tx
	id     nid.ID
	covers []nid.ID
	done   bool // already
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
	case r.status != "" && r.status != "DEPARTED":
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

func (e *erasing) member() error {
	if err := e.found("members", "status"); err != nil || e.done {
		return err
	}
	now := e.tx.Now()
	if err := e.change("members", `UPDATE members SET name = $3, name_key = '', user_id = $4, last_login_at = NULL, erased_at = $5, updated_at = $5, version = version + 1
		WHERE corp_id = $1 AND id = $2 RETURNING id`, leaf.Erased, e.id.String(), now); err != nil {
		return err
	}
	if err := e.change("handovers", `UPDATE handovers SET reason = NULL, plan = '{}', updated_at = $3, version = version + 1
		WHERE corp_id = $1 AND leaver_id = $2 AND reason IS NOT NULL
		  AND state IN ('COMPLETED', 'PARTIAL', 'FAILED', 'REJECTED', 'CANCELLED', 'REVERTED') RETURNING id`, now); err != nil {
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
