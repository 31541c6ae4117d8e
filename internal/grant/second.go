package grant

import (
	"context"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// operation is what grants of sensitive roles are proposed as.
const operation = "grantRole"

// asked is a grant that one administrator has asked for.
type asked struct {
	Role       nid.ID     `json:"role"`
	Version    int        `json:"roleVersion"`
	Department *nid.ID    `json:"department,omitempty"`
	ExpiresAt  *time.Time `json:"expiresAt,omitempty"`
}

func (g *gift) asked() map[string]any {
	out := map[string]any{"role": g.role, "roleVersion": g.version}
	if !g.department.IsZero() {
		out["department"] = g.department
	}
	if !g.until.IsZero() {
		out["expiresAt"] = g.until
	}
	return out
}

// second sees to dual control: it gives the id under which the grant is made now, and what
// its entry covers, or the zero id where it waits for somebody else.
func (s *Service) second(ctx context.Context, tx *store.Tx, actor *access.Actor, g *gift, id nid.ID, after map[string]any) (nid.ID, []nid.ID, error) {
	if !access.Sensitive(g.permissions) {
		return id, nil, nil
	}
	on, err := identity.DualControl(ctx, tx, "")
	if err != nil || !on {
		return id, nil, err
	}
	if actor.ID == g.member {
		return nid.ID{}, nil, fault.Denied("two other people must grant this sensitive role", "敏感角色须由另外两人授予")
	}
	field := g.role.String() + g.department.String()
	d, err := identity.Propose(ctx, tx, actor, identity.Proposal{Operation: operation, Subject: g.member, Field: field, ID: id, Asked: g.asked(), May: g.may})
	switch {
	case err != nil:
		return nid.ID{}, nil, err
	case !d.Made:
		d.Entries[0].Action, d.Entries[0].After = access.GrantRequest, after
		return nid.ID{}, nil, s.Log.Append(ctx, tx, d.Entries...)
	}
	// What was asked for the same place on other terms, such as another version of the role.
	gone, err := identity.DismissAll(ctx, tx, operation, g.member, field)
	if !d.First.IsZero() {
		id = d.ID
	}
	d.Note(after)
	return id, append(d.Covers, gone...), err
}

// may reports whether somebody may give this now.
func (g *gift) may(ctx context.Context, tx *store.Tx, a *access.Actor) (bool, error) {
	err := g.permitted(ctx, tx, a)
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
	on, err := identity.DualControl(ctx, tx, "")
	if err != nil || !on {
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

func pending(p identity.Pending) (out Pending, err error) {
	var a asked
	if err := p.Asked(&a); err != nil {
		return out, err
	}
	out = Pending{ID: p.ID, MemberID: p.Subject, RoleID: a.Role, RequestedByID: p.RequestedByID, ExpiresAt: a.ExpiresAt, RequestedAt: p.RequestedAt}
	if a.Department != nil {
		out.DepartmentID = *a.Department
	}
	if p.LapsesAt != nil {
		out.LapsesAt = *p.LapsesAt
	}
	return out, nil
}

// Waiting gives the grants that wait for a second administrator, the oldest first, 100 at
// most. It is for who manages the roles of the whole corp; FORBIDDEN for others.
func Waiting(ctx context.Context, q *store.Read) ([]Pending, error) {
	if !access.From(ctx).Scope(access.ManageRoles).All {
		return nil, fault.Denied("roles need MANAGE_ROLES over the whole corp", "管理角色需要对整个企业的 MANAGE_ROLES 权限")
	}
	all, err := identity.Waiting(ctx, q, operation)
	out := make([]Pending, len(all))
	for i := range all {
		if err == nil {
			out[i], err = pending(all[i])
		}
	}
	return out, err
}

// PendingOf gives one that the actor has asked for.
func PendingOf(ctx context.Context, q *store.Read, id nid.ID) (out Pending, ok bool, err error) {
	p, ok, err := identity.WaitingOf(ctx, q, id)
	if err != nil || !ok {
		return out, false, err
	}
	out, err = pending(p)
	return out, true, err
}
