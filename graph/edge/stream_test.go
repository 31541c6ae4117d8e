package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/graph/edge"
	"github.com/openhandover/openhandover/graph/edge/testdata/directory"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

const (
	events      = "text/event-stream"
	apollo      = `multipart/mixed;boundary="graphql";subscriptionSpec=1.0,application/json`
	endlessText = "subscription { endless { number label } }"
)

// whole runs a request that ends by itself and gives its body.
func whole(t *testing.T, h http.Handler, c call) (*httptest.ResponseRecorder, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, c.request())
	return w, w.Body.String()
}

// TestEvents is GraphQL over Server-Sent Events, distinct connections, byte by byte.
func TestEvents(t *testing.T) {
	h := serve(edge.Options{})
	const complete = "event: complete\ndata:\n\n"
	next := func(data string) string { return "event: next\ndata: " + data + "\n\n" }
	ask := func(text string) call { return call{accept: events, body: object{"query": text}} }
	two := ":\n\n" + next(`{"data":{"count":{"number":1,"label":"tick 1"}}}`) + next(`{"data":{"count":{"number":2,"label":"tick 2"}}}`) + complete
	for _, r := range []struct {
		name string
		call call
		want string
	}{
		{"subscription", ask("subscription { count(to: 2) { number label } }"), two},
		{"subscription by GET", call{method: "GET", accept: events, url: map[string][]string{"query": {"subscription { count(to: 2) { number label } }"}}}, two},
		{"first of several types", call{accept: "text/event-stream, multipart/mixed", body: object{"query": "subscription { count(to: 2) { number label } }"}}, two},
		{"nothing happens", ask("subscription { count(to: 0) { number } }"), ":\n\n" + complete},
		{"query", ask("{ hello }"), ":\n\n" + next(`{"data":{"hello":"hello, world"}}`) + complete},
		{"mutation", ask("mutation { execute(id: 7) }"), ":\n\n" + next(`{"data":{"execute":"7"}}`) + complete},
		{"syntax error", ask("{"), next(`{"errors":[{"message":"Expected Name, found \u003cEOF\u003e","locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_PARSE_FAILED"}}]}`) + complete},
		{"refused by the resolver", ask("subscription { refused { number } }"),
			":\n\n" + next(`{"errors":[{"message":"you may not watch this","path":["refused"],"locations":[{"line":1,"column":16}],"extensions":{"code":"FORBIDDEN"}}],"data":null}`) + complete},
		{"no field is left", ask("subscription { count(to: 1) @skip(if: true) { number } }"),
			":\n\n" + next(`{"errors":[{"message":"a subscription has exactly one root field","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`) + complete},
		{"an error in an event", ask("subscription { c: count(to: 1) { number panics } }"),
			":\n\n" + next(`{"errors":[{"message":"internal error","path":["c","panics"],"extensions":{"code":"INTERNAL"}}],"data":{"c":{"number":1,"panics":null}}}`) + complete},
	} {
		t.Run(r.name, func(t *testing.T) {
			w, body := whole(t, h, r.call)
			if body != r.want {
				t.Errorf("got\n%s\nwant\n%s", body, r.want)
			}
			if w.Code != 200 || w.Header().Get("Content-Type") != "text/event-stream; charset=utf-8" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("status %d, %v", w.Code, w.Header())
			}
		})
	}

	for name, r := range map[string]struct {
		call   call
		status int
	}{
		"not first":       {call{accept: "application/json, text/event-stream", body: object{"query": "subscription { count(to: 1) { number } }"}}, 400},
		"mutation by GET": {call{method: "GET", accept: events, url: map[string][]string{"query": {"mutation { execute(id: 7) }"}}}, 405},
		"no parameters":   {call{accept: events, body: object{}}, 400},
		"no json":         {call{accept: events, body: "{"}, 400},
		"content type":    {call{accept: events, body: "{}", header: map[string]string{"Content-Type": "text/plain"}}, 415},
		"method":          {call{method: "PUT", accept: events}, 405},
	} {
		t.Run(name, func(t *testing.T) {
			if got := do(t, h, r.call); got.status != r.status || got.code() != "BAD_REQUEST" {
				t.Errorf("want %d: status %d: %s", r.status, got.status, got.body)
			}
		})
	}
}

