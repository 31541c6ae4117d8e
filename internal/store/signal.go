package store

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/lib/pq"
)

// channel is PostgreSQL's, on which every replica of the program hears topics.
const channel = "handover"

// Wake notes that the corp has work of a kind at a time, and tells who waits for
// work. The note is a hint: what is to be done stands in the rows themselves, so
// losing, doubling or delaying it changes nothing but time.
func (tx *Tx) Wake(ctx context.Context, kind string, at time.Time) error {
	if _, err := tx.Keep(ctx, "alarms", `INSERT INTO alarms (corp, kind, due_at) VALUES ($1, $2, $3)
		ON CONFLICT (corp, kind) DO UPDATE SET due_at = excluded.due_at WHERE alarms.due_at > excluded.due_at`, tx.corp, kind, at); err != nil {
		return err
	}
	tx.Tell(kind)
	return nil
}

// Tell says a topic to everybody who listens, in every replica, if and when the
// transaction commits.
func (tx *Tx) Tell(topic string) {
	if !slices.Contains(tx.told, topic) {
		tx.told = append(tx.told, topic)
	}
}

// notify hands what was told to PostgreSQL, which passes it on at commit.
func (tx *Tx) notify(ctx context.Context) error {
	if len(tx.told) == 0 || !tx.db.Postgres() {
		return nil
	}
	_, err := tx.tx.ExecContext(ctx, "SELECT pg_notify($1, topic) FROM unnest($2::text[]) AS topic", channel, pq.Array(tx.told))
	return err
}

// Hear gives a channel that gets a value after every Tell of the topic; values
// that nobody took run together into one. It ends with the returned function.
func (db *DB) Hear(topic string) (<-chan struct{}, func()) { return db.hub.hear(topic) }

// hub passes topics on within this process.
type hub struct {
	mu    sync.Mutex
	heard map[string]map[chan struct{}]struct{}
}

func (h *hub) hear(topic string) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.heard == nil {
		h.heard = map[string]map[chan struct{}]struct{}{}
	}
	if h.heard[topic] == nil {
		h.heard[topic] = map[chan struct{}]struct{}{}
	}
	h.heard[topic][c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if delete(h.heard[topic], c); len(h.heard[topic]) == 0 {
			delete(h.heard, topic)
		}
	}
}

func (h *hub) tell(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.heard[topic] {
		select {
		case c <- struct{}{}:
		default: // one is waiting already
		}
	}
}
