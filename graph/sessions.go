package graph

import (
	"bytes"
	"context"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// sessions is a plain table, without an entity: it is read here as ent would.
var sessions = &table[*model.Session]{
	name: "sessions", kind: nid.Session, id: func(s *model.Session) nid.ID { return s.ID },
	rows: func(ctx context.Context, _ *ent.Client, f func(*sql.Selector)) ([]*model.Session, error) {
		found, err := fromPlain(ctx, "sessions", func(s *model.Session) []any {
			return []any{&s.ID, &s.MemberID, &s.Method, &s.Secret, &s.DeviceName, &s.LastAddress, &s.CreatedAt, &s.LastSeenAt, &s.ExpiresAt}
		}, f, "id", "member_id", "method", "secret_hash", "device", "address", "created_at", "last_seen_at", "expires_at")
		out := make([]*model.Session, len(found))
		for i := range found {
			s := &found[i]
			for _, t := range []*time.Time{&s.CreatedAt, &s.LastSeenAt, &s.ExpiresAt} {
				*t = t.UTC()
			}
			out[i] = s
		}
		return out, err
	},
	count: countPlain("sessions"),
}

// listSessions pages through what identity.Sessions lets the viewer see.
func (r *Resolver) listSessions(ctx context.Context, f *model.SessionFilter, s span) (*model.SessionConnection, error) {
	w := identity.Sessions(access.From(ctx), r.DB.Now())
	if f != nil && f.MemberID != nil {
		w.And("sessions.member_id = ?", *f.MemberID)
	}
	return page(ctx, sessions, w, order[*model.Session]{key: idKey[*model.Session](), desc: true}, s)
}

// isCurrent reports whether a session is the one that asks.
func isCurrent(ctx context.Context, s *model.Session) bool {
	own := access.From(ctx).Session
	return own != nil && bytes.Equal(s.Secret, own)
}

// credentials are the viewer's own; nil for a service token.
func credentials(ctx context.Context, v *model.Viewer) (*identity.Credentials, error) {
	if v.Actor.Kind != access.Person {
		return nil, nil
	}
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	return identity.Own(ctx, q)
}

// proven is the viewer of a mutation in which they have just proven who they are.
func proven(ctx context.Context, until time.Time) *model.Viewer {
	actor := *access.From(ctx)
	actor.VerifiedUntil = until
	become(ctx, &actor)
	return &model.Viewer{Actor: &actor}
}

// passkeyOf re-reads one of the viewer's passkeys.
func passkeyOf(ctx context.Context, id nid.ID) (*identity.Passkey, error) {
	all, err := credentials(ctx, &model.Viewer{Actor: access.From(ctx)})
	if err != nil {
		return nil, err
	}
	for _, p := range all.Passkeys {
		if p.ID == id {
			return p, nil
		}
	}
	return nil, nil
}
