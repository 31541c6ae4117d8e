// Package review asks regularly whether people still need the roles they have, and
// programs their service tokens.
//
// A review has an item for each grant and service token that is in force when it is
// opened: on the first of every month by itself, and when somebody asks. Who reviews
// access keeps or revokes each, never their own nor the tokens they made. What nobody has decided when the review is due is revoked:
// silence takes access away, it never leaves it. Only the grant without which nobody
// would administer the corp stays, and its item is overdue until somebody decides.
//
//	review.go   opening and closing
//	decide.go   deciding an item
//	work.go     what happens by itself
package review

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	// WorkReviews is the kind of work that opens reviews and settles those that are due.
	WorkReviews = "reviews"
	// given is how long a review that opened by itself leaves to decide.
	given = 14 * 24 * time.Hour
	// least and most bound it for one that somebody opened: nobody's access ends over a
	// weekend because somebody else was quick.
	least, most = 7 * 24 * time.Hour, 90 * 24 * time.Hour
	// atOnce is how many rows one statement writes.
	atOnce = 500
)

// Service holds the use cases.
type Service struct {
	DB  *store.DB
	Log *audit.Log
}

// inForce is the condition that grants AS g are in force at the time $2.
const inForce = `g.revoked_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > $2)`

// tokenInForce is the condition that service_tokens AS t are in force at the time $2.
const tokenInForce = `t.revoked_at IS NULL AND t.expires_at > $2`

// waits is the condition that review_items AS i still need a decision at the time $2.
const waits = `i.decision IS NULL AND (EXISTS (SELECT 1 FROM grants AS g WHERE g.corp_id = i.corp_id AND g.id = i.grant_id AND ` + inForce + `)
	OR EXISTS (SELECT 1 FROM service_tokens AS t WHERE t.corp_id = i.corp_id AND t.id = i.token_id AND ` + tokenInForce + `))`

// opening is a review to be.
type opening struct {
	due   time.Time
	month any // of one that opens by itself
	by    any // who opens it
	scope access.Scope
}

// Start opens a review of the grants in force within the actor's scope of REVIEW_ACCESS:
// those that reach no further, of members in it; and of the service tokens in force that
// reach no further. Fails with FORBIDDEN,
// STEP_UP_REQUIRED, INVALID on input.dueAt, and CONFLICT where there is nothing to
// review or a review is still open that the actor has started.
func (s *Service) Start(ctx context.Context, due time.Time) (id nid.ID, err error) {
	err = s.Log.Tx(ctx, s.DB, access.ReviewOpen, func(ctx context.Context, tx *store.Tx) error {
		if _, err := identity.LockRoles(ctx, tx); err != nil {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		scope := actor.Scope(access.ReviewAccess)
		if scope.Empty() {
			return mayNot()
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		due = due.UTC().Truncate(time.Microsecond)
		if due.Before(tx.Now().Add(least)) || due.After(tx.Now().Add(most)) {
			return fault.Bad("input.dueAt", "leave 7 to 90 days to decide", "请留出 7 至 90 天的复核时间")
		}
		_, open, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} },
			`SELECT id FROM access_reviews WHERE corp_id = $1 AND started_by_id = $2 AND closed_at IS NULL`, tx.Corp(), actor.ID)
		if err != nil {
			return err
		}
		if open {
			return fault.Clash("", "a review that you started is still open", "您发起的复核尚未结束")
		}
		found, entry, err := s.open(ctx, tx, opening{due: due, by: actor.ID, scope: scope})
		if err != nil {
			return err
		}
		if found.IsZero() {
			return fault.Clash("", "there is no grant to review", "没有可复核的授权")
		}
		id = found
		return s.Log.Append(ctx, tx, entry)
	})
	if err != nil {
		return nid.ID{}, err
	}
	return id, nil
}

