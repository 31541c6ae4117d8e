package edge

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
)

// eventContext is the context of one event of a subscription. The executor waits for
// the event and resolves its fields in one call, so whatever Read opens must not be
// open yet while nothing happens: it is opened when the event's first field is
// resolved, and every context made from this one then finds Read's values.
type eventContext struct {
	context.Context
	read   func(context.Context) (context.Context, func())
	once   sync.Once
	opened atomic.Pointer[openRead]
}

type openRead struct {
	ctx  context.Context
	done func()
}

type eventKey struct{}

func (c *eventContext) Value(key any) any {
	if key == (eventKey{}) {
		return c
	}
	if o := c.opened.Load(); o != nil {
		return o.ctx.Value(key)
	}
	return c.Context.Value(key)
}

func (c *eventContext) open() {
	c.once.Do(func() {
		ctx, done := c.read(c.Context)
		c.opened.Store(&openRead{ctx, done})
	})
}

// close ends what was opened, and nothing can be opened after it.
func (c *eventContext) close() {
	c.once.Do(func() {})
	if o := c.opened.Load(); o != nil {
		o.done()
	}
}

// eventReader opens the event's Read before a field of it is resolved.
type eventReader struct{}

func (eventReader) ExtensionName() string                   { return "EventReader" }
func (eventReader) Validate(graphql.ExecutableSchema) error { return nil }

func (eventReader) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	if e, ok := ctx.Value(eventKey{}).(*eventContext); ok {
		e.open()
	}
	return next(ctx)
}
