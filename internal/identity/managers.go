package identity

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// LockRoles puts everything that changes who administers the corp in one order, by
// a lock on the administrator's role: two administrators who revoke each other at
// once would otherwise both see the other left. It comes before the actor's own
// grants are locked and gives the roles that manage roles.
func LockRoles(ctx context.Context, tx *store.Tx) (managing []nid.ID, err error) {
	if _, _, err = store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} },
		`SELECT id FROM roles WHERE corp_id = $1 AND name = $2`+tx.DB().ForNoKeyUpdate(), tx.Corp(), access.Administrator.Name); err != nil {
		return nil, err
	}
	type row struct {
		id          nid.ID
		permissions []byte
	}
	rows, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.id, &r.permissions} },
		`SELECT id, permissions FROM roles WHERE corp_id = $1 AND sensitive`, tx.Corp())
	for _, r := range rows {
		var ps []access.Permission
		if err := json.Unmarshal(r.permissions, &ps); err != nil {
			return nil, err
		}
		if slices.Contains(ps, access.ManageRoles) {
			managing = append(managing, r.id)
		}
	}
	return managing, err
}

// RoleManager is a grant in force of somebody at work that manages the whole corp's roles.
type RoleManager struct{ Grant, Member nid.ID }

// RoleManagers finds who holds one of the roles, which LockRoles gave, over the whole corp
// for good: who stays when grants that expire have done so. Where nobody does, it is
// whose grant ends last.
func RoleManagers(ctx context.Context, tx *store.Tx, roles []nid.ID) ([]RoleManager, error) {
	type row struct {
		RoleManager
		until sql.NullTime
	}
	rows, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.Grant, &r.Member, &r.until} }, `
		SELECT g.id, g.member_id, g.expires_at FROM grants AS g JOIN members AS m ON m.corp_id = g.corp_id AND m.id = g.member_id
		WHERE g.corp_id = $1 AND g.department_id IS NULL AND g.revoked_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > $2)
		  AND `+acts+` AND g.role_id `+tx.DB().In(3)+` ORDER BY g.expires_at IS NOT NULL, g.expires_at DESC, g.id`, tx.Corp(), tx.Now(), tx.DB().IDs(roles))
	var out []RoleManager
	for _, r := range rows {
		if r.until == rows[0].until {
			out = append(out, r.RoleManager)
		}
	}
	return out, err
}

// OnlyAdministrator reports whether nobody but this member manages the roles of
// the whole corp, and keeps it so until the transaction ends. Deactivation asks it
// before it locks anything else.
func OnlyAdministrator(ctx context.Context, tx *store.Tx, member nid.ID) (bool, error) {
	roles, err := LockRoles(ctx, tx)
	if err != nil {
		return false, err
	}
	all, err := RoleManagers(ctx, tx, roles)
	others := slices.DeleteFunc(slices.Clone(all), func(m RoleManager) bool { return m.Member == member })
	return len(all) > 0 && len(others) == 0, err
}
