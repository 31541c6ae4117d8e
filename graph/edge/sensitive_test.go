package edge_test

import (
	"strings"
	"testing"

	"github.com/openhandover/openhandover/graph/edge"
)

// TestStandAlone: a sensitive mutation is the only root field of its document.
func TestStandAlone(t *testing.T) {
	h := serve(edge.Options{StandAlone: []string{"execute", "approve"}})
	const rename = `rename(input: {id: 1, plan: {kind: LEFT}}) { member { id } } `
	for _, r := range []struct {
		name, query string
		ok          bool
	}{
		{"alone", `mutation { execute(id: 1) }`, true},
		{"alone under another name", `mutation { x: execute(id: 1) }`, true},
		{"alone in a fragment", `mutation { ...F } fragment F on Mutation { execute(id: 1) }`, true},
		{"others together", `mutation { a: ` + rename + `b: ` + rename + `}`, true},
		{"with another", `mutation { ` + rename + `execute(id: 1) }`, false},
		{"with another sensitive one", `mutation { execute(id: 1) approve(id: 1) }`, false},
		{"twice", `mutation { a: execute(id: 1) b: execute(id: 2) }`, false},
		{"twice the same", `mutation { execute(id: 1) execute(id: 1) }`, false},
		{"with the type's name", `mutation { __typename execute(id: 1) }`, false},
		{"hidden in a fragment", `mutation { ` + rename + `...F } fragment F on Mutation { ... { execute(id: 1) } }`, false},
		{"skipped", `mutation { ` + rename + `execute(id: 1) @skip(if: true) }`, false},
		{"beside a query", `mutation { execute(id: 1) } query Q { hello }`, false},
		{"in the operation that is not run", `query Q { hello } mutation M { execute(id: 1) }`, false},
	} {
		t.Run(r.name, func(t *testing.T) {
			body := object{"query": r.query}
			if strings.Contains(r.query, "query Q") {
				body["operationName"] = "Q"
				body["query"] = strings.Replace(r.query, "mutation {", "mutation M {", 1)
			}
			got := do(t, h, call{accept: graphJSON, body: body})
			if r.ok && len(got.Errors) > 0 {
				t.Errorf("refused: %s", got.body)
			}
			if !r.ok && (got.code() != "GRAPHQL_VALIDATION_FAILED" || !strings.Contains(got.body, "must be the only root field")) {
				t.Errorf("not refused: %s", got.body)
			}
		})
	}
}

// TestIntrospectionIsHidden: null and no error for those who may not, the schema for those who may.
func TestIntrospectionIsHidden(t *testing.T) {
	const text = `{ __schema { queryType { name } } t: __type(name: "Member") { name } hello }`
	for _, r := range []struct {
		name string
		o    edge.Options
		want string
	}{
		{"nobody", edge.Options{}, `{"__schema":null,"t":null,"hello":"hello, world"}`},
		{"allowed", edge.Options{Introspection: everybody}, `{"__schema":{"queryType":{"name":"Query"}},"t":{"name":"Member"},"hello":"hello, world"}`},
	} {
		if got := query(t, serve(r.o), text, nil); string(got.Data) != r.want || len(got.Errors) > 0 {
			t.Errorf("%s: got %s, want %s", r.name, got.body, r.want)
		}
	}
}
