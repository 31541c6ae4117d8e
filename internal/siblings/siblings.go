// Package siblings lets rows that one statement loaded together load what belongs
// to them together.
//
// A list of fifty contacts of which each is asked for its followers would cost
// fifty statements. Here the first one that is asked loads the followers of all
// fifty, and the others wait for it and share the result. Nothing looks ahead into
// the query and nothing waits for a timer: what was loaded together is asked
// together. Rows loaded so are siblings again, so any depth of an answer costs one
// statement for each field and level.
package siblings

import (
	"context"
	"errors"
	"sync"
)

// Kin is embedded in what can have siblings; ent puts it into every entity.
type Kin struct{ group *group }

func (k *Kin) kin() *Kin { return k }

// Row is what embeds Kin.
type Row interface {
	comparable
	kin() *Kin
}

// Entity is any row, where its type does not matter.
type Entity interface{ kin() *Kin }

// group is the rows of one statement and what was loaded for them.
type group struct {
	rows  any // []T
	mu    sync.Mutex
	loads map[any]*load
}

type load struct {
	once sync.Once
	v    any
	err  error
}

var errPanicked = errors.New("siblings: the load that others waited for panicked")

// Join makes rows siblings. Call it once, before anybody else sees them.
func Join[T Row](rows []T) []T {
	g := &group{rows: rows, loads: map[any]*load{}}
	for _, r := range rows {
		r.kin().group = g
	}
	return rows
}

// Of gives the siblings of a row, itself among them.
func Of[T Row](row T) []T {
	if g := row.kin().group; g != nil {
		if rows, ok := g.rows.([]T); ok {
			return rows
		}
	}
	return []T{row}
}

// Load gives what fn loads for all siblings of row. The first call with a key runs
// fn, calls at the same time wait, later ones get the same. An error is shared as
// well: within one answer, asking again would not help. The key must tell apart
// everything that fn depends on; its type keeps packages apart.
func Load[T Row, V any](ctx context.Context, row T, key any, fn func(ctx context.Context, rows []T) (V, error)) (V, error) {
	g := row.kin().group
	if g == nil {
		return fn(ctx, []T{row})
	}
	g.mu.Lock()
	l := g.loads[key]
	if l == nil {
		l = &load{err: errPanicked}
		g.loads[key] = l
	}
	g.mu.Unlock()
	l.once.Do(func() { l.v, l.err = fn(ctx, Of(row)) })
	v, _ := l.v.(V)
	return v, l.err
}
