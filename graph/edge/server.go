// Package edge is the GraphQL-over-HTTP edge: it reads requests strictly, refuses
// the ones that would cost too much, runs the others and says in one way what went
// wrong. It knows nothing of our schema.
//
// Order of a request: transport (method, media types, body) → trusted document →
// guard (shape of the document) → parse and validate → sensitive fields → cost →
// execution → presenter. Sources: GraphQL specification (September 2025),
// GraphQL over HTTP (draft), GraphQL over SSE, Apollo's multipart subscriptions.
package edge

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
)

// Options are what a caller may set. The zero value is safe: our limits, no
// introspection, no trusted documents, everybody's streams allowed to go on.
type Options struct {
	// Limits bound requests; the zero value means Defaults.
	Limits Limits
	// Sizes are the nominal lengths of lists that are not connections, by
	// "Type.field". A list that is not declared counts as ten.
	Sizes map[string]int
	// Costs are what fields cost beside the nodes that they return, by "Type.field":
	// what they compute. Queries with such a field at their root run in a small room:
	// half as many at once as there are processors, and 16 that wait.
	Costs map[string]int
	// StandAlone are the mutation fields that must be the only root field of
	// their document, so that a proof of identity covers one visible act.
	StandAlone []string
	// Introspection says who may read the schema; nil: nobody. For everybody
	// else __schema and __type are null.
	Introspection func(context.Context) bool
	// Documents finds a trusted document's text by its lower-case SHA-256 in
	// hex; nil: there are none.
	Documents func(ctx context.Context, sha256 string) (text string, found bool)
	// TrustedOnly refuses every document that Documents does not know.
	TrustedOnly bool
	// Read opens what a query, or one event of a subscription, reads in. done is
	// called once, before the answer is written. An event opens it only when the
	// event has come, and takes no more than values from the context.
	Read func(context.Context) (ctx context.Context, done func())
	// StillAllowed is asked before each event and each heartbeat of a subscription;
	// an error ends the stream and is shown.
	StillAllowed func(context.Context) error
	// Translate turns errors of other packages into faults before they are shown;
	// what it does not know it returns unchanged.
	Translate func(context.Context, error) error
	// Logger takes the internal errors; nil means slog.Default.
	Logger *slog.Logger
	// Heartbeat is the time between signs of life on a stream; 0 means 4 s, so that
	// a session that ended closes its streams within 5 s.
	Heartbeat time.Duration
	// WriteTimeout bounds each write to a stream; 0 means 10 s.
	WriteTimeout time.Duration
	// Extensions run after all of ours.
	Extensions []graphql.HandlerExtension
	// Stop ends all streams when it is closed, without "complete", so that clients
	// connect again elsewhere. nil never does.
	Stop <-chan struct{}
}

// Handler serves one schema over HTTP, and runs documents of the program's own.
type Handler struct{ *edge }

// edge is what the transports share.
type edge struct {
	Options
	exec       *executor.Executor
	present    *presenter
	streams    *slots
	transports []graphql.Transport
}

// New makes the handler of one schema. It panics when Sizes, Costs or StandAlone name
// what the schema does not have: that is a mistake in the program.
func New(schema graphql.ExecutableSchema, o Options) *Handler {
	if o.Limits == (Limits{}) {
		o.Limits = Defaults
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = 4 * time.Second
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 10 * time.Second
	}
	e := &edge{
		Options: o,
		exec:    executor.New(schema),
		present: &presenter{log: o.Logger, translate: o.Translate},
		streams: &slots{perSession: o.Limits.StreamsPerSession, perCorp: o.Limits.StreamsPerCorp},
	}
	// Streams first: they name their media type; the strict transport takes the rest.
	e.transports = []graphql.Transport{serverSentEvents{e}, apolloMultipart{e}, strictHTTP{e}}

	known := newDocumentCache(cachedDocuments, cachedDocumentBytes)
	e.exec.SetErrorPresenter(e.present.error)
	e.exec.SetRecoverFunc(e.present.panicked)
	e.exec.SetQueryCache(known)
	e.exec.SetParserTokenLimit(o.Limits.Tokens)
	e.exec.SetDisableSuggestion(true)
	e.exec.SetDefaultRulesFn(cappedRules)
	e.exec.Use(guard{o.Limits, known})
	e.exec.Use(newStandAlone(o.StandAlone))
	e.exec.Use(costLimit{limit: o.Limits.Cost, sizes: o.Sizes, costs: o.Costs})
	e.exec.Use(newHeavy(o.Costs, e.present))
	e.exec.Use(introspection{o.Introspection})
	e.exec.Use(eventReader{})
	for _, x := range o.Extensions {
		e.exec.Use(x)
	}
	return &Handler{e}
}

// ServeHTTP hands the request to the first transport that takes it.
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := graphql.StartOperationTrace(withLanguage(r.Context(), r.Header))
	r = r.WithContext(ctx)
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			panic(p)
		default:
			err := e.present.error(ctx, e.present.panicked(ctx, p))
			write(w, mediaJSON, http.StatusInternalServerError, requestErrors(err))
		}
	}()
	for _, t := range e.transports {
		if t.Supports(r) {
			t.Do(w, r, e.exec)
			return
		}
	}
}

// IsStream reports whether the request asks for a stream, which a caller's
// deadline for requests must not cut off.
func IsStream(r *http.Request) bool {
	return serverSentEvents{}.Supports(r) || apolloMultipart{}.Supports(r)
}