// open writes a review and its items; the zero id: there is nothing to review, or the
// month has its review already. The caller holds identity.LockRoles, so that no grant
// comes or goes meanwhile.
func (s *Service) open(ctx context.Context, tx *store.Tx, o opening) (id nid.ID, entry audit.Entry, err error) {
	type row struct {
		grant, member, token any
		sensitive            bool
	}
	type granted struct {
		grant, member nid.ID
		sensitive     bool
	}
	var rows []row
	db, args := tx.DB(), []any{tx.Corp(), tx.Now()}
	where := inForce
	if o.month != nil { // what comes by itself must not take everybody's everyday roles away
		where += ` AND r.sensitive`
	}
	if !o.scope.All {
		args = append(args, db.IDs(o.scope.Departments))
		where += ` AND EXISTS (SELECT 1 FROM department_closure AS c WHERE c.corp_id = g.corp_id AND c.descendant_id = g.department_id AND c.ancestor_id ` + db.In(3) + `)
			AND ` + db.ScopeSQL(o.scope, "g.corp_id", "g.member_id", 3)
	}
	grants, err := store.Select(ctx, tx, func(r *granted) []any { return []any{&r.grant, &r.member, &r.sensitive} }, `
		SELECT g.id, g.member_id, r.sensitive FROM grants AS g JOIN roles AS r ON r.corp_id = g.corp_id AND r.id = g.role_id
		WHERE g.corp_id = $1 AND `+where+` ORDER BY g.id`, args...)
	if err != nil {
		return id, entry, err
	}
	for _, g := range grants {
		rows = append(rows, row{grant: g.grant, member: g.member, sensitive: g.sensitive})
	}
	tokens, err := tokensWithin(ctx, tx, o.scope)
	if err != nil {
		return id, entry, err
	}
	for _, t := range tokens {
		if t.sensitive || o.month == nil {
			rows = append(rows, row{token: t.id, sensitive: t.sensitive})
		}
	}
	if len(rows) == 0 {
		return id, entry, nil
	}
	id = tx.NewID(nid.Review)
	made, err := tx.Change(ctx, "access_reviews", `INSERT INTO access_reviews (id, corp_id, created_at, due_at, month, started_by_id)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (corp_id, month) WHERE month IS NOT NULL DO NOTHING RETURNING id`,
		id, tx.Corp(), tx.Now(), o.due, o.month, o.by)
	if err != nil || len(made) == 0 {
		return nid.ID{}, entry, err
	}
	var items []nid.ID
	for len(rows) > 0 {
		part := rows[:min(atOnce, len(rows))]
		rows = rows[len(part):]
		batch := make([]map[string]any, len(part))
		for i, r := range part {
			item, rank := tx.NewID(nid.ReviewItem), 1
			if r.sensitive {
				rank = 0
			}
			items = append(items, item)
			batch[i] = map[string]any{"id": item, "grant_id": r.grant, "member_id": r.member, "token_id": r.token, "rank": rank}
		}
		if _, err := tx.Change(ctx, "review_items", `INSERT INTO review_items (id, corp_id, created_at, review_id, grant_id, member_id, token_id, rank)
			SELECT id, $2, $3, $4, grant_id, member_id, token_id, rank FROM `+db.Rows(1, "r", "id uuid", "grant_id uuid", "member_id uuid", "token_id uuid", "rank int")+` WHERE true RETURNING id`,
			db.Batch(batch), tx.Corp(), tx.Now(), id); err != nil {
			return id, entry, err
		}
	}
	entry = audit.Entry{Action: access.ReviewOpen, Subject: id, Covers: items, After: map[string]any{"dueAt": o.due, "items": len(items)}}
	if month, ok := o.month.(string); ok {
		entry.After["month"] = month
	}
	return id, entry, tx.Wake(ctx, WorkReviews, o.due)
}

// done closes those of the reviews in which nothing is left to decide, and gives an
// entry for each.
func done(ctx context.Context, tx *store.Tx, reviews ...nid.ID) ([]audit.Entry, error) {
	closed, err := tx.Change(ctx, "access_reviews", `UPDATE access_reviews SET closed_at = $2 WHERE corp_id = $1 AND id `+tx.DB().In(3)+` AND closed_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM review_items AS i WHERE i.corp_id = access_reviews.corp_id AND i.review_id = access_reviews.id AND `+waits+`) RETURNING id`,
		tx.Corp(), tx.Now(), tx.DB().IDs(reviews))
	if err != nil || len(closed) == 0 {
		return nil, err
	}
	type sums struct {
		review        nid.ID
		kept, revoked int
	}
	of, err := store.Select(ctx, tx, func(n *sums) []any { return []any{&n.review, &n.kept, &n.revoked} }, `
		SELECT r.id, COUNT(CASE WHEN i.decision = 'KEEP' THEN 1 END), COUNT(CASE WHEN i.decision = 'REVOKE' THEN 1 END)
		FROM access_reviews AS r LEFT JOIN review_items AS i ON i.corp_id = r.corp_id AND i.review_id = r.id
		WHERE r.corp_id = $1 AND r.id `+tx.DB().In(2)+` GROUP BY r.id`, tx.Corp(), tx.DB().IDs(closed))
	var entries []audit.Entry
	for _, n := range of {
		entries = append(entries, audit.Entry{Action: access.ReviewClose, Subject: n.review, After: map[string]any{"kept": n.kept, "revoked": n.revoked}})
	}
	return entries, err
}

func mayNot() error {
	return fault.Denied("you may not review access there", "您无权复核该范围的授权")
}
