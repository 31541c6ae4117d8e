package member

import (
	"context"
	"errors"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// LeaveInput is what an identity provider says of somebody who is no longer there.
type LeaveInput struct {
	MemberID nid.ID
	// ForGood also lets those depart who are only disabled or not active yet.
	ForGood bool
	// Fits is asked, under the member's lock, whether the version is one that the caller
	// saw; nil takes any.
	Fits func(version int) bool
}

// errHeld: the departure is held back already.
var errHeld = errors.New("member: the departure is held back")

// Leave makes a member DEPARTED on the word of an identity provider, through
// Deactivate. Said again it changes nothing. It needs PROVISION_MEMBERS over the member
// of a service token, DEACTIVATE_MEMBER of a person.
//
// What cannot go through without a person is held back as in Depart: held, and the
// member is LEAVING with departure_held_at set and without access until somebody
// deactivates them, schedules a new day or takes the departure back. Saying it again
// changes nothing of that: a provider that has gone wrong repeats itself.
//
// Fails with NOT_FOUND, FORBIDDEN, and CONFLICT on version.
func (s *Service) Leave(ctx context.Context, in LeaveInput) (held bool, err error) {
	_, err = s.Deactivate(ctx, DeactivateInput{MemberID: in.MemberID, Mode: Depart, left: &in})
	switch {
	case errors.Is(err, errNotDue):
		return false, nil
	case errors.Is(err, errHeld):
		return true, nil
	}
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Code == fault.Conflict && f.Field != "" && f.Field != "version" {
		return true, s.tell(ctx, in, f)
	}
	return false, err
}

// told goes on with a departure only where the member has not left yet.
func (d *departure) told() error {
	in := d.in.left
	if in == nil {
		return nil
	}
	if in.Fits != nil {
		version, _, err := store.SelectOne(d.ctx, d.tx, func(n *int) []any { return []any{n} },
			`SELECT version FROM members WHERE corp_id = $1 AND id = $2`, d.tx.Corp(), d.leaver.id)
		if err != nil {
			return err
		}
		if !in.Fits(version) {
			return fault.Stale("version", version)
		}
	}
	switch {
	case d.leaver.status == departed, !d.leaver.answers && !in.ForGood:
		return errNotDue
	case d.leaver.answers && d.leaver.heldAt.Valid:
		return errHeld
	}
	return nil
}

// tell keeps the departure for a person to decide on. Of somebody who is not at work
// there is nothing to hold: their access has ended.
func (s *Service) tell(ctx context.Context, in LeaveInput, because *fault.Error) error {
	return s.Log.Tx(ctx, s.DB, access.DepartureHold, func(ctx context.Context, tx *store.Tx) error {
		only, err := identity.OnlyAdministrator(ctx, tx, in.MemberID)
		if err != nil {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if err := reach(ctx, tx, actor, in.MemberID); err != nil {
			return err
		}
		zone, _, err := corpOf(ctx, tx)
		if err != nil {
			return err
		}
		was, err := lockOne(ctx, tx, in.MemberID)
		if err != nil || !was.answers || was.heldAt.Valid {
			return err
		}
		by, err := asker(ctx, tx, actor)
		if err != nil {
			return err
		}
		_, err = s.keep(ctx, tx, holding{was: was, lastDay: tx.Now().In(zone).Format(time.DateOnly), because: because, by: by, only: only})
		return err
	})
}

// asker is the member behind an actor: the person, or whoever made the token; zero: none.
func asker(ctx context.Context, tx *store.Tx, actor *access.Actor) (nid.ID, error) {
	if actor.Kind != access.Token {
		return actor.ID, nil
	}
	maker, _, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} },
		`SELECT created_by_id FROM service_tokens WHERE corp_id = $1 AND id = $2`, tx.Corp(), actor.ID)
	return maker, err
}
