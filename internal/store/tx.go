package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
)

// unrecorded lists the tables whose changes leave no audit entry, because they
// record nothing anybody decided: bookkeeping of sign-in, repetition and
// counting, and the log itself. Every other table is recorded.
var unrecorded = []string{
	"sessions", "lockouts", "spent_challenges", "idempotency_keys", "member_counters", "transfer_rollups",
	"audit_entries", "audit_heads", "audit_hashes", "checkpoints", "subject_keys", "denials", "service_tokens.last_used_at",
	"alarms", "levels", "heartbeats", "group_quotas", "webhook_deliveries", "successor_digests", "chat_scans", "chat_audits", "read_receipts",
	"notice_baselines", "notice_reads",
}

// Tx is a transaction that changes things. It refuses to commit a change to a
// recorded table that no audit entry of the same transaction covers.
type Tx struct {
	*conn
	corp    nid.ID
	now     time.Time
	client  *ent.Client
	changed map[nid.ID]string
	covered map[nid.ID]struct{}
	told    []string
}

const tries = 4

// Tx runs fn in a transaction of the actor's corp and commits. fn may run again,
// up to three times, after a deadlock, a serialization failure or a lock that
// could not be had, so it touches nothing but the transaction. An error from fn
// rolls back and is returned: faults as they are, what the database said as the
// nearest fault (CONFLICT, TIMEOUT, UNAVAILABLE), the rest as it is.
//
// Where the answer to COMMIT is lost, nobody knows whether it took effect: the
// error is UNAVAILABLE and the caller repeats with the same idempotency key.
func (db *DB) Tx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	actor := access.From(ctx)
	if actor.Corp.IsZero() {
		return fault.New(fault.Unauthenticated, "", fault.T("sign in first", "请先登录"))
	}
	var err error
	for try := range tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return explain(ctx, ctx.Err())
			case <-time.After(time.Duration(try)*10*time.Millisecond + rand.N(20*time.Millisecond)):
			}
		}
		if err = db.once(ctx, actor.Corp, fn); err == nil || !Transient(err) {
			break
		}
	}
	return explain(ctx, err)
}

func (db *DB) once(ctx context.Context, corp nid.ID, fn func(context.Context, *Tx) error) (err error) {
	c, err := db.begin(ctx, corp, false)
	if err != nil {
		return err
	}
	tx := &Tx{conn: c, corp: corp, now: db.Now(), changed: map[nid.ID]string{}, covered: map[nid.ID]struct{}{}}
	tx.client = ent.NewClient(ent.Driver(c.driver()))
	done := false
	defer func() {
		if !done { // an error or a panic
			_ = c.tx.Rollback()
		}
	}()
	if err := fn(rule.WithRecorder(ctx, tx), tx); err != nil {
		return err
	}
	if err := tx.guard(); err != nil {
		slog.ErrorContext(ctx, "a change was refused because no audit entry covers it", "err", err, "request", access.From(ctx).RequestID)
		return fault.New(fault.Internal, "", fault.T("internal error", "内部错误")).Because(err)
	}
	if err := tx.notify(ctx); err != nil {
		return err
	}
	done = true
	if err := c.tx.Commit(); err != nil {
		_ = c.tx.Rollback() // SQLite keeps a transaction open whose deferred checks failed
		if refused(err) {
			return err
		}
		return &commitLost{err}
	}
	if !db.Postgres() {
		for _, topic := range tx.told {
			db.hub.tell(topic)
		}
	}
	return nil
}

// guard finds a changed row that no entry covers.
func (tx *Tx) guard() error {
	for id, table := range tx.changed {
		if _, ok := tx.covered[id]; !ok {
			return fmt.Errorf("%s %s changed without an audit entry", table, id)
		}
	}
	return nil
}

// Now is the time of the transaction, the same for everything in it.
func (tx *Tx) Now() time.Time { return tx.now }

// Durable makes COMMIT wait until this transaction, and every one that it has seen, is on
// the disk, and nobody see it before. SQLite always does (synchronous=FULL), and so does
// PostgreSQL unless the operator has set synchronous_commit = off.
func (tx *Tx) Durable(ctx context.Context) error {
	if !tx.db.Postgres() {
		return nil
	}
	_, err := tx.exec(ctx, `SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'`)
	return err
}

// Corp is the corp whose rows the transaction sees.
func (tx *Tx) Corp() nid.ID { return tx.corp }

// Ent is ent's client inside the transaction; its writes are recorded.
func (tx *Tx) Ent() *ent.Client { return tx.client }

// DB is the database, for the words in which the engines differ.
func (tx *Tx) DB() *DB { return tx.db }

// NewID makes an id.
func (tx *Tx) NewID(k nid.Kind) nid.ID { return nid.New(k) }

// SQL hands the transaction to the job queue, which enqueues in it. Nothing else may use it.
func (tx *Tx) SQL() *sql.Tx { return tx.tx }

