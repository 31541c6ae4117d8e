package edge

import (
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/openhandover/openhandover/internal/access"
)

// apolloMultipart is Apollo's multipart protocol for subscriptions over HTTP, version
// 1.0: parts of JSON with a "payload" each, empty objects as signs of life, and
// top-level "errors" for what ends the stream.
type apolloMultipart struct{ *edge }

// Supports takes requests that want this protocol before anything else.
func (apolloMultipart) Supports(r *http.Request) bool {
	first := firstAccepted(r.Header)
	return r.Method == http.MethodPost && first.name == "multipart/mixed" && first.params["subscriptionspec"] == "1.0"
}

// Each part is closed by the next boundary at once: a client reads a part only when
// it has seen its end, so a boundary that waited for the next event would keep every
// event back.
var parts = framing{
	mediaType: `multipart/mixed;boundary="graphql";subscriptionSpec=1.0`,
	open:      "\r\n--graphql",
	beat:      part([]byte(`{}`)),
	end:       "--\r\n",
	event:     func(answer []byte) string { return part([]byte(`{"payload":` + string(answer) + `}`)) },
	refused: func(errs []byte) string {
		return part([]byte(`{"payload":null,` + string(errs[1:]))) // errs is {"errors":[…]}
	},
}

func part(body []byte) string {
	return "\r\nContent-Type: application/json\r\n\r\n" + string(body) + "\r\n--graphql"
}

func (a apolloMultipart) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	ctx := r.Context()
	params, no := a.read(w, r)
	if no != nil {
		a.refuse(ctx, w, mediaJSON, no)
		return
	}
	oc, errs := exec.CreateOperationContext(ctx, params)
	if errs != nil {
		write(w, mediaJSON, requestErrorStatus(mediaJSON), failed(ctx, exec, oc, errs))
		return
	}
	if oc.Operation.Operation != ast.Subscription {
		write(w, mediaJSON, http.StatusOK, a.once(ctx, exec, oc))
		return
	}
	release, ok := a.streams.take(access.From(ctx))
	if !ok {
		a.refuse(ctx, w, mediaJSON, tooManyStreams)
		return
	}
	defer release()
	a.stream(w, r, exec, oc, parts)
}
