package review

import (
	"context"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Decision is what a review says of a grant.
type Decision string

// The decisions.
const (
	Keep   Decision = "KEEP"
	Revoke Decision = "REVOKE"
)

// maxNote is the longest note in characters.
const maxNote = 500

// DecideInput says what shall become of one grant.
type DecideInput struct {
	ID       nid.ID
	Decision Decision
	// Note says why; nil or empty: nothing.
	Note *string
}

// item is an item with its grant.
type item struct {
	review nid.ID
	identity.Held
	decision *Decision
	closed   bool
	over     bool // the grant is no longer in force
}

// Decide keeps or revokes the grant of an item. The actor reviews access where the
// grant reaches, and it is not their own. Where other open reviews ask about the same
// grant the decision answers those too. A review in which nothing is left to decide
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
			return fault.Clash("input.id", "the grant is no longer in force", "该授权已失效")
		}
		type row struct{ id, review nid.ID }
		rows, err := store.ChangeInto(ctx, tx, func(r *row) []any { return []any{&r.id, &r.review} }, func(r *row) nid.ID { return r.id }, "review_items",
			`UPDATE review_items SET decision = $3, decided_by_id = $4, decided_at = $5, note = $6
			WHERE corp_id = $1 AND grant_id = $2 AND decision IS NULL RETURNING id, review_id`, tx.Corp(), it.ID, string(in.Decision), actor.ID, tx.Now(), note)
		if err != nil {
			return err
		}
		e := audit.Entry{Action: access.ReviewDecide, Subject: in.ID, After: map[string]any{"decision": string(in.Decision), "grant": it.ID, "review": it.review}}
		if note != nil {
			e.After["note"] = audit.Personal{Subject: it.Member, Value: *in.Note}
		}
		var reviews []nid.ID
		for _, r := range rows {
			reviews = append(reviews, r.review)
			if r.id != in.ID {
				e.Covers = append(e.Covers, r.id)
			}
		}
		entries := []audit.Entry{e}
		if in.Decision == Keep {
			kept, err := tx.Change(ctx, "grants", `UPDATE grants SET last_reviewed_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), it.ID, tx.Now())
			if err != nil {
				return err
			}
			entries[0].Covers = append(entries[0].Covers, kept...)
		} else {
			ended, err := identity.EndGrants(ctx, tx, managing, it.Held)
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
		return []any{&i.review, &i.ID, &i.Member, &i.Role, &i.Department, &i.decision, &i.closed, &i.over}
	}, `SELECT i.review_id, g.id, g.member_id, g.role_id, g.department_id, i.decision, v.closed_at IS NOT NULL, NOT (`+inForce+`)
		FROM review_items AS i JOIN grants AS g ON g.corp_id = i.corp_id AND g.id = i.grant_id
		JOIN access_reviews AS v ON v.corp_id = i.corp_id AND v.id = i.review_id
		WHERE i.corp_id = $1 AND i.id = $3`, tx.Corp(), tx.Now(), id)
	if err != nil {
		return it, err
	}
	if !ok {
		return it, fault.Missing("input.id")
	}
	outside, err := store.OutOfScope(ctx, tx, actor.Scope(access.ReviewAccess, access.ReadAuditLog), it.Member)
	if err != nil {
		return it, err
	}
	if len(outside) > 0 {
		return it, fault.Missing("input.id")
	}
	outside, err = store.OutOfScope(ctx, tx, actor.Scope(access.ReviewAccess), it.Member)
	if err != nil {
		return it, err
	}
	lacking, err := identity.Lacking(ctx, tx, actor, it.Department, tx.Now(), access.ReviewAccess)
	switch {
	case err != nil:
		return it, err
	case len(lacking)+len(outside) > 0:
		return it, mayNot()
	case it.Member == actor.ID:
		return it, fault.Denied("nobody reviews their own access", "不能复核自己的授权")
	}
	return it, nil
}
