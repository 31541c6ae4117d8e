package grant

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

// maxReason is how long a reason may be, in code points.
const maxReason = 500

// Revoke takes a grant back at once, one's own too. The actor manages roles where
// the grant reaches. NOT_FOUND on input.id, FORBIDDEN, STEP_UP_REQUIRED, INVALID
// on input.reason, CONFLICT where it is revoked already or nobody would be left
// who manages the roles of the whole corp.
func (s *Service) Revoke(ctx context.Context, id nid.ID, reason *string) error {
	return s.Log.Tx(ctx, s.DB, access.GrantRevoke, func(ctx context.Context, tx *store.Tx) error {
		managing, err := identity.LockRoles(ctx, tx)
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
			Held
			revoked bool
		}
		g, ok, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.Member, &r.Role, &r.Department, &r.revoked} },
			`SELECT member_id, role_id, department_id, revoked_at IS NOT NULL FROM grants WHERE corp_id = $1 AND id = $2`+tx.DB().ForUpdate(), tx.Corp(), id)
		if err != nil {
			return err
		}
		if !ok {
			return fault.Missing("input.id")
		}
		g.ID = id
		if err := revocable(ctx, tx, actor, g.Member, g.Department); err != nil {
			return err
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if g.revoked {
			return fault.Clash("input.id", "the grant is revoked already", "该授权已被撤销")
		}
		ended, err := End(ctx, tx, managing, g.Held)
		if err != nil {
			return err
		}
		if len(ended) == 0 {
			return Last("input.id")
		}
		if reason != nil && *reason != "" {
			ended[0].After["reason"] = audit.Personal{Subject: g.Member, Value: *reason}
		}
		return s.Log.Append(ctx, tx, ended...)
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

// Held is a grant in force: what of it decides whether it may end.
type Held struct{ ID, Member, Role, Department nid.ID }

// Last is the CONFLICT of a grant without which nobody would administer the corp.
func Last(field string) error {
	return fault.Clash(field, "nobody would be left who administers the corp; make somebody else administrator first", "撤销后将没有企业管理员,请先指定其他管理员")
}

// End takes back grants that are in force, whoever decided it, and gives an entry for
// each, which the caller appends. One without which nobody would manage the roles of
// the whole corp stays, and has no entry: of several such grants the last. managing is
// what identity.LockRoles gave in this transaction.
func End(ctx context.Context, tx *store.Tx, managing []nid.ID, all ...Held) ([]audit.Entry, error) {
	manages := func(h Held) bool { return h.Department.IsZero() && slices.Contains(managing, h.Role) }
	left := map[nid.ID]bool{}
	if slices.ContainsFunc(all, manages) {
		managers, err := identity.RoleManagers(ctx, tx, managing)
		if err != nil {
			return nil, err
		}
		for _, m := range managers {
			left[m.Grant] = true
		}
	}
	var ids []nid.ID
	var entries []audit.Entry
	for _, h := range all {
		if manages(h) {
			if len(left) == 1 && left[h.ID] {
				continue
			}
			delete(left, h.ID)
		}
		after := map[string]any{"member": h.Member, "role": h.Role}
		if !h.Department.IsZero() {
			after["department"] = h.Department
		}
		ids = append(ids, h.ID)
		entries = append(entries, audit.Entry{Action: access.GrantRevoke, Subject: h.ID, After: after})
	}
	if len(ids) == 0 {
		return nil, nil
	}
	_, err := tx.Change(ctx, "grants", `UPDATE grants SET revoked_at = $2 WHERE corp_id = $1 AND id `+tx.DB().In(3)+` RETURNING id`, tx.Corp(), tx.Now(), tx.DB().IDs(ids))
	return entries, err
}
