package identity

import (
	"context"
	"database/sql"
	"time"

	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Method is how somebody signed in.
type Method string

// The methods.
const (
	ByPassword Method = "PASSWORD"
	ByPasskey  Method = "PASSKEY"
	// BySingleSignOn: on the word of an identity provider.
	BySingleSignOn Method = "SINGLE_SIGN_ON"
)

// open makes a session of somebody who has shown who they are, proven until when
// (zero: not). The caller holds a lock on what they showed, so that a change of it,
// which ends sessions, comes before or after; refunds; and appends to the log. ok is
// false for a member who is not at work.
//
// It reads the member's epoch without a lock: a deactivation at the same time raises
// it, which voids what is made here.
func open(ctx context.Context, tx *store.Tx, member nid.ID, by Method, proven time.Time) (out Session, ok bool, err error) {
	type row struct {
		epoch   int
		login   sql.NullString
		leaving bool
	}
	m, ok, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.epoch, &r.login, &r.leaving} }, `
		SELECT m.epoch, c.login, m.status = 'LEAVING' FROM members AS m LEFT JOIN credentials AS c ON c.corp_id = m.corp_id AND c.member_id = m.id
		WHERE m.corp_id = $1 AND m.id = $2 AND `+acts, tx.Corp(), member)
	if err != nil || !ok {
		return out, false, err
	}
	if _, err := tx.Keep(ctx, "sessions", `DELETE FROM sessions WHERE corp_id = $1 AND member_id = $2 AND secret_hash IN (
		SELECT o.secret_hash FROM sessions AS o WHERE o.corp_id = $1 AND o.member_id = $2
		ORDER BY o.created_at DESC, o.secret_hash LIMIT 1000000 OFFSET $3)`, tx.Corp(), member, maxSessions-1); err != nil {
		return out, false, err
	}
	was := access.From(ctx)
	out = Session{ID: tx.NewID(nid.Session), Method: by, Token: secret.NewToken(secret.Session, tx.Corp()), ExpiresAt: tx.Now().Add(SessionLife)}
	hash := secret.Hash(out.Token)
	var until any
	if !proven.IsZero() {
		until = proven
	}
	if _, err := tx.Keep(ctx, "sessions", `INSERT INTO sessions (secret_hash, corp_id, id, member_id, epoch, method, device, address, created_at, expires_at, last_seen_at, verified_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9, $11)`,
		hash, tx.Corp(), out.ID, member, m.epoch, string(by), was.Device, was.Address, tx.Now(), out.ExpiresAt, until); err != nil {
		return out, false, err
	}
	actor := *was
	actor.Kind, actor.Corp, actor.ID, actor.Label = access.Person, tx.Corp(), member, m.login.String
	actor.Session, actor.VerifiedUntil, actor.Leaving = hash, proven, m.leaving
	actor.Grants, err = grants(ctx, tx, member, tx.Now(), "")
	out.Actor = &actor
	return out, err == nil, err
}

// told is what the log says of a new session.
func (s Session) told() map[string]any {
	return map[string]any{"session": s.ID, "method": string(s.Method), "expiresAt": s.ExpiresAt}
}

// live is the condition that a row of sessions is in force: now, and when it must have
// been used last.
const live = `sessions.expires_at > ? AND sessions.last_seen_at > ? AND EXISTS (SELECT 1 FROM members AS m
	WHERE m.corp_id = sessions.corp_id AND m.id = sessions.member_id AND m.epoch = sessions.epoch AND ` + acts + `)`

// Sessions is the condition that rows of the table sessions are in force and may be
// seen by the actor: their own, and those of members within MANAGE_ROLES.
func Sessions(a *access.Actor, now time.Time) *store.Where {
	var w store.Where
	w.And(live, now, now.Add(-SessionIdle))
	if condition, args := rule.InScope(a, "sessions.corp_id", "sessions.member_id", access.ManageRoles); condition != "" {
		w.And(condition, args...)
	}
	return &w
}

// RevokeSession ends a session of the actor's own or, for who manages roles over its
// member, somebody else's; its next request is refused, its streams close within
// seconds. NOT_FOUND on input.id for one that is over or that the actor may not see.
func (s *Service) RevokeSession(ctx context.Context, id nid.ID) error {
	if _, err := signedInPerson(ctx); err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		actor, err := Confirm(ctx, tx)
		if err != nil {
			return err
		}
		where, args := Sessions(actor, tx.Now()).SQL(3)
		type row struct {
			member nid.ID
			method string
		}
		of, ok, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.member, &r.method} },
			`SELECT sessions.member_id, sessions.method FROM sessions WHERE sessions.corp_id = $1 AND sessions.id = $2 AND `+where+tx.DB().ForUpdate(),
			append([]any{tx.Corp(), id}, args...)...)
		if err != nil {
			return err
		}
		if !ok {
			return fault.Missing("input.id")
		}
		if _, err := tx.Keep(ctx, "sessions", `DELETE FROM sessions WHERE corp_id = $1 AND id = $2`, tx.Corp(), id); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.SessionRevoke, Subject: of.member, After: map[string]any{"session": id, "method": of.method}})
	})
}

// RevokeSessions ends all other sessions of the actor, or all of a member whom the
// actor manages roles over, and says how many there were. NOT_FOUND on
// input.memberId, FORBIDDEN for a member out of the actor's scope.
func (s *Service) RevokeSessions(ctx context.Context, member *nid.ID) (n int, err error) {
	if _, err := signedInPerson(ctx); err != nil {
		return 0, err
	}
	err = s.Log.Tx(ctx, s.DB, access.SessionRevoke, func(ctx context.Context, tx *store.Tx) error {
		actor, err := Confirm(ctx, tx)
		if err != nil {
			return err
		}
		whose := actor.ID
		if member != nil && *member != actor.ID {
			whose = *member
			if err := reaches(ctx, tx, actor, whose); err != nil {
				return err
			}
		}
		if n, err = endSessions(ctx, tx, whose, actor); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.SessionRevoke, Subject: whose, After: map[string]any{"sessionsEnded": n}})
	})
	return n, err
}

// endSessions ends a member's sessions but the one in which the actor does it.
func endSessions(ctx context.Context, tx *store.Tx, member nid.ID, actor *access.Actor) (int, error) {
	keep := actor.Session
	if keep == nil {
		keep = []byte{}
	}
	return tx.Keep(ctx, "sessions", `DELETE FROM sessions WHERE corp_id = $1 AND member_id = $2 AND secret_hash <> $3`, tx.Corp(), member, keep)
}

// reaches demands that the actor manages roles over another member. NOT_FOUND on
// input.memberId, FORBIDDEN.
func reaches(ctx context.Context, tx *store.Tx, actor *access.Actor, member nid.ID) error {
	_, ok, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} },
		`SELECT id FROM members WHERE corp_id = $1 AND id = $2 AND archived_at IS NULL`, tx.Corp(), member)
	if err != nil {
		return err
	}
	if !ok {
		return fault.Missing(inMember)
	}
	outside, err := store.OutOfScope(ctx, tx, actor.Scope(access.ManageRoles), member)
	if err == nil && len(outside) > 0 {
		err = fault.Denied("you do not administer this member", "您无权管理该成员的登录")
	}
	return err
}

const inMember = "input.memberId"
