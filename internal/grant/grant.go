// Package grant gives roles to members and takes them back.
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
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Service holds the use cases.
type Service struct {
	DB  *store.DB
	Log *audit.Log
}

// Grant gives a member a role within a department subtree, or the whole corp where
// department is nil, until expiresAt or for ever. The actor manages roles there,
// the member is within that reach, and the actor holds everything the role allows,
// there and for as long, so that nobody can make more of what they have. Fails
// with NOT_FOUND on input.memberId, roleId or departmentId, FORBIDDEN,
// STEP_UP_REQUIRED, INVALID on input.expiresAt, and CONFLICT for a member who is
// not at work or has the same already.
//
// Where the settings demand dual control, a sensitive role is pending until another
// person grants exactly the same, within three days; neither of the two can be the
// member. The id is the grant's all along.
//
// The member's sessions through an identity provider that they have not linked
// themselves end: a claim is enough to find a member without a role, and no other.
func (s *Service) Grant(ctx context.Context, member, role nid.ID, department *nid.ID, expiresAt *time.Time) (id nid.ID, err error) {
	err = s.Log.Tx(ctx, s.DB, access.GrantCreate, func(ctx context.Context, tx *store.Tx) error {
		if _, err := identity.LockRoles(ctx, tx); err != nil {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Can(access.ManageRoles) {
			return mayNot()
		}
		g := gift{member: member, role: role}
		if department != nil {
			g.department = *department
		}
		if expiresAt != nil {
			g.until = expiresAt.UTC().Truncate(time.Microsecond)
		}
		if err := g.look(ctx, tx, department != nil); err != nil {
			return err
		}
		if err := g.permitted(ctx, tx, actor); err != nil {
			return err
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if expiresAt != nil && !g.until.After(tx.Now()) {
			return fault.Bad("input.expiresAt", "the grant would have expired already", "到期时间必须晚于当前时间")
		}
		if err := g.possible(ctx, tx); err != nil {
			return err
		}
		var until any
		after := map[string]any{"member": member, "role": role, "permissions": texts(g.permissions)}
		if expiresAt != nil {
			until, after["expiresAt"] = g.until, g.until
		}
		if department != nil {
			after["department"] = g.department
		}
		id = tx.NewID(nid.Grant)
		given, covers, err := s.second(ctx, tx, actor, &g, id, after)
		if err != nil || given.IsZero() {
			return err
		}
		id = given
		if _, err := tx.Change(ctx, "grants", `INSERT INTO grants (id, corp_id, created_at, member_id, role_id, department_id, expires_at, granted_by_id)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id`, id, tx.Corp(), tx.Now(), member, role, g.department, until, actor.ID); err != nil {
			return err
		}
		ended, err := identity.EndUnlinked(ctx, tx, member)
		if err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, append([]audit.Entry{{Action: access.GrantCreate, Subject: id, After: after, Covers: covers}}, ended...)...)
	})
	if err != nil {
		return nid.ID{}, err
	}
	return id, nil
}

// gift is what shall be given.
type gift struct {
	member, role, department nid.ID
	until                    time.Time // zero: for ever
	version                  int       // of the role
	permissions              []access.Permission
	answers                  bool
}

// look finds the three things and locks the member, whose departure would revoke
// the grant.
func (g *gift) look(ctx context.Context, tx *store.Tx, within bool) error {
	answers, ok, err := store.SelectOne(ctx, tx, func(b *bool) []any { return []any{b} },
		`SELECT answers FROM members WHERE corp_id = $1 AND id = $2 AND archived_at IS NULL`+tx.DB().ForNoKeyUpdate(), tx.Corp(), g.member)
	switch {
	case err != nil:
		return err
	case !ok:
		return fault.Missing("input.memberId")
	}
	g.answers = answers
	type row struct {
		version     int
		permissions []byte
	}
	r, ok, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.version, &r.permissions} },
		`SELECT version, permissions FROM roles WHERE corp_id = $1 AND id = $2 AND archived_at IS NULL`+tx.DB().ForShare(), tx.Corp(), g.role)
	switch {
	case err != nil:
		return err
	case !ok:
		return fault.Missing("input.roleId")
	}
	g.version = r.version
	if err := json.Unmarshal(r.permissions, &g.permissions); err != nil {
		return err
	}
	if !within {
		return nil
	}
	_, ok, err = store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} },
		`SELECT id FROM departments WHERE corp_id = $1 AND id = $2 AND archived_at IS NULL`, tx.Corp(), g.department)
	if err == nil && !ok {
		err = fault.Missing("input.departmentId")
	}
	return err
}

// permitted demands that the actor may give this to that member.
func (g *gift) permitted(ctx context.Context, tx *store.Tx, actor *access.Actor) error {
	lacking, err := identity.Lacking(ctx, tx, actor, g.department, tx.Now(), access.ManageRoles)
	if err != nil {
		return err
	}
	outside, err := store.OutOfScope(ctx, tx, actor.Scope(access.ManageRoles), g.member)
	if err != nil {
		return err
	}
	if len(lacking) > 0 || len(outside) > 0 {
		return mayNot()
	}
	if lacking, err = identity.Lacking(ctx, tx, actor, g.department, g.until, g.permissions...); err != nil {
		return err
	}
	if len(lacking) > 0 {
		return fault.Denied("you do not hold %s there for that long yourself", "您自己在该范围和期限内没有 %s 权限", lacking[0]).With("permissions", texts(lacking))
	}
	return nil
}

// possible looks at the state.
func (g *gift) possible(ctx context.Context, tx *store.Tx) error {
	if !g.answers {
		return fault.Clash("input.memberId", "this member is not at work", "该成员不在职")
	}
	there, err := store.Select(ctx, tx, func(id *nid.ID) []any { return []any{id} }, `SELECT department_id FROM grants
		WHERE corp_id = $1 AND member_id = $2 AND role_id = $3 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $4)`,
		tx.Corp(), g.member, g.role, tx.Now())
	if err == nil && slices.Contains(there, g.department) {
		err = fault.Clash("", "this member has the role there already", "该成员在此范围已有该角色")
	}
	return err
}

func mayNot() error {
	return fault.Denied("you may not manage roles there", "您无权管理该范围的角色")
}

func texts(ps []access.Permission) []string {
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = string(p)
	}
	return out
}
