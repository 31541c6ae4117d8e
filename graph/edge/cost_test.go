package edge_test

import (
	"strings"
	"testing"

	"github.com/openhandover/openhandover/graph/edge"
	"github.com/openhandover/openhandover/graph/edge/testdata/directory"
)

// TestCost asks for the same documents with a limit of just their cost and of one less.
func TestCost(t *testing.T) {
	sizes := map[string]int{"Member.tags": 3}
	const pages = "query ($n: Int, $m: Int = 7) { contacts(first: $n) { nodes { contacts(first: $m) { nodes { id } } } } }"
	for _, r := range []struct {
		name  string
		query string
		vars  object
		cost  int
		at    string // what to make smaller
	}{
		{"a page", "{ contacts(first: 40) { nodes { id name } } }", nil, 40, "contacts"},
		{"no page size", "{ contacts { nodes { id } } }", nil, 25, "contacts"},
		{"no page size but null", "{ contacts(first: null) { nodes { id } } }", nil, 25, "contacts"},
		{"the last ones", "{ contacts(last: 30) { nodes { id } } }", nil, 30, "contacts"},
		{"first and last", "{ contacts(first: 3, last: 30) { nodes { id } } }", nil, 30, "contacts"},
		{"only the count", "{ contacts(first: 9) { totalCount } }", nil, 9, "contacts"},
		{"edges do not multiply", "{ contacts(first: 9) { edges { cursor node { id } } pageInfo { endCursor } } }", nil, 9, "contacts"},
		{"a single object is part of its node", "{ contacts(first: 9) { nodes { owner { name } } } }", nil, 9, "contacts"},
		{"pages in pages", "{ contacts(first: 9) { nodes { contacts(first: 8) { nodes { contacts { nodes { id } } } } } } }", nil, 9 * 8 * 25, "contacts.nodes.contacts.nodes.contacts"},
		{"siblings add up", "{ a: contacts(first: 9) { nodes { id } } b: contacts(first: 11) { nodes { id } } }", nil, 20, "contacts"},
		{"the larger sibling is named", "{ contacts(first: 2) { nodes { contacts(first: 3) { nodes { id } } owner { contacts(first: 50) { nodes { id } } } } } }", nil, 2*3 + 2*50, "contacts.nodes.owner.contacts"},
		{"a declared list", "{ member(id: 1) { tags { contacts(first: 5) { nodes { id } } } } }", nil, 15, "member.tags.contacts"},
		{"the schema's page size", "{ member(id: 1) { tags { contacts { nodes { id } } } } }", nil, 30, "member.tags.contacts"},
		{"the schema's page size for a variable that is not given", "query ($n: Int) { member(id: 1) { tags { contacts(first: $n) { nodes { id } } } } }", nil, 30, "member.tags.contacts"},
		{"a list of ids", "{ nodes(ids: [1, 2, 3, 4]) { ... on Contact { contacts(first: 2) { nodes { id } } } } }", nil, 8, "nodes.contacts"},
		{"a list of ids in a variable", "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", object{"ids": items(6)}, 6, "nodes"},
		{"variables", pages, object{"n": 6, "m": 5}, 30, "contacts.nodes.contacts"},
		{"a variable's default", pages, object{"n": 6}, 42, "contacts.nodes.contacts"},
		{"a variable without default", pages, nil, 175, "contacts.nodes.contacts"},
		{"a variable as text", pages, object{"n": "6"}, 42, "contacts.nodes.contacts"},
		{"skipped", "query ($no: Boolean = false) { contacts(first: 3) { nodes { id } } more: contacts(first: 90) @include(if: $no) { nodes { id } } ... @skip(if: true) { less: contacts { nodes { id } } } }", nil, 3, "contacts"},
		{"not skipped", "{ contacts(first: 3) @include(if: true) @skip(if: false) { nodes { id } } }", nil, 3, "contacts"},
		{"fragments", "{ contacts(first: 4) { nodes { ...F ...F contacts(first: 2) { nodes { ...F } } } } } fragment F on Contact { owner { contacts(first: 3) { nodes { id } } } }", nil, 4 * (3 + 3 + 2*3), "contacts.nodes.contacts.nodes.owner.contacts"},
		{"the other operation is not counted", "", nil, 2, "contacts"},
		{"a mutation", `mutation { rename(input: {id: 1, plan: {kind: LEFT}}) { member { contacts(first: 12) { nodes { id } } } } }`, nil, 12, "rename.member.contacts"},
	} {
		t.Run(r.name, func(t *testing.T) {
			body := object{"query": r.query, "variables": r.vars}
			if r.query == "" {
				body = object{"query": "query A { contacts(first: 2) { nodes { id } } } query B { contacts(first: 200) { nodes { id } } }", "operationName": "A"}
			}
			limits := edge.Defaults
			limits.Cost = r.cost
			if got := do(t, serve(edge.Options{Limits: limits, Sizes: sizes}), call{accept: graphJSON, body: body}); len(got.Errors) > 0 {
				t.Errorf("with a limit of its cost: %s", got.body)
			}
			limits.Cost = r.cost - 1
			got := do(t, serve(edge.Options{Limits: limits, Sizes: sizes}), call{accept: graphJSON, body: body})
			if got.code() != "LIMIT" || got.status != 400 || got.Data != nil {
				t.Fatalf("with a limit below its cost: status %d: %.300s", got.status, got.body)
			}
			ext := got.Errors[0].Extensions
			if ext["cost"] != float64(r.cost) || ext["limit"] != float64(r.cost-1) || ext["at"] != r.at || !strings.Contains(got.Errors[0].Message, "at "+r.at) {
				t.Errorf("want cost %d at %s: %s", r.cost, r.at, got.body)
			}
		})
	}
}

