package edge

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
)

// framing is how a protocol writes a stream.
type framing struct {
	mediaType string
	open      string // as soon as the stream is accepted
	beat      string // sign of life
	end       string // after the last event
	event     func(answer []byte) string
	refused   func(errs []byte) string // an event that ends the stream; end follows
}

// stream runs an operation and writes its answers until it ends, the client goes,
// the caller is no longer allowed, or the program stops. Only this goroutine writes.
func (e *edge) stream(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor, oc *graphql.OperationContext, f framing) {
	ctx, cancel := context.WithCancel(r.Context())
	out := e.begin(w, f)
	defer out.finish()
	answers := make(chan []byte)
	go e.run(ctx, exec, oc, answers)
	defer func() { // what runs for this stream must be over before its request is
		cancel()
		for range answers {
		}
	}()

	beat := time.NewTicker(e.Heartbeat)
	defer beat.Stop()
	for out.send(f.open); out.err == nil; {
		frame := f.beat
		select {
		case <-e.Stop:
			return
		case <-ctx.Done():
			return
		case <-beat.C:
		case answer, more := <-answers:
			if !more {
				out.send(f.end)
				return
			}
			frame = f.event(answer)
			beat.Reset(e.Heartbeat)
		}
		if err := e.allowed(ctx, oc); err != nil {
			out.send(f.refused(failedEvent(ctx, exec, oc, gqlerror.List{gqlerror.Wrap(err)})) + f.end)
			return
		}
		out.send(frame)
	}
}

// allowed asks for what may last. A query or mutation asked for itself when it began,
// and its one answer is owed even where it has ended its own session.
func (e *edge) allowed(ctx context.Context, oc *graphql.OperationContext) error {
	if e.StillAllowed == nil || oc.Operation.Operation != ast.Subscription {
		return nil
	}
	return e.StillAllowed(ctx)
}

// run sends every answer, encoded: the executor uses its memory again for the next.
// It closes answers when the operation is over.
func (e *edge) run(ctx context.Context, exec graphql.GraphExecutor, oc *graphql.OperationContext, answers chan<- []byte) {
	defer close(answers)
	send := func(answer any) bool {
		body, _ := encode(answer)
		select {
		case answers <- body:
			return true
		case <-ctx.Done():
			return false
		}
	}
	defer func() { // this goroutine has no server above it that would recover
		if p := recover(); p != nil {
			send(requestErrors(e.present.error(ctx, e.present.panicked(ctx, p))))
		}
	}()
	if oc.Operation.Operation != ast.Subscription {
		send(e.once(ctx, exec, oc))
		return
	}
	fields := graphql.CollectFields(oc, oc.Operation.SelectionSet, nil)
	if len(fields) != 1 { // as @skip can bring about
		send(requestErrors(e.present.fault(ctx, shape("a subscription has exactly one root field", "订阅必须有且仅有一个根字段"))))
		return
	}
	next, ctx := exec.DispatchOperation(ctx, oc)
	// gqlgen resolves an event's fields without the field they are in, so that the paths
	// of their errors would lack their beginning.
	ctx = graphql.WithFieldContext(ctx, &graphql.FieldContext{Object: fields[0].ObjectDefinition.Name, Field: fields[0]})
	for {
		resp := e.event(ctx, next)
		if resp == nil || !send(trim(resp)) {
			return
		}
	}
}

// event waits for one event. What Read opened for it is closed on return.
func (e *edge) event(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	if e.Read == nil {
		return next(ctx)
	}
	ev := &eventContext{Context: ctx, read: e.Read}
	defer ev.close()
	return next(ev)
}

// streamWriter writes to a client that may have stopped reading.
type streamWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	err     error
}

// begin accepts the stream.
func (e *edge) begin(w http.ResponseWriter, f framing) *streamWriter {
	h := w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	out := &streamWriter{w: w, control: http.NewResponseController(w), timeout: e.WriteTimeout}
	// The server's deadline for reading bodies would end the stream: net/http goes on
	// reading to notice that the client has gone. Not every writer has deadlines.
	_ = out.control.SetReadDeadline(time.Time{})
	w.WriteHeader(http.StatusOK)
	return out
}

// send writes at once, within the deadline. After an error it does nothing.
func (s *streamWriter) send(frame string) {
	if s.err != nil || frame == "" {
		return
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(s.timeout))
	if _, s.err = s.w.Write([]byte(frame)); s.err == nil {
		s.err = s.control.Flush()
	}
}

// finish takes the deadline off a connection that may serve another request.
func (s *streamWriter) finish() {
	if s.err == nil {
		_ = s.control.SetWriteDeadline(time.Time{})
	}
}

// failedEvent is the event that says why an operation does not run, or no longer.
func failedEvent(ctx context.Context, exec graphql.GraphExecutor, oc *graphql.OperationContext, errs gqlerror.List) []byte {
	body, _ := encode(failed(ctx, exec, oc, errs))
	return body
}

// slots counts the open streams of this process.
type slots struct {
	perSession, perCorp int

	mu       sync.Mutex
	sessions map[string]int
	corps    map[nid.ID]int
}

// take takes a slot of the actor's session and corp. An actor without a session
// counts by its id, an anonymous one by its address.
func (s *slots) take(a *access.Actor) (release func(), ok bool) {
	session := "session " + string(a.Session)
	switch {
	case len(a.Session) > 0:
	case !a.ID.IsZero():
		session = "actor " + a.ID.String()
	default:
		session = "address " + a.Address
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions == nil {
		s.sessions, s.corps = map[string]int{}, map[nid.ID]int{}
	}
	if s.sessions[session] >= s.perSession || s.corps[a.Corp] >= s.perCorp {
		return nil, false
	}
	s.sessions[session]++
	s.corps[a.Corp]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sessions[session]--; s.sessions[session] == 0 {
			delete(s.sessions, session)
		}
		if s.corps[a.Corp]--; s.corps[a.Corp] == 0 {
			delete(s.corps, a.Corp)
		}
	}, true
}
