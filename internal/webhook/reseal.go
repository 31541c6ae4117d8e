package webhook

import (
	"context"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Reseal seals a corp's signing secrets under the first of the installation's secret
// keys where a former one did, and says how many it were: deleted webhooks' too. ctx
// is that of the system.
func (s *Service) Reseal(ctx context.Context) (n int, err error) {
	if access.From(ctx).Kind != access.System {
		return 0, fault.Denied("only the operator's commands may do this", "仅可由运维命令执行")
	}
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		type row struct {
			id     nid.ID
			sealed []byte
		}
		rows, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.id, &r.sealed} },
			`SELECT id, secret FROM webhooks WHERE corp_id = $1 ORDER BY id`+tx.DB().ForNoKeyUpdate(), tx.Corp())
		if err != nil {
			return err
		}
		var covers []nid.ID
		for _, r := range rows {
			if len(r.sealed) == 0 || s.Box.Current(r.sealed) {
				continue
			}
			plain, err := s.Box.Open(r.sealed, place(tx.Corp(), r.id))
			if err != nil {
				return err
			}
			ids, err := tx.Change(ctx, "webhooks", `UPDATE webhooks SET secret = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`,
				tx.Corp(), r.id, s.Box.Seal(plain, place(tx.Corp(), r.id)))
			if err != nil {
				return err
			}
			covers = append(covers, ids...)
		}
		if n = len(covers); n == 0 {
			return nil
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.SecretsRotate, Subject: tx.Corp(), Covers: covers, After: map[string]any{"webhooks": n}})
	})
	return n, err
}