// TestApollo is Apollo's multipart protocol, byte by byte: every part is closed at once.
func TestApollo(t *testing.T) {
	h := serve(edge.Options{})
	part := func(body string) string {
		return "\r\nContent-Type: application/json\r\n\r\n" + body + "\r\n--graphql"
	}
	w, body := whole(t, h, call{accept: apollo, body: object{"query": "subscription { count(to: 2) { number } }"}})
	want := "\r\n--graphql" + part(`{"payload":{"data":{"count":{"number":1}}}}`) + part(`{"payload":{"data":{"count":{"number":2}}}}`) + "--\r\n"
	if body != want || w.Header().Get("Content-Type") != `multipart/mixed;boundary="graphql";subscriptionSpec=1.0` {
		t.Errorf("got %v\n%q\nwant\n%q", w.Header(), body, want)
	}

	for name, r := range map[string]struct {
		call   call
		status int
		code   string
	}{
		"query":             {call{accept: apollo, body: object{"query": "{ hello }"}}, 200, ""},
		"wrong document":    {call{accept: apollo, body: object{"query": "subscription { cont }"}}, 200, "GRAPHQL_VALIDATION_FAILED"},
		"no parameters":     {call{accept: apollo, body: object{}}, 400, "BAD_REQUEST"},
		"another version":   {call{accept: "multipart/mixed;subscriptionSpec=2.0,application/json", body: object{"query": "subscription { count(to: 1) { number } }"}}, 400, "BAD_REQUEST"},
		"deferSpec":         {call{accept: "multipart/mixed;deferSpec=20220824,application/json", body: object{"query": "{ hello }"}}, 200, ""},
		"only another spec": {call{accept: "multipart/mixed;deferSpec=20220824", body: object{"query": "{ hello }"}}, 406, "BAD_REQUEST"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := do(t, h, r.call); got.status != r.status || got.code() != r.code {
				t.Errorf("want %d %q: status %d: %s", r.status, r.code, got.status, got.body)
			}
		})
	}
}

// open opens a stream over a real connection. It is closed with the test, or by close.
func open(t *testing.T, url string, c call) (lines *bufio.Reader, resp *http.Response, closeIt func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r := c.request().WithContext(ctx)
	out, err := http.NewRequestWithContext(ctx, r.Method, url, r.Body)
	if err != nil {
		t.Fatal(err)
	}
	out.Header = r.Header
	resp, err = http.DefaultClient.Do(out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return bufio.NewReader(resp.Body), resp, cancel
}

// until reads up to and with a text.
func until(t *testing.T, r *bufio.Reader, text string) string {
	t.Helper()
	var got bytes.Buffer
	for !strings.HasSuffix(got.String(), text) {
		b, err := r.ReadByte()
		if err != nil {
			t.Fatalf("%v before %q, after %q", err, text, got.String())
		}
		got.WriteByte(b)
	}
	return got.String()
}

// acting is a server whose requests all come from an actor.
func acting(t *testing.T, h http.Handler, actor func(*http.Request) *access.Actor) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(access.With(r.Context(), actor(r))))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func somebody(r *http.Request) *access.Actor { return person(r.Header.Get("X-Session")) }