// Record notes changed rows of a table; ent's writes come here through rule.Recorded.
func (tx *Tx) Record(table string, ids ...nid.ID) {
	for _, id := range ids {
		tx.changed[id] = table
	}
}

// Cover notes that an audit entry of this transaction accounts for these rows.
// Only package audit calls it.
func (tx *Tx) Cover(ids ...nid.ID) {
	for _, id := range ids {
		tx.covered[id] = struct{}{}
	}
}

var verb = regexp.MustCompile(`(?is)^\s*(?:with\s.+?\)\s*)?(insert\s+(?:or\s+\w+\s+)?into|update|delete\s+from)\s+["` + "`" + `]?(\w+)`)

// target names the table a statement writes.
func target(query string) string {
	if m := verb.FindStringSubmatch(query); m != nil {
		return strings.ToLower(m[2])
	}
	return ""
}

// Change runs a set-based statement on a recorded table. It must end in RETURNING
// with the id of each changed row (or of the row it belongs to, for join tables)
// in the first column; those ids are returned.
func (tx *Tx) Change(ctx context.Context, table, query string, args ...any) ([]nid.ID, error) {
	return ChangeInto(ctx, tx, func(id *nid.ID) []any { return []any{id} }, func(id *nid.ID) nid.ID { return *id }, table, query, args...)
}

// ChangeInto is Change for a statement that returns more columns than the id.
func ChangeInto[T any](ctx context.Context, tx *Tx, dest func(*T) []any, id func(*T) nid.ID, table, query string, args ...any) ([]T, error) {
	if target(query) != table || slices.Contains(unrecorded, table) {
		return nil, fmt.Errorf("store: Change of %s got a statement on %q", table, target(query))
	}
	rows, err := Select(ctx, tx, dest, query, args...)
	for i := range rows {
		tx.Record(table, id(&rows[i]))
	}
	return rows, err
}

// Keep runs a statement on one of the unrecorded tables and says how many rows it changed.
func (tx *Tx) Keep(ctx context.Context, table, query string, args ...any) (int, error) {
	if target(query) != table || !slices.Contains(unrecorded, table) {
		return 0, fmt.Errorf("store: Keep of %s got a statement on %q", table, target(query))
	}
	return tx.exec(ctx, query, args...)
}

// KeepInto is Keep for a statement with RETURNING.
func KeepInto[T any](ctx context.Context, tx *Tx, dest func(*T) []any, table, query string, args ...any) ([]T, error) {
	if target(query) != table || !slices.Contains(unrecorded, table) {
		return nil, fmt.Errorf("store: Keep of %s got a statement on %q", table, target(query))
	}
	return Select(ctx, tx, dest, query, args...)
}

// bookkeeping lists the columns of recorded tables that say who works on a row, not
// what anybody decided.
var bookkeeping = map[string][]string{
	"handovers": {"run_token", "lease_until"},
	"exports":   {"run_token", "lease_until", "rows", "total"},
}

var column = regexp.MustCompile(`(\w+) = `)

var assigned = regexp.MustCompile(`(?is)\bset\s+(.*?)\s+where\b`)

// Lease runs an UPDATE that sets nothing but bookkeeping columns of a recorded
// table and returns whose they are, with the run token: it needs no audit entry.
func (tx *Tx) Lease(ctx context.Context, table, query string, args ...any) (ids []nid.ID, tokens []int, err error) {
	m := assigned.FindStringSubmatch(query)
	if target(query) != table || m == nil {
		return nil, nil, fmt.Errorf("store: Lease of %s got a statement on %q", table, target(query))
	}
	for _, column := range column.FindAllStringSubmatch(m[1], -1) {
		if !slices.Contains(bookkeeping[table], column[1]) {
			return nil, nil, fmt.Errorf("store: Lease of %s sets %q", table, column[1])
		}
	}
	type row struct {
		id    nid.ID
		token int
	}
	rows, err := Select(ctx, tx, func(r *row) []any { return []any{&r.id, &r.token} }, query, args...)
	for _, r := range rows {
		ids, tokens = append(ids, r.id), append(tokens, r.token)
	}
	return ids, tokens, err
}

// TouchToken notes when a service token was last used: the one column of a
// recorded table whose change nobody decided.
func (tx *Tx) TouchToken(ctx context.Context, id nid.ID) error {
	_, err := tx.exec(ctx, "UPDATE service_tokens SET last_used_at = $1 WHERE corp_id = $2 AND id = $3", tx.now, tx.corp, id)
	return err
}

// commitLost says that COMMIT failed in a way that leaves its effect unknown.
type commitLost struct{ err error }

func (e *commitLost) Error() string { return "the answer to COMMIT was lost: " + e.err.Error() }
func (e *commitLost) Unwrap() error { return e.err }

// Unsure reports whether err leaves open whether the transaction took effect.
func Unsure(err error) bool { _, ok := errors.AsType[*commitLost](err); return ok }
