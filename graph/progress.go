package graph

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	// progressPause lies between two events of a stream, so that there are two a second.
	progressPause = 500 * time.Millisecond
	// progressPoll is when a stream looks although it heard nothing: a notice can be lost.
	progressPoll = 5 * time.Second
)

// over are the states at which a stream ends. A retry or a new plan may follow some of
// them; whoever does that watches again.
var over = []handover.State{handover.Completed, handover.Partial, handover.Failed, handover.Rejected, handover.Cancelled, handover.Reverted}

// progressOf streams how far a handover has come. Whoever carries it out, in whatever
// replica, tells its topic; each look has a short transaction of its own.
func (r *Resolver) progressOf(ctx context.Context, id nid.ID) (<-chan *ent.Handover, error) {
	heard, deaf := r.DB.Hear(handover.Topic(id)) // before the first look: nothing falls between
	f := &feed[*ent.Handover]{
		heard: heard,
		look:  func(ctx context.Context) (*ent.Handover, error) { return r.seen(ctx, id) },
		same:  func(a, b *ent.Handover) bool { return standing(a) == standing(b) },
		last:  func(h *ent.Handover) bool { return slices.Contains(over, handover.State(h.State)) },
	}
	out, err := f.start(ctx, deaf)
	if err != nil {
		deaf()
	}
	return out, err
}

// seen reads a handover as its viewer may see it now, whatever they could when the
// stream began. UNAUTHENTICATED, or NOT_FOUND.
func (r *Resolver) seen(ctx context.Context, id nid.ID) (h *ent.Handover, err error) {
	err = r.DB.View(ctx, func(ctx context.Context, q *store.Read) error {
		actor, err := identity.Still(ctx, q, r.DB.Now())
		if err != nil {
			return err
		}
		ctx = access.With(ctx, actor)
		found, err := handovers.byID(ctx, id)
		if err != nil {
			return err
		}
		if found[id] == nil {
			return fault.Missing("id")
		}
		h, err = progressFor(ctx, found[id])
		return err
	})
	return h, err
}

// still fails where the context's actor is signed in no more.
func (r *Resolver) still(ctx context.Context) error {
	if !access.From(ctx).SignedIn() {
		return identity.SignInFirst()
	}
	return r.DB.View(ctx, func(ctx context.Context, q *store.Read) error {
		_, err := identity.Still(ctx, q, r.DB.Now())
		return err
	})
}

// progressed is what HandoverProgress shows.
type progressed struct {
	state    string
	counters [10]int
	updated  int64
}

func standing(h *ent.Handover) progressed {
	return progressed{string(h.State), [...]int{
		h.Total, h.Planned, h.Waiting, h.Completed, h.Refused, h.LimitReached, h.Failed, h.Skipped, h.Cancelled, h.Reverted,
	}, h.UpdatedAt.UnixMicro()}
}

// feed follows one thing that changes.
type feed[T any] struct {
	heard <-chan struct{}                  // it may have changed
	look  func(context.Context) (T, error) // as it is now
	same  func(a, b T) bool                // nothing has changed
	last  func(T) bool                     // nothing more is to come
}

// start looks once, and gives that and every change until ctx ends, nothing more is to
// come, or it is no longer to be seen. Changes within the pause run together. done is
// called at the end, not where the first look fails.
func (f *feed[T]) start(ctx context.Context, done func()) (<-chan T, error) {
	first, err := f.look(ctx)
	if err != nil {
		return nil, err
	}
	out := make(chan T)
	go func() {
		defer done()
		defer close(out)
		defer func() { // this goroutine has no server above it that would recover
			if p := recover(); p != nil {
				slog.ErrorContext(ctx, "panic in a stream", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			}
		}()
		f.run(ctx, first, out)
	}()
	return out, nil
}

func (f *feed[T]) run(ctx context.Context, v T, out chan<- T) {
	for more := true; more; {
		select {
		case <-ctx.Done():
			return
		case out <- v:
		}
		if f.last(v) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(progressPause):
		}
		v, more = f.change(ctx, v)
	}
}

// change waits for the next change; false: there is none to be seen.
func (f *feed[T]) change(ctx context.Context, was T) (T, bool) {
	for {
		select {
		case <-ctx.Done():
			return was, false
		case <-f.heard:
		case <-time.After(progressPoll):
		}
		v, err := f.look(ctx)
		switch code := fault.CodeOf(err); {
		case err == nil && !f.same(was, v):
			return v, true
		case err == nil:
		case ctx.Err() != nil, code == fault.NotFound:
			return was, false
		case code == fault.Unauthenticated:
			// An event makes the stream ask whether its viewer is still allowed, and tell
			// them that they are not.
			return was, true
		default:
			slog.WarnContext(ctx, "could not look how far a handover is; the next try is in seconds", "err", err)
		}
	}
}
