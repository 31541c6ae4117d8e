package identity

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/store"
)

// Still says who the actor of something that lasts longer than a request is by now:
// the same one, with the grants that are in force. UNAUTHENTICATED where the session
// or token has ended, or its member is no longer at work.
func Still(ctx context.Context, r *store.Read, now time.Time) (*access.Actor, error) {
	was, ok := access.From(ctx), false
	is := *was
	var err error
	switch was.Kind {
	case access.System:
		return was, nil
	case access.Person:
		_, ok, err = person(ctx, r, &is, was.Session, now)
		ok = ok && is.ID == was.ID
	case access.Token:
		var t *ServiceToken
		if t, err = inForce(ctx, r, now, `t.id = $3`, was.ID, "", ""); t != nil {
			ok, is.Grants = true, t.Grants
		}
	}
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, SignInFirst()
	}
	return &is, nil
}
