package grant

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// maxReason is how long a reason may be, in code points.
const maxReason = 500

// Revoke takes a grant back at once, one's own too. The actor manages roles where
// the grant reaches. NOT_FOUND on input.id, FORBIDDEN, STEP_UP_REQUIRED, INVALID
// on input.reason, CONFLICT where it is revoked already or nobody would be left
// who manages the roles of the whole corp.
func (s *Service) Revoke(ctx context.Context, id nid.ID, reason *string) error {
	return s.Log.Tx(ctx, s.DB, access.GrantRevoke, func(ctx context.Context, tx *store.Tx) error {
		managing, err := lockRoles(ctx, tx)
		if err != nil {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Can(access.ManageRoles) {
			return mayNot()
		}
		if reason != nil {
			if problem, ok := name.CheckText(*reason, maxReason); !ok {
				return fault.New(fault.Invalid, "input.reason", problem)
			}
		}
		type row struct {
			member, role, department nid.ID
			revoked                  bool
		}
		g, ok, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.member, &r.role, &r.department, &r.revoked} },
			`SELECT member_id, role_id, department_id, revoked_at IS NOT NULL FROM grants WHERE corp_id = $1 AND id = $2`+tx.DB().ForUpdate(), tx.Corp(), id)
		if err != nil {
			return err
		}
		if !ok {
			return fault.Missing("input.id")
		}
		if err := revocable(ctx, tx, actor, g.member, g.department); err != nil {
			return err
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if g.revoked {
			return fault.Clash("input.id", "the grant is revoked already", "该授权已被撤销")
		}
		if g.department.IsZero() && slices.Contains(managing, g.role) {
			left, err := managers(ctx, tx, managing)
			if err != nil {
				return err
			}
			if len(left) == 1 && left[0].grant == id {
				return fault.Clash("input.id", "nobody would be left who administers the corp; make somebody else administrator first", "撤销后将没有企业管理员,请先指定其他管理员")
			}
		}
		if _, err := tx.Change(ctx, "grants", `UPDATE grants SET revoked_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), id, tx.Now()); err != nil {
			return err
		}
		after := map[string]any{"member": g.member, "role": g.role}
		if !g.department.IsZero() {
			after["department"] = g.department
		}
		if reason != nil && *reason != "" {
			after["reason"] = audit.Personal{Subject: g.member, Value: *reason}
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.GrantRevoke, Subject: id, After: after})
	})
}

// revocable demands that the actor manages roles where the grant reaches. A grant
// that reaches further is FORBIDDEN to who may see the member's grants, and not
// there for anybody else.
func revocable(ctx context.Context, tx *store.Tx, actor *access.Actor, member, department nid.ID) error {
	lacking, err := identity.Lacking(ctx, tx, actor, department, tx.Now(), access.ManageRoles)
	if err != nil || len(lacking) == 0 {
		return err
	}
	outside, err := store.OutOfScope(ctx, tx, actor.Scope(access.ManageRoles), member)
	switch {
	case err != nil:
		return err
	case len(outside) > 0 && member != actor.ID:
		return fault.Missing("input.id")
	}
	return mayNot()
}

// lockRoles puts everything that changes who administers the corp in one order, by
// a lock on the administrator's role: two administrators who revoke each other at
// once would otherwise both see the other left. It comes before the actor's own
// grants are locked and gives the roles that manage roles.
func lockRoles(ctx context.Context, tx *store.Tx) (managing []nid.ID, err error) {
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

// manager is a grant in force of somebody at work that manages the whole corp's roles.
type manager struct{ grant, member nid.ID }

func managers(ctx context.Context, tx *store.Tx, roles []nid.ID) ([]manager, error) {
	return store.Select(ctx, tx, func(m *manager) []any { return []any{&m.grant, &m.member} }, `
		SELECT g.id, g.member_id FROM grants AS g JOIN members AS m ON m.corp_id = g.corp_id AND m.id = g.member_id
		WHERE g.corp_id = $1 AND g.department_id IS NULL AND g.revoked_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > $2)
		  AND m.answers AND g.role_id `+tx.DB().In(3), tx.Corp(), tx.Now(), tx.DB().IDs(roles))
}

// OnlyAdministrator reports whether nobody but this member manages the roles of
// the whole corp, and keeps it so until the transaction ends. Deactivation asks it
// before it locks anything else.
func OnlyAdministrator(ctx context.Context, tx *store.Tx, member nid.ID) (bool, error) {
	roles, err := lockRoles(ctx, tx)
	if err != nil {
		return false, err
	}
	all, err := managers(ctx, tx, roles)
	others := slices.DeleteFunc(slices.Clone(all), func(m manager) bool { return m.member == member })
	return len(all) > 0 && len(others) == 0, err
}
