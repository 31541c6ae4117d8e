package pqcache

import (
	"context"
	"database/sql"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lib/pq"

	"github.com/openhandover/openhandover/internal/store/pgtest"
)

// wire counts what goes to the server, and can play a pooler that answers with an
// error and hangs up.
type wire struct {
	sent, dialled atomic.Int64
	hangUp        atomic.Bool
}

func (w *wire) Dial(network, address string) (net.Conn, error) {
	return w.DialTimeout(network, address, time.Minute)
}

func (w *wire) DialTimeout(network, address string, limit time.Duration) (net.Conn, error) {
	inner, err := net.DialTimeout(network, address, limit)
	w.dialled.Add(1)
	return &wireConn{Conn: inner, wire: w}, err
}

type wireConn struct {
	net.Conn
	wire   *wire
	answer io.Reader // set once the other side has hung up
}

func (c *wireConn) Write(b []byte) (int, error) {
	c.wire.sent.Add(1)
	if c.wire.hangUp.CompareAndSwap(true, false) {
		// ErrorResponse: severity, code, message. ReadyForQuery does not follow.
		c.answer = strings.NewReader("E\x00\x00\x00\x25SERROR\x00CXX000\x00Mserver went away\x00\x00")
	}
	if c.answer != nil {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *wireConn) Read(b []byte) (int, error) {
	if c.answer != nil {
		return c.answer.Read(b)
	}
	return c.Conn.Read(b)
}

func connector(tb testing.TB, w *wire) *pq.Connector {
	tb.Helper()
	owner, _ := pgtest.Database(tb)
	c, err := pq.NewConnector(owner)
	if err != nil {
		tb.Fatal(err)
	}
	if w != nil {
		c.Dialer(w)
	}
	return c
}

// open gives a pool of a single connection, so that each test knows which it has.
func open(tb testing.TB, c Connector, w *wire) *sql.DB {
	tb.Helper()
	c.Connector = connector(tb, w)
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func run(tb testing.TB, db runner, query string, args ...any) {
	tb.Helper()
	if _, err := db.ExecContext(tb.Context(), query, args...); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
}

func text(tb testing.TB, db runner, query string, args ...any) string {
	tb.Helper()
	var got string
	if err := db.QueryRowContext(tb.Context(), query, args...).Scan(&got); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return got
}

// prepared lists the connection's prepared statements as the server sees them.
func prepared(tb testing.TB, db runner) string {
	tb.Helper()
	return text(tb, db, "SELECT coalesce(string_agg(statement, '; ' ORDER BY statement), '') FROM pg_prepared_statements")
}

func begin(tb testing.TB, db *sql.DB, ctx context.Context, opts *sql.TxOptions) *sql.Tx {
	tb.Helper()
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func commit(tb testing.TB, tx *sql.Tx) {
	tb.Helper()
	if err := tx.Commit(); err != nil {
		tb.Fatal(err)
	}
}
