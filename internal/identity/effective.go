package identity

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// ServiceToken is what a service token is and may do now. Its effective permissions are
// the stored ones that its maker holds now, each in the part of the token's department
// in which the maker holds it (docs/permissions.md, "Service tokens"). A token
// made at the machine has no maker and keeps its own list.
type ServiceToken struct {
	ID, Department, Maker nid.ID
	Name                  string
	Stored                []access.Permission
	ExpiresAt             time.Time
	LastUsed              sql.NullTime
	// Grants are what the token may do. Each gives one or more permissions in one place.
	Grants []access.Grant
}

// Effective lists the permissions that the token has anywhere, in the order of the API.
func (t *ServiceToken) Effective() []access.Permission {
	return (&access.Actor{Grants: t.Grants}).Held()
}

// Reduced reports whether the token may do less than is stored: a permission is missing,
// or reaches only part of the token's department.
func (t *ServiceToken) Reduced() bool {
	return slices.ContainsFunc(t.Stored, func(p access.Permission) bool {
		return !slices.ContainsFunc(t.Grants, func(g access.Grant) bool { return g.Department == t.Department && slices.Contains(g.Permissions, p) })
	})
}

// tokenIn is the condition of a token in force, on service_tokens AS t at the time $2.
const tokenIn = `t.corp_id = $1 AND t.revoked_at IS NULL AND t.expires_at > $2`

// Tokens reads the service tokens that meet a condition on service_tokens AS t in which
// $3 is arg. Revoked and expired tokens, and those whose maker is not at work, are read
// too: they may do nothing.
func Tokens(ctx context.Context, q store.Querier, now time.Time, condition string, arg any) (map[nid.ID]*ServiceToken, error) {
	return serviceTokens(ctx, q, now, condition, arg, `t.corp_id = $1`, "", "")
}

// inForce reads one token in force with its maker at work. The locks are words of the
// database: with them neither the token nor its maker's grants change until the end of
// the transaction. Grants come first, as everywhere.
func inForce(ctx context.Context, q store.Querier, now time.Time, condition string, arg any, grantLock, tokenLock string) (*ServiceToken, error) {
	found, err := serviceTokens(ctx, q, now, condition, arg, tokenIn+` AND `+makerActs, grantLock, tokenLock)
	for _, t := range found {
		return t, err
	}
	return nil, err
}

// serviceTokens reads tokens by a condition, and their makers' grants in force. which
// says what else must hold of the tokens.
func serviceTokens(ctx context.Context, q store.Querier, now time.Time, condition string, arg any,
	which, grantLock, tokenLock string,
) (map[nid.ID]*ServiceToken, error) {
	corp := access.From(ctx).Corp
	type held struct {
		token, place nid.ID
		permissions  []byte
		expires      sql.NullTime
	}
	const closure = `EXISTS (SELECT 1 FROM department_closure AS c WHERE c.corp_id = t.corp_id AND `
	const above = closure + `c.ancestor_id = g.department_id AND c.descendant_id = t.department_id)`
	const below = closure + `c.ancestor_id = t.department_id AND c.descendant_id = g.department_id)`
	makers, err := store.Select(ctx, q, func(h *held) []any { return []any{&h.token, &h.place, &h.permissions, &h.expires} }, `
		SELECT t.id, CASE WHEN g.department_id IS NULL OR `+above+` THEN t.department_id ELSE g.department_id END, r.permissions, g.expires_at
		FROM service_tokens AS t JOIN grants AS g ON g.corp_id = t.corp_id AND g.member_id = t.created_by_id
		JOIN roles AS r ON r.corp_id = g.corp_id AND r.id = g.role_id
		WHERE `+tokenIn+` AND `+makerActs+` AND `+condition+` AND g.revoked_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > $2)
		  AND (g.department_id IS NULL OR t.department_id IS NULL OR `+above+` OR `+below+`)
		ORDER BY g.id`+grantLock, corp, now, arg)
	if err != nil {
		return nil, err
	}
	type row struct {
		ServiceToken
		permissions []byte
		alive       bool
	}
	rows, err := store.Select(ctx, q, func(r *row) []any {
		return []any{&r.ID, &r.Department, &r.Maker, &r.Name, &r.permissions, &r.ExpiresAt, &r.LastUsed, &r.alive}
	}, `SELECT t.id, t.department_id, t.created_by_id, t.name, t.permissions, t.expires_at, t.last_used_at, t.revoked_at IS NULL AND t.expires_at > $2
		FROM service_tokens AS t WHERE `+which+` AND `+condition+tokenLock, corp, now, arg)
	if err != nil {
		return nil, err
	}
	out := make(map[nid.ID]*ServiceToken, len(rows))
	for _, r := range rows {
		t := r.ServiceToken
		if err := json.Unmarshal(r.permissions, &t.Stored); err != nil {
			return nil, err
		}
		if t.Maker.IsZero() && r.alive {
			t.Grants = []access.Grant{{ID: t.ID, Permissions: t.Stored, Department: t.Department, ExpiresAt: t.ExpiresAt}}
		}
		out[t.ID] = &t
	}
	for _, h := range makers {
		t := out[h.token]
		if t == nil {
			continue
		}
		var all []access.Permission
		if err := json.Unmarshal(h.permissions, &all); err != nil {
			return nil, err
		}
		g := access.Grant{ID: t.ID, Department: h.place, ExpiresAt: t.ExpiresAt}
		if h.expires.Valid && h.expires.Time.Before(g.ExpiresAt) {
			g.ExpiresAt = h.expires.Time
		}
		if g.Permissions = common(t.Stored, all); len(g.Permissions) > 0 {
			t.Grants = append(t.Grants, g)
		}
	}
	return out, nil
}

// common gives those of a list that are in another one too.
func common(ps, others []access.Permission) []access.Permission {
	return slices.DeleteFunc(slices.Clone(ps), func(p access.Permission) bool { return !slices.Contains(others, p) })
}