// TestCostByDefault: 5000 nodes are allowed, and page sizes are multiplied without overflow.
func TestCostByDefault(t *testing.T) {
	h := serve(edge.Options{})
	const text = "query ($a: Int, $b: Int) { contacts(first: $a) { nodes { contacts(first: $b) { totalCount } } } }"
	for _, r := range []struct {
		a, b int
		code string
	}{
		{100, 50, ""}, {50, 100, ""}, {100, 51, "LIMIT"}, {5001, 1, "LIMIT"}, {2147483647, 2147483647, "LIMIT"}, {1, 9223372036854775807, "LIMIT"}, {-1, 5001, "LIMIT"},
	} {
		if got := query(t, h, text, object{"a": r.a, "b": r.b}); got.code() != r.code {
			t.Errorf("%d times %d: want %q: %.200s", r.a, r.b, r.code, got.body)
		}
	}
	got := do(t, h, call{accept: graphJSON, body: object{"query": text, "variables": object{"a": 200, "b": 200}}, header: map[string]string{"Accept-Language": "zh-CN"}})
	if want := "该操作的开销为 40000 个节点，超过允许的 5000 个；请减小 contacts.nodes.contacts 的分页大小（first、last）或分次查询"; len(got.Errors) != 1 || got.Errors[0].Message != want {
		t.Errorf("got %s", got.body)
	}
}

// TestMistakesInOptions: names that the schema does not have are found at the start.
func TestMistakesInOptions(t *testing.T) {
	for name, o := range map[string]edge.Options{
		"size of an unknown type":  {Sizes: map[string]int{"Membr.tags": 3}},
		"size of an unknown field": {Sizes: map[string]int{"Member.tag": 3}},
		"size without a field":     {Sizes: map[string]int{"Member": 3}},
		"size of nothing":          {Sizes: map[string]int{"Member.tags": 0}},
		"unknown mutation":         {StandAlone: []string{"hello"}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("New accepted it")
				}
			}()
			edge.New((&directory.Directory{}).Schema(), o)
		})
	}
}
