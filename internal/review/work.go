package review

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	// settled is how many items are settled in one transaction.
	settled = 200
	// again is how often it is looked whether an overdue review can be closed.
	again = 24 * time.Hour
)

// Work opens the month's review where it is not there yet, revokes what nobody has
// decided in reviews that are due, and says when to look again. It may run anywhere,
// at any time and in several replicas at once. A month begins in the corp's time zone;
// the one in which the corp was founded has no review, and months that have passed
// while nobody worked get none afterwards.
func (s *Service) Work(ctx context.Context, corp nid.ID) (next time.Time, err error) {
	ctx = store.System(ctx, corp, "access reviews")
	month, err := s.monthly(ctx)
	if err != nil {
		return time.Time{}, err
	}
	open, err := s.waiting(ctx)
	if err != nil {
		return time.Time{}, err
	}
	now := s.DB.Now()
	for _, r := range open {
		for more := !r.due.After(now); more; {
			if more, err = s.settle(ctx, r.id); err != nil {
				return time.Time{}, err
			}
		}
	}
	if open, err = s.waiting(ctx); err != nil {
		return time.Time{}, err
	}
	next = month
	for _, r := range open {
		at := r.due
		if !at.After(now) {
			at = now.Add(again) // overdue
		}
		if at.Before(next) {
			next = at
		}
	}
	return next, nil
}

type waiting struct {
	id  nid.ID
	due time.Time
}

// waiting gives open reviews, the one that is due first at the front.
func (s *Service) waiting(ctx context.Context) (all []waiting, err error) {
	err = s.DB.View(ctx, func(ctx context.Context, r *store.Read) error {
		all, err = store.Select(ctx, r, func(w *waiting) []any { return []any{&w.id, &w.due} },
			`SELECT id, due_at FROM access_reviews WHERE corp_id = $1 AND closed_at IS NULL ORDER BY due_at, id`, access.From(ctx).Corp)
		return err
	})
	return all, err
}

// monthly opens this month's review and says when the next month begins.
func (s *Service) monthly(ctx context.Context) (next time.Time, err error) {
	type row struct {
		zone    string
		founded time.Time
	}
	var c row
	var first time.Time
	there := false
	if err := s.DB.View(ctx, func(ctx context.Context, r *store.Read) error {
		if c, _, err = store.SelectOne(ctx, r, func(c *row) []any { return []any{&c.zone, &c.founded} },
			`SELECT time_zone, created_at FROM corps WHERE corp_id = $1`, access.From(ctx).Corp); err != nil {
			return err
		}
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			return err
		}
		now := s.DB.Now().In(zone)
		first = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, zone)
		next = time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, zone).UTC()
		_, there, err = store.SelectOne(ctx, r, func(id *nid.ID) []any { return []any{id} },
			`SELECT id FROM access_reviews WHERE corp_id = $1 AND month = $2`, access.From(ctx).Corp, first.Format("2006-01"))
		return err
	}); err != nil || there || !c.founded.Before(first) {
		return next, err
	}
	return next, s.Log.Tx(ctx, s.DB, access.ReviewOpen, func(ctx context.Context, tx *store.Tx) error {
		if _, err := identity.LockRoles(ctx, tx); err != nil {
			return err
		}
		id, entry, err := s.open(ctx, tx, opening{due: tx.Now().Add(given), month: first.Format("2006-01"), scope: access.Scope{All: true}})
		if err != nil || id.IsZero() {
			return err
		}
		return s.Log.Append(ctx, tx, entry)
	})
}

// settle revokes some of the grants, then of the tokens, about which a review that is
// due has heard nothing, the oldest grants last, so that the corp's first administrator is who stays where
// nobody else would. With nothing left to decide it closes the review.
func (s *Service) settle(ctx context.Context, review nid.ID) (more bool, err error) {
	err = s.Log.Tx(ctx, s.DB, access.ReviewDecide, func(ctx context.Context, tx *store.Tx) error {
		more = false
		managing, err := identity.LockRoles(ctx, tx)
		if err != nil {
			return err
		}
		type silent struct {
			item nid.ID
			identity.Held
		}
		rows, err := store.Select(ctx, tx, func(r *silent) []any { return []any{&r.item, &r.ID, &r.Member, &r.Role, &r.Department} }, `
			SELECT i.id, g.id, g.member_id, g.role_id, g.department_id FROM review_items AS i
			JOIN access_reviews AS v ON v.corp_id = i.corp_id AND v.id = i.review_id
			JOIN grants AS g ON g.corp_id = i.corp_id AND g.id = i.grant_id
			WHERE i.corp_id = $1 AND v.id = $3 AND v.due_at <= $2 AND v.closed_at IS NULL AND i.decision IS NULL AND i.overdue_at IS NULL AND `+inForce+`
			ORDER BY g.id DESC LIMIT $4`, tx.Corp(), tx.Now(), review, settled)
		if err != nil {
			return err
		}
		var entries []audit.Entry
		if len(rows) > 0 {
			more = true
			items := map[nid.ID]nid.ID{}
			all := make([]identity.Held, len(rows))
			for i, r := range rows {
				items[r.ID], all[i] = r.item, r.Held
			}
			if entries, err = s.silence(ctx, tx, managing, review, items, all); err != nil {
				return err
			}
		} else if entries, err = silentTokens(ctx, tx, review); err != nil {
			return err
		} else if len(entries) > 0 {
			more = true
		} else if entries, err = done(ctx, tx, review); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, entries...)
	})
	return more && err == nil, err
}

// silence decides for those who have not.
func (s *Service) silence(ctx context.Context, tx *store.Tx, managing []nid.ID, review nid.ID, items map[nid.ID]nid.ID, all []identity.Held) ([]audit.Entry, error) {
	ended, err := identity.EndGrants(ctx, tx, managing, all...)
	if err != nil {
		return nil, err
	}
	var revoked, stay []nid.ID
	for i := range ended {
		ended[i].After["review"] = review
		revoked = append(revoked, items[ended[i].Subject])
		delete(items, ended[i].Subject)
	}
	for _, item := range items {
		stay = append(stay, item)
	}
	db := tx.DB()
	if len(revoked) > 0 {
		if _, err := tx.Change(ctx, "review_items", `UPDATE review_items SET decision = 'REVOKE', decided_at = $2 WHERE corp_id = $1 AND id `+db.In(3)+` RETURNING id`,
			tx.Corp(), tx.Now(), db.IDs(revoked)); err != nil {
			return nil, err
		}
	}
	if len(stay) > 0 {
		if _, err := tx.Change(ctx, "review_items", `UPDATE review_items SET overdue_at = $2 WHERE corp_id = $1 AND id `+db.In(3)+` RETURNING id`,
			tx.Corp(), tx.Now(), db.IDs(stay)); err != nil {
			return nil, err
		}
	}
	after := map[string]any{"silence": true, "revoked": len(revoked), "overdue": len(stay)}
	return append([]audit.Entry{{Action: access.ReviewDecide, Subject: review, Covers: append(revoked, stay...), After: after}}, ended...), nil
}