// TestLive: events come while the stream is open, heartbeats between them, the resolver
// ends when the client goes, and the server's read deadline does not end the stream.
func TestLive(t *testing.T) {
	for name, accept := range map[string]string{"events": events, "apollo": apollo} {
		t.Run(name, func(t *testing.T) {
			beat, number := ":\n\n", `"number":%`
			if accept == apollo {
				beat = "\r\n\r\n{}\r\n--graphql"
			}
			ticks, over := make(chan int), make(chan struct{})
			d := &directory.Directory{Ticks: ticks, Seen: func(_ context.Context, what string) {
				if what == "endless over" {
					close(over)
				}
			}}
			s := httptest.NewUnstartedServer(serveWith(d, edge.Options{Heartbeat: 5 * time.Millisecond}))
			s.Config.ReadTimeout = 20 * time.Millisecond
			s.Start()
			t.Cleanup(s.Close)
			r, _, leave := open(t, s.URL, call{accept: accept, body: object{"query": endlessText}})
			for i := range 3 {
				for range 5 { // 25 ms at least: longer than the server reads
					until(t, r, beat)
				}
				ticks <- i
				until(t, r, strings.Replace(number, "%", string(rune('0'+i)), 1))
			}
			leave()
			<-over
		})
	}
}

// TestStillAllowed: the question is asked for each event and each heartbeat, and its
// error is the last that the client hears.
func TestStillAllowed(t *testing.T) {
	for _, r := range []struct {
		name, accept, end string
		beat              time.Duration
	}{
		{"at an event", events, "event: next\ndata: {\"errors\":[{\"message\":\"you may not\",\"extensions\":{\"code\":\"FORBIDDEN\",\"requestId\":\"req-1\"}}]}\n\nevent: complete\ndata:\n\n", time.Hour},
		{"at a heartbeat", events, "event: complete\ndata:\n\n", 2 * time.Millisecond},
		{"apollo", apollo, `{"payload":null,"errors":[{"message":"you may not","extensions":{"code":"FORBIDDEN","requestId":"req-1"}}]}` + "\r\n--graphql--\r\n", time.Hour},
	} {
		t.Run(r.name, func(t *testing.T) {
			ticks := make(chan int, 1)
			var mu sync.Mutex
			var no error
			h := serveWith(&directory.Directory{Ticks: ticks}, edge.Options{Heartbeat: r.beat, StillAllowed: func(ctx context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				if access.From(ctx).RequestID != "req-1" {
					return errors.New("not asked for the stream's actor")
				}
				return no
			}})
			body, _, _ := open(t, acting(t, h, somebody), call{accept: r.accept, body: object{"query": endlessText}})
			ticks <- 1
			until(t, body, `"number":1`)
			mu.Lock()
			no = fault.List{fault.Denied("you may not", "您无权操作")}
			mu.Unlock()
			if r.beat == time.Hour {
				ticks <- 2
			}
			rest, err := io.ReadAll(body)
			if err != nil || !strings.HasSuffix(string(rest), r.end) || strings.Contains(string(rest), `"number":2`) {
				t.Errorf("%v: %q", err, rest)
			}
		})
	}
}

// TestOneAnswerIsOwed: what does not last is not asked whether it may go on, not even
// by a mutation that has ended its own session.
func TestOneAnswerIsOwed(t *testing.T) {
	h := serve(edge.Options{StillAllowed: func(context.Context) error { return fault.Denied("you may not", "您无权操作") }})
	for text, want := range map[string]string{"{ hello }": "hello, world", "mutation { execute(id: 7) }": `"execute":"7"`} {
		if _, body := whole(t, h, call{accept: events, body: object{"query": text}}); !strings.Contains(body, want) || strings.Contains(body, "FORBIDDEN") {
			t.Errorf("%s: %s", text, body)
		}
	}
}

