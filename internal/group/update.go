package group

import (
	"context"

	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Service is the use cases of groups.
type Service struct {
	DB  *store.DB
	Log *audit.Log
}

// UpdateInput changes a group. Nil leaves a part as it is.
type UpdateInput struct {
	ID nid.ID
	// Version is the one the caller saw.
	Version int
	Name    *string
}

// held is a group, locked.
type held struct {
	id, owner nid.ID
	version   int
	name      string
	protected bool
	gone      bool // archived or erased
}

// Update changes a group's name. It needs MANAGE_GROUPS over the owner, or to own
// the group. A name that is the same already is no change and leaves no entry.
//
// Fails with NOT_FOUND for a group one may not see, FORBIDDEN, INVALID for a name
// that cannot be, CONFLICT for a stale version and for a group whose owner left.
func (s *Service) Update(ctx context.Context, in UpdateInput) error {
	return s.Log.Tx(ctx, s.DB, access.GroupUpdate, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if in.Name != nil {
			if problem, ok := name.Check(*in.Name); !ok {
				return fault.New(fault.Invalid, "input.name", problem)
			}
		}
		g, ok, err := store.SelectOne(ctx, tx, func(g *held) []any {
			return []any{&g.id, &g.owner, &g.version, &g.name, &g.protected, &g.gone}
		}, `SELECT id, owner_id, version, name, protected, archived_at IS NOT NULL OR erased_at IS NOT NULL FROM groups
			WHERE corp_id = $1 AND id = $2`+tx.DB().ForUpdate(), tx.Corp(), in.ID)
		if err != nil {
			return err
		}
		if !ok {
			return fault.Missing("input.id")
		}
		if err := g.see(ctx, tx, actor); err != nil {
			return err
		}
		if err := g.may(ctx, tx, actor); err != nil {
			return err
		}
		switch {
		case in.Version != g.version:
			return fault.Stale("input.version", g.version)
		case g.gone:
			return fault.Clash("input.id", "this group has been archived and is not changed any more", "该客户群已归档,不能再修改")
		case g.protected:
			return fault.Clash("input.id", "the owner of this group has left, so it is protected; use a handover", "群主已离开,该客户群已被保护,请通过交接处理").With("protected", true)
		case in.Name == nil || *in.Name == g.name:
			return nil
		}
		if _, err := tx.Change(ctx, "groups", `UPDATE groups SET name = $3, name_key = $4, version = version + 1, updated_at = $5
			WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), g.id, *in.Name, name.Fold(*in.Name), tx.Now()); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{
			Action: access.GroupUpdate, Subject: g.id,
			Before: map[string]any{"name": audit.Personal{Subject: g.id, Value: g.name}},
			After:  map[string]any{"name": audit.Personal{Subject: g.id, Value: *in.Name}},
		})
	})
}

// see answers NOT_FOUND for a group that the actor may not see.
func (g *held) see(ctx context.Context, tx *store.Tx, actor *access.Actor) error {
	condition, args := rule.Visible(actor, "groups")
	if condition == "" {
		return nil
	}
	var w store.Where
	w.And("groups.corp_id = ?", tx.Corp())
	w.And("groups.id = ?", g.id)
	w.And(condition, args...)
	where, args := w.SQL(1)
	_, ok, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} }, `SELECT groups.id FROM groups WHERE `+where, args...)
	if err == nil && !ok {
		err = fault.Missing("input.id")
	}
	return err
}

// may answers FORBIDDEN to who may see the group but not change it.
func (g *held) may(ctx context.Context, tx *store.Tx, actor *access.Actor) error {
	if actor.Kind == access.Person && actor.ID == g.owner {
		return nil
	}
	outside, err := store.OutOfScope(ctx, tx, actor.Scope(access.ManageGroups), g.owner)
	if err == nil && len(outside) > 0 {
		err = fault.Denied("you may not change this group", "您无权修改该客户群")
	}
	return err
}
