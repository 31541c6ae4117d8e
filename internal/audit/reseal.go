package audit

import (
	"context"
	"encoding/hex"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// resealBatch bounds a transaction of Reseal.
const resealBatch = 500

// Reseal wraps the keys of a corp's subjects under the first of the installation's
// secret keys where a former one did, and says how many it were. What is sealed under
// those keys, the log itself, does not change. ctx is that of the system; it may be
// broken off anywhere and begun again.
func (l *Log) Reseal(ctx context.Context, db *store.DB) (n int, err error) {
	after := nid.ID{15: 1} // before all ids
	for {
		var looked, changed int
		var last nid.ID
		err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			rows, err := store.Select(ctx, tx, func(r *wrappedKey) []any { return []any{&r.subject, &r.wrapped} }, `
				SELECT subject_id, wrapped FROM subject_keys WHERE corp_id = $1 AND subject_id > $2 AND wrapped IS NOT NULL
				ORDER BY subject_id LIMIT $3`+tx.DB().ForNoKeyUpdate(), tx.Corp(), after, resealBatch)
			if err != nil {
				return err
			}
			looked = len(rows)
			under := []map[string]any{}
			for _, r := range rows {
				last = r.subject
				if l.box.Current(r.wrapped) {
					continue
				}
				k, err := unwrap(l.box, r.wrapped, tx.Corp(), r.subject)
				if err != nil {
					return err
				}
				under = append(under, map[string]any{"subject": r.subject, "wrapped": hex.EncodeToString(l.box.Seal(k[:], row(tx.Corp(), r.subject)))})
			}
			changed = 0
			if len(under) == 0 {
				return nil
			}
			changed, err = tx.Keep(ctx, "subject_keys", `UPDATE subject_keys SET wrapped = v.wrapped FROM `+
				tx.DB().Rows(2, "v", "subject uuid", "wrapped hex")+` WHERE subject_keys.corp_id = $1 AND subject_keys.subject_id = v.subject`,
				tx.Corp(), tx.DB().Batch(under))
			return err
		})
		if err != nil {
			return n, err
		}
		if n += changed; looked < resealBatch {
			return n, nil
		}
		after = last
	}
}
