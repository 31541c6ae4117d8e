package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	// lease is how long a claim holds. It is far longer than a timeout, so that whoever
	// still sends is not overtaken.
	lease = time.Minute
	// round is how many messages are claimed and sent at the same time, each how many
	// of them may be for one webhook: one that does not answer holds up no other.
	round, each = 32, 4
	// keep is how long what was sent can be read and replayed.
	keep = 30 * 24 * time.Hour
	// forget is how many deliveries one transaction deletes.
	forget = 2000
)

// backoff is how long to wait after each failed attempt; after the last, the
// delivery has FAILED.
var backoff = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 24 * time.Hour,
}

// longest is the longest wait that a receiver can ask for with Retry-After.
const longest = 24 * time.Hour

// message is a claimed delivery.
type message struct {
	id, hook nid.ID
	body     []byte
	attempt  int // from 1; also the claim: whoever records another attempt's answer changes nothing
	url      string
	sealed   []byte
	active   bool
}

// result is what came of one attempt.
type result struct {
	status  int // 0: there was no answer
	problem Problem
	after   time.Duration // what the receiver asked for
}

// Deliver sends a round of a corp's due deliveries and says when the next is due,
// possibly at once; zero where none is waiting. Any number may run at the same
// time: a delivery is claimed by one of them. An error is the database's; what a
// receiver does is recorded in the delivery.
func (s *Service) Deliver(ctx context.Context, corp nid.ID) (next time.Time, err error) {
	ctx = store.System(ctx, corp, "webhooks")
	claimed, err := s.claim(ctx)
	if err != nil {
		return time.Time{}, err
	}
	errs := make([]error, len(claimed))
	var wg sync.WaitGroup
	for i, m := range claimed {
		wg.Go(func() { errs[i] = s.attempt(ctx, corp, m) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return time.Time{}, err
	}
	err = s.DB.View(ctx, func(ctx context.Context, r *store.Read) (err error) {
		next, _, err = store.SelectOne(ctx, r, func(t *time.Time) []any { return []any{t} },
			`SELECT next_at FROM webhook_deliveries WHERE corp_id = $1 AND state = 'WAITING' ORDER BY next_at LIMIT 1`, corp)
		return err
	})
	return next, err
}

// claim takes due deliveries: a minute long they are nobody else's.
func (s *Service) claim(ctx context.Context) (claimed []message, err error) {
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		db := tx.DB()
		ids, err := store.Select(ctx, tx, func(id *nid.ID) []any { return []any{id} }, `SELECT id FROM webhook_deliveries
			WHERE corp_id = $1 AND state = 'WAITING' AND next_at <= $2 AND id IN (SELECT id FROM (
				SELECT id, ROW_NUMBER() OVER (PARTITION BY webhook_id ORDER BY next_at, id) AS n FROM webhook_deliveries
				WHERE corp_id = $1 AND state = 'WAITING' AND next_at <= $2) AS due WHERE n <= $3)
			ORDER BY next_at, id LIMIT $4`+db.ForUpdate()+db.OrSkip(), tx.Corp(), tx.Now(), each, round)
		if err != nil || len(ids) == 0 {
			return err
		}
		if _, err := tx.Keep(ctx, "webhook_deliveries", `UPDATE webhook_deliveries SET attempts = attempts + 1, next_at = $3 WHERE corp_id = $1 AND id `+db.In(2),
			tx.Corp(), db.IDs(ids), tx.Now().Add(lease)); err != nil {
			return err
		}
		claimed, err = store.Select(ctx, tx, func(m *message) []any {
			return []any{&m.id, &m.hook, &m.body, &m.attempt, &m.url, &m.sealed, &m.active}
		}, `SELECT d.id, d.webhook_id, d.body, d.attempts, w.url, w.secret, w.active AND w.archived_at IS NULL
			FROM webhook_deliveries AS d JOIN webhooks AS w ON w.corp_id = d.corp_id AND w.id = d.webhook_id
			WHERE d.corp_id = $1 AND d.id `+db.In(2), tx.Corp(), db.IDs(ids))
		return err
	})
	return claimed, err
}

