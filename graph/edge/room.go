package edge

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
)

// Room bounds queries that compute much and return little, in one process. A query
// takes its place before it reads anything and keeps it until its answer is complete,
// so that neither processors, memory nor connections are taken by those that wait.
type Room struct {
	// Running queries at once, one of each actor.
	Running int
	// Waiting queries at most, half of them of one corp, PerActor of one actor.
	Waiting, PerActor int
	// Wait is how long one may wait.
	Wait time.Duration
}

func (r Room) orDefaults() Room {
	if r.Running == 0 {
		r.Running = max(1, runtime.GOMAXPROCS(0)/2) // the other half is for everybody else
	}
	if r.Waiting == 0 {
		r.Waiting = 16
	}
	if r.PerActor == 0 {
		r.PerActor = 4
	}
	if r.Wait == 0 {
		r.Wait = 10 * time.Second
	}
	return r
}

// heavy runs queries with a field that has a cost of its own in the room.
type heavy struct {
	fields  map[string]bool
	room    *room
	present *presenter
}

func newHeavy(r Room, costs map[string]int, p *presenter) heavy {
	h := heavy{fields: map[string]bool{}, room: &room{Room: r.orDefaults()}, present: p}
	for name := range costs {
		if field, ok := strings.CutPrefix(name, "Query."); ok {
			h.fields[field] = true
		}
	}
	return h
}

func (heavy) ExtensionName() string                   { return "Heavy" }
func (heavy) Validate(graphql.ExecutableSchema) error { return nil }

// InterceptResponse is graphql.ResponseInterceptor. It fails with RATE_LIMITED where
// the actor or corp has as much in the room as one may, and with UNAVAILABLE where the
// room is full or no place became free in time.
func (h heavy) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	oc := graphql.GetOperationContext(ctx)
	if oc.Operation == nil || oc.Operation.Operation != ast.Query || !slices.ContainsFunc(rootFields(oc.Operation.SelectionSet, nil, map[string]bool{}), func(f string) bool { return h.fields[f] }) {
		return next(ctx)
	}
	actor := access.From(ctx)
	if !actor.SignedIn() {
		return next(ctx) // is refused without any work
	}
	leave, err := h.room.enter(ctx, actor.Corp, actor.ID)
	if err != nil {
		return &graphql.Response{Errors: gqlerror.List{h.present.error(ctx, err)}}
	}
	defer leave()
	return next(ctx)
}

// room is who runs and who waits. Free places go round the corps that wait, within a
// corp in the order of arrival, so that a flood of one corp or actor is no wait for others.
type room struct {
	Room
	mu      sync.Mutex
	running []*guest
	waiting []*guest
	turn    []nid.ID // corps, the one that was served last at the end
}

// guest is one query.
type guest struct {
	corp, actor nid.ID
	in          chan struct{} // closed when it may run
}

// enter waits for a place; leave gives it back.
func (r *room) enter(ctx context.Context, corp, actor nid.ID) (leave func(), err error) {
	g := &guest{corp, actor, make(chan struct{})}
	r.mu.Lock()
	ofActor, ofCorp := 0, 0
	for _, w := range r.waiting {
		if w.corp == corp {
			ofCorp++
		}
		if w.corp == corp && w.actor == actor {
			ofActor++
		}
	}
	switch {
	case ofActor >= r.PerActor, ofCorp >= (r.Waiting+1)/2:
		err = fault.New(fault.RateLimited, "", fault.T("too many statistics and previews at once; try again in a moment", "同时进行的统计和预览过多，请稍后再试")).After(2 * time.Second)
	case len(r.waiting) >= r.Waiting:
		err = roomFull()
	default:
		r.waiting = append(r.waiting, g)
		r.admit()
	}
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	patience := time.NewTimer(r.Wait)
	defer patience.Stop()
	select {
	case <-g.in:
	case <-patience.C:
		err = roomFull()
	case <-ctx.Done():
		err = ctx.Err()
	}
	leave = func() { r.leave(g) }
	if err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

func roomFull() *fault.Error {
	return fault.New(fault.Unavailable, "", fault.T("the server has as many statistics and previews as it can take; try again in a moment", "服务器正在处理的统计和预览已满，请稍后再试")).After(2 * time.Second)
}

func (r *room) leave(g *guest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := func(o *guest) bool { return o == g }
	r.running, r.waiting = slices.DeleteFunc(r.running, gone), slices.DeleteFunc(r.waiting, gone)
	r.admit()
}

// admit fills free places.
func (r *room) admit() {
	for len(r.running) < r.Running {
		next := r.next()
		if next == nil {
			return
		}
		r.waiting = slices.DeleteFunc(r.waiting, func(o *guest) bool { return o == next })
		r.running = append(r.running, next)
		r.turn = append(slices.DeleteFunc(r.turn, func(c nid.ID) bool { return c == next.corp }), next.corp)
		if len(r.turn) > 2*r.Waiting {
			r.turn = r.turn[1:]
		}
		close(next.in)
	}
}

// next is the one that has waited longest of the corp that was served longest ago, of
// those whose actor does not run one already.
func (r *room) next() (best *guest) {
	served := func(g *guest) int { return slices.Index(r.turn, g.corp) } // -1: never
	for _, g := range r.waiting {
		busy := slices.ContainsFunc(r.running, func(o *guest) bool { return o.corp == g.corp && o.actor == g.actor })
		if !busy && (best == nil || served(g) < served(best)) {
			best = g
		}
	}
	return best
}
