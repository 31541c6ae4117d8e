package webhook

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	// patience is the longest that a successor who keeps getting things is kept
	// waiting for the digest of the first.
	patience = time.Hour
	// digests is how many successors are told in one transaction.
	digests = 100
)

// Digests tells each successor for whom nothing more has come for ten minutes what
// they got, in one successor.digest event, however many handovers it came from. It
// says when there is more to tell; zero: none known. Any number may run at once:
// what one has told the others do not find. What was taken back before it was told is
// left out; what was told before is told to be taken back.
func (s *Service) Digests(ctx context.Context, corp nid.ID) (next time.Time, err error) {
	err = s.DB.Tx(store.System(ctx, corp, "digests"), func(ctx context.Context, tx *store.Tx) error {
		due, later, err := dueDigests(ctx, tx)
		if err != nil {
			return err
		}
		if next = later; len(due) > digests {
			due, next = due[:digests], tx.Now()
		}
		if len(due) == 0 {
			return nil
		}
		type row struct {
			member, handover nid.ID
			got, lost        notify.Gift
		}
		// What was added since it was read goes along; nothing is lost or told twice.
		rows, err := store.KeepInto(ctx, tx, func(r *row) []any {
			return []any{&r.member, &r.handover, &r.got.Contacts, &r.got.Groups, &r.lost.Contacts, &r.lost.Groups}
		}, "successor_digests",
			`DELETE FROM successor_digests WHERE corp_id = $1 AND member_id `+tx.DB().In(2)+`
				RETURNING member_id, handover_id, contacts, groups, contacts_back, groups_back`,
			tx.Corp(), tx.DB().IDs(due))
		if err != nil {
			return err
		}
		type told struct {
			handovers []nid.ID
			got, lost notify.Gift
		}
		of := map[nid.ID]told{}
		for _, r := range rows {
			t := of[r.member]
			t.handovers = append(t.handovers, r.handover)
			t.got, t.lost = t.got.Plus(r.got), t.lost.Plus(r.lost)
			of[r.member] = t
		}
		for _, member := range slices.SortedFunc(maps.Keys(of), byID) {
			t := of[member]
			slices.SortFunc(t.handovers, byID)
			if err := notify.Emit(ctx, tx, notify.SuccessorDigest, member, map[string]any{
				"member": member, "handovers": t.handovers, "contacts": t.got.Contacts, "groups": t.got.Groups,
				"contactsTakenBack": t.lost.Contacts, "groupsTakenBack": t.lost.Groups,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return next, err
}

// dueDigests gives the successors to be told now, and when the next is.
func dueDigests(ctx context.Context, tx *store.Tx) (due []nid.ID, next time.Time, err error) {
	type row struct {
		member nid.ID
		at     time.Time
	}
	rows, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.member, &r.at} },
		`SELECT member_id, due_at FROM successor_digests WHERE corp_id = $1 ORDER BY due_at, member_id`, tx.Corp())
	first, last := map[nid.ID]time.Time{}, map[nid.ID]time.Time{}
	for _, r := range rows { // in the order of time
		if _, seen := first[r.member]; !seen {
			first[r.member] = r.at
		}
		last[r.member] = r.at
	}
	for member, at := range last {
		if bound := first[member].Add(patience); bound.Before(at) {
			at = bound
		}
		if !at.After(tx.Now()) {
			due = append(due, member)
		} else if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	slices.SortFunc(due, byID)
	return due, next, err
}

func byID(a, b nid.ID) int { return bytes.Compare(a[:], b[:]) }