// attempt sends one message and records what came of it.
func (s *Service) attempt(ctx context.Context, corp nid.ID, m message) error {
	r := s.send(ctx, corp, m)
	if ctx.Err() != nil {
		return ctx.Err() // we are stopping: the receiver did nothing wrong, and the claim ends by itself
	}
	return s.record(ctx, m, r)
}

// send makes one request.
func (s *Service) send(ctx context.Context, corp nid.ID, m message) result {
	if !m.active {
		return result{problem: Off}
	}
	var body notify.Body
	err := json.Unmarshal(m.body, &body)
	key, closed := s.Box.Open(m.sealed, place(corp, m.hook))
	if err = errors.Join(err, closed); err != nil {
		slog.ErrorContext(ctx, "a message to a webhook cannot be signed", "webhook", m.hook, "err", err)
		return result{problem: Unsignable}
	}
	return post(ctx, s.Client, m.url, body.ID, key, m.body, s.DB.Now())
}

// record writes the outcome of an attempt, unless somebody else has claimed the
// delivery since.
func (s *Service) record(ctx context.Context, m message, r result) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		state, next, finished := Waiting, any(nil), any(nil)
		switch {
		case r.problem == "":
			state = Delivered
		case r.problem == Gone, r.problem == Off, m.attempt > len(backoff):
			state = Failed
		}
		if state == Waiting {
			next = tx.Now().Add(wait(m.attempt, r.after))
		} else {
			finished = tx.Now()
		}
		n, err := tx.Keep(ctx, "webhook_deliveries", `UPDATE webhook_deliveries SET state = $4, status = $5, problem = $6, next_at = $7, finished_at = $8
			WHERE corp_id = $1 AND id = $2 AND state = 'WAITING' AND attempts = $3`,
			tx.Corp(), m.id, m.attempt, string(state), absent(r.status), absent(string(r.problem)), next, finished)
		if err != nil || n == 0 || r.problem != Gone {
			return err
		}
		return s.switchOff(ctx, tx, m.hook)
	})
}

// switchOff does what 410 asks for: the receiver is no more.
func (s *Service) switchOff(ctx context.Context, tx *store.Tx, hook nid.ID) error {
	ids, err := tx.Change(ctx, "webhooks", `UPDATE webhooks SET active = false, version = version + 1, updated_at = $3
		WHERE corp_id = $1 AND id = $2 AND active RETURNING id`, tx.Corp(), hook, tx.Now())
	if err != nil || len(ids) == 0 {
		return err
	}
	if err := drop(ctx, tx, hook); err != nil {
		return err
	}
	return s.Log.Append(ctx, tx, audit.Entry{Action: access.WebhookSave, Subject: hook, Before: map[string]any{"active": true}, After: map[string]any{"active": false, "problem": string(Gone)}})
}

// wait is how long to wait after an attempt: a little more than the table says, by
// chance, so that messages that failed together do not all come back together.
func wait(attempt int, asked time.Duration) time.Duration {
	d := backoff[min(attempt, len(backoff))-1]
	return max(d+rand.N(d/5), min(asked, longest)).Truncate(time.Microsecond) // as the database keeps times
}

// absent is NULL for a zero value.
func absent[T comparable](v T) any {
	if v == *new(T) {
		return nil
	}
	return v
}

// Sweep forgets what was finished 30 days ago, as the context's actor, and says
// how many deliveries that were.
func (s *Service) Sweep(ctx context.Context) (forgotten int, err error) {
	for {
		n := 0
		err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			n, err = tx.Keep(ctx, "webhook_deliveries", `DELETE FROM webhook_deliveries WHERE corp_id = $1 AND id IN (
				SELECT id FROM webhook_deliveries WHERE corp_id = $1 AND finished_at < $2 LIMIT $3)`, tx.Corp(), tx.Now().Add(-keep), forget)
			return err
		})
		if forgotten += n; err != nil || n < forget {
			return forgotten, err
		}
	}
}
