package edge

import (
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/openhandover/openhandover/internal/access"
)

// serverSentEvents is the "distinct connections mode" of GraphQL over Server-Sent
// Events: each operation has a connection of its own, GET or POST; "next" events
// carry results, "complete" says that there are no more. An operation that fails
// validation is told so by an event, because a browser's EventSource shows its page
// nothing of a 400. What is no GraphQL request at all is refused as everywhere.
type serverSentEvents struct{ *edge }

// Supports takes requests that want events before anything else. Clients such as urql
// name text/event-stream last on every query, and those want a plain answer.
func (serverSentEvents) Supports(r *http.Request) bool {
	return firstAccepted(r.Header).name == mediaEvents
}

var eventFrames = framing{
	mediaType: mediaEvents + "; charset=utf-8",
	open:      ":\n\n",
	beat:      ":\n\n",
	// A browser drops an event without a data line.
	end:     "event: complete\ndata:\n\n",
	event:   nextEvent,
	refused: nextEvent,
}

// nextEvent writes an answer, which as encoded JSON has no line breaks.
func nextEvent(answer []byte) string { return "event: next\ndata: " + string(answer) + "\n\n" }

func (s serverSentEvents) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	ctx := r.Context()
	params, no := s.read(w, r)
	if no != nil {
		s.refuse(ctx, w, mediaJSON, no)
		return
	}
	oc, errs := exec.CreateOperationContext(ctx, params)
	if errs != nil {
		out := s.begin(w, eventFrames)
		defer out.finish()
		out.send(nextEvent(failedEvent(ctx, exec, oc, errs)) + eventFrames.end)
		return
	}
	switch op := oc.Operation.Operation; {
	case op == ast.Mutation && r.Method == http.MethodGet:
		s.refuse(ctx, w, mediaJSON, onlyQueries)
	case op != ast.Subscription:
		s.stream(w, r, exec, oc, eventFrames)
	default:
		release, ok := s.streams.take(access.From(ctx))
		if !ok {
			s.refuse(ctx, w, mediaJSON, tooManyStreams)
			return
		}
		defer release()
		s.stream(w, r, exec, oc, eventFrames)
	}
}
