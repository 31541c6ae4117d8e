package grant

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
			identity.Held
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
		ended, err := identity.EndGrants(ctx, tx, managing, g.Held)
		if err != nil {
			return err
		}
		if len(ended) == 0 {
			return identity.LastAdministrator("input.id")
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
