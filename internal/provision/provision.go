// Package provision keeps a corp's people as its identity provider says. It makes
// members and departments, changes them and puts people into departments; that
// somebody leaves goes through package member, like any departure.
//
// Everything needs PROVISION_MEMBERS and reaches no further than that does: whom it
// does not reach is not there.
package provision

import (
	"context"
	"strconv"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/roster"
	"github.com/openhandover/openhandover/internal/store"
)

// Service is the use cases of an identity provider.
type Service struct {
	DB     *store.DB
	Log    *audit.Log
	Member *member.Service
}

// allowed is where the actor provisions. FORBIDDEN where that is nowhere.
func allowed(a *access.Actor) (access.Scope, error) {
	scope := a.Scope(access.ProvisionMembers)
	if scope.Empty() {
		return scope, fault.Denied("this needs PROVISION_MEMBERS", "需要 PROVISION_MEMBERS 权限")
	}
	return scope, nil
}

// confirm is identity.Confirm for who provisions.
func confirm(ctx context.Context, tx *store.Tx) (access.Scope, error) {
	actor, err := identity.Confirm(ctx, tx)
	if err != nil {
		return access.Scope{}, err
	}
	return allowed(actor)
}

// query is a statement in the making. Values go into its arguments only.
type query struct {
	db   *store.DB
	args []any
}

// ask begins a statement whose $1 is the corp.
func ask(db *store.DB, corp nid.ID) *query { return &query{db: db, args: []any{corp}} }

// arg adds a value and gives its placeholder.
func (q *query) arg(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

// in adds a list of ids and gives the condition that something is in it.
func (q *query) in(ids []nid.ID) string {
	q.args = append(q.args, q.db.IDs(ids))
	return q.db.In(len(q.args))
}

// user is the condition that a member m, with scim_users u, is there for the provider:
// one whom it deleted is not, until a person reinstates them.
func (q *query) user(scope access.Scope) string {
	there := `m.archived_at IS NULL AND m.erased_at IS NULL AND NOT (m.status = 'DEPARTED' AND u.deleted_at IS NOT NULL AND u.deleted_at >= m.departed_at)`
	if scope.All {
		return there
	}
	q.args = append(q.args, q.db.IDs(scope.Departments))
	return there + ` AND ` + q.db.ScopeSQL(scope, "m.corp_id", "m.id", len(q.args))
}

// group is the condition that a department d is.
func (q *query) group(scope access.Scope) string {
	const there = `d.archived_at IS NULL`
	if scope.All {
		return there
	}
	return there + ` AND EXISTS (SELECT 1 FROM department_closure AS dc WHERE dc.corp_id = d.corp_id AND dc.descendant_id = d.id AND dc.ancestor_id ` + q.in(scope.Departments) + `)`
}

// top is the department that whoever is in no other is in: the token's, or the root.
func top(ctx context.Context, q store.Querier, scope access.Scope) (nid.ID, error) {
	if len(scope.Departments) > 0 {
		return scope.Departments[0], nil
	}
	id, ok, err := store.SelectOne(ctx, q, func(id *nid.ID) []any { return []any{id} },
		`SELECT id FROM departments WHERE corp_id = $1 AND parent_id IS NULL AND archived_at IS NULL ORDER BY id LIMIT 1`, access.From(ctx).Corp)
	if err == nil && !ok {
		err = fault.Clash("", "the corp has no department yet; import its departments first", "企业尚无部门,请先导入部门")
	}
	return id, err
}

func one(id *nid.ID) []any { return []any{id} }

// read runs fn in one snapshot.
func (s *Service) read(ctx context.Context, fn func(context.Context, *store.Read, access.Scope) error) error {
	scope, err := allowed(access.From(ctx))
	if err != nil {
		return err
	}
	return s.DB.View(ctx, func(ctx context.Context, r *store.Read) error { return fn(ctx, r, scope) })
}

// firstOf is the one item that a list by id has, or NOT_FOUND.
func firstOf[T any](items []T, err error) (out T, _ error) {
	switch {
	case err != nil:
		return out, err
	case len(items) == 0:
		return out, fault.Missing("id")
	}
	return items[0], nil
}

// is is the condition of one id.
func is(id nid.ID) roster.Condition {
	return roster.Compare{Attribute: roster.ID, Op: roster.Eq, ID: id}
}
