package history

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	// atOnce is how many messages go in one transaction.
	atOnce = 1000
	// again is how often it is looked for messages whose time is over.
	again = 6 * time.Hour
)

// Retention removes archived messages whose time is over.
type Retention struct {
	DB  *store.DB
	Log *audit.Log
}

// Work removes a corp's messages that were sent longer ago than its settings keep
// them, the oldest first, and says when to look again; never where they are kept for
// good. It is the work of the kind setting.WorkRetention. The log keeps how many went
// and of which time; findings of the chat audit stay, without the message.
func (r *Retention) Work(ctx context.Context, corp nid.ID) (next time.Time, err error) {
	ctx = store.System(ctx, corp, "retention of messages")
	for more := true; more; {
		err = r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			more, next = false, time.Time{}
			s, err := setting.Load(ctx, tx)
			if next = s.ChangesAt; err != nil || s.MessagesKeptDays == nil {
				return err
			}
			if at := tx.Now().Add(again); next.IsZero() || at.Before(next) {
				next = at
			}
			until := tx.Now().AddDate(0, 0, -*s.MessagesKeptDays)
			if _, err := tx.Keep(ctx, "read_receipts", `DELETE FROM read_receipts WHERE corp_id = $1 AND at < $2`, tx.Corp(), until); err != nil {
				return err
			}
			n, err := r.remove(ctx, tx, until)
			more = n == atOnce
			return err
		})
		if err != nil {
			return time.Time{}, err
		}
	}
	return next, nil
}

func (r *Retention) remove(ctx context.Context, tx *store.Tx, until time.Time) (int, error) {
	type gone struct {
		id nid.ID
		at time.Time
	}
	// sent_at is named outside too: it says in which partition to look.
	rows, err := store.ChangeInto(ctx, tx, func(g *gone) []any { return []any{&g.id, &g.at} }, func(g *gone) nid.ID { return g.id }, "messages",
		`DELETE FROM messages WHERE corp_id = $1 AND sent_at < $2 AND id IN (SELECT id FROM messages
			WHERE corp_id = $1 AND sent_at < $2 ORDER BY sent_at, id LIMIT $3) RETURNING id, sent_at`, tx.Corp(), until, atOnce)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	ids := make([]nid.ID, len(rows))
	first, last := rows[0].at, rows[0].at
	for i, g := range rows {
		ids[i] = g.id
		if g.at.Before(first) {
			first = g.at
		}
		if g.at.After(last) {
			last = g.at
		}
	}
	return len(rows), r.Log.Append(ctx, tx, audit.Entry{Action: access.MessageExpire, Subject: tx.Corp(), Covers: ids,
		After: map[string]any{"messages": len(rows), "first": first.UTC(), "last": last.UTC()}})
}
