// Package rule holds what must be true of any row whoever asks: it belongs to the
// actor's corp, nobody anonymous sees it, what is scoped is seen in scope only, and
// every write is recorded. Rules are pure decisions on the context and the query.
package rule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"entgo.io/ent"
	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent/intercept"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
)

// ErrNobody is a query or a write without an actor: a mistake in our program.
var ErrNobody = errors.New("rule: nobody acts in this context")

func actor(ctx context.Context) (*access.Actor, error) {
	a := access.From(ctx)
	if a.Kind == access.Anonymous || a.Corp.IsZero() {
		slog.ErrorContext(ctx, "a query ran without an actor; this is a mistake in the program")
		return nil, ErrNobody
	}
	return a, nil
}

// Corp lets a query see the actor's corp only.
func Corp() ent.Interceptor {
	return intercept.TraverseFunc(func(ctx context.Context, q intercept.Query) error {
		a, err := actor(ctx)
		if err != nil {
			return err
		}
		q.WhereP(func(s *sql.Selector) { s.Where(sql.EQ(s.C("corp_id"), a.Corp)) })
		return nil
	})
}

// Recorder notes which rows a transaction changes.
type Recorder interface {
	Record(table string, ids ...nid.ID)
}

type recorderKey struct{}

// WithRecorder puts the transaction's recorder into the context.
func WithRecorder(ctx context.Context, r Recorder) context.Context {
	return context.WithValue(ctx, recorderKey{}, r)
}

// mutation is what ent's generated mutations have in common.
type mutation interface {
	ent.Mutation
	ID() (nid.ID, bool)
	IDs(context.Context) ([]nid.ID, error)
	SetCorpID(nid.ID)
	WhereP(...func(*sql.Selector))
}

// Recorded is the one hook: a write outside store.Tx is refused, a new row gets
// the actor's corp, a change reaches that corp's rows only, and the transaction
// learns which rows they were.
func Recorded() ent.Hook {
	return func(next ent.Mutator) ent.Mutator {
		return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
			a, err := actor(ctx)
			if err != nil {
				return nil, err
			}
			rec, ok := ctx.Value(recorderKey{}).(Recorder)
			w, known := m.(mutation)
			if !ok || !known {
				return nil, fmt.Errorf("rule: %s of %s outside a transaction of the store", m.Op(), m.Type())
			}
			if m.Op().Is(ent.OpCreate) {
				w.SetCorpID(a.Corp)
				v, err := next.Mutate(ctx, m)
				if id, ok := w.ID(); ok && err == nil {
					rec.Record(m.Type(), id)
				}
				return v, err
			}
			w.WhereP(func(s *sql.Selector) { s.Where(sql.EQ(s.C("corp_id"), a.Corp)) })
			ids, err := w.IDs(ctx)
			if err != nil {
				return nil, err
			}
			v, err := next.Mutate(ctx, m)
			if err == nil {
				rec.Record(m.Type(), ids...)
			}
			return v, err
		})
	}
}
