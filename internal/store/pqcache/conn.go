package pqcache

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

var (
	// changed: a migration changed the columns that the statement returns.
	changed = pqerror.FeatureNotSupported
	// forgotten: the server has no such statement, for instance after DISCARD ALL.
	forgotten = pqerror.InvalidSQLStatementName
)

// mostArgs keeps bulk statements out, whose text differs from call to call.
const mostArgs = 64

// errBusy is for a statement sent before the last was read to its end. lib/pq
// notices that only for statements that are not prepared; the answers would mix.
var errBusy = errors.New("pqcache: rows or a COPY of this connection are still open; close them before the next statement")

// pqConn is what lib/pq's connection can do. Its Commit and Rollback end the
// transaction that its session is in, whoever began it.
type pqConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Tx
	driver.Validator
}

// conn is one connection. database/sql uses it from one goroutine at a time.
type conn struct {
	pqConn
	cache cache
	hear  func(ctx context.Context, query string)
	inTx  bool
	busy  bool // rows are being read, or a COPY written
}

// QueryContext runs a statement that returns rows, prepared if it has arguments.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.kept(ctx, query, len(args))
	if err != nil {
		return nil, err
	}
	if s != nil {
		return s.QueryContext(ctx, args)
	}
	if err := c.send(ctx, query); err != nil {
		return nil, err
	}
	r, err := c.pqConn.QueryContext(ctx, query, args)
	return c.reading(r, c.seen(query, err))
}

// ExecContext runs a statement for its effect, prepared if it has arguments.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.kept(ctx, query, len(args))
	if err != nil {
		return nil, err
	}
	if s != nil {
		return s.ExecContext(ctx, args)
	}
	if err := c.send(ctx, query); err != nil {
		return nil, err
	}
	r, err := c.pqConn.ExecContext(ctx, query, args)
	return r, c.seen(query, err)
}

// PrepareContext prepares a statement for a caller who keeps it. COPY is told to
// OnStatement here, any other when it runs.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if c.busy {
		return nil, errBusy
	}
	prepared, err := c.pqConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if s, ok := prepared.(pqStmt); ok {
		return &stmt{s, c, query}, nil
	}
	if c.hear != nil {
		c.hear(ctx, query)
	}
	c.busy = true
	return copying{prepared, c}, nil
}

// kept gives the connection's prepared statement for the text, preparing it the
// first time; nil if the text is one that is not kept.
func (c *conn) kept(ctx context.Context, query string, args int) (*stmt, error) {
	if c.cache.max <= 0 || args == 0 || args > mostArgs {
		return nil, nil
	}
	if s := c.cache.get(query); s != nil {
		return s, nil
	}
	prepared, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s, ok := prepared.(*stmt)
	if !ok {
		return nil, errors.Join(errors.New("pqcache: COPY takes no arguments"), prepared.Close())
	}
	c.cache.put(s)
	return s, nil
}

func (c *conn) send(ctx context.Context, query string) error {
	if c.busy {
		return errBusy
	}
	if c.hear != nil {
		c.hear(ctx, query)
	}
	return nil
}

// seen looks at a statement's error for what concerns the connection.
func (c *conn) seen(query string, err error) error {
	switch {
	case err == nil:
	case pq.As(err, changed, forgotten) != nil:
		c.cache.drop(query)
	case !c.inTx && stuck(err):
		// Nothing is open, so nothing is being processed (lib/pq #1320). It refused before
		// sending anything: database/sql may drop the connection and try another.
		return driver.ErrBadConn
	}
	return err
}

// stuck recognises lib/pq's refusal. The driver does not export the error, so its
// text is all there is to go by.
func stuck(err error) bool {
	return strings.Contains(err.Error(), "there is already a query being processed")
}

func (c *conn) reading(r driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, err
	}
	inner, ok := r.(pqRows)
	if !ok {
		return r, nil
	}
	c.busy = true
	return &rows{inner, c}, nil
}

// pqRows is what lib/pq's rows can do.
type pqRows interface {
	driver.Rows
	driver.RowsNextResultSet
	driver.RowsColumnTypeScanType
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypePrecisionScale
}

type rows struct {
	pqRows
	c *conn
}

func (r *rows) Close() error {
	r.c.busy = false
	return r.pqRows.Close()
}

// pqCopy is what lib/pq's COPY can do: less than its other statements, without
// contexts.
type pqCopy interface {
	Exec(row []driver.Value) (driver.Result, error)
	Query(args []driver.Value) (driver.Rows, error)
	NumInput() int
	Close() error
}

// copying is a COPY FROM STDIN. An Exec without arguments ends it, as Close does.
type copying struct {
	pqCopy
	c *conn
}

func (s copying) Exec(row []driver.Value) (driver.Result, error) {
	if len(row) == 0 {
		s.c.busy = false
	}
	return s.pqCopy.Exec(row)
}

func (s copying) Close() error {
	s.c.busy = false
	return s.pqCopy.Close()
}
