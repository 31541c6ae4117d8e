package review

import (
	"context"
	"encoding/json"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// reviewedToken is a service token that a review asks about.
type reviewedToken struct {
	id        nid.ID
	sensitive bool
}

// tokensWithin gives the service tokens in force that reach no further than the scope,
// oldest first.
func tokensWithin(ctx context.Context, tx *store.Tx, scope access.Scope) ([]reviewedToken, error) {
	type row struct {
		id          nid.ID
		permissions []byte
	}
	where, args := tokenInForce, []any{tx.Corp(), tx.Now()}
	if !scope.All {
		where += ` AND EXISTS (SELECT 1 FROM department_closure AS c WHERE c.corp_id = t.corp_id AND c.descendant_id = t.department_id AND c.ancestor_id ` + tx.DB().In(3) + `)`
		args = append(args, tx.DB().IDs(scope.Departments))
	}
	rows, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.id, &r.permissions} },
		`SELECT t.id, t.permissions FROM service_tokens AS t WHERE t.corp_id = $1 AND `+where+` ORDER BY t.id`, args...)
	if err != nil {
		return nil, err
	}
	out := make([]reviewedToken, len(rows))
	for i, r := range rows {
		var ps []access.Permission
		if err := json.Unmarshal(r.permissions, &ps); err != nil {
			return nil, err
		}
		out[i] = reviewedToken{r.id, access.Sensitive(ps)}
	}
	return out, nil
}

// silentTokens revokes some of the tokens about which a review that is due has heard
// nothing, and gives the entries; none: there are no more.
func silentTokens(ctx context.Context, tx *store.Tx, review nid.ID) ([]audit.Entry, error) {
	type silent struct{ item, token nid.ID }
	rows, err := store.Select(ctx, tx, func(r *silent) []any { return []any{&r.item, &r.token} }, `
		SELECT i.id, t.id FROM review_items AS i
		JOIN access_reviews AS v ON v.corp_id = i.corp_id AND v.id = i.review_id
		JOIN service_tokens AS t ON t.corp_id = i.corp_id AND t.id = i.token_id
		WHERE i.corp_id = $1 AND v.id = $3 AND v.due_at <= $2 AND v.closed_at IS NULL AND i.decision IS NULL AND `+tokenInForce+`
		ORDER BY t.id LIMIT $4`, tx.Corp(), tx.Now(), review, settled)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	items, tokens := make([]nid.ID, len(rows)), make([]nid.ID, len(rows))
	for i, r := range rows {
		items[i], tokens[i] = r.item, r.token
	}
	if _, err := tx.Change(ctx, "review_items", `UPDATE review_items SET decision = 'REVOKE', decided_at = $2 WHERE corp_id = $1 AND id `+tx.DB().In(3)+` RETURNING id`,
		tx.Corp(), tx.Now(), tx.DB().IDs(items)); err != nil {
		return nil, err
	}
	ended, err := identity.EndTokens(ctx, tx, tokens...)
	for i := range ended {
		ended[i].After["review"] = review
	}
	after := map[string]any{"silence": true, "revoked": len(items), "overdue": 0}
	return append([]audit.Entry{{Action: access.ReviewDecide, Subject: review, Covers: items, After: after}}, ended...), err
}
