package identity

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Authenticate says who holds a session or service token, with the grants that are
// in force now. What is unknown, expired, idle for too long, revoked or of a member
// who is not at work any more is UNAUTHENTICATED, all alike.
func (s *Service) Authenticate(ctx context.Context, token string) (actor *access.Actor, err error) {
	kind, corp, ok := secret.ParseToken(token)
	if !ok {
		return nil, SignInFirst()
	}
	was := access.From(ctx)
	actor = &access.Actor{Corp: corp, Lang: was.Lang, RequestID: was.RequestID, Address: was.Address, Device: was.Device}
	hash, now := secret.Hash(token), s.DB.Now()
	var seen time.Time
	err = s.DB.View(store.System(ctx, corp, "authentication"), func(ctx context.Context, r *store.Read) (err error) {
		if kind == secret.Service {
			seen, ok, err = program(ctx, r, actor, hash, now)
		} else {
			seen, ok, err = person(ctx, r, actor, hash, now)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, SignInFirst()
	}
	if now.Sub(seen) >= touchEvery {
		// Not being able to write must not keep anybody from reading.
		if err := s.touch(access.With(ctx, actor), now.Add(-touchEvery)); err != nil {
			slog.WarnContext(ctx, "could not note that a session or token was used", "err", err, "request", was.RequestID)
		}
	}
	return actor, nil
}

// person completes the actor from a session.
func person(ctx context.Context, r *store.Read, a *access.Actor, hash []byte, now time.Time) (seen time.Time, ok bool, err error) {
	type row struct {
		member   nid.ID
		login    sql.NullString
		verified sql.NullTime
		seen     time.Time
		leaving  bool
	}
	v, ok, err := store.SelectOne(ctx, r, func(v *row) []any { return []any{&v.member, &v.login, &v.verified, &v.seen, &v.leaving} }, `
		SELECT s.member_id, c.login, s.verified_until, s.last_seen_at, m.status = 'LEAVING'
		FROM sessions AS s JOIN members AS m ON m.corp_id = s.corp_id AND m.id = s.member_id
		LEFT JOIN credentials AS c ON c.corp_id = s.corp_id AND c.member_id = s.member_id
		WHERE s.corp_id = $1 AND s.secret_hash = $2 AND s.expires_at > $3 AND s.last_seen_at > $4
		  AND s.epoch = m.epoch AND `+acts, a.Corp, hash, now, now.Add(-SessionIdle))
	if err != nil || !ok {
		return seen, false, err
	}
	a.Kind, a.ID, a.Label, a.Session, a.VerifiedUntil, a.Leaving = access.Person, v.member, v.login.String, hash, v.verified.Time, v.leaving
	a.Grants, err = grants(ctx, r, a.ID, now, "")
	return v.seen, true, err
}

// program completes the actor from a service token.
func program(ctx context.Context, r *store.Read, a *access.Actor, hash []byte, now time.Time) (seen time.Time, ok bool, err error) {
	t, err := inForce(ctx, r, now, `t.secret_hash = $3`, hash, "", "")
	if err != nil || t == nil {
		return seen, false, err
	}
	a.Kind, a.ID, a.Label, a.Grants = access.Token, t.ID, t.Name, t.Grants
	return t.LastUsed.Time, true, nil
}

// touch notes that the actor's session or token is in use, if nobody did since. It
// passes over a row that a use case holds: waiting would make one slow request of
// a session hold up all others.
func (s *Service) touch(ctx context.Context, before time.Time) error {
	a := access.From(ctx)
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		free := tx.DB().ForNoKeyUpdate() + tx.DB().OrSkip()
		if a.Kind == access.Token {
			_, ok, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} }, `SELECT id FROM service_tokens
				WHERE corp_id = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at <= $3)`+free, tx.Corp(), a.ID, before)
			if err != nil || !ok {
				return err
			}
			return tx.TouchToken(ctx, a.ID)
		}
		_, err := tx.Keep(ctx, "sessions", `UPDATE sessions SET last_seen_at = $4, address = $5 WHERE corp_id = $1 AND secret_hash IN (
			SELECT o.secret_hash FROM sessions AS o WHERE o.corp_id = $1 AND o.secret_hash = $2 AND o.last_seen_at <= $3`+free+`)`,
			tx.Corp(), a.Session, before, tx.Now(), a.Address)
		return err
	})
}

// SignOut ends the actor's session. UNAUTHENTICATED where there is none any more,
// INVALID for a service token, which has none.
func (s *Service) SignOut(ctx context.Context) error {
	a, err := signedInPerson(ctx)
	if err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.Keep(ctx, "sessions", `DELETE FROM sessions WHERE corp_id = $1 AND secret_hash = $2 AND member_id = $3`, tx.Corp(), a.Session, a.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return SignInFirst()
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.SessionEnd, Subject: a.ID})
	})
}

// signedInPerson gives the actor if it is a person with a session.
func signedInPerson(ctx context.Context) (*access.Actor, error) {
	a := access.From(ctx)
	switch {
	case a.Kind == access.Person && a.Session != nil:
		return a, nil
	case a.Kind == access.Token || a.Kind == access.System:
		return nil, fault.Bad("", "only a person who has signed in can do this", "仅限已登录的人员操作")
	}
	return nil, SignInFirst()
}

// Sweep removes a corp's ended sessions, forgotten failures and expired challenges;
// that of Nowhere too. ctx is that of the system (store.System); nothing depends on
// how often it runs.
func (s *Service) Sweep(ctx context.Context) error {
	if err := systemOnly(ctx); err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Keep(ctx, "sessions", `DELETE FROM sessions WHERE corp_id = $1 AND (expires_at <= $2 OR last_seen_at <= $3)`,
			tx.Corp(), tx.Now(), tx.Now().Add(-SessionIdle)); err != nil {
			return err
		}
		if _, err := tx.Keep(ctx, "spent_challenges", `DELETE FROM spent_challenges WHERE corp_id = $1 AND expires_at <= $2`, tx.Corp(), tx.Now()); err != nil {
			return err
		}
		_, err := tx.Keep(ctx, "lockouts", `DELETE FROM lockouts WHERE corp_id = $1 AND last_at <= $2 AND (locked_until IS NULL OR locked_until <= $3)`,
			tx.Corp(), tx.Now().Add(-lockTime), tx.Now())
		return err
	})
}