// TestStreamLimits: five a session, a hundred a corp; an ended stream makes room.
func TestStreamLimits(t *testing.T) {
	for name, r := range map[string]struct {
		limits edge.Limits
		most   int
		same   bool // one session for all
	}{
		"session": {edge.Defaults, 5, true},
		"corp":    {edge.Defaults, 100, false},
	} {
		t.Run(name, func(t *testing.T) {
			over := make(chan struct{}, r.most)
			url := acting(t, serveWith(&directory.Directory{Seen: func(_ context.Context, what string) {
				if what == "endless over" {
					over <- struct{}{}
				}
			}}, edge.Options{}), somebody)
			ask := func(i int) call {
				session := "one"
				if !r.same {
					session = fmt.Sprint(i)
				}
				return call{accept: events, body: object{"query": endlessText}, header: map[string]string{"X-Session": session}}
			}
			var leave func()
			for i := range r.most {
				body, resp, cancel := open(t, url, ask(i))
				if leave = cancel; resp.StatusCode != 200 {
					t.Fatalf("stream %d: status %d", i+1, resp.StatusCode)
				}
				until(t, body, ":\n\n")
			}
			body, resp, _ := open(t, url, ask(r.most))
			var no reply
			if err := json.NewDecoder(body).Decode(&no); err != nil || resp.StatusCode != 429 || no.code() != "LIMIT" {
				t.Errorf("one more: status %d, %v, %v", resp.StatusCode, err, no.Errors)
			}
			// A query over the same media type takes no place.
			q := ask(0)
			q.body = object{"query": "{ hello }"}
			if body, resp, _ := open(t, url, q); resp.StatusCode != 200 {
				t.Errorf("a query: status %d", resp.StatusCode)
			} else {
				until(t, body, "event: complete\ndata:\n\n")
			}
			leave()
			<-over
			// The place is free a moment after the resolver has ended.
			for {
				_, resp, cancel := open(t, url, ask(r.most))
				if resp.StatusCode == 200 {
					break
				}
				cancel()
			}
		})
	}
}

// TestStop ends streams without saying that they are complete.
func TestStop(t *testing.T) {
	stop := make(chan struct{})
	s := httptest.NewServer(serve(edge.Options{Stop: stop}))
	t.Cleanup(s.Close)
	body, _, _ := open(t, s.URL, call{accept: events, body: object{"query": endlessText}})
	until(t, body, ":\n\n")
	close(stop)
	if rest, err := io.ReadAll(body); err != nil || len(rest) > 0 {
		t.Errorf("%v: %q", err, rest)
	}
}

// stuck is a client that stops reading: its third write runs into the deadline.
type stuck struct {
	*httptest.ResponseRecorder
	mu        sync.Mutex
	writes    int
	deadlines []time.Time
}

func (s *stuck) SetWriteDeadline(d time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadlines = append(s.deadlines, d)
	return nil
}

func (s *stuck) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writes++; s.writes > 2 {
		return 0, errors.New("deadline exceeded")
	}
	return len(b), nil
}

// TestWriteDeadline: every write has one, and a client that does not read loses its stream.
func TestWriteDeadline(t *testing.T) {
	ended := make(chan struct{})
	h := serveWith(&directory.Directory{Seen: func(_ context.Context, what string) {
		if what == "endless over" {
			close(ended)
		}
	}}, edge.Options{Heartbeat: time.Millisecond, WriteTimeout: time.Minute})
	w := &stuck{ResponseRecorder: httptest.NewRecorder()}
	start := time.Now()
	h.ServeHTTP(w, call{accept: events, body: object{"query": endlessText}}.request())
	<-ended
	if w.writes != 3 || len(w.deadlines) != 3 {
		t.Fatalf("%d writes with %d deadlines", w.writes, len(w.deadlines))
	}
	for _, d := range w.deadlines {
		if d.Before(start.Add(time.Minute)) {
			t.Errorf("deadline %v after the start", d.Sub(start))
		}
	}
}

// TestIsStream: the caller's request deadline can tell streams from requests.
func TestIsStream(t *testing.T) {
	for accept, want := range map[string]bool{
		events: true, "text/event-stream;q=1, application/json": true, apollo: true,
		"": false, plainJSON: false, "application/json, text/event-stream": false, "multipart/mixed;deferSpec=20220824": false,
	} {
		if got := edge.IsStream(call{accept: accept}.request()); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}
