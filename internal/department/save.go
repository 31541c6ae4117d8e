// Package department changes the tree of departments, in which roles have their reach.
package department

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

const (
	// maxDepth is how deep the tree is below its root.
	maxDepth = 30
	// maxDepartments is how many a corp has.
	maxDepartments = 20_000
)

// Service holds the use cases.
type Service struct {
	DB  *store.DB
	Log *audit.Log
}

// Input makes a department, or changes one. Nil leaves a part as it is.
type Input struct {
	// ID is nil for a new department.
	ID *nid.ID
	// Version is the one the caller saw; nil for a new department.
	Version *int
	Name    *string
	// ParentID moves the department with all below it.
	ParentID *nid.ID
}

// unit is a department as it is.
type unit struct {
	id, parent nid.ID
	version    int
	name       string
}

// Save makes a department, renames or moves one. A move takes all departments below it
// along; from the next request on, roles reach what is now below their department and no
// longer what was. That changes what everybody may do, so it needs MANAGE_ROLES over the
// whole corp and a fresh proof of identity: nobody widens their own reach by it.
//
// Fails with FORBIDDEN, STEP_UP_REQUIRED, NOT_FOUND on input.id and parentId, INVALID on
// input.name, parentId and version, CONFLICT on input.version, and on input.parentId for
// the root and where the tree would have a cycle or become deeper than 30, and LIMIT
// where there are 20,000 already.
func (s *Service) Save(ctx context.Context, in Input) (id nid.ID, err error) {
	err = s.Log.Tx(ctx, s.DB, access.DepartmentSave, func(ctx context.Context, tx *store.Tx) error {
		// One after the other: two moves at once could make a cycle that neither sees.
		if _, err := identity.LockRoles(ctx, tx); err != nil {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Scope(access.ManageRoles).All {
			return fault.Denied("departments need MANAGE_ROLES over the whole corp", "管理部门需要对整个企业的 MANAGE_ROLES 权限")
		}
		var was, parent *unit
		if in.ID != nil {
			if was, err = lock(ctx, tx, *in.ID, "input.id"); err != nil {
				return err
			}
		}
		if in.ParentID != nil {
			if parent, err = lock(ctx, tx, *in.ParentID, "input.parentId"); err != nil {
				return err
			}
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if err := in.check(); err != nil {
			return err
		}
		if was == nil {
			id, err = s.create(ctx, tx, in, parent)
		} else {
			id, err = was.id, s.change(ctx, tx, was, in, parent)
		}
		return err
	})
	if err != nil {
		return nid.ID{}, err
	}
	return id, nil
}

func (in *Input) check() error {
	var bad fault.List
	if in.Name != nil {
		if problem, ok := name.Check(*in.Name); !ok {
			bad = append(bad, fault.New(fault.Invalid, "input.name", problem))
		}
	}
	switch {
	case in.ID != nil && in.Version == nil:
		bad = append(bad, fault.Bad("input.version", "say which version you changed", "请填写修改所依据的版本号"))
	case in.ID == nil && in.Version != nil:
		bad = append(bad, fault.Bad("input.version", "a new department has no version; leave it out", "新部门没有版本号,请勿填写"))
	}
	if in.ID == nil && in.Name == nil {
		bad = append(bad, fault.Bad("input.name", "a new department needs a name", "新部门须有名称"))
	}
	if in.ID == nil && in.ParentID == nil {
		bad = append(bad, fault.Bad("input.parentId", "a new department needs one that it is in", "新部门须有上级部门"))
	}
	return bad.Err()
}

// lock finds a department and keeps it as it is.
func lock(ctx context.Context, tx *store.Tx, id nid.ID, field string) (*unit, error) {
	u, ok, err := store.SelectOne(ctx, tx, func(u *unit) []any { return []any{&u.id, &u.parent, &u.version, &u.name} },
		`SELECT id, parent_id, version, name FROM departments WHERE corp_id = $1 AND id = $2 AND archived_at IS NULL`+tx.DB().ForNoKeyUpdate(), tx.Corp(), id)
	if err == nil && !ok {
		err = fault.Missing(field)
	}
	return &u, err
}

func (s *Service) create(ctx context.Context, tx *store.Tx, in Input, parent *unit) (nid.ID, error) {
	id, entry, err := Add(ctx, tx, *in.Name, parent.id)
	if err != nil {
		return id, err
	}
	return id, s.Log.Append(ctx, tx, entry)
}

// Add makes a department below another, within a transaction that holds
// identity.LockRoles and the parent, and has seen to it that the actor may and that the
// name is one. entry is for the log. LIMIT and CONFLICT as in Save.
func Add(ctx context.Context, tx *store.Tx, title string, parent nid.ID) (id nid.ID, entry audit.Entry, err error) {
	n, _, err := store.SelectOne(ctx, tx, func(n *int) []any { return []any{n} }, `SELECT count(*) FROM departments WHERE corp_id = $1 AND archived_at IS NULL`, tx.Corp())
	if err != nil {
		return nid.ID{}, entry, err
	}
	if n >= maxDepartments {
		return nid.ID{}, entry, fault.New(fault.Limit, "", fault.T("a corp has %d departments at most", "每个企业最多 %d 个部门", maxDepartments))
	}
	id = tx.NewID(nid.Department)
	if err := fits(ctx, tx, id, parent); err != nil {
		return id, entry, err
	}
	for _, c := range []struct{ table, query string }{
		{"departments", `INSERT INTO departments (id, corp_id, created_at, updated_at, version, name, parent_id) VALUES ($2, $1, $3, $3, 1, $4, $5) RETURNING id`},
		{"department_closure", `INSERT INTO department_closure (corp_id, ancestor_id, descendant_id, depth) VALUES ($1, $2, $2, 0) RETURNING descendant_id`},
	} {
		args := []any{tx.Corp(), id, tx.Now(), title, parent}
		if c.table == "department_closure" {
			args = args[:2]
		}
		if _, err := tx.Change(ctx, c.table, c.query, args...); err != nil {
			return id, entry, err
		}
	}
	covers, err := hang(ctx, tx, id, parent)
	return id, audit.Entry{Action: access.DepartmentSave, Subject: id, Covers: covers, After: map[string]any{"name": title, "parent": parent}}, err
}

func (s *Service) change(ctx context.Context, tx *store.Tx, was *unit, in Input, parent *unit) error {
	if *in.Version != was.version {
		return fault.Stale("input.version", was.version)
	}
	is, before, after := *was, map[string]any{}, map[string]any{}
	if in.Name != nil && *in.Name != was.name {
		is.name = *in.Name
		before["name"], after["name"] = was.name, is.name
	}
	var covers []nid.ID
	if parent != nil && parent.id != was.parent {
		if was.parent.IsZero() {
			return fault.Clash("input.parentId", "the root department stays where it is", "根部门不能移动")
		}
		if err := fits(ctx, tx, was.id, parent.id); err != nil {
			return err
		}
		var err error
		if covers, err = move(ctx, tx, was.id, parent.id); err != nil {
			return err
		}
		is.parent = parent.id
		before["parent"], after["parent"] = was.parent, is.parent
	}
	if len(after) == 0 {
		return nil
	}
	if _, err := tx.Change(ctx, "departments", `UPDATE departments SET name = $3, parent_id = $4, version = version + 1, updated_at = $5 WHERE corp_id = $1 AND id = $2 RETURNING id`,
		tx.Corp(), was.id, is.name, is.parent, tx.Now()); err != nil {
		return err
	}
	return s.Log.Append(ctx, tx, audit.Entry{Action: access.DepartmentSave, Subject: was.id, Covers: covers, Before: before, After: after})
}

// fits demands that a department, with what is below it, may hang under a parent.
func fits(ctx context.Context, tx *store.Tx, id, parent nid.ID) error {
	type facts struct {
		inside     bool
		deep, high int
	}
	f, _, err := store.SelectOne(ctx, tx, func(f *facts) []any { return []any{&f.inside, &f.deep, &f.high} }, `
		SELECT EXISTS (SELECT 1 FROM department_closure WHERE corp_id = $1 AND ancestor_id = $2 AND descendant_id = $3),
			coalesce((SELECT max(depth) FROM department_closure WHERE corp_id = $1 AND descendant_id = $3), 0),
			coalesce((SELECT max(depth) FROM department_closure WHERE corp_id = $1 AND ancestor_id = $2), 0)`, tx.Corp(), id, parent)
	switch {
	case err != nil:
		return err
	case f.inside:
		return fault.Clash("input.parentId", "a department cannot be in itself, or in one that is below it", "部门不能移动到自身或其下级部门之中")
	case f.deep+1+f.high > maxDepth:
		return fault.Clash("input.parentId", "the tree would be deeper than %d", "部门层级不能超过 %d 层", maxDepth)
	}
	return nil
}

// move takes a department with all below it from where it was to under a parent.
func move(ctx context.Context, tx *store.Tx, id, parent nid.ID) ([]nid.ID, error) {
	gone, err := tx.Change(ctx, "department_closure", `DELETE FROM department_closure WHERE corp_id = $1
		AND descendant_id IN (SELECT b.descendant_id FROM department_closure AS b WHERE b.corp_id = $1 AND b.ancestor_id = $2)
		AND ancestor_id NOT IN (SELECT b.descendant_id FROM department_closure AS b WHERE b.corp_id = $1 AND b.ancestor_id = $2) RETURNING descendant_id`, tx.Corp(), id)
	if err != nil {
		return nil, err
	}
	more, err := hang(ctx, tx, id, parent)
	return append(gone, more...), err
}

// hang says of all below a department, itself included, that they are below a parent and
// what is above that.
func hang(ctx context.Context, tx *store.Tx, id, parent nid.ID) ([]nid.ID, error) {
	return tx.Change(ctx, "department_closure", `INSERT INTO department_closure (corp_id, ancestor_id, descendant_id, depth)
		SELECT $1, a.ancestor_id, b.descendant_id, a.depth + b.depth + 1 FROM department_closure AS a, department_closure AS b
		WHERE a.corp_id = $1 AND a.descendant_id = $3 AND b.corp_id = $1 AND b.ancestor_id = $2 RETURNING descendant_id`, tx.Corp(), id, parent)
}
