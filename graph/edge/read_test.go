package edge_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/openhandover/openhandover/graph/edge"
	"github.com/openhandover/openhandover/graph/edge/testdata/directory"
)

// diary writes down what happens in which order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

type readKey struct{}

// written notes when the first byte of an answer is written.
type written struct {
	*httptest.ResponseRecorder
	d *diary
}

func (w written) Write(b []byte) (int, error) {
	switch s := string(b); {
	case strings.Contains(s, `"data"`):
		w.d.add("written")
	}
	return w.ResponseRecorder.Write(b)
}

// TestRead: a query and each event have a read of their own, which is open while their
// fields are resolved and closed before the answer is written. An event's is not open
// while nothing has happened, and a mutation has none.
func TestRead(t *testing.T) {
	for _, r := range []struct {
		name, accept, query string
		want                []string
	}{
		{"query", plainJSON, "{ hello }", []string{"open 1", "hello in 1", "done 1", "written"}},
		{"query that fails", plainJSON, `{ broken(how: "panic") }`, []string{"open 1", "done 1", "written"}},
		{"query as event", events, "{ hello }", []string{"open 1", "hello in 1", "done 1", "written"}},
		{"mutation", plainJSON, "mutation { rename(input: {id: 1, plan: {kind: LEFT}}) { member { id } } }", []string{"rename in <nil>", "written"}},
		{"subscription", events, "subscription { count(to: 1) { number label } }", []string{"count in <nil>", "open 1", "label in 1", "done 1", "written"}},
		{"subscription, apollo", apollo, "subscription { count(to: 1) { number label } }", []string{"count in <nil>", "open 1", "label in 1", "done 1", "written"}},
		{"events nobody reads in", events, "subscription { count(to: 1) { __typename } }", []string{"count in <nil>", "written"}},
		{"no event", events, "subscription { count(to: 0) { label } }", []string{"count in <nil>"}},
		{"refused before", plainJSON, "{ helo }", nil},
	} {
		t.Run(r.name, func(t *testing.T) {
			var log diary
			reads := 0
			h := serveWith(&directory.Directory{Seen: func(ctx context.Context, what string) { log.add("%s in %v", what, ctx.Value(readKey{})) }},
				edge.Options{Read: func(ctx context.Context) (context.Context, func()) {
					reads++
					n := reads
					log.add("open %d", n)
					return context.WithValue(ctx, readKey{}, n), func() { log.add("done %d", n) }
				}})
			h.ServeHTTP(written{httptest.NewRecorder(), &log}, call{accept: r.accept, body: object{"query": r.query}}.request())
			if !slices.Equal(log.lines, r.want) {
				t.Errorf("got %q\nwant %q", log.lines, r.want)
			}
		})
	}
}

// TestReadOfEachEvent: the second event does not read in what the first one opened.
func TestReadOfEachEvent(t *testing.T) {
	var log diary
	reads := 0
	h := serveWith(&directory.Directory{Seen: func(ctx context.Context, what string) { log.add("%s in %v", what, ctx.Value(readKey{})) }},
		edge.Options{Read: func(ctx context.Context) (context.Context, func()) {
			reads++
			n := reads
			return context.WithValue(ctx, readKey{}, n), func() { log.add("done %d", n) }
		}})
	h.ServeHTTP(httptest.NewRecorder(), call{accept: events, body: object{"query": "subscription { count(to: 2) { a: label b: label } }"}}.request())
	want := []string{"count in <nil>", "label in 1", "label in 1", "done 1", "label in 2", "label in 2", "done 2"}
	if !slices.Equal(log.lines, want) {
		t.Errorf("got %q\nwant %q", log.lines, want)
	}
}
