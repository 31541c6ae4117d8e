// Package history decides what of a leaver's chat history a successor may read.
package history

import (
	"context"
	"database/sql"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Scope is the window of a handover's grants; nil parts are open.
type Scope struct{ From, Until, ExpiresAt *time.Time }

// Grant lets one successor read one contact's or group's messages.
type Grant struct {
	ID, Successor, Leaver, Contact, Group, Transfer nid.ID
}

// Write stores the grants of a handover in the executing transaction, all with
// the handover's scope, and returns them.
func Write(ctx context.Context, tx *store.Tx, handover nid.ID, s Scope, grants []Grant) ([]Grant, error) {
	rows := make([]map[string]any, len(grants))
	for i, g := range grants {
		rows[i] = map[string]any{"id": g.ID, "successor": g.Successor, "leaver": g.Leaver, "contact": g.Contact, "grp": g.Group, "transfer": g.Transfer}
	}
	_, err := tx.Change(ctx, "history_grants", `INSERT INTO history_grants (id, corp_id, created_at, successor_id, leaver_id, contact_id, group_id, handover_id, transfer_id, from_at, until_at, expires_at)
		SELECT id, $2, $3, successor, leaver, contact, grp, $4, transfer, $5, $6, $7
		FROM `+tx.DB().Rows(1, "g", "id uuid", "successor uuid", "leaver uuid", "contact uuid", "grp uuid", "transfer uuid")+` WHERE true RETURNING id`,
		tx.DB().Batch(rows), tx.Corp(), tx.Now(), handover, when(s.From), when(s.Until), when(s.ExpiresAt))
	return grants, err
}

func when(t *time.Time) sql.NullTime {
	if t == nil {
		return sql.NullTime{}
	}
	return sql.NullTime{Time: t.UTC().Truncate(time.Microsecond), Valid: true}
}
