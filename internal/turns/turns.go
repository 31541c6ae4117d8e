// Package turns is a small room for work that costs much, in one process: few guests
// run at once, some wait, and free places go round the groups of guests, so that a
// flood from one group or guest does not make others wait.
package turns

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Room bounds what runs. Its zero value lets nobody in; set all fields before use.
type Room struct {
	// Running guests at once, one of each name.
	Running int
	// Waiting at most; half of them of one group, PerGuest of one guest.
	Waiting, PerGuest int
	// Wait is how long one may wait.
	Wait time.Duration

	mu      sync.Mutex
	running []*guest
	waiting []*guest
	served  []string // groups; the one that was served last is at the end
}

var (
	// ErrFull: the room is full, or no place became free in time.
	ErrFull = errors.New("the room is full")
	// ErrShare: the guest or its group has as many places as one may.
	ErrShare = errors.New("the guest's share of the room is full")
)

type guest struct {
	group, name string
	in          chan struct{} // closed when it may run
}

func (g *guest) same(o *guest) bool { return o.group == g.group && o.name == g.name }

// Enter waits for a place; leave gives it back and must be called once. It fails with
// ErrFull, ErrShare, or what ended ctx.
func (r *Room) Enter(ctx context.Context, group, name string) (leave func(), err error) {
	g := &guest{group, name, make(chan struct{})}
	if err := r.line(g); err != nil {
		return nil, err
	}
	patience := time.NewTimer(r.Wait)
	defer patience.Stop()
	select {
	case <-g.in:
	case <-patience.C:
		err = ErrFull
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		r.leave(g)
		return nil, err
	}
	return func() { r.leave(g) }, nil
}

// line puts a guest at the end of the line, and lets it in where there is a place.
func (r *Room) line(g *guest) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	ofGuest, ofGroup := 0, 0
	for _, w := range r.waiting {
		if w.group == g.group {
			ofGroup++
		}
		if w.same(g) {
			ofGuest++
		}
	}
	switch {
	case ofGuest >= r.PerGuest, ofGroup >= (r.Waiting+1)/2:
		return ErrShare
	case len(r.waiting) >= r.Waiting:
		return ErrFull
	}
	r.waiting = append(r.waiting, g)
	r.admit()
	return nil
}

func (r *Room) leave(g *guest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := func(o *guest) bool { return o == g }
	r.running, r.waiting = slices.DeleteFunc(r.running, gone), slices.DeleteFunc(r.waiting, gone)
	r.admit()
}

// admit fills free places.
func (r *Room) admit() {
	for len(r.running) < r.Running {
		next := r.next()
		if next == nil {
			return
		}
		r.waiting = slices.DeleteFunc(r.waiting, func(o *guest) bool { return o == next })
		r.running = append(r.running, next)
		r.served = append(slices.DeleteFunc(r.served, func(s string) bool { return s == next.group }), next.group)
		if len(r.served) > 2*r.Waiting {
			r.served = r.served[1:]
		}
		close(next.in)
	}
}

// next is the one that has waited longest of the group that was served longest ago, of
// those who do not run already.
func (r *Room) next() (best *guest) {
	ago := func(g *guest) int { return slices.Index(r.served, g.group) } // -1: never
	for _, g := range r.waiting {
		if !slices.ContainsFunc(r.running, g.same) && (best == nil || ago(g) < ago(best)) {
			best = g
		}
	}
	return best
}
