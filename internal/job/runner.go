// Package job does work in the background: durable, in any number of replicas, and
// found again after any crash. There is no queue of its own. What is to be done stands
// in the rows of the domain, which claim it by leases and state; an alarm
// (store.Tx.Wake) says only when somebody should look. Losing, doubling or delaying an
// alarm changes nothing but time (docs/decisions/0008-waking.md).
package job

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Work does what a corp has to do of one kind now, and says when there is work again;
// zero: none is known. It may run in several replicas at once, and again after an error.
type Work func(ctx context.Context, corp nid.ID) (next time.Time, err error)

const (
	sweep       = 5 * time.Second
	parallel    = 4
	ofOneKind   = parallel - 1 // long work of one kind leaves room for the others
	firstDelay  = time.Second
	longestWait = time.Minute
	patience    = 25 * time.Second // with what runs when it is to end
)

// Runner runs the work of all corps.
type Runner struct {
	DB    *store.DB
	Kinds map[string]Work
	Log   *slog.Logger

	mu    sync.Mutex
	state map[key]*state
	busy  map[string]int // running, by kind
}

type key struct {
	corp nid.ID
	kind string
}

// state is what is known of one kind of work of one corp.
type state struct {
	running bool
	delay   time.Duration // after an error
	until   time.Time
}

// Run works until ctx ends, then waits for what it is doing, 25 seconds at most: that
// sees ctx end too, and may be broken off anywhere.
func (r *Runner) Run(ctx context.Context) {
	r.state, r.busy = map[key]*state{}, map[string]int{}
	woken := make(chan struct{}, 1)
	wake := func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
	var all sync.WaitGroup
	defer r.leave(&all)
	kinds := slices.Sorted(maps.Keys(r.Kinds))
	for _, kind := range kinds {
		heard, deaf := r.DB.Hear(kind)
		defer deaf()
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-heard:
					wake()
				}
			}
		})
	}
	tick := time.NewTicker(sweep)
	defer tick.Stop()
	for {
		due, err := r.DB.Alarms(ctx, kinds)
		if err != nil && ctx.Err() == nil {
			r.Log.WarnContext(ctx, "could not look for work; the next try is in seconds", "err", err)
		}
		for _, a := range due {
			if !r.begin(a) {
				continue
			}
			all.Go(func() {
				defer wake() // there is room, and what found none before is looked for again
				r.one(ctx, a)
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-woken:
		case <-tick.C:
		}
	}
}

// leave waits for what runs.
func (r *Runner) leave(all *sync.WaitGroup) {
	over := make(chan struct{})
	go func() { all.Wait(); close(over) }()
	select {
	case <-over:
	case <-time.After(patience):
		r.mu.Lock()
		defer r.mu.Unlock()
		r.Log.Warn("work in the background did not end in time and is left", "running", r.busy)
	}
}

// begin takes a place for the work, unless there is none, somebody in this process is
// at it, or it is waiting after an error.
func (r *Runner) begin(a store.Alarm) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	running := 0
	for _, n := range r.busy {
		running += n
	}
	if running >= parallel || r.busy[a.Kind] >= ofOneKind {
		return false
	}
	s := r.state[key{a.Corp, a.Kind}]
	if s == nil {
		s = &state{}
		r.state[key{a.Corp, a.Kind}] = s
	}
	if s.running || time.Now().Before(s.until) {
		return false
	}
	s.running = true
	r.busy[a.Kind]++
	return true
}

// one does the work of one alarm and sets the alarm anew. What failed is tried again,
// ever later.
func (r *Runner) one(ctx context.Context, a store.Alarm) {
	next, err := r.attended(ctx, a)
	if err == nil {
		err = r.DB.Quiet(ctx, a, next)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy[a.Kind]--
	s := r.state[key{a.Corp, a.Kind}]
	if s.running = false; err == nil {
		delete(r.state, key{a.Corp, a.Kind})
		return
	}
	if ctx.Err() != nil {
		return
	}
	s.delay = min(max(2*s.delay, firstDelay), longestWait)
	s.until = time.Now().Add(s.delay/2 + rand.N(s.delay/2))
	r.Log.WarnContext(ctx, "work in the background failed and will be tried again", "kind", a.Kind, "corp", a.Corp, "again", s.delay, "err", err)
}

// attended does the work and says meanwhile that somebody is at it.
func (r *Runner) attended(ctx context.Context, a store.Alarm) (time.Time, error) {
	over := make(chan struct{})
	var watch sync.WaitGroup
	defer watch.Wait()
	defer close(over)
	watch.Go(func() {
		tick := time.NewTicker(sweep)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				if err := r.DB.Attend(ctx, a); err != nil && ctx.Err() == nil {
					r.Log.WarnContext(ctx, "could not say that work goes on; nothing depends on it but what readiness shows", "kind", a.Kind, "corp", a.Corp, "err", err)
				}
			}
		}
	})
	return r.try(ctx, a)
}

func (r *Runner) try(ctx context.Context, a store.Alarm) (next time.Time, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return r.Kinds[a.Kind](ctx, a.Corp)
}
