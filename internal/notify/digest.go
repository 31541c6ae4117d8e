package notify

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// DigestAfter is how long nothing more has to come before a successor is told.
const DigestAfter = 10 * time.Minute

// Gift is what one successor got, or had taken back.
type Gift struct{ Contacts, Groups int }

// Plus is both together.
func (g Gift) Plus(h Gift) Gift { return Gift{g.Contacts + h.Contacts, g.Groups + h.Groups} }

// Given adds what a handover has just given to its successors to what they will be
// told, DigestAfter after the last addition, in one message each: never one for
// each contact. Successors who got nothing are left out.
func Given(ctx context.Context, tx *store.Tx, handover nid.ID, to map[nid.ID]Gift) error {
	return digest(ctx, tx, handover, to, `INSERT INTO successor_digests (corp_id, member_id, handover_id, contacts, groups, due_at)
		SELECT $2, member, $3, contacts, n, $4 FROM ROWS WHERE true
		ON CONFLICT (corp_id, member_id, handover_id) DO UPDATE SET contacts = successor_digests.contacts + excluded.contacts,
		groups = successor_digests.groups + excluded.groups, due_at = excluded.due_at`)
}

// TakenBack takes what has just been taken back from a handover's successors out of what
// they will be told. What they have been told already they are told to have lost.
func TakenBack(ctx context.Context, tx *store.Tx, handover nid.ID, from map[nid.ID]Gift) error {
	if len(from) == 0 {
		return nil
	}
	// What is left of a after b was taken from it, and how much of b was more than a.
	left := func(a, b string) string {
		return "CASE WHEN " + a + " > " + b + " THEN " + a + " - " + b + " ELSE 0 END"
	}
	if err := digest(ctx, tx, handover, from, `INSERT INTO successor_digests
		(corp_id, member_id, handover_id, contacts, groups, contacts_back, groups_back, due_at)
		SELECT $2, member, $3, 0, 0, contacts, n, $4 FROM ROWS WHERE true
		ON CONFLICT (corp_id, member_id, handover_id) DO UPDATE SET due_at = excluded.due_at,
		contacts = `+left("successor_digests.contacts", "excluded.contacts_back")+`, groups = `+left("successor_digests.groups", "excluded.groups_back")+`,
		contacts_back = successor_digests.contacts_back + `+left("excluded.contacts_back", "successor_digests.contacts")+`,
		groups_back = successor_digests.groups_back + `+left("excluded.groups_back", "successor_digests.groups")); err != nil {
		return err
	}
	// Who has nothing to be told any more is not told.
	_, err := tx.Keep(ctx, "successor_digests", `DELETE FROM successor_digests
		WHERE corp_id = $1 AND handover_id = $2 AND contacts = 0 AND groups = 0 AND contacts_back = 0 AND groups_back = 0`, tx.Corp(), handover)
	return err
}

// digest writes what somebody got or lost, as ROWS of the statement, and wakes the work
// that tells them.
func digest(ctx context.Context, tx *store.Tx, handover nid.ID, of map[nid.ID]Gift, statement string) error {
	var rows []map[string]any
	// In id order, as rows are locked everywhere.
	for _, member := range slices.SortedFunc(maps.Keys(of), func(a, b nid.ID) int { return bytes.Compare(a[:], b[:]) }) {
		if g := of[member]; g != (Gift{}) {
			rows = append(rows, map[string]any{"member": member, "contacts": g.Contacts, "n": g.Groups})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	due := tx.Now().Add(DigestAfter)
	statement = strings.Replace(statement, "ROWS", tx.DB().Rows(1, "r", "member uuid", "contacts int", "n int"), 1)
	if _, err := tx.Keep(ctx, "successor_digests", statement, tx.DB().Batch(rows), tx.Corp(), handover, due); err != nil {
		return err
	}
	return tx.Wake(ctx, WorkDigests, due)
}
