package edge_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/graph/edge"
)

// TestAttacksCostWhatTheirSizeDoes: what an attack allocates, a measure of its work that no
// other load on the machine changes, is at most a few times what the largest honest
// document and the largest honest variables take. So is the processor time, which is the
// program's own and not the clock's: the median of several, each next to an honest one.
func TestAttacksCostWhatTheirSizeDoes(t *testing.T) {
	h := serve(edge.Options{Introspection: everybody})
	pages := object{"query": "{ contacts(first: 100) { nodes { id name contacts(first: 40) { nodes { id name } } } } }"}
	honest := max(
		allocated(h, pages),
		allocated(h, object{"query": "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename } }", "variables": object{"ids": items(11_999)}}),
	)
	for name, attack := range attacks() {
		if text, ok := attack.(string); ok && !strings.HasPrefix(text, `{"query"`) {
			attack = object{"query": text}
		}
		if got := allocated(h, attack); got > 8*honest {
			t.Errorf("%s: %d kB, where an honest request takes %d kB", name, got>>10, honest>>10)
		}
		var ratios []float64
		for range 5 {
			fair := spent(h, pages)
			ratios = append(ratios, float64(spent(h, attack))/float64(fair))
		}
		slices.Sort(ratios)
		if got := ratios[len(ratios)/2]; got > 10 {
			t.Errorf("%s: %.1f times the processor time of an honest request", name, got)
		}
	}
}

// allocated is how many bytes answering a request allocates.
func allocated(h http.Handler, body any) uint64 {
	r := call{body: body, accept: graphJSON}.request()
	w := httptest.NewRecorder()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	h.ServeHTTP(w, r)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// spent is the processor time of the program while it answers a request.
func spent(h http.Handler, body any) time.Duration {
	r := call{body: body, accept: graphJSON}.request()
	w := httptest.NewRecorder()
	before := processorTime()
	h.ServeHTTP(w, r)
	return max(processorTime()-before, time.Microsecond)
}
