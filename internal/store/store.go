// Package store is the way to the database and the only writer.
//
// Everything happens inside an explicit transaction: Tx for changes, Read for
// the statements of one query. Both name their corp to the database, so that
// PostgreSQL's row-level security holds even where a statement forgets it. What
// differs between PostgreSQL and SQLite is hidden here and proved alike by the
// contract tests.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"entgo.io/ent/dialect"
	"github.com/lib/pq"
	_ "modernc.org/sqlite" // the embedded engine

	_ "github.com/openhandover/openhandover/ent/runtime" // the rules of ent/rule
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store/pqcache"
)

// Options say which database, and how to reach it.
type Options struct {
	// URL is postgres://… or sqlite:PATH.
	URL string
	// StatementCache keeps prepared statements on each PostgreSQL connection.
	// Switch it off behind a pooler in transaction mode.
	StatementCache bool
	// Clock gives the time; nil is the wall clock. Tests freeze it here.
	Clock func() time.Time
	// MaxConns bounds the pool; 0 is 16.
	MaxConns int
}

// DB is an open database.
type DB struct {
	sql     *sql.DB
	dialect string
	clock   func() time.Time
	hub     hub
	url     string
	server  string // names this process among those that use the database

	fit   sync.Mutex
	fitAt time.Time // when the schema was last seen to fit
}

// Open opens a database without looking whether it fits; see Fits.
func Open(ctx context.Context, o Options) (*DB, error) {
	db := &DB{clock: o.Clock, url: o.URL, server: rand.Text()}
	if db.clock == nil {
		db.clock = time.Now
	}
	switch {
	case strings.HasPrefix(o.URL, "sqlite:"):
		path := strings.TrimPrefix(o.URL, "sqlite:")
		dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)" +
			"&_pragma=synchronous(FULL)&_pragma=secure_delete(1)&_pragma=foreign_keys(1)&_txlock=immediate&_time_format=sqlite"
		s, err := sql.Open("sqlite", dsn)
		if err != nil {
			return nil, err
		}
		db.sql, db.dialect = s, dialect.SQLite
	case strings.HasPrefix(o.URL, "postgres://"), strings.HasPrefix(o.URL, "postgresql://"):
		u, err := bounded(o.URL)
		if err != nil {
			return nil, err
		}
		c, err := pq.NewConnector(u)
		if err != nil {
			return nil, err
		}
		keep := 0
		if o.StatementCache {
			keep = 256
		}
		db.sql, db.dialect = sql.OpenDB(&pqcache.Connector{Connector: c, Max: keep}), dialect.Postgres
		db.sql.SetConnMaxLifetime(30 * time.Minute)
	default:
		return nil, fmt.Errorf("database-url: want sqlite:PATH or postgres://…, not %q", strings.SplitN(o.URL, ":", 2)[0])
	}
	n := o.MaxConns
	if n == 0 {
		n = 16
	}
	db.sql.SetMaxOpenConns(n)
	db.sql.SetMaxIdleConns(n)
	if err := db.sql.PingContext(ctx); err != nil {
		_ = db.sql.Close()
		return nil, fmt.Errorf("cannot reach the database: %w", err)
	}
	return db, nil
}

// bounded adds the server-side time limits of safety.md §1 and writes sslmode out,
// whose default changes between releases of the driver.
func bounded(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("database-url: not a URL") // the error would print the password
	}
	q := u.Query()
	if !q.Has("sslmode") {
		if h := u.Hostname(); h == "" || h == "localhost" || h == "127.0.0.1" || h == "::1" {
			q.Set("sslmode", "disable")
		} else {
			q.Set("sslmode", "verify-full")
		}
	}
	for k, v := range map[string]string{
		"statement_timeout": "10000", "lock_timeout": "3000", "idle_in_transaction_session_timeout": "15000",
		"application_name": "openhandover", "timezone": "UTC",
	} {
		if !q.Has(k) {
			q.Set(k, v)
		}
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Close closes the pool.
func (db *DB) Close() error { return db.sql.Close() }

// Ping asks the database whether it answers.
func (db *DB) Ping(ctx context.Context) error { return db.sql.PingContext(ctx) }

// Postgres reports whether the engine is PostgreSQL; otherwise it is SQLite.
func (db *DB) Postgres() bool { return db.dialect == dialect.Postgres }

// Stats are the pool's, for /metrics.
func (db *DB) Stats() sql.DBStats { return db.sql.Stats() }

// Now is the time as the database can hold it: UTC, microseconds.
func (db *DB) Now() time.Time { return db.clock().UTC().Truncate(time.Microsecond) }

// System makes the context of work that no person asked for. The reason lands in
// every audit entry that the work leaves. It is the one way round scope, so that
// all uses can be found by name.
func System(ctx context.Context, corp nid.ID, reason string) context.Context {
	was := access.From(ctx)
	return access.With(ctx, &access.Actor{
		Kind: access.System, Corp: corp, Label: "system: " + reason, Lang: was.Lang, RequestID: was.RequestID, Address: was.Address,
	})
}

// CorpNamed finds a corp before anybody is signed in. An empty name finds the
// only corp there is. The zero id: there is none, or more than one.
func (db *DB) CorpNamed(ctx context.Context, name string) (corp nid.ID, err error) {
	ids, err := db.corps(ctx, name)
	if err != nil || len(ids) != 1 {
		return nid.ID{}, err
	}
	return ids[0], nil
}

// Corps lists every corp's id.
func (db *DB) Corps(ctx context.Context) ([]nid.ID, error) { return db.corps(ctx, "") }

func (db *DB) corps(ctx context.Context, name string) (ids []nid.ID, err error) {
	q, args := "SELECT handover_corps()", []any(nil)
	switch {
	case db.Postgres() && name != "":
		q, args = "SELECT handover_corp_named($1)", []any{name}
	case !db.Postgres() && name != "":
		q, args = "SELECT id FROM corps WHERE name = $1", []any{name}
	case !db.Postgres():
		q = "SELECT id FROM corps ORDER BY id"
	}
	err = db.snapshot(ctx, nid.ID{}, func(c *conn) error {
		found, err := Select(ctx, c, func(id *nid.ID) []any { return []any{id} }, q, args...)
		for _, id := range found {
			if !id.IsZero() {
				ids = append(ids, id)
			}
		}
		return err
	})
	return ids, err
}

// snapshot runs fn in a read-only transaction of a corp.
func (db *DB) snapshot(ctx context.Context, corp nid.ID, fn func(*conn) error) error {
	c, err := db.begin(ctx, corp, true)
	if err != nil {
		return explain(ctx, err)
	}
	defer func() { _ = c.tx.Rollback() }()
	return explain(ctx, fn(c))
}

// begin opens a transaction and names its corp.
func (db *DB) begin(ctx context.Context, corp nid.ID, readOnly bool) (*conn, error) {
	o := &sql.TxOptions{ReadOnly: readOnly}
	if db.Postgres() {
		if readOnly {
			o.Isolation = sql.LevelRepeatableRead
		}
		if !corp.IsZero() {
			ctx = pqcache.WithBegin(ctx, pqcache.SetConfig(pqcache.Setting{Name: "handover.corp", Value: corp.UUID()}))
		}
	}
	tx, err := db.sql.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	return &conn{db: db, tx: tx}, nil
}

// Missing is the fault for an id that cannot be found; see fault.Missing.
func Missing(field string) error { return fault.Missing(field) }
