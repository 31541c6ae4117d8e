package edge

import (
	"context"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/openhandover/openhandover/internal/fault"
)

type savedKey struct{}

// Saved reports whether what runs in the context is a document of the program's own.
func Saved(ctx context.Context) bool { return ctx.Value(savedKey{}) != nil }

// Run runs a query that is saved in the program, as the context's actor: through the
// same guard, limits, authorisation and snapshot as one that came over HTTP. What is
// read is closed when it returns. Errors are presented as over HTTP, in the actor's
// language. The document counts as trusted where only trusted ones are served.
func (h *Handler) Run(ctx context.Context, document string, variables map[string]any) (data []byte, errs gqlerror.List) {
	ctx = graphql.StartOperationTrace(context.WithValue(ctx, savedKey{}, true))
	defer func() {
		if p := recover(); p != nil {
			data, errs = nil, gqlerror.List{h.present.error(ctx, h.present.panicked(ctx, p))}
		}
	}()
	now := graphql.Now()
	params := &graphql.RawParams{Query: document, Variables: variables, Headers: http.Header{}, ReadTime: graphql.TraceTiming{Start: now, End: now}}
	oc, errs := h.exec.CreateOperationContext(ctx, params)
	if errs != nil {
		return nil, failed(ctx, h.exec, oc, errs).Errors
	}
	if oc.Operation.Operation != ast.Query {
		return nil, gqlerror.List{h.present.fault(ctx, fault.New(fault.Internal, "", fault.T("internal error", "内部错误")))}
	}
	resp := h.once(ctx, h.exec, oc)
	return resp.Data, resp.Errors
}
