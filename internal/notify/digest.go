package notify

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// DigestAfter is how long nothing more has to come before a successor is told.
const DigestAfter = 10 * time.Minute

// Gift is what one successor got.
type Gift struct{ Contacts, Groups int }

// Given adds what a handover has just given to its successors to what they will be
// told, DigestAfter after the last addition, in one message each: never one for
// each contact. Successors who got nothing are left out.
func Given(ctx context.Context, tx *store.Tx, handover nid.ID, to map[nid.ID]Gift) error {
	var rows []map[string]any
	// In id order, as rows are locked everywhere.
	for _, member := range slices.SortedFunc(maps.Keys(to), func(a, b nid.ID) int { return bytes.Compare(a[:], b[:]) }) {
		if g := to[member]; g != (Gift{}) {
			rows = append(rows, map[string]any{"member": member, "contacts": g.Contacts, "n": g.Groups})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	due := tx.Now().Add(DigestAfter)
	if _, err := tx.Keep(ctx, "successor_digests", `INSERT INTO successor_digests (corp_id, member_id, handover_id, contacts, groups, due_at)
		SELECT $2, member, $3, contacts, n, $4 FROM `+tx.DB().Rows(1, "r", "member uuid", "contacts int", "n int")+` WHERE true
		ON CONFLICT (corp_id, member_id, handover_id) DO UPDATE SET contacts = successor_digests.contacts + excluded.contacts,
		groups = successor_digests.groups + excluded.groups, due_at = excluded.due_at`,
		tx.DB().Batch(rows), tx.Corp(), handover, due); err != nil {
		return err
	}
	return tx.Wake(ctx, WorkDigests, due)
}
