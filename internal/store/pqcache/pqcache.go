// Package pqcache makes lib/pq do in one round trip what it does in two or three:
//
//   - It keeps prepared statements per connection. By itself the driver parses and
//     plans every statement with arguments anew, in a round trip of its own.
//   - It begins a transaction and sets its settings together (see WithBegin).
//
// It also works round a fault of the driver's pool (see Connector) and tells a
// test which statements were sent.
package pqcache

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/lib/pq"
)

// Connector opens connections that keep their prepared statements. It is for
// sql.OpenDB.
//
// A connection that can no longer be used because lib/pq takes an old statement
// for unfinished (lib/pq #1320: an error followed by the end of the connection, as
// some poolers send it) leaves the pool, and database/sql takes another.
type Connector struct {
	*pq.Connector
	// Max is how many statements a connection keeps; the one unused for longest
	// goes first. 0 keeps none: for a pooler that gives every transaction another
	// server connection, on which our statements are not prepared.
	Max int
	// OnStatement, if set, hears of every statement before it is sent. Beginning
	// and ending a transaction and its settings are not told. It is called from
	// many goroutines.
	OnStatement func(ctx context.Context, query string)
}

// Connect opens one connection.
func (c Connector) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := opened.(pqConn)
	if !ok {
		_ = opened.Close()
		return nil, fmt.Errorf("pqcache: this lib/pq's connection (%T) lacks a method that the cache needs", opened)
	}
	return &conn{pqConn: inner, cache: newCache(c.Max), hear: c.OnStatement}, nil
}

// Stale reports whether err says that a kept statement no longer fits the
// database: a migration changed what it returns, or the server has forgotten it.
// Nothing was done, the statement has been dropped, and running the transaction
// again works.
func Stale(err error) bool {
	e := pq.As(err)
	// 0A000 alone is any feature that is not supported; the routine is not translated.
	return e != nil && (e.Code == forgotten || e.Code == changed && e.Routine == "RevalidateCachedQuery")
}
