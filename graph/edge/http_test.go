package edge_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/graph/edge"
)

type object = map[string]any

// TestHTTP is GraphQL over HTTP in one table: what the published audits ask for, and
// what they leave open.
func TestHTTP(t *testing.T) {
	const typename = "{ __typename }"
	ask := object{"query": typename}
	with := func(name string, v any) object {
		o := maps.Clone(ask)
		o[name] = v
		return o
	}
	get := func(kv ...string) url.Values {
		v := url.Values{}
		for i := 0; i < len(kv); i += 2 {
			v.Add(kv[i], kv[i+1])
		}
		return v
	}
	byType := object{"query": `query Type($name: String!) { __type(name: $name) { name } }`, "variables": object{"name": "sometype"}}
	coercion := object{"query": `query CoerceFailure($id: ID!) { member(id: $id) { id } }`, "variables": object{"id": nil}}

	type row struct {
		name   string
		call   call
		status int
		media  string // of the answer; empty: application/json
		code   string // of the first error; empty: there is none
		data   bool   // the answer has a data entry
	}
	ok := func(name string, c call, media string) row { return row{name, c, 200, media, "", true} }
	bad := func(name string, c call, status int) row { return row{name, c, status, "", "BAD_REQUEST", false} }
	rows := []row{
		// Accept.
		ok("no accept", call{body: ask}, ""),
		ok("json", call{body: ask, accept: plainJSON}, ""),
		ok("graphql", call{body: ask, accept: graphJSON}, graphJSON),
		ok("anything", call{body: ask, accept: "*/*"}, ""),
		ok("any application", call{body: ask, accept: "application/*"}, ""),
		ok("weights", call{body: ask, accept: plainJSON + ";q=0.4, " + graphJSON + ";q=0.8"}, graphJSON),
		ok("equal weights: the first", call{body: ask, accept: graphJSON + ", " + plainJSON}, graphJSON),
		ok("equal weights: the first again", call{body: ask, accept: plainJSON + ", " + graphJSON}, ""),
		ok("excluded json", call{body: ask, accept: plainJSON + ";q=0, " + graphJSON + ";q=0.1"}, graphJSON),
		ok("urql", call{body: ask, accept: graphJSON + ", application/graphql+json, application/json, text/event-stream, multipart/mixed"}, graphJSON),
		ok("apollo client", call{body: ask, accept: "application/graphql-response+json,application/json;q=0.9"}, graphJSON),
		ok("with charset", call{body: ask, accept: plainJSON + "; charset=utf-8"}, ""),
		bad("html", call{body: ask, accept: "text/html"}, 406),
		bad("json excluded from everything", call{body: ask, accept: "*/*, " + plainJSON + ";q=0"}, 406),
		bad("nonsense", call{body: ask, accept: ";;;"}, 406),
		bad("weight out of range", call{body: ask, accept: plainJSON + ";q=7"}, 406),

		// Methods.
		ok("get", call{method: "GET", url: get("query", typename)}, ""),
		ok("get with variables", call{method: "GET", url: get("query", byType["query"].(string), "variables", `{"name":"sometype"}`)}, ""),
		ok("get ignores other parameters", call{method: "GET", url: get("query", typename, "utm", "a", "utm", "b")}, ""),
		bad("get mutation", call{method: "GET", url: get("query", "mutation { __typename }")}, 405),
		bad("get subscription", call{method: "GET", url: get("query", "subscription { count(to: 1) { number } }")}, 405),
		bad("get without query", call{method: "GET"}, 400),
		bad("get query twice", call{method: "GET", url: get("query", typename, "query", typename)}, 400),
		bad("get with bad variables", call{method: "GET", url: get("query", typename, "variables", "{")}, 400),
		bad("get with variables and more", call{method: "GET", url: get("query", typename, "variables", "{}}")}, 400),
		bad("get with text that is not UTF-8", call{method: "GET", url: get("query", "{ \xff }")}, 400),
		bad("put", call{method: "PUT", body: ask}, 405),
		bad("delete", call{method: "DELETE"}, 405),
		bad("head", call{method: "HEAD", url: get("query", typename)}, 405),
		bad("options", call{method: "OPTIONS"}, 405),
		bad("websocket", call{method: "GET", header: map[string]string{"Upgrade": "websocket", "Connection": "Upgrade"}}, 400),

		// Bodies.
		ok("content type with charset", call{body: ask, header: map[string]string{"Content-Type": "application/json; charset=UTF-8"}}, ""),
		ok("characters beyond the first plane", call{body: object{"query": `{ __type(name: "Run🏃Swim🏊") { name } }`}}, ""),
		bad("no content type", call{body: ask, header: map[string]string{"Content-Type": ""}}, 415),
		bad("other charset", call{body: ask, header: map[string]string{"Content-Type": "application/json; charset=utf-16"}}, 415),
		bad("form", call{body: "query=%7B__typename%7D", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 415),
		bad("upload", call{body: "--x--", header: map[string]string{"Content-Type": "multipart/form-data; boundary=x"}}, 415),
		bad("bare document", call{body: typename, header: map[string]string{"Content-Type": "application/graphql"}}, 415),
		bad("compressed", call{body: ask, header: map[string]string{"Content-Encoding": "gzip"}}, 415),
		bad("empty", call{body: ""}, 400),
		bad("no json", call{body: `{ "not a JSON`}, 400),
		bad("no json, graphql", call{body: `{ "not a JSON`, accept: graphJSON}, 400),
		bad("batch", call{body: []object{ask}}, 400),
		bad("null", call{body: "null"}, 400),
		bad("two objects", call{body: `{"query":"{__typename}"}{}`}, 400),
		bad("not UTF-8", call{body: "{\"query\":\"{ hello(name: \\\"\xff\\\") }\"}"}, 400),
		{"too large", call{body: object{"query": strings.Repeat(" ", 1<<20)}}, 413, "", "LIMIT", false},

		// Parameters.
		bad("misspelt", call{body: object{"qeury": typename}}, 400),
		bad("other case", call{body: object{"QUERY": typename}}, 400),
		bad("no query", call{body: object{"notquery": typename}, accept: graphJSON}, 400),
		bad("empty query", call{body: object{"query": ""}}, 400),
		ok("operation name", call{body: object{"query": "query Query { __typename }", "operationName": "Query"}, accept: graphJSON}, graphJSON),
		ok("variables", call{body: byType}, ""),
		ok("extensions", call{body: with("extensions", object{"some": "value"})}, ""),
		ok("apq is not read", call{body: with("extensions", object{"persistedQuery": object{"version": 1, "sha256Hash": "ab"}})}, ""),

		// Documents that are wrong.
		{"parse, json", call{body: object{"query": "{"}, accept: plainJSON}, 200, "", "GRAPHQL_PARSE_FAILED", false},
		{"parse, graphql", call{body: object{"query": "{"}, accept: graphJSON}, 400, graphJSON, "GRAPHQL_PARSE_FAILED", false},
		{"no operation", call{body: object{"query": "fragment F on Query { hello }"}, accept: graphJSON}, 400, graphJSON, "GRAPHQL_VALIDATION_FAILED", false},
		{"unknown field, json", call{body: object{"query": "{ helo }"}, accept: plainJSON}, 200, "", "GRAPHQL_VALIDATION_FAILED", false},
		{"unknown field, graphql", call{body: object{"query": "{ helo }"}, accept: graphJSON}, 400, graphJSON, "GRAPHQL_VALIDATION_FAILED", false},
		{"coercion, json", call{body: coercion, accept: plainJSON}, 200, "", "INVALID", false},
		{"coercion, graphql", call{body: coercion, accept: graphJSON}, 400, graphJSON, "INVALID", false},
		{"unknown operation", call{body: object{"query": "query A { hello }", "operationName": "B"}, accept: graphJSON}, 400, graphJSON, "GRAPHQL_VALIDATION_FAILED", false},
		{"which operation", call{body: object{"query": "query A { hello } query B { hello }"}, accept: graphJSON}, 400, graphJSON, "GRAPHQL_VALIDATION_FAILED", false},
		{"an error of a field", call{body: object{"query": `{ broken(how: "fault") }`}, accept: graphJSON}, 200, graphJSON, "CONFLICT", true},
		{"an error that nulls everything", call{body: object{"query": `{ nothing }`}, accept: graphJSON}, 200, graphJSON, "NOT_FOUND", true},
		bad("subscription", call{body: object{"query": "subscription { count(to: 1) { number } }"}}, 400),
	}
	for _, p := range []struct {
		name   string
		values []any
	}{
		{"query", []any{object{"obj": "ect"}, 0, false, []any{"array"}, nil}},
		{"operationName", []any{object{"obj": "ect"}, 0, false, []any{"array"}}},
		{"variables", []any{"string", 0, false, []any{"array"}}},
		{"extensions", []any{"string", 0, false, []any{"array"}}},
	} {
		for _, v := range p.values {
			rows = append(rows, bad("wrong "+p.name, call{body: with(p.name, v)}, 400))
		}
		if p.name != "query" {
			rows = append(rows,
				ok("null "+p.name, call{body: with(p.name, nil), accept: plainJSON}, ""),
				ok("null "+p.name+", graphql", call{body: with(p.name, nil), accept: graphJSON}, graphJSON))
		}
	}

	h := serve(edge.Options{})
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			got := do(t, h, r.call)
			media := r.media
			if media == "" && r.call.accept == graphJSON {
				media = graphJSON
			} else if media == "" {
				media = plainJSON
			}
			if ct := got.header.Get("Content-Type"); got.status != r.status || ct != media+"; charset=utf-8" {
				t.Errorf("status %d, %s; want %d, %s: %s", got.status, ct, r.status, media, got.body)
			}
			if got.code() != r.code || strings.Contains(got.body, `"data":`) != r.data {
				t.Errorf("want code %q, data %v: %s", r.code, r.data, got.body)
			}
			if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers: %v", got.header)
			}
			if allow := got.header.Get("Allow"); (got.status == http.StatusMethodNotAllowed) != (allow != "") {
				t.Errorf("status %d, Allow %q", got.status, allow)
			}
		})
	}
}

