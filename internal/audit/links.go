package audit

import (
	"context"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// links are the newest entries of the cases that entries are about, by handover. Each
// step of a handover, an entry with the handover as its subject, says by its index which
// entry of the case came before it. So a case is shown from its beginning without a gap,
// or the gap shows, to whoever has nothing but the case's entries.
type links map[nid.ID]int64

func newLinks(ctx context.Context, tx *store.Tx, entries []Entry) (links, error) {
	out := links{}
	for _, e := range entries {
		if _, known := out[e.Handover]; known || !e.isStep() {
			continue
		}
		if e.Action == access.HandoverCreate { // nothing is before it
			out[e.Handover] = -1
			continue
		}
		last, found, err := store.SelectOne(ctx, tx, func(n *int64) []any { return []any{n} },
			`SELECT "index" FROM audit_entries WHERE corp_id = $1 AND handover_id = $2 ORDER BY "index" DESC LIMIT 1`, tx.Corp(), e.Handover)
		if err != nil {
			return nil, err
		}
		if !found {
			last = -1
		}
		out[e.Handover] = last
	}
	return out, nil
}

func (e *Entry) isStep() bool { return !e.Handover.IsZero() && e.Subject == e.Handover }

// follow gives the entry that gets an index its link to the one before, if it is a step.
func (l links) follow(e Entry, index int64) map[string]any {
	last, known := l[e.Handover]
	if !known {
		return e.After
	}
	l[e.Handover] = index
	if !e.isStep() || last < 0 {
		return e.After
	}
	return with(e.After, "previous", last)
}
