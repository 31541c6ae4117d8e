package pqcache

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/lib/pq"
)

// Setting is a configuration parameter with the value it has for one transaction.
type Setting struct{ Name, Value string }

// SetConfig writes the statement that sets all of them until the transaction
// ends, quoted so that no value can be more than a value.
func SetConfig(settings ...Setting) string {
	var b strings.Builder
	for i, s := range settings {
		b.WriteString([]string{"SELECT ", ", "}[min(i, 1)])
		fmt.Fprintf(&b, "set_config(%s, %s, true)", pq.QuoteLiteral(s.Name), pq.QuoteLiteral(s.Value))
	}
	return b.String()
}

type beginKey struct{}

// WithBegin makes transactions that begin with the context send sqlText right
// behind BEGIN, in the same message: settings cost no round trip of their own. The
// text goes out as it is and takes no arguments, so write it with SetConfig. If it
// fails the transaction is not begun. An earlier WithBegin is replaced; empty text
// takes it away.
func WithBegin(ctx context.Context, sqlText string) context.Context {
	return context.WithValue(ctx, beginKey{}, sqlText)
}

var isolation = map[sql.IsolationLevel]string{
	sql.LevelDefault:         "",
	sql.LevelReadUncommitted: " ISOLATION LEVEL READ UNCOMMITTED",
	sql.LevelReadCommitted:   " ISOLATION LEVEL READ COMMITTED",
	sql.LevelRepeatableRead:  " ISOLATION LEVEL REPEATABLE READ",
	sql.LevelSerializable:    " ISOLATION LEVEL SERIALIZABLE",
}

// BeginTx begins a transaction, with the context's settings if it has any.
//
// The end of ctx rolls the transaction back and cancels the statements that were
// given ctx or a child, but not a statement that was given another context.
// lib/pq's own BeginTx would cancel that too. It is not used: what it leaves on the
// connection to watch ctx must not meet a transaction that it did not begin.
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	level, ok := isolation[sql.IsolationLevel(opts.Isolation)]
	if !ok {
		return nil, fmt.Errorf("pqcache: isolation level %d is not supported", opts.Isolation)
	}
	if c.busy {
		return nil, errBusy
	}
	begin := "BEGIN" + level + " READ WRITE"
	if opts.ReadOnly {
		begin = "BEGIN" + level + " READ ONLY"
	}
	if text, _ := ctx.Value(beginKey{}).(string); text != "" {
		// A NUL would end the message in its middle.
		if strings.ContainsRune(text, 0) {
			return nil, errors.New("pqcache: the settings of the transaction hold a NUL character")
		}
		begin += "; " + text
	}
	if _, err := c.pqConn.ExecContext(ctx, begin, nil); err != nil {
		// If the settings failed, the transaction is open. If BEGIN itself failed there
		// is none, and then Rollback makes lib/pq give the connection up.
		_ = c.pqConn.Rollback()
		return nil, c.seen(begin, err)
	}
	c.inTx = true
	return tx{c.pqConn, c}, nil
}

// tx ends through lib/pq's own Commit, which makes committing a transaction that
// has failed an error instead of a silent ROLLBACK.
type tx struct {
	driver.Tx
	c *conn
}

func (t tx) Commit() error {
	t.c.inTx = false
	return t.Tx.Commit()
}

func (t tx) Rollback() error {
	t.c.inTx = false
	return t.Tx.Rollback()
}
