package edge_test

import (
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/graph/edge"
)

// TestAttacksCostWhatTheirSizeDoes: what an attack allocates, a measure of its work that no
// other load on the machine changes, is at most a few times what the largest honest
// document and the largest honest variables take.
func TestAttacksCostWhatTheirSizeDoes(t *testing.T) {
	h := serve(edge.Options{Introspection: everybody})
	work := func(body any) uint64 {
		r := call{body: body, accept: graphJSON}.request()
		w := httptest.NewRecorder()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h.ServeHTTP(w, r)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	honest := max(
		work(object{"query": "{ contacts(first: 100) { nodes { id name contacts(first: 40) { nodes { id name } } } } }"}),
		work(object{"query": "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename } }", "variables": object{"ids": items(11_999)}}),
	)
	for name, attack := range attacks() {
		if text, ok := attack.(string); ok && !strings.HasPrefix(text, `{"query"`) {
			attack = object{"query": text}
		}
		if got := work(attack); got > 8*honest {
			t.Errorf("%s: %d kB, where an honest request takes %d kB", name, got>>10, honest>>10)
		}
	}
}
