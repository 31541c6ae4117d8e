package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
)

// KeyLife is how long an idempotency key is remembered.
const KeyLife = 7 * 24 * time.Hour

// Claim makes a repeated operation take effect one time (semantics.md, lock 0). It
// takes the key for the answer that the operation will have, waits for a twin that
// is still running, and gives that twin's answer with done = true. A key that came
// with other input is a CONFLICT. A transaction that is rolled back leaves no key.
func (tx *Tx) Claim(ctx context.Context, operation, key string, input any, answer nid.ID) (_ nid.ID, done bool, err error) {
	if key == "" || len(key) > 200 {
		return answer, false, fault.Bad("input.idempotencyKey", "give a key of 1 to 200 characters, new for each thing you do", "请提供 1 至 200 个字符的幂等键,每次操作使用新键")
	}
	b, err := json.Marshal(input)
	if err != nil {
		return answer, false, err
	}
	sum := sha256.Sum256(b)
	print := hex.EncodeToString(sum[:])
	actor := access.From(ctx).ID
	if actor.IsZero() {
		actor = tx.corp // work of the system itself
	}
	n, err := tx.Keep(ctx, "idempotency_keys", `INSERT INTO idempotency_keys (corp_id, actor_id, operation, key, fingerprint, created_at, answer_id)
		VALUES ($1, $2, $3, $4, $5, $6, $8)
		ON CONFLICT (corp_id, actor_id, operation, key) DO UPDATE SET fingerprint = excluded.fingerprint, answer_id = excluded.answer_id, created_at = excluded.created_at
		WHERE idempotency_keys.created_at < $7`,
		tx.corp, actor, operation, key, print, tx.now, tx.now.Add(-KeyLife), answer)
	if err != nil || n == 1 {
		return answer, false, err
	}
	type row struct {
		print  string
		answer nid.ID
	}
	r, _, err := SelectOne(ctx, tx, func(r *row) []any { return []any{&r.print, &r.answer} },
		`SELECT fingerprint, answer_id FROM idempotency_keys WHERE corp_id = $1 AND actor_id = $2 AND operation = $3 AND key = $4`,
		tx.corp, actor, operation, key)
	if err != nil {
		return answer, false, err
	}
	if r.print != print {
		return answer, false, fault.Clash("input.idempotencyKey", "this key was used with other input; take a new one", "该幂等键已用于不同的输入,请使用新键")
	}
	return r.answer, true, nil
}
