package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	recoveryCodes = 10
	// recoveryDigits of five bits each: with 80 random bits there is nothing to guess
	// from a hash, however fast.
	recoveryDigits = 16
)

// crockford has no letters that are taken for digits.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// newCode makes digits of five random bits, in groups of four.
func newCode(digits int) string {
	random := make([]byte, digits)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	var b strings.Builder
	for i, r := range random {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(crockford[r&31])
	}
	return b.String()
}

// recoveryHash is what is stored of a recovery code, however it is typed; nil for
// what cannot be one.
func recoveryHash(corp, member nid.ID, code string) []byte {
	if len(code) > 64 {
		return nil
	}
	code = strings.NewReplacer("-", "", " ", "", "o", "0", "i", "1", "l", "1").Replace(strings.ToLower(code))
	if len(code) != recoveryDigits || strings.Trim(code, crockford) != "" {
		return nil
	}
	sum := sha256.Sum256([]byte("openhandover/v1/recovery\x00" + string(corp[:]) + string(member[:]) + code))
	return sum[:]
}

// replaceRecoveryCodes voids a member's recovery codes and makes new ones.
func replaceRecoveryCodes(ctx context.Context, tx *store.Tx, member nid.ID) ([]string, error) {
	if err := dropRecoveryCodes(ctx, tx, member); err != nil {
		return nil, err
	}
	codes, rows := make([]string, recoveryCodes), make([]map[string]any, recoveryCodes)
	for i := range codes {
		codes[i] = newCode(recoveryDigits)
		rows[i] = map[string]any{"hash": hex.EncodeToString(recoveryHash(tx.Corp(), member, codes[i]))}
	}
	_, err := tx.Change(ctx, "recovery_codes", `INSERT INTO recovery_codes (corp_id, member_id, hash)
		SELECT $2, $3, hash FROM `+tx.DB().Rows(1, "r", "hash hex")+` WHERE true RETURNING member_id`, tx.DB().Batch(rows), tx.Corp(), member)
	return codes, err
}

func dropRecoveryCodes(ctx context.Context, tx *store.Tx, member nid.ID) error {
	_, err := tx.Change(ctx, "recovery_codes", `DELETE FROM recovery_codes WHERE corp_id = $1 AND member_id = $2 RETURNING member_id`, tx.Corp(), member)
	return err
}

// RenewRecoveryCodes voids the actor's recovery codes and gives new ones, shown this
// one time. Needs a fresh proof of identity; CONFLICT for who has neither
// authenticator nor passkey that they could stand in for.
func (s *Service) RenewRecoveryCodes(ctx context.Context) (codes []string, err error) {
	if _, err := signedInPerson(ctx); err != nil {
		return nil, err
	}
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		actor, err := Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if err := Fresh(actor, tx.Now()); err != nil {
			return err
		}
		has, err := hasFactor(ctx, tx, actor.ID)
		if err != nil {
			return err
		}
		if !has {
			return fault.Clash("", "enrol an authenticator or a passkey first; recovery codes stand in for those", "请先绑定身份验证器或通行密钥")
		}
		if codes, err = replaceRecoveryCodes(ctx, tx, actor.ID); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.CredentialRenew, Subject: actor.ID, After: map[string]any{"recoveryCodes": len(codes)}})
	})
	return codes, err
}

// hasFactor reports whether a member has an authenticator or a passkey.
func hasFactor(ctx context.Context, q store.Querier, member nid.ID) (bool, error) {
	n, _, err := store.SelectOne(ctx, q, func(n *int) []any { return []any{n} }, `
		SELECT (SELECT count(*) FROM credentials WHERE corp_id = $1 AND member_id = $2 AND totp_secret IS NOT NULL)
		     + (SELECT count(*) FROM passkeys WHERE corp_id = $1 AND member_id = $2)`, access.From(ctx).Corp, member)
	return n > 0, err
}
