package identity

import (
	"context"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Reseal seals a corp's authenticators under the first of the installation's secret
// keys where a former one did, so that the former is needed no more, and says how
// many it were. ctx is that of the system.
func (s *Service) Reseal(ctx context.Context) (n int, err error) {
	if err := systemOnly(ctx); err != nil {
		return 0, err
	}
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n = 0
		type row struct {
			member        nid.ID
			totp, pending []byte
		}
		rows, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.member, &r.totp, &r.pending} }, `
			SELECT member_id, totp_secret, totp_pending FROM credentials
			WHERE corp_id = $1 AND (totp_secret IS NOT NULL OR totp_pending IS NOT NULL) ORDER BY member_id`+tx.DB().ForNoKeyUpdate(), tx.Corp())
		if err != nil {
			return err
		}
		var covers []nid.ID
		for _, r := range rows {
			changed := false
			for _, sealed := range []*[]byte{&r.totp, &r.pending} {
				if *sealed == nil || s.TOTP.Current(*sealed) {
					continue
				}
				plain, err := s.TOTP.Open(*sealed, credentialRow(tx.Corp(), r.member))
				if err != nil {
					return err
				}
				*sealed, changed = s.TOTP.Seal(plain, credentialRow(tx.Corp(), r.member)), true
				n++
			}
			if !changed {
				continue
			}
			ids, err := tx.Change(ctx, "credentials", `UPDATE credentials SET totp_secret = $3, totp_pending = $4, updated_at = $5 WHERE corp_id = $1 AND member_id = $2 RETURNING member_id`,
				tx.Corp(), r.member, r.totp, r.pending, tx.Now())
			if err != nil {
				return err
			}
			covers = append(covers, ids...)
		}
		if n == 0 {
			return nil
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.SecretsRotate, Subject: tx.Corp(), Covers: covers, After: map[string]any{"authenticators": n}})
	})
	return n, err
}
