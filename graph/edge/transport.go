package edge

import (
	"context"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// strictHTTP is the one transport for plain requests: GET for queries, POST of one
// JSON object for queries and mutations. It takes whatever no stream takes, so that
// every request gets an answer from the same table.
type strictHTTP struct{ *edge }

func (strictHTTP) Supports(*http.Request) bool { return true }

func (s strictHTTP) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	ctx := r.Context()
	mediaType, ok := negotiate(r.Header)
	if !ok {
		s.refuse(ctx, w, mediaJSON, notAcceptable)
		return
	}
	params, no := s.read(w, r)
	if no != nil {
		s.refuse(ctx, w, mediaType, no)
		return
	}
	oc, errs := exec.CreateOperationContext(ctx, params)
	if errs != nil {
		write(w, mediaType, requestErrorStatus(mediaType), failed(ctx, exec, oc, errs))
		return
	}
	switch op := oc.Operation.Operation; {
	case op != ast.Query && r.Method == http.MethodGet:
		s.refuse(ctx, w, mediaType, onlyQueries)
	case op == ast.Subscription:
		s.refuse(ctx, w, mediaType, needsStream)
	default:
		resp := s.once(ctx, exec, oc)
		write(w, mediaType, answerStatus(w.Header(), resp), resp)
	}
}

// once runs a query or a mutation. What Read opened is closed when it returns,
// which is before anything is written.
func (e *edge) once(ctx context.Context, exec graphql.GraphExecutor, oc *graphql.OperationContext) *graphql.Response {
	next, ctx := exec.DispatchOperation(ctx, oc)
	if e.Read != nil && oc.Operation.Operation == ast.Query {
		read, done := e.Read(ctx)
		defer done()
		ctx = read
	}
	if resp := next(ctx); resp != nil {
		return trim(resp)
	}
	// The executor answers nothing once the deadline has passed.
	return &graphql.Response{Errors: gqlerror.List{e.present.fault(ctx, outOfTime)}}
}

// failed is the answer to a request whose document or variables are wrong.
func failed(ctx context.Context, exec graphql.GraphExecutor, oc *graphql.OperationContext, errs gqlerror.List) errorsOnly {
	resp := exec.DispatchError(graphql.WithOperationContext(ctx, oc), errs)
	return errorsOnly{Errors: resp.Errors, Extensions: resp.Extensions}
}
