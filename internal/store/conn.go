package store

import (
	"context"
	"database/sql"
	"sync"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
)

// conn is one open transaction. A GraphQL answer is put together by many
// goroutines, and neither engine's driver runs two statements of one transaction
// at once, so each statement holds mu until its rows are read.
type conn struct {
	db *DB
	tx *sql.Tx
	mu sync.Mutex
}

type counterKey struct{}

// Count returns a context in which every statement but BEGIN, COMMIT and the
// corp setting calls seen with its text. Stories assert their numbers with it.
func Count(ctx context.Context, seen func(query string)) context.Context {
	return context.WithValue(ctx, counterKey{}, seen)
}

type watcherKey struct{}

// Watch is Count with the statements' arguments, for tests that ask the planner.
func Watch(ctx context.Context, seen func(query string, args []any)) context.Context {
	return context.WithValue(ctx, watcherKey{}, seen)
}

func counted(ctx context.Context, query string, args []any) {
	if seen, ok := ctx.Value(counterKey{}).(func(string)); ok {
		seen(query)
	}
	if seen, ok := ctx.Value(watcherKey{}).(func(string, []any)); ok {
		seen(query, args)
	}
}

func (c *conn) exec(ctx context.Context, query string, args ...any) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	counted(ctx, query, args)
	r, err := c.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

func (c *conn) each(ctx context.Context, scan func(*sql.Rows) error, query string, args ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	counted(ctx, query, args)
	rows, err := c.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c *conn) engine() *DB { return c.db }

// Querier reads inside a transaction: a *Tx or a *Read.
type Querier interface {
	each(ctx context.Context, scan func(*sql.Rows) error, query string, args ...any) error
	engine() *DB
}

// EngineOf is the database that a transaction belongs to.
func EngineOf(q Querier) *DB { return q.engine() }

// Select reads all rows of a query. dest gives the places of one row's columns.
func Select[T any](ctx context.Context, q Querier, dest func(*T) []any, query string, args ...any) ([]T, error) {
	var out []T
	err := q.each(ctx, func(rows *sql.Rows) error {
		var v T
		if err := rows.Scan(dest(&v)...); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	}, query, args...)
	return out, err
}

// SelectOne reads at most one row; found says whether there was one.
func SelectOne[T any](ctx context.Context, q Querier, dest func(*T) []any, query string, args ...any) (v T, found bool, err error) {
	all, err := Select(ctx, q, dest, query, args...)
	if err != nil || len(all) == 0 {
		return v, false, err
	}
	return all[0], true, nil
}

// entDriver lets ent use the transaction. Transactions that ent itself would open
// are this one.
type entDriver struct {
	entsql.Conn
	c *conn
}

func (c *conn) driver() *entDriver { return &entDriver{Conn: entsql.Conn{ExecQuerier: c.tx}, c: c} }

func (d *entDriver) Dialect() string                        { return d.c.db.dialect }
func (d *entDriver) Close() error                           { return nil }
func (d *entDriver) Tx(context.Context) (dialect.Tx, error) { return dialect.NopTx(d), nil }
func (d *entDriver) Exec(ctx context.Context, query string, args, v any) error {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	counted(ctx, query, listed(args))
	return d.Conn.Exec(ctx, query, args, v)
}

func (d *entDriver) Query(ctx context.Context, query string, args, v any) error {
	d.c.mu.Lock()
	counted(ctx, query, listed(args))
	if err := d.Conn.Query(ctx, query, args, v); err != nil {
		d.c.mu.Unlock()
		return err
	}
	rows := v.(*entsql.Rows)
	rows.ColumnScanner = &unlocking{ColumnScanner: rows.ColumnScanner, unlock: sync.OnceFunc(d.c.mu.Unlock)}
	return nil
}

// listed is how ent passes arguments.
func listed(args any) []any {
	list, _ := args.([]any)
	return list
}

// unlocking lets the next statement run once the rows are closed, as ent always does.
type unlocking struct {
	entsql.ColumnScanner
	unlock func()
}

func (u *unlocking) Close() error { defer u.unlock(); return u.ColumnScanner.Close() }
