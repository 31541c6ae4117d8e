// Package member holds what happens to people who look after contacts: they are
// deactivated and reinstated, and what a leaver left behind waits for a successor.
//
// Nobody's departure may leave a contact or group unprotected or without somebody
// who answers for it, so status, access, protection and accountability change in
// one transaction. The database refuses the commit of anything else.
package member

import (
	"context"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Service is the use cases of members.
type Service struct {
	DB  *store.DB
	Log *audit.Log
}

// The statuses that this package sets. Only ACTIVE and LEAVING members answer for
// contacts and groups.
const (
	active   = "ACTIVE"
	leaving  = "LEAVING"
	disabled = "DISABLED"
	departed = "DEPARTED"
)

// maxReason is how many characters a reason may have.
const maxReason = 2000

// left reports whether somebody of this status has been deactivated.
func left(status string) bool { return status == disabled || status == departed }

// reach checks that the member exists and that the actor may deactivate and
// reinstate there. Every colleague may see a member's card, so missing permission
// is FORBIDDEN and hides nothing.
func reach(ctx context.Context, tx *store.Tx, actor *access.Actor, id nid.ID) error {
	_, ok, err := store.SelectOne(ctx, tx, func(found *nid.ID) []any { return []any{found} },
		`SELECT id FROM members WHERE corp_id = $1 AND id = $2`, tx.Corp(), id)
	if err != nil {
		return err
	}
	if !ok {
		return fault.Missing("input.memberId")
	}
	outside, err := store.OutOfScope(ctx, tx, over(actor), id)
	if err != nil {
		return err
	}
	if len(outside) > 0 {
		return fault.Denied("you may not deactivate or reinstate this member", "您无权停用或恢复该成员")
	}
	return nil
}

// over is where the actor may deactivate. A service token cannot have
// DEACTIVATE_MEMBER; an identity provider's has a permission of its own.
func over(actor *access.Actor) access.Scope {
	if actor.Kind == access.Token {
		return actor.Scope(access.ProvisionMembers)
	}
	return actor.Scope(access.DeactivateMember)
}

// checkReason takes the words in which somebody says why.
func checkReason(reason string) error {
	if problem, ok := name.CheckText(reason, maxReason); !ok {
		return fault.New(fault.Invalid, "input.reason", problem)
	}
	return nil
}
