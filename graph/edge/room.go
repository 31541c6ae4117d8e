package edge

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/turns"
)

// heavy runs queries with a field that has a cost of its own in a room of this process.
// A query takes its place before it reads anything and keeps it until its answer is
// complete, so that neither processors, memory nor connections are taken by those that
// wait. Turns go round the corps.
type heavy struct {
	fields  map[string]bool
	room    *turns.Room
	present *presenter
}

func newHeavy(costs map[string]int, p *presenter) heavy {
	h := heavy{fields: map[string]bool{}, present: p, room: &turns.Room{
		Running: max(1, runtime.GOMAXPROCS(0)/2), // the other half is for everybody else
		Waiting: 16, PerGuest: 4, Wait: 10 * time.Second,
	}}
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
	if oc.Operation == nil || oc.Operation.Operation != ast.Query ||
		!slices.ContainsFunc(rootFields(oc.Operation.SelectionSet, nil, map[string]bool{}), func(f string) bool { return h.fields[f] }) {
		return next(ctx)
	}
	actor := access.From(ctx)
	if !actor.SignedIn() {
		return next(ctx) // is refused without any work
	}
	leave, err := h.room.Enter(ctx, actor.Corp.String(), actor.ID.String())
	switch {
	case errors.Is(err, turns.ErrShare):
		err = fault.New(fault.RateLimited, "", fault.T("too many statistics and previews at once; try again in a moment",
			"同时进行的统计和预览过多，请稍后再试")).After(2 * time.Second)
	case errors.Is(err, turns.ErrFull):
		err = fault.New(fault.Unavailable, "", fault.T("the server has as many statistics and previews as it can take; try again in a moment",
			"服务器正在处理的统计和预览已满，请稍后再试")).After(2 * time.Second)
	}
	if err != nil {
		return &graphql.Response{Errors: gqlerror.List{h.present.error(ctx, err)}}
	}
	defer leave()
	return next(ctx)
}
