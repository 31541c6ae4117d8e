package pqcache

import (
	"container/list"
	"context"
	"database/sql/driver"
)

// pqStmt is what lib/pq's prepared statement can do.
type pqStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// stmt is a prepared statement that knows its connection.
type stmt struct {
	pqStmt
	c    *conn
	text string
}

// QueryContext runs the statement for its rows.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.c.send(ctx, s.text); err != nil {
		return nil, err
	}
	r, err := s.pqStmt.QueryContext(ctx, args)
	return s.c.reading(r, s.c.seen(s.text, err))
}

// ExecContext runs the statement for its effect.
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.c.send(ctx, s.text); err != nil {
		return nil, err
	}
	r, err := s.pqStmt.ExecContext(ctx, args)
	return r, s.c.seen(s.text, err)
}

// cache keeps the statements of one connection, those used last in front.
type cache struct {
	max    int
	byText map[string]*list.Element // of *stmt
	recent list.List
}

func newCache(most int) cache { return cache{max: most, byText: map[string]*list.Element{}} }

func (k *cache) get(text string) *stmt {
	e, ok := k.byText[text]
	if !ok {
		return nil
	}
	k.recent.MoveToFront(e)
	return e.Value.(*stmt)
}

func (k *cache) put(s *stmt) {
	if k.recent.Len() >= k.max {
		k.drop(k.recent.Back().Value.(*stmt).text)
	}
	k.byText[s.text] = k.recent.PushFront(s)
}

// drop forgets a statement, here and on the server. If the server cannot be told,
// the connection is lost and the statement with it: lib/pq remembers that.
func (k *cache) drop(text string) {
	e, ok := k.byText[text]
	if !ok {
		return
	}
	delete(k.byText, text)
	_ = k.recent.Remove(e).(*stmt).Close()
}
