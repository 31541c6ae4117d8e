// Package identity knows who acts: passwords and authenticators, sessions,
// service tokens, and the proof of identity that sensitive operations need.
package identity

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Proof is how long a proof of identity stays fresh.
const Proof = 5 * time.Minute

// Confirm is the first step of every use case: it reads the actor's session and
// grants again inside the transaction and keeps them from changing until its end,
// so that a revocation and the act it forbids are strictly ordered. It returns
// the actor as the database knows them now. Fails with UNAUTHENTICATED.
func Confirm(ctx context.Context, tx *store.Tx) (*access.Actor, error) {
	return confirm(ctx, tx, tx.DB().ForShare("s"))
}

// confirm is Confirm with another lock on a person's session, for those few who
// will change the session: raising a shared lock is how two of them would deadlock.
func confirm(ctx context.Context, tx *store.Tx, sessionLock string) (*access.Actor, error) {
	was := access.From(ctx)
	now := *was
	switch was.Kind {
	case access.System:
		return was, nil
	case access.Person:
		// The ways to prove who one is are looked for only where there is need.
		const stale = `(s.verified_until IS NULL OR s.verified_until <= $4)`
		type row struct {
			verified           sql.NullTime
			otp, passkey, oidc bool
			leaving            bool
		}
		held, ok, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.verified, &r.otp, &r.passkey, &r.oidc, &r.leaving} }, `
			SELECT s.verified_until,
			  `+stale+` AND EXISTS (SELECT 1 FROM credentials AS c WHERE c.corp_id = s.corp_id AND c.member_id = s.member_id AND c.totp_secret IS NOT NULL),
			  `+stale+` AND EXISTS (SELECT 1 FROM passkeys AS k WHERE k.corp_id = s.corp_id AND k.member_id = s.member_id),
			  `+stale+` AND EXISTS (SELECT 1 FROM identity_providers AS p JOIN member_identities AS i ON i.corp_id = p.corp_id AND i.provider_id = p.id
			    WHERE p.corp_id = s.corp_id AND p.id = s.provider_id AND p.active AND p.acr_values <> '[]' AND i.member_id = s.member_id AND i.own),
			  m.status = 'LEAVING'
			FROM sessions AS s JOIN members AS m ON m.corp_id = s.corp_id AND m.id = s.member_id
			WHERE s.corp_id = $1 AND s.secret_hash = $2 AND s.member_id = $3 AND s.expires_at > $4
			  AND s.epoch = m.epoch AND `+acts+sessionLock,
			tx.Corp(), was.Session, was.ID, tx.Now())
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, SignInFirst()
		}
		now.VerifiedUntil, now.Leaving = held.verified.Time, held.leaving
		for _, way := range []struct {
			name string
			has  bool
		}{{"otp", held.otp}, {"passkey", held.passkey}, {"oidc", held.oidc}} {
			if way.has {
				now.Proofs = append(now.Proofs, way.name)
			}
		}
		now.Grants, err = grants(ctx, tx, was.ID, tx.Now(), tx.DB().ForShare("g"))
		return &now, err
	case access.Token:
		t, err := inForce(ctx, tx, tx.Now(), `t.id = $3`, was.ID, tx.DB().ForShare("g"), tx.DB().ForShare("t"))
		if err != nil {
			return nil, err
		}
		if t == nil {
			return nil, SignInFirst()
		}
		now.Grants = t.Grants
		return &now, nil
	}
	return nil, SignInFirst()
}

// Standing is a member with the rights they have now, kept from changing until the
// end of the transaction: for work that they asked for and that goes on without
// them. It has no proof of identity. nil: they may not act.
func Standing(ctx context.Context, tx *store.Tx, member nid.ID) (*access.Actor, error) {
	g, err := grants(ctx, tx, member, tx.Now(), tx.DB().ForShare("g"))
	if err != nil {
		return nil, err
	}
	leaving, ok, err := store.SelectOne(ctx, tx, func(b *bool) []any { return []any{b} },
		`SELECT m.status = 'LEAVING' FROM members AS m WHERE m.corp_id = $1 AND m.id = $2 AND `+acts, tx.Corp(), member)
	if err != nil || !ok {
		return nil, err
	}
	return &access.Actor{Kind: access.Person, Corp: tx.Corp(), ID: member, Grants: g, Leaving: leaving}, nil
}

// SignInFirst is the UNAUTHENTICATED fault.
func SignInFirst() *fault.Error {
	return fault.New(fault.Unauthenticated, "", fault.T("sign in first", "请先登录"))
}

// Fresh demands a fresh proof of identity: STEP_UP_REQUIRED where there is none, with the
// ways to give one. Who has none enrols an authenticator.
func Fresh(a *access.Actor, now time.Time) error {
	if a.Fresh(now) {
		return nil
	}
	ways := a.Proofs
	if len(ways) == 0 {
		ways = []string{"otp"}
	}
	return fault.New(fault.StepUpRequired, "", fault.T(
		"prove your identity first (verifyIdentity); the proof holds for five minutes", "请先验证身份(verifyIdentity),验证有效期为五分钟")).
		With("maxAgeSeconds", int(Proof/time.Second)).With("acrValues", ways)
}

// grants reads a member's grants that are in force.
func grants(ctx context.Context, q store.Querier, member nid.ID, now time.Time, lock string) ([]access.Grant, error) {
	type row struct {
		id, department nid.ID
		permissions    []byte
		expires        sql.NullTime
	}
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.id, &r.department, &r.permissions, &r.expires} }, `
		SELECT g.id, g.department_id, r.permissions, g.expires_at
		FROM grants AS g JOIN roles AS r ON r.corp_id = g.corp_id AND r.id = g.role_id
		WHERE g.corp_id = $1 AND g.member_id = $2 AND g.revoked_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > $3)
		ORDER BY g.id`+lock, access.From(ctx).Corp, member, now)
	if err != nil {
		return nil, err
	}
	out := make([]access.Grant, len(rows))
	for i, r := range rows {
		out[i] = access.Grant{ID: r.id, Department: r.department, ExpiresAt: r.expires.Time}
		if err := json.Unmarshal(r.permissions, &out[i].Permissions); err != nil {
			return nil, err
		}
	}
	return out, nil
}
