package grant

import (
	"context"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
)

// second sees to dual control: it gives the id under which the grant is made now, or
// the zero id where it has been written down and waits for somebody else.
func (s *Service) second(ctx context.Context, tx *store.Tx, actor *access.Actor, g *gift, id nid.ID, until any, after map[string]any) (nid.ID, error) {
	settings, err := setting.Load(ctx, tx)
	if err != nil {
		return nid.ID{}, err
	}
	if !settings.DualControl || !access.Sensitive(g.permissions) || actor.Kind == access.System {
		return id, nil
	}
	if actor.ID == g.member {
		return nid.ID{}, fault.Denied("a sensitive role is given by two others", "敏感角色须由另外两人授予")
	}
	type row struct{ id, by nid.ID }
	// Whoever grants holds the lock on roles, so nobody else asks or gives meanwhile.
	asked, ok, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.id, &r.by} },
		`SELECT id, requested_by_id FROM pending_grants WHERE corp_id = $1 AND member_id = $2 AND role_id = $3
			AND department_id IS NOT DISTINCT FROM $4 AND expires_at IS NOT DISTINCT FROM $5 AND lapses_at > $6 AND role_version = $7`,
		tx.Corp(), g.member, g.role, g.department, until, tx.Now(), g.version)
	if err == nil && ok && asked.by != actor.ID {
		ok, err = g.stands(ctx, tx, asked.by)
	}
	switch {
	case err != nil:
		return nid.ID{}, err
	case ok && asked.by == actor.ID:
		return nid.ID{}, fault.Clash("", "you have asked for this already; another administrator has to grant the same", "您已提交过该授权,需由另一位管理员授予相同的权限")
	case ok:
		if err := identity.TwoHands(ctx, tx, actor.ID, asked.by); err != nil {
			return nid.ID{}, err
		}
		after["requestedBy"] = asked.by
		_, err := tx.Change(ctx, "pending_grants", `DELETE FROM pending_grants WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), asked.id)
		return asked.id, err
	}
	// What nobody can second any more: it has lapsed, or the same is asked for anew.
	lapsed, err := tx.Change(ctx, "pending_grants", `DELETE FROM pending_grants WHERE corp_id = $1 AND (lapses_at <= $2 OR member_id = $3 AND role_id = $4
		AND department_id IS NOT DISTINCT FROM $5 AND expires_at IS NOT DISTINCT FROM $6) RETURNING id`, tx.Corp(), tx.Now(), g.member, g.role, g.department, until)
	if err != nil {
		return nid.ID{}, err
	}
	if _, err := tx.Change(ctx, "pending_grants", `INSERT INTO pending_grants (corp_id, id, member_id, role_id, role_version, department_id, expires_at, requested_by_id, created_at, lapses_at)
		VALUES ($1, $2, $3, $4, $10, $5, $6, $7, $8, $9) RETURNING id`, tx.Corp(), id, g.member, g.role, g.department, until, actor.ID, tx.Now(), tx.Now().Add(identity.Patience), g.version); err != nil {
		return nid.ID{}, err
	}
	return nid.ID{}, s.Log.Append(ctx, tx, audit.Entry{Action: access.GrantRequest, Subject: id, Covers: lapsed, After: after})
}

// stands says whether the word of who has asked still counts: they are at work, and may
// give this now.
func (g *gift) stands(ctx context.Context, tx *store.Tx, asked nid.ID) (bool, error) {
	actor, err := identity.Standing(ctx, tx, asked)
	if err != nil || actor == nil {
		return false, err
	}
	err = g.permitted(ctx, tx, actor)
	if fault.CodeOf(err) == fault.Forbidden {
		return false, nil
	}
	return err == nil, err
}

// steady refuses what would give a sensitive permission to those who have a role
// already, past dual control.
func (s *Service) steady(ctx context.Context, tx *store.Tx, was *role, wanted []access.Permission) error {
	more := slices.DeleteFunc(slices.Clone(wanted), func(p access.Permission) bool { return slices.Contains(was.permissions, p) })
	if !access.Sensitive(more) {
		return nil
	}
	settings, err := setting.Load(ctx, tx)
	if err != nil || !settings.DualControl {
		return err
	}
	n, err := inForce(ctx, tx, was.id)
	if err == nil && n > 0 {
		err = fault.Clash("input.permissions", "somebody has this role, and a sensitive permission is given by two; make another role and grant that", "该角色已有人使用,敏感权限须由两人授予;请新建角色后再授予")
	}
	return err
}

// Pending is a grant that waits for its second administrator.
type Pending struct {
	ID, MemberID, RoleID, DepartmentID, RequestedByID nid.ID
	ExpiresAt                                         *time.Time
	RequestedAt, LapsesAt                             time.Time
}

const pendingColumns = `SELECT id, member_id, role_id, department_id, requested_by_id, expires_at, created_at, lapses_at FROM pending_grants WHERE corp_id = $1`

func (p *Pending) dest() []any {
	return []any{&p.ID, &p.MemberID, &p.RoleID, &p.DepartmentID, &p.RequestedByID, &p.ExpiresAt, &p.RequestedAt, &p.LapsesAt}
}

// Waiting gives the grants that wait for a second administrator, the oldest first, 100 at
// most. It is for who manages the roles of the whole corp; FORBIDDEN for others.
func Waiting(ctx context.Context, q *store.Read) ([]Pending, error) {
	a := access.From(ctx)
	if !a.Scope(access.ManageRoles).All {
		return nil, fault.Denied("roles need MANAGE_ROLES over the whole corp", "管理角色需要对整个企业的 MANAGE_ROLES 权限")
	}
	return store.Select(ctx, q, (*Pending).dest, pendingColumns+` AND lapses_at > $2 ORDER BY id LIMIT 100`, a.Corp, q.DB().Now())
}

// PendingOf gives one that the actor has asked for.
func PendingOf(ctx context.Context, q *store.Read, id nid.ID) (Pending, bool, error) {
	a := access.From(ctx)
	return store.SelectOne(ctx, q, (*Pending).dest, pendingColumns+` AND id = $2 AND requested_by_id = $3`, a.Corp, id, a.ID)
}
