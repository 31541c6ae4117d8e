package review

import (
	"context"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Decision is what a review says of a grant or service token.
type Decision string

// The decisions.
const (
	Keep   Decision = "KEEP"
	Revoke Decision = "REVOKE"
)

// maxNote is the longest note in characters.
const maxNote = 500

// DecideInput says what shall become of one grant or token.
type DecideInput struct {
	ID       nid.ID
	Decision Decision
	// Note says why; nil or empty: nothing.
	Note *string
}

// item is an item with its grant or token.
type item struct {
	review nid.ID
	identity.Held
	token    nid.ID // zero: it is about the grant
	decision *Decision
	closed   bool
	over     bool // the grant or token is no longer in force
}

// Decide keeps or revokes the grant or token of an item. The actor reviews access where
// it reaches, and it is not their own. Where other open reviews ask about the same, the
// decision answers those too. A review in which nothing is left to decide
// is closed.
//
// Fails with NOT_FOUND on input.id, FORBIDDEN, STEP_UP_REQUIRED, INVALID on input.note,
// and CONFLICT where somebody has decided, the grant is over or the review closed, or
// nobody would be left who administers the corp.
func (s *Service) Decide(ctx context.Context, in DecideInput) error {
	return s.Log.Tx(ctx, s.DB, access.ReviewDecide, func(ctx context.Context, tx *store.Tx) error {
		managing, err := identity.LockRoles(ctx, tx)
		if err != nil {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Can(access.ReviewAccess) {
			return mayNot()
		}
		note, err := in.check()
		if err != nil {
			return err
		}
		it, err := find(ctx, tx, actor, in.ID)
		if err != nil {
			return err
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		switch {
		case it.decision != nil:
			return fault.Clash("input.id", "this has been decided already", "该项已有决定").With("decision", string(*it.decision))
		case it.closed, it.over:
			return fault.Clash("input.id", "the grant or token of this item is no longer in force", "该授权或令牌已失效")
		}
		type row struct{ id, review nid.ID }
		column, about, subject := "grant_id", it.ID, it.Member
		e := audit.Entry{Action: access.ReviewDecide, Subject: in.ID, After: map[string]any{"decision": string(in.Decision), "review": it.review}}
		if it.token.IsZero() {
			e.After["grant"] = it.ID
		} else {
			column, about, e.After["token"] = "token_id", it.token, it.token
			if subject.IsZero() {
				subject = actor.ID // the token has no maker; the words are the reviewer's
			}
		}
		rows, err := store.ChangeInto(ctx, tx, func(r *row) []any { return []any{&r.id, &r.review} }, func(r *row) nid.ID { return r.id }, "review_items",
			`UPDATE review_items SET decision = $3, decided_by_id = $4, decided_at = $5, note = $6
			WHERE corp_id = $1 AND `+column+` = $2 AND decision IS NULL RETURNING id, review_id`, tx.Corp(), about, string(in.Decision), actor.ID, tx.Now(), note)
		if err != nil {
			return err
		}
		if note != nil {
			e.After["note"] = audit.Personal{Subject: subject, Value: *in.Note}
		}
		var reviews []nid.ID
		for _, r := range rows {
			reviews = append(reviews, r.review)
			if r.id != in.ID {
				e.Covers = append(e.Covers, r.id)
			}
		}
		entries := []audit.Entry{e}
		switch {
		case in.Decision == Keep && it.token.IsZero():
			kept, err := tx.Change(ctx, "grants", `UPDATE grants SET last_reviewed_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), it.ID, tx.Now())
			if err != nil {
				return err
			}
			entries[0].Covers = append(entries[0].Covers, kept...)
		case in.Decision == Keep:
		default:
			ended, err := it.end(ctx, tx, managing)
			if err != nil {
				return err
			}
			if len(ended) == 0 {
				return identity.LastAdministrator("input.decision")
			}
			ended[0].After["review"] = it.review
			entries = append(entries, ended...)
		}
		closed, err := done(ctx, tx, reviews...)
		if err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, append(entries, closed...)...)
	})
}

// end revokes the grant or token and gives its entry; none where nobody would be left
// who administers the corp.
func (it *item) end(ctx context.Context, tx *store.Tx, managing []nid.ID) ([]audit.Entry, error) {
	if it.token.IsZero() {
		return identity.EndGrants(ctx, tx, managing, it.Held)
	}
	return identity.EndTokens(ctx, tx, it.token)
}

func (in DecideInput) check() (note any, err error) {
	if in.Decision != Keep && in.Decision != Revoke {
		return nil, fault.Bad("input.decision", "decide KEEP or REVOKE", "请选择 KEEP 或 REVOKE")
	}
	if in.Note == nil || *in.Note == "" {
		return nil, nil
	}
	if problem, ok := name.CheckText(*in.Note, maxNote); !ok {
		return nil, fault.New(fault.Invalid, "input.note", problem)
	}
	return *in.Note, nil
}

// find gives an item on which the actor may decide. One of a member out of the actor's
// sight is not there.
func find(ctx context.Context, tx *store.Tx, actor *access.Actor, id nid.ID) (it item, err error) {
	it, ok, err := store.SelectOne(ctx, tx, func(i *item) []any {
		return []any{&i.review, &i.ID, &i.token, &i.Member, &i.Role, &i.Department, &i.decision, &i.closed, &i.over}
	}, `SELECT i.review_id, i.grant_id, i.token_id, coalesce(g.member_id, t.created_by_id), g.role_id, coalesce(g.department_id, t.department_id), i.decision, v.closed_at IS NOT NULL,
			NOT coalesce(`+inForce+`, `+tokenInForce+`)
		FROM review_items AS i LEFT JOIN grants AS g ON g.corp_id = i.corp_id AND g.id = i.grant_id
		LEFT JOIN service_tokens AS t ON t.corp_id = i.corp_id AND t.id = i.token_id
		JOIN access_reviews AS v ON v.corp_id = i.corp_id AND v.id = i.review_id
		WHERE i.corp_id = $1 AND i.id = $3`, tx.Corp(), tx.Now(), id)
	if err != nil {
		return it, err
	}
	if !ok {
		return it, fault.Missing("input.id")
	}
	// A grant is seen by who has its member in scope, a token by who reaches as far as it.
	lacking, err := identity.Lacking(ctx, tx, actor, it.Department, tx.Now(), access.ReviewAccess, access.ReadAuditLog)
	if err != nil {
		return it, err
	}
	sees, may := len(lacking) < 2, !slices.Contains(lacking, access.ReviewAccess)
	if it.token.IsZero() {
		seen, err := store.OutOfScope(ctx, tx, actor.Scope(access.ReviewAccess, access.ReadAuditLog), it.Member)
		if err != nil {
			return it, err
		}
		reviewed, err := store.OutOfScope(ctx, tx, actor.Scope(access.ReviewAccess), it.Member)
		if err != nil {
			return it, err
		}
		sees, may = len(seen) == 0, may && len(reviewed) == 0
	}
	switch {
	case !sees:
		return it, fault.Missing("input.id")
	case !may:
		return it, mayNot()
	case it.Member == actor.ID:
		return it, fault.Denied("nobody reviews their own access", "不能复核自己的授权")
	}
	return it, nil
}
