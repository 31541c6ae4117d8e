package identity

import (
	"context"
	"database/sql"
	"time"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Credentials is by what a member can sign in and prove who they are.
type Credentials struct {
	Login             *string // nil for who has none
	Password, Totp    bool
	Passkeys          []*Passkey // oldest first
	RecoveryCodesLeft int
}

// Passkey is what its owner sees of a passkey.
type Passkey struct {
	ID         nid.ID
	Name       string
	BackedUp   bool
	CreatedAt  time.Time
	LastUsedAt *time.Time
}

// Own reads what the actor has.
func Own(ctx context.Context, q store.Querier) (*Credentials, error) {
	a := access.From(ctx)
	known, err := ownAccount(ctx, q, a.ID)
	if err != nil {
		return nil, err
	}
	out := &Credentials{Password: known.password != "", Totp: known.totp != nil, Passkeys: []*Passkey{}}
	if known.login != "" {
		out.Login = &known.login
	}
	type row struct {
		Passkey
		flags int
		used  sql.NullTime
	}
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.ID, &r.Name, &r.flags, &r.CreatedAt, &r.used} },
		`SELECT id, name, flags, created_at, last_used_at FROM passkeys WHERE corp_id = $1 AND member_id = $2 ORDER BY id`, a.Corp, a.ID)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		p := &rows[i].Passkey
		p.BackedUp = protocol.AuthenticatorFlags(rows[i].flags).HasBackupState() //nolint:gosec // one byte
		p.CreatedAt = p.CreatedAt.UTC()
		if rows[i].used.Valid {
			used := rows[i].used.Time.UTC()
			p.LastUsedAt = &used
		}
		out.Passkeys = append(out.Passkeys, p)
	}
	out.RecoveryCodesLeft, _, err = store.SelectOne(ctx, q, func(n *int) []any { return []any{n} },
		`SELECT count(*) FROM recovery_codes WHERE corp_id = $1 AND member_id = $2 AND used_at IS NULL`, a.Corp, a.ID)
	return out, err
}
