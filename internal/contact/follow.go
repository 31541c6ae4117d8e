package contact

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

// FollowInput changes what a follower wrote about a contact. Nil leaves a part as
// it is, an empty text takes it away.
type FollowInput struct {
	ID nid.ID
	// Version is the one the caller saw.
	Version     int
	Remark      *string
	Description *string
	// Tags are names and replace all tags the follow has; empty takes them away.
	Tags []string
}

func (in *FollowInput) check() error {
	if err := line("input.remark", in.Remark); err != nil {
		return err
	}
	if in.Description != nil {
		if problem, ok := name.CheckText(*in.Description, maxDescription); !ok {
			return fault.New(fault.Invalid, "input.description", problem)
		}
	}
	return checkTags(in.Tags)
}

// UpdateFollow changes remark, description and tags of one follow: the follower's
// own, or with MANAGE_CONTACTS over the follower. The ownership version stays, so
// no plan is disturbed.
//
// Fails with NOT_FOUND for a follow of a contact one may not see, FORBIDDEN,
// INVALID for values and unknown tags, CONFLICT for a stale version, an ended follow
// and a leaver's. Somebody who is LEAVING changes texts and adds tags, and takes nothing away:
// FORBIDDEN.
func (s *Service) UpdateFollow(ctx context.Context, in FollowInput) error {
	return s.Log.Tx(ctx, s.DB, access.FollowUpdate, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if err := in.check(); err != nil {
			return err
		}
		// A follow never changes its contact, so this may be read before the lock.
		contact, _, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} },
			`SELECT contact_id FROM follows WHERE corp_id = $1 AND id = $2`, tx.Corp(), in.ID)
		if err != nil {
			return err
		}
		c, err := lock(ctx, tx, contact, "input.id")
		if err != nil {
			return err
		}
		if err := c.see(ctx, tx, actor, "input.id"); err != nil {
			return err
		}
		i := slices.IndexFunc(c.follows, func(f openFollow) bool { return f.id == in.ID })
		if i < 0 {
			return fault.Clash("input.id", "this member does not look after the contact any more", "该成员已不再跟进此客户")
		}
		f := c.follows[i]
		if actor.Kind != access.Person || actor.ID != f.member {
			ok, err := reaches(ctx, tx, actor.Scope(access.ManageContacts), f.member)
			if err != nil {
				return err
			}
			if !ok {
				return fault.Denied("you may not change what somebody else wrote about this contact", "您无权修改他人对该客户的备注")
			}
		}
		if in.Version != f.version {
			return fault.Stale("input.version", f.version)
		}
		if err := changeable(f.protected, c.gone); err != nil {
			return err
		}
		if actor.Leaving && (takesAway(in.Remark, f.remark) || takesAway(in.Description, f.description)) {
			return leaverDeletes()
		}
		return s.updateFollow(ctx, tx, actor, c.id, f, in)
	})
}

// updateFollow seals what is written under the contact's key: it is about them.
func (s *Service) updateFollow(ctx context.Context, tx *store.Tx, actor *access.Actor, contact nid.ID, f openFollow, in FollowInput) error {
	now := f
	before, after := map[string]any{}, map[string]any{}
	if differs(in.Remark, f.remark) {
		now.remark = in.Remark
		before["remark"], after["remark"] = personal(contact, text(f.remark)), personal(contact, text(now.remark))
	}
	if differs(in.Description, f.description) {
		now.description = in.Description
		before["description"], after["description"] = personal(contact, text(f.description)), personal(contact, text(now.description))
	}
	covers, err := retag(ctx, tx, actor, ofFollows, f.id, in.Tags, before, after)
	if err != nil || len(after) == 0 {
		return err
	}
	if _, err := tx.Change(ctx, "follows", `UPDATE follows SET remark = $3, description = $4, version = version + 1, updated_at = $5
		WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), f.id, stored(text(now.remark)), stored(text(now.description)), tx.Now()); err != nil {
		return err
	}
	return s.Log.Append(ctx, tx, audit.Entry{Action: access.FollowUpdate, Subject: f.id, Before: before, After: after, Covers: covers})
}
