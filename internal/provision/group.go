package provision

import (
	"context"
	"maps"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/department"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/roster"
	"github.com/openhandover/openhandover/internal/store"
)

// CreateGroup makes a department below the token's, else below the root, and puts
// people into it. Nobody reaches more by that: who reaches what is above has reached
// those people already.
//
// Fails with INVALID on displayName and members, CONFLICT on displayName where a
// department beside it has the name, and on externalId, and LIMIT.
func (s *Service) CreateGroup(ctx context.Context, in roster.GroupChange) (out roster.Group, err error) {
	if in.Name == nil {
		return out, missing("displayName")
	}
	if err := checkGroup(in); err != nil {
		return out, err
	}
	err = s.Log.Tx(ctx, s.DB, access.DepartmentSave, func(ctx context.Context, tx *store.Tx) error {
		if _, err := identity.LockRoles(ctx, tx); err != nil {
			return err
		}
		scope, err := confirm(ctx, tx)
		if err != nil {
			return err
		}
		root, err := top(ctx, tx, scope)
		if err != nil {
			return err
		}
		if err := alone(ctx, tx, root, *in.Name, text(in.ExternalID)); err != nil {
			return err
		}
		id, made, err := department.Add(ctx, tx, *in.Name, root)
		if err != nil {
			return err
		}
		if err := saveGroup(ctx, tx, id, text(in.ExternalID)); err != nil {
			return err
		}
		made.Covers = append(made.Covers, root)
		entries := []audit.Entry{made}
		if len(in.Add) > 0 {
			put, err := s.seat(ctx, tx, scope, id, root, in)
			if err != nil {
				return err
			}
			entries = append(entries, put...)
		}
		if out, err = firstOf(groups(ctx, tx, scope, roster.Query{Where: is(id), Count: 1, Members: true})); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, entries...)
	})
	return out, err
}

// UpdateGroup renames a department and says who is in it. Who is taken out of their
// only department is in the token's from then on, else in the root; who was only there
// for want of another leaves it for the first. Those who have departed stay where they
// were (semantics.md). Said again it changes nothing.
//
// Fails with NOT_FOUND on id, INVALID on displayName, and on members for somebody the
// provider does not see, and CONFLICT on version.
func (s *Service) UpdateGroup(ctx context.Context, id nid.ID, in roster.GroupChange) error {
	if err := checkGroup(in); err != nil {
		return err
	}
	return s.Log.Tx(ctx, s.DB, access.DepartmentPeople, func(ctx context.Context, tx *store.Tx) error {
		if _, err := identity.LockRoles(ctx, tx); err != nil { // one after the other, as all who change the tree
			return err
		}
		scope, err := confirm(ctx, tx)
		if err != nil {
			return err
		}
		if _, _, err := store.SelectOne(ctx, tx, one, `SELECT id FROM departments WHERE corp_id = $1 AND id = $2`+tx.DB().ForNoKeyUpdate(), tx.Corp(), id); err != nil {
			return err
		}
		was, err := firstOf(groups(ctx, tx, scope, roster.Query{Where: is(id), Count: 1, Members: in.If != nil}))
		if err != nil {
			return err
		}
		if !in.If.Fit(was.Version) {
			return fault.Clash("version", "it was changed by somebody else meanwhile; read it again and repeat", "数据已被他人修改,请重新读取后再试")
		}
		var entries []audit.Entry
		if in.ExternalID != nil && *in.ExternalID != was.ExternalID || in.Name != nil && *in.Name != was.Name {
			e, err := s.rename(ctx, tx, was, in)
			if err != nil {
				return err
			}
			entries = append(entries, e)
		}
		if in.Reset || len(in.Add)+len(in.Remove) > 0 {
			root, err := top(ctx, tx, scope)
			if err != nil {
				return err
			}
			put, err := s.seat(ctx, tx, scope, id, root, in)
			if err != nil {
				return err
			}
			entries = append(entries, put...)
		}
		if len(entries) == 0 {
			return nil
		}
		return s.Log.Append(ctx, tx, entries...)
	})
}

func (s *Service) rename(ctx context.Context, tx *store.Tx, was roster.Group, in roster.GroupChange) (audit.Entry, error) {
	before, after := map[string]any{}, map[string]any{}
	title, external := was.Name, was.ExternalID
	if in.Name != nil && *in.Name != title {
		title = *in.Name
		before["name"], after["name"] = was.Name, title
	}
	if in.ExternalID != nil && *in.ExternalID != external {
		external = *in.ExternalID
		before["externalId"], after["externalId"] = was.ExternalID, external
		if err := saveGroup(ctx, tx, was.ID, external); err != nil {
			return audit.Entry{}, err
		}
	}
	_, err := tx.Change(ctx, "departments", `UPDATE departments SET name = $3, version = version + 1, updated_at = $4 WHERE corp_id = $1 AND id = $2 RETURNING id`,
		tx.Corp(), was.ID, title, tx.Now())
	return audit.Entry{Action: access.DepartmentSave, Subject: was.ID, Before: before, After: after}, err
}

func saveGroup(ctx context.Context, tx *store.Tx, id nid.ID, external string) error {
	_, err := tx.Change(ctx, "scim_groups", `INSERT INTO scim_groups (corp_id, department_id, external_id) VALUES ($1, $2, $3)
		ON CONFLICT (corp_id, department_id) DO UPDATE SET external_id = excluded.external_id RETURNING department_id`, tx.Corp(), id, orNull(external))
	return err
}

// alone keeps the same request from making a second department.
func alone(ctx context.Context, tx *store.Tx, root nid.ID, title, external string) error {
	type row struct{ named, known bool }
	r, _, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.named, &r.known} }, `SELECT
		EXISTS (SELECT 1 FROM departments WHERE corp_id = $1 AND parent_id = $2 AND name = $3 AND archived_at IS NULL),
		EXISTS (SELECT 1 FROM scim_groups WHERE corp_id = $1 AND external_id = $4)`, tx.Corp(), root, title, orNull(external))
	switch {
	case err != nil:
		return err
	case r.named:
		return fault.Clash("displayName", "there is a department of this name already; link the group to it", "同名部门已存在,请关联该部门")
	case r.known:
		return fault.Clash("externalId", "there is a department with this externalId already", "该 externalId 的部门已存在")
	}
	return nil
}

func checkGroup(in roster.GroupChange) error {
	if in.Name != nil {
		if problem, ok := name.Check(*in.Name); !ok {
			return fault.New(fault.Invalid, "displayName", problem)
		}
	}
	if in.ExternalID != nil {
		if problem, ok := name.CheckText(*in.ExternalID, maxText); !ok {
			return fault.New(fault.Invalid, "externalId", problem)
		}
	}
	if len(in.Add)+len(in.Remove) > roster.MaxMembers {
		return fault.New(fault.Limit, "members", fault.T("%d members at most in one request", "每次请求最多 %d 名成员", roster.MaxMembers))
	}
	return nil
}

// sorted gives ids in their order, in which everybody locks.
func sorted(ids map[nid.ID]bool) []nid.ID {
	return slices.SortedFunc(maps.Keys(ids), func(a, b nid.ID) int { return slices.Compare(a[:], b[:]) })
}