// TestNumbersStayExact: an id of digits beyond 2^53 comes back as it was sent.
func TestNumbersStayExact(t *testing.T) {
	got := query(t, serve(edge.Options{}), `query ($id: ID!) { member(id: $id) { id } }`, object{"id": int64(9007199254740993)})
	if want := `{"member":{"id":"9007199254740993"}}`; string(got.Data) != want {
		t.Errorf("got %s, want %s", got.body, want)
	}
}

// TestMutationRuns: POST runs mutations, and an enum, a list and a nested input arrive.
func TestMutationRuns(t *testing.T) {
	got := query(t, serve(edge.Options{}), `mutation ($input: RenameInput!) { rename(input: $input) { member { id state } } }`,
		object{"input": object{"id": "mem_1", "plan": object{"kind": "LEFT"}, "notes": []any{object{"text": "a"}}}})
	if want := `{"rename":{"member":{"id":"mem_1","state":"LEFT"}}}`; string(got.Data) != want {
		t.Errorf("got %s, want %s", got.body, want)
	}
}

// TestBodyIsNotEchoed: what was sent does not come back in an error.
func TestBodyIsNotEchoed(t *testing.T) {
	const secret = "hunter2hunter2"
	for _, body := range []any{
		`{"query": ` + secret, `["` + secret + `"]`, object{"query": object{"x": secret}},
		object{"query": "{__typename}", "variables": secret}, object{"query": "{__typename}", "documentId": secret},
	} {
		if got := do(t, serve(edge.Options{}), call{body: body}); strings.Contains(got.body, secret) || got.status != 400 {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	}
}
