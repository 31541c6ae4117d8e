package store

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/lib/pq"

	"github.com/openhandover/openhandover/internal/nid"
)

// channel is PostgreSQL's, on which every replica of the program hears topics.
const channel = "handover"

// Wake notes that the corp has work of a kind at a time, and tells who waits for
// work. The note is a hint: what is to be done stands in the rows themselves, so
// losing, doubling or delaying it changes nothing but time.
func (tx *Tx) Wake(ctx context.Context, kind string, at time.Time) error {
	if _, err := tx.Keep(ctx, "alarms", `INSERT INTO alarms (corp, kind, due_at, n) VALUES ($1, $2, $3, 1)
		ON CONFLICT (corp, kind) DO UPDATE SET n = alarms.n + 1, due_at = CASE WHEN excluded.due_at < alarms.due_at THEN excluded.due_at ELSE alarms.due_at END`,
		tx.corp, kind, at.UTC()); err != nil {
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

// Alarm says that a corp has work of a kind at a time.
type Alarm struct {
	Corp nid.ID
	Kind string
	Due  time.Time
	n    int
}

// Alarms lists the alarms of some kinds that are due, the longest overdue first.
func (db *DB) Alarms(ctx context.Context, kinds []string) (due []Alarm, err error) {
	err = db.snapshot(ctx, nid.ID{}, func(c *conn) error {
		due, err = Select(ctx, c, func(a *Alarm) []any { return []any{&a.Corp, &a.Kind, &a.Due, &a.n} },
			`SELECT corp, kind, due_at, n FROM alarms WHERE due_at <= $1 AND kind `+db.InText(2)+` ORDER BY due_at, corp, kind`, db.Now(), db.Texts(kinds))
		return err
	})
	return due, err
}

// Quiet sets an alarm that was seen to when there is work again, or removes it where
// none is known (zero); not if somebody has woken it since.
func (db *DB) Quiet(ctx context.Context, seen Alarm, next time.Time) error {
	return db.Tx(System(ctx, seen.Corp, "alarms"), func(ctx context.Context, tx *Tx) error {
		query, args := `DELETE FROM alarms WHERE corp = $1 AND kind = $2 AND n = $3`, []any{seen.Corp, seen.Kind, seen.n}
		if !next.IsZero() {
			query, args = `UPDATE alarms SET due_at = $4 WHERE corp = $1 AND kind = $2 AND n = $3`, append(args, next.UTC())
		}
		_, err := tx.Keep(ctx, "alarms", query, args...)
		return err
	})
}

// Attend says of an alarm that somebody is at the work it calls for: it stays due, so
// that other replicas may help, and is not overdue.
func (db *DB) Attend(ctx context.Context, seen Alarm) error {
	return db.Tx(System(ctx, seen.Corp, "alarms"), func(ctx context.Context, tx *Tx) error {
		_, err := tx.Keep(ctx, "alarms", `UPDATE alarms SET due_at = $4 WHERE corp = $1 AND kind = $2 AND n = $3 AND due_at < $4`,
			seen.Corp, seen.Kind, seen.n, tx.Now())
		return err
	})
}

// Overdue is for how long the oldest alarm has called in vain; zero: none has.
func (db *DB) Overdue(ctx context.Context) (age time.Duration, err error) {
	err = db.snapshot(ctx, nid.ID{}, func(c *conn) error {
		due, found, err := SelectOne(ctx, c, func(t *time.Time) []any { return []any{t} },
			`SELECT due_at FROM alarms WHERE due_at <= $1 ORDER BY due_at LIMIT 1`, db.Now())
		if found {
			age = db.Now().Sub(due)
		}
		return err
	})
	return age, err
}

// Listen passes on what other processes Tell, on one connection of its own, until ctx
// ends. Where the connection was lost something may have been missed, so everybody is
// told. SQLite has one process only.
func (db *DB) Listen(ctx context.Context) error {
	if !db.Postgres() {
		<-ctx.Done()
		return nil
	}
	u, err := bounded(db.url)
	if err != nil {
		return err
	}
	l := pq.NewListener(u, 100*time.Millisecond, 10*time.Second, nil)
	defer func() { _ = l.Close() }()
	// Listen waits for a connection, however long, and nothing else ends that.
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	if err := l.Listen(channel); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return explain(ctx, err)
	}
	check := time.NewTicker(time.Minute)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case n := <-l.Notify:
			if n == nil { // the connection is a new one
				db.hub.all()
				continue
			}
			db.hub.tell(n.Extra)
		case <-check.C:
			_ = l.Ping() // a dead connection is noticed, and made anew
		}
	}
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

func (h *hub) all() {
	h.mu.Lock()
	topics := slices.Collect(maps.Keys(h.heard))
	h.mu.Unlock()
	for _, t := range topics {
		h.tell(t)
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
