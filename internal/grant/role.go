package grant

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// maxRoles is how many roles a corp has.
const maxRoles = 200

// RoleInput makes a role, or changes one.
type RoleInput struct {
	// ID is nil for a new role.
	ID *nid.ID
	// Version is the one the caller saw; nil for a new role.
	Version     *int
	Name        string
	Permissions []access.Permission
}

// role is one as it is.
type role struct {
	id          nid.ID
	version     int
	name        string
	permissions []access.Permission
	builtIn     bool
}

// SaveRole makes a role of the corp's own, or changes one: whoever has it has its new
// permissions from their next request on. The actor manages the roles of the whole corp
// and holds over all of it, for ever, each permission that the role has and had, so that
// nobody makes more of what they have, nor takes from others what is not theirs to give.
//
// Fails with FORBIDDEN, STEP_UP_REQUIRED, NOT_FOUND on input.id, INVALID on input.name,
// permissions and version, CONFLICT for a stale version, a name that another role has, a
// built-in role, and where nobody would be left who administers the corp, and LIMIT where
// there are 200 already.
func (s *Service) SaveRole(ctx context.Context, in RoleInput) (id nid.ID, err error) {
	err = s.Log.Tx(ctx, s.DB, access.RoleSave, func(ctx context.Context, tx *store.Tx) error {
		managing, err := identity.LockRoles(ctx, tx)
		if err != nil {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Scope(access.ManageRoles).All {
			return fault.Denied("roles need MANAGE_ROLES over the whole corp", "管理角色需要对整个企业的 MANAGE_ROLES 权限")
		}
		var was *role
		if in.ID != nil {
			if was, err = lockRole(ctx, tx, *in.ID); err != nil {
				return err
			}
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if err := in.check(was); err != nil {
			return err
		}
		all := in.Permissions
		if was != nil {
			all = slices.Concat(all, was.permissions)
		}
		lacking, err := identity.Lacking(ctx, tx, actor, nid.ID{}, time.Time{}, all...)
		if err != nil {
			return err
		}
		if len(lacking) > 0 {
			slices.Sort(lacking)
			return fault.Denied("you do not hold %s over the whole corp yourself", "您自己对整个企业没有 %s 权限", lacking[0]).With("permissions", texts(slices.Compact(lacking)))
		}
		if was == nil {
			id, err = s.createRole(ctx, tx, in)
		} else {
			id, err = was.id, s.changeRole(ctx, tx, was, in, managing)
		}
		if store.Duplicate(err) {
			return fault.Clash("input.name", "another role has this name", "已有同名的角色")
		}
		return err
	})
	if err != nil {
		return nid.ID{}, err
	}
	return id, nil
}

// check looks at the values, and at what cannot be changed.
func (in *RoleInput) check(was *role) error {
	var bad fault.List
	if problem, ok := name.Check(in.Name); !ok {
		bad = append(bad, fault.New(fault.Invalid, "input.name", problem))
	}
	if len(in.Permissions) == 0 {
		bad = append(bad, fault.Bad("input.permissions", "give one permission at least", "请至少选择一项权限"))
	}
	slices.Sort(in.Permissions)
	in.Permissions = slices.Compact(in.Permissions)
	switch {
	case was == nil && in.Version != nil:
		bad = append(bad, fault.Bad("input.version", "a new role has no version; leave it out", "新角色没有版本号,请勿填写"))
	case was != nil && in.Version == nil:
		bad = append(bad, fault.Bad("input.version", "say which version you changed", "请填写修改所依据的版本号"))
	}
	if err := bad.Err(); err != nil || was == nil {
		return err
	}
	return was.changeable(*in.Version)
}

func (r *role) changeable(version int) error {
	switch {
	case r.builtIn:
		return fault.Clash("input.id", "a built-in role cannot be changed; make one of your own", "内置角色不能修改,请新建角色")
	case version != r.version:
		return fault.Stale("input.version", r.version)
	}
	return nil
}

func (s *Service) createRole(ctx context.Context, tx *store.Tx, in RoleInput) (nid.ID, error) {
	n, _, err := store.SelectOne(ctx, tx, func(n *int) []any { return []any{n} }, `SELECT count(*) FROM roles WHERE corp_id = $1 AND archived_at IS NULL`, tx.Corp())
	if err != nil {
		return nid.ID{}, err
	}
	if n >= maxRoles {
		return nid.ID{}, fault.New(fault.Limit, "", fault.T("a corp has %d roles at most", "每个企业最多 %d 个角色", maxRoles))
	}
	id := tx.NewID(nid.Role)
	if _, err := tx.Change(ctx, "roles", `INSERT INTO roles (id, corp_id, created_at, updated_at, version, name, permissions, sensitive, built_in)
		VALUES ($1, $2, $3, $3, 1, $4, $5, $6, false) RETURNING id`, id, tx.Corp(), tx.Now(), in.Name, stored(in.Permissions), access.Sensitive(in.Permissions)); err != nil {
		return id, err
	}
	return id, s.Log.Append(ctx, tx, audit.Entry{Action: access.RoleSave, Subject: id, After: map[string]any{"name": in.Name, "permissions": texts(in.Permissions)}})
}

func (s *Service) changeRole(ctx context.Context, tx *store.Tx, was *role, in RoleInput, managing []nid.ID) error {
	slices.Sort(was.permissions)
	if in.Name == was.name && slices.Equal(in.Permissions, was.permissions) {
		return nil
	}
	if err := s.steady(ctx, tx, was, in.Permissions); err != nil {
		return err
	}
	if !slices.Contains(in.Permissions, access.ManageRoles) {
		if err := administered(ctx, tx, managing, was.id); err != nil {
			return err
		}
	}
	if _, err := tx.Change(ctx, "roles", `UPDATE roles SET name = $3, permissions = $4, sensitive = $5, version = version + 1, updated_at = $6
		WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), was.id, in.Name, stored(in.Permissions), access.Sensitive(in.Permissions), tx.Now()); err != nil {
		return err
	}
	return s.Log.Append(ctx, tx, audit.Entry{Action: access.RoleSave, Subject: was.id,
		Before: map[string]any{"name": was.name, "permissions": texts(was.permissions)}, After: map[string]any{"name": in.Name, "permissions": texts(in.Permissions)}})
}

// administered demands that somebody administers the corp without a role.
func administered(ctx context.Context, tx *store.Tx, managing []nid.ID, without nid.ID) error {
	if !slices.Contains(managing, without) {
		return nil
	}
	left, err := identity.RoleManagers(ctx, tx, slices.DeleteFunc(slices.Clone(managing), func(id nid.ID) bool { return id == without }))
	if err == nil && len(left) == 0 {
		err = identity.LastAdministrator("input.permissions")
	}
	return err
}

// DeleteRole takes a role of the corp's own out of the lists for good, once nobody has it
// any more. It needs what SaveRole needs.
//
// Fails with FORBIDDEN, STEP_UP_REQUIRED, NOT_FOUND on input.id, and CONFLICT for a stale
// version, a built-in role, and while somebody has it.
func (s *Service) DeleteRole(ctx context.Context, id nid.ID, version int) error {
	return s.Log.Tx(ctx, s.DB, access.RoleDelete, func(ctx context.Context, tx *store.Tx) error {
		if _, err := identity.LockRoles(ctx, tx); err != nil {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Scope(access.ManageRoles).All {
			return fault.Denied("roles need MANAGE_ROLES over the whole corp", "管理角色需要对整个企业的 MANAGE_ROLES 权限")
		}
		was, err := lockRole(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if err := was.changeable(version); err != nil {
			return err
		}
		n, err := inForce(ctx, tx, id)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.Clash("input.id", "grants of this role are in force: %d; revoke them first", "仍有 %d 个生效的授权使用该角色,请先撤销", n).With("grants", n)
		}
		if _, err := tx.Change(ctx, "roles", `UPDATE roles SET archived_at = $3, version = version + 1, updated_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`,
			tx.Corp(), id, tx.Now()); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.RoleDelete, Subject: id, Before: map[string]any{"name": was.name, "permissions": texts(was.permissions)}})
	})
}

// lockRole finds a role that is not deleted and keeps it from being granted meanwhile.
func lockRole(ctx context.Context, tx *store.Tx, id nid.ID) (*role, error) {
	type row struct {
		role
		permissions []byte
	}
	r, ok, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.id, &r.version, &r.name, &r.permissions, &r.builtIn} },
		`SELECT id, version, name, permissions, built_in FROM roles WHERE corp_id = $1 AND id = $2 AND archived_at IS NULL`+tx.DB().ForUpdate(), tx.Corp(), id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.Missing("input.id")
	}
	return &r.role, json.Unmarshal(r.permissions, &r.role.permissions)
}

// inForce counts the grants of a role that are in force.
func inForce(ctx context.Context, tx *store.Tx, role nid.ID) (n int, err error) {
	n, _, err = store.SelectOne(ctx, tx, func(n *int) []any { return []any{n} }, `SELECT count(*) FROM grants
		WHERE corp_id = $1 AND role_id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)`, tx.Corp(), role, tx.Now())
	return n, err
}

// stored are permissions as they are kept.
func stored(ps []access.Permission) string {
	b, _ := json.Marshal(texts(ps)) // texts can be written
	return string(b)
}
