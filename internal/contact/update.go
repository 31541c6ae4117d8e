package contact

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

// The importances.
const (
	normal = "NORMAL"
	key    = "KEY"
)

// UpdateInput changes a contact. Nil leaves a part as it is.
type UpdateInput struct {
	ID nid.ID
	// Version is the one the caller saw.
	Version int
	Name    *string
	// Company may be empty: then there is none.
	Company    *string
	Importance *string // NORMAL or KEY
	// Tags are names and replace all tags the contact has; empty takes them away.
	Tags []string
}

func (in *UpdateInput) check() error {
	if in.Name != nil {
		if problem, ok := name.Check(*in.Name); !ok {
			return fault.New(fault.Invalid, "input.name", problem)
		}
	}
	if in.Importance != nil && *in.Importance != normal && *in.Importance != key {
		return fault.Bad("input.importance", "the importance is NORMAL or KEY", "重要程度只能是 NORMAL 或 KEY")
	}
	if err := line("input.company", in.Company); err != nil {
		return err
	}
	return checkTags(in.Tags)
}

// Update changes what the corp knows of a contact. It needs MANAGE_CONTACTS over a
// follower, or to follow the contact oneself; tags that are not there yet need
// MANAGE_TAGS. Taking the key mark off needs MANAGE_CONTACTS and a fresh proof of
// identity, since the mark is what asks for approval. What is as it was already is
// no change and leaves no entry.
//
// Fails with NOT_FOUND for a contact one may not see, FORBIDDEN, STEP_UP_REQUIRED,
// INVALID for values and unknown tags, CONFLICT for a stale version and for a
// protected contact. Somebody who is LEAVING changes texts and adds tags, and takes
// nothing away: FORBIDDEN.
func (s *Service) Update(ctx context.Context, in UpdateInput) error {
	return s.Log.Tx(ctx, s.DB, access.ContactUpdate, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if err := in.check(); err != nil {
			return err
		}
		c, err := lock(ctx, tx, in.ID, "input.id")
		if err != nil {
			return err
		}
		if err := c.see(ctx, tx, actor, "input.id"); err != nil {
			return err
		}
		manages, err := reaches(ctx, tx, actor.Scope(access.ManageContacts), c.members()...)
		if err != nil {
			return err
		}
		if !manages && !c.followedBy(actor) {
			return fault.Denied("you may not change this contact", "您无权修改该客户")
		}
		if actor.Leaving && (takesAway(in.Company, c.company) || in.unmarks(c)) {
			return leaverDeletes()
		}
		if in.unmarks(c) {
			if !manages {
				return fault.Denied("taking the key mark off a contact needs MANAGE_CONTACTS; following the contact is not enough",
					"取消重要客户标记需要 MANAGE_CONTACTS 权限，仅跟进该客户是不够的")
			}
			if err := identity.Fresh(actor, tx.Now()); err != nil {
				return err
			}
		}
		if in.Version != c.version {
			return fault.Stale("input.version", c.version)
		}
		if err := changeable(c.protected, c.gone); err != nil {
			return err
		}
		return s.update(ctx, tx, actor, c, in)
	})
}

// unmarks reports whether the update takes the key mark off the contact.
func (in *UpdateInput) unmarks(c *held) bool {
	return c.importance == key && in.Importance != nil && *in.Importance != key
}

func (s *Service) update(ctx context.Context, tx *store.Tx, actor *access.Actor, c *held, in UpdateInput) error {
	now := *c
	before, after := map[string]any{}, map[string]any{}
	if in.Name != nil && *in.Name != c.name {
		now.name = *in.Name
		before["name"], after["name"] = personal(c.id, c.name), personal(c.id, now.name)
	}
	if differs(in.Company, c.company) {
		now.company = in.Company
		before["company"], after["company"] = personal(c.id, text(c.company)), personal(c.id, text(now.company))
	}
	if in.Importance != nil && *in.Importance != c.importance {
		now.importance = *in.Importance
		before["importance"], after["importance"] = c.importance, now.importance
	}
	covers, err := retag(ctx, tx, actor, ofContacts, c.id, in.Tags, before, after)
	if err != nil || len(after) == 0 {
		return err
	}
	if _, err := tx.Change(ctx, "contacts", `UPDATE contacts SET name = $3, name_key = $4, company = $5, importance = $6, version = version + 1, updated_at = $7,
		`+Unmarks("$8", "$7", "$9")+` WHERE corp_id = $1 AND id = $2 RETURNING id`,
		tx.Corp(), c.id, now.name, name.Fold(now.name), stored(text(now.company)), now.importance, tx.Now(), in.unmarks(c), actor.ID); err != nil {
		return err
	}
	if now.importance != c.importance {
		if err := countKey(ctx, tx, c.id, now.importance == key); err != nil {
			return err
		}
	}
	return s.Log.Append(ctx, tx, audit.Entry{Action: access.ContactUpdate, Subject: c.id, Before: before, After: after, Covers: covers})
}

// countKey keeps the followers' counts of key contacts, and of those that wait for
// a platform. It asks the database who follows now: an import that held the contact
// may have added somebody while its follows were being locked.
func countKey(ctx context.Context, tx *store.Tx, contact nid.ID, isKey bool) error {
	n := -1
	if isKey {
		n = 1
	}
	_, err := tx.Keep(ctx, "member_counters", `UPDATE member_counters SET key_contacts = key_contacts + $3,
		waiting_key_contacts = waiting_key_contacts + CASE WHEN f.reserved_by_id IS NULL THEN 0 ELSE $3 END
		FROM follows AS f WHERE member_counters.corp_id = $1 AND f.corp_id = $1 AND f.contact_id = $2 AND f.ended_at IS NULL
		  AND member_counters.member_id = f.member_id`, tx.Corp(), contact, n)
	return err
}
