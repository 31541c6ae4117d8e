package store

import (
	"context"
	"sync"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

// Read is the read-only transaction of one request: a snapshot that all its
// statements share.
type Read struct {
	*conn
	client *ent.Client
}

// Ent is ent's client inside the snapshot.
func (r *Read) Ent() *ent.Client { return r.client }

// DB is the database, for the words in which the engines differ.
func (r *Read) DB() *DB { return r.db }

type readKey struct{}

// lazyRead opens its transaction at the first statement.
type lazyRead struct {
	db   *DB
	mu   sync.Mutex
	read *Read
	done bool
}

// Reading prepares a context for the statements of one query or event. done must
// be called before the answer is written; it ends the snapshot.
func (db *DB) Reading(ctx context.Context) (_ context.Context, done func()) {
	l := &lazyRead{db: db}
	return context.WithValue(ctx, readKey{}, l), l.end
}

// EndReading ends the context's snapshot before its time, where all has been read.
func EndReading(ctx context.Context) {
	if l, ok := ctx.Value(readKey{}).(*lazyRead); ok {
		l.end()
	}
}

func (l *lazyRead) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = true
	if l.read != nil {
		_ = l.read.tx.Rollback()
		l.read = nil
	}
}

// Reader gives the snapshot of the context, opening it at the first call.
// Fails with UNAUTHENTICATED where nobody is signed in.
func Reader(ctx context.Context) (*Read, error) {
	l, ok := ctx.Value(readKey{}).(*lazyRead)
	if !ok {
		return nil, fault.New(fault.Internal, "", fault.T("internal error", "内部错误")).Because(errNoReading)
	}
	corp := access.From(ctx).Corp
	if corp.IsZero() {
		return nil, fault.New(fault.Unauthenticated, "", fault.T("sign in first", "请先登录"))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return nil, context.Canceled
	}
	if l.read == nil {
		c, err := l.db.begin(ctx, corp, true)
		if err != nil {
			return nil, explain(ctx, err)
		}
		l.read = &Read{conn: c, client: ent.NewClient(ent.Driver(c.driver()))}
	}
	return l.read, nil
}

// View runs fn in a snapshot of its own, for commands and checks outside a request.
func (db *DB) View(ctx context.Context, fn func(ctx context.Context, r *Read) error) error {
	ctx, done := db.Reading(ctx)
	defer done()
	r, err := Reader(ctx)
	if err != nil {
		return err
	}
	return explain(ctx, fn(ctx, r))
}
