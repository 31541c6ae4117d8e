package edge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/openhandover/openhandover/graph/edge"
	"github.com/openhandover/openhandover/graph/edge/testdata/directory"
)

// numbered writes format once for each number from 0, with the number for each %[1]d.
func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// nested writes n times open, then inner, then n times close.
func nested(n int, open, inner, end string) string {
	return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
}

// deep is a value of n levels.
func deep(n int) any {
	var v any = "x"
	for range n - 1 {
		v = []any{v}
	}
	return v
}

func items(n int) []any {
	l := make([]any, n)
	for i := range l {
		l[i] = "x"
	}
	return l
}

// TestGuard asks for as much as is allowed, and for one more.
func TestGuard(t *testing.T) {
	const hello = "{ hello }"
	h := serve(edge.Options{Introspection: everybody})
	type doc struct {
		query string
		vars  object
	}
	q := func(s string) doc { return doc{query: s} }
	byIDs := func(v any) doc {
		return doc{"query ($ids: [ID!]!) { nodes(ids: $ids) { __typename } }", object{"ids": v}}
	}
	rows := []struct {
		name           string
		most, more     doc
		says           string
		mostFailsLater string // the code it fails with after the guard
	}{
		{"bytes", q(hello + strings.Repeat(" ", 64<<10-len(hello))), q(hello + strings.Repeat(" ", 64<<10-len(hello)+1)), "65536 bytes", ""},
		{"tokens", q("{ hello " + strings.Repeat("@x ", 1998) + "}"), q("{ hello " + strings.Repeat("@x ", 1999) + "}"), "4000 tokens", "GRAPHQL_VALIDATION_FAILED"},
		{"operations", q(numbered(5, "query Q%[1]d { hello } ")), q(numbered(6, "query Q%[1]d { hello } ")), "5 operations", "GRAPHQL_VALIDATION_FAILED"},
		{"fragments", q("{ ...F0 } " + numbered(50, "fragment F%[1]d on Query { hello } ")), q("{ ...F0 } " + numbered(51, "fragment F%[1]d on Query { hello } ")),
			"50 fragments", "GRAPHQL_VALIDATION_FAILED"},
		{"written selections", q("{ member(id: 1) {" + numbered(499, "f%[1]d ") + "} }"), q("{ member(id: 1) {" + numbered(500, "f%[1]d ") + "} }"),
			"500 selections", "GRAPHQL_VALIDATION_FAILED"},
		{"expanded selections", q("{ member(id: 1) { ...F ...F ...F } } fragment F on Member { " + numbered(333, "f%[1]d ") + " }"),
			q("{ member(id: 1) { id ...F ...F ...F } } fragment F on Member { " + numbered(333, "f%[1]d ") + " }"), "1000 fields", "GRAPHQL_VALIDATION_FAILED"},
		{"depth", q("{ member(id: 1) " + nested(5, "{ contacts(first: 1) { nodes ", "{ id }", "} }") + "}"),
			q("{ member(id: 1) " + nested(5, "{ contacts(first: 1) { nodes ", "{ owner { id } }", "} }") + "}"), "12 fields deep", ""},
		{"aliases", q("{" + numbered(10, "a%[1]d: __typename ") + "member(id: 1) {" + numbered(20, "b%[1]d: __typename ") + "} }"),
			q("{" + numbered(10, "a%[1]d: __typename ") + "member(id: 1) {" + numbered(21, "b%[1]d: __typename ") + "} }"), "30 aliases", ""},
		{"directives", q("{" + numbered(20, "a%[1]d: hello @skip(if: false) ") + "}"),
			q("{" + numbered(18, "a%[1]d: hello @skip(if: false) ") + "member(id: 1) { id @include(if: true) name @include(if: true) state @include(if: true) } }"), "20 directives", ""},
		{"root fields", q("{" + numbered(20, "a%[1]d: hello ") + "}"), q("{" + numbered(21, "a%[1]d: hello ") + "}"), "20 root fields", ""},
		{"root fields in fragments", q("{ ...F ...F } fragment F on Query { ... { " + numbered(10, "a%[1]d: hello ") + "} }"),
			q("{ hello ...F ...F } fragment F on Query { ... { " + numbered(10, "a%[1]d: hello ") + "} }"), "20 root fields", ""},
		{"same key", q("{" + strings.Repeat("hello ", 3) + "}"), q("{" + strings.Repeat("hello ", 4) + "}"), "same response key more than 3", ""},
		{"same key by alias", q("{ a: hello a: hello a: hello }"), q("{ a: hello a: hello a: hello a: hello }"), "same response key", ""},
		{"same key in inline fragments", q("{ hello ... { hello } ... { ... { hello } } }"), q("{ hello ... { hello } ... { hello ... { hello } } }"), "same response key", ""},
		{"same key on several types",
			q(`{ node(id: 1) { id ... on Member { id } ... on Contact { id } ... on Member { id } ... on Contact { id } } }`),
			q(`{ node(id: 1) { ... on Member { id } ... on Member { id } ... on Member { id } ... on Member { id } } }`), "same response key", ""},
		{"same fragment", q("{ ...F ...F ...F } fragment F on Query { hello }"), q("{ ...F ...F ...F ...F } fragment F on Query { hello }"), "same response key", ""},
		{"variables", q("query (" + numbered(50, "$v%[1]d: Int ") + ") { hello }"), q("query (" + numbered(51, "$v%[1]d: Int ") + ") { hello }"), "50 variables", "GRAPHQL_VALIDATION_FAILED"},
		{"literal depth", q("{ nodes(ids: " + nested(11, "[", `"x"`, "]") + ") { __typename } }"), q("{ nodes(ids: " + nested(12, "[", `"x"`, "]") + ") { __typename } }"), "12 levels", "GRAPHQL_VALIDATION_FAILED"},
		{"literal nodes", q("{ nodes(ids: [" + strings.Repeat("1 ", 1999) + "]) { __typename } }"), q("{ nodes(ids: [" + strings.Repeat("1 ", 2000) + "]) { __typename } }"), "2000 values", ""},
		{"literal nodes in all", q("{ a: nodes(ids: [" + strings.Repeat("1 ", 999) + "]) { __typename } b: nodes(ids: [" + strings.Repeat("1 ", 999) + "]) { __typename } }"),
			q("{ a: nodes(ids: [" + strings.Repeat("1 ", 999) + "]) { __typename } b: nodes(ids: [" + strings.Repeat("1 ", 1000) + "]) { __typename } }"), "2000 values", ""},
		{"variable depth", byIDs(deep(12)), byIDs(deep(13)), "12 levels", "INVALID"},
		{"variable nodes", byIDs(items(11_999)), byIDs(items(12_000)), "12000 values", "LIMIT"},
		{"defaults of variables", q("query ($ids: [ID!]! = [" + strings.Repeat("1 ", 1998) + "]) { nodes(ids: $ids) { __typename } }"),
			q("query ($ids: [ID!]! = [" + strings.Repeat("1 ", 2000) + "]) { nodes(ids: $ids) { __typename } }"), "2000 values", ""},
		{"introspection fields", q(numberedTypes(5)), q(numberedTypes(6)), "more than 5 times", ""},
		{"introspection aliases", q("{ __schema { types { name } } }"), q("{ __schema { a: types { name } } }"), "no aliases", ""},
		{"introspection under two names", q("{ __schema { types { name } } }"), q("{ a: __schema { types { name } } }"), "no aliases", ""},
		{"introspection lists", q("{ __schema { types { fields { type { name } } } } }"),
			q("{ __schema { types { fields { type { fields { name } } } } } }"), "at most 2 lists", ""},
		{"introspection lists in a fragment", q("{ __type(name: \"Tag\") { ...T } } fragment T on __Type { fields { type { interfaces { name } } } }"),
			q("{ __schema { types { ...T } } } fragment T on __Type { fields { type { interfaces { name } } } }"), "at most 2 lists", ""},
		{"defer", q("{ ... @include(if: true) { hello } }"), q("{ ... @defer { hello } }"), "@defer", ""},
		{"a fragment in itself", q(hello), q("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"), "spreads itself", ""},
		{"an unused fragment in itself", q(hello), q("{ hello } fragment A on Query { ...A }"), "spreads itself", ""},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			got := query(t, h, r.most.query, r.most.vars)
			if got.code() != r.mostFailsLater || strings.Contains(got.body, r.says) {
				t.Errorf("what is allowed: want code %q: %.300s", r.mostFailsLater, got.body)
			}
			for range 2 { // the second time nothing may be remembered
				got = query(t, h, r.more.query, r.more.vars)
				if got.code() != "GRAPHQL_VALIDATION_FAILED" || !strings.Contains(got.body, r.says) || got.status != 400 || len(got.Errors) != 1 {
					t.Errorf("what is not: want %q: %.300s", r.says, got.body)
				}
			}
		})
	}
}

func numberedTypes(n int) string {
	return "{" + numbered(n, `a%[1]d: __type(name: "Tag") { name } `) + "}"
}

// TestKnownDocumentKeepsItsLimits: a document that was let through before still has its
// variables counted and its cost taken.
func TestKnownDocumentKeepsItsLimits(t *testing.T) {
	h := serve(edge.Options{})
	const text = "query ($ids: [ID!]!, $n: Int) { nodes(ids: $ids) { id } contacts(first: $n) { nodes { id } } }"
	for range 2 {
		if got := query(t, h, text, object{"ids": items(2), "n": 2}); len(got.Errors) > 0 {
			t.Fatal(got.body)
		}
		if got := query(t, h, text, object{"ids": items(12_000)}); got.code() != "GRAPHQL_VALIDATION_FAILED" {
			t.Errorf("values: %.300s", got.body)
		}
		if got := query(t, h, text, object{"ids": items(1), "n": 5000}); got.code() != "LIMIT" {
			t.Errorf("cost: %.300s", got.body)
		}
	}
}

// TestToolsIntrospect: the query that graphql-js 16 sends for every tool is let through.
func TestToolsIntrospect(t *testing.T) {
	ofType := "kind name " + nested(9, "ofType { name kind ", "", "}")
	text := `query IntrospectionQuery { __schema { description queryType { name kind } mutationType { name kind } subscriptionType { name kind }
		types { ...FullType } directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
	fragment FullType on __Type { kind name description specifiedByURL isOneOf
		fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
		inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef }
		enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
	fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
	fragment TypeRef on __Type { ` + ofType + ` }`
	got := query(t, serve(edge.Options{Introspection: everybody}), text, nil)
	if len(got.Errors) > 0 || !strings.Contains(got.body, `"name":"ContactConnection"`) {
		t.Errorf("%.500s", got.body)
	}
}

// attacks are documents that are small to send and large to work on.
func attacks() map[string]any {
	fan := func(n, width int) string {
		var b strings.Builder
		b.WriteString("{ ...F0 } ")
		for i := range n {
			fmt.Fprintf(&b, "fragment F%d on Query { %s } ", i, numbered(width, "... on Query { "+fmt.Sprintf("...F%d", i+1)+" } "))
		}
		return b.String() + fmt.Sprintf("fragment F%d on Query { hello }", n)
	}
	return map[string]any{
		"conflicting aliases":        "{" + numbered(400, "a: hello(name: \"%[1]d\") ") + "}",
		"conflicting arguments":      "{" + numbered(50, "...F%[1]d ") + "}" + numbered(50, " fragment F%[1]d on Query { a: hello(name: \"%[1]d\") }"),
		"conflicts within conflicts": "{" + nested(5, "a: member(id: 1) { contacts { nodes { ", "id", "} } } ") + "}",
		"overlap in threes":          overlap(6),
		"merges in threes": "{ node(id: 1) { ...F0 } } " + numbered(5, "fragment F%[1]d on Contact { "+strings.Repeat("contacts(first: 1) { nodes { ...F%[1]dn } } ", 3)+" } ") +
			numbered(4, "fragment F%[1]dn on Contact { name ...F%[1]d_ } ") + "fragment F4n on Contact { id } " +
			"fragment F0_ on Contact { ...F1 } fragment F1_ on Contact { ...F2 } fragment F2_ on Contact { ...F3 } fragment F3_ on Contact { ...F4 }",
		"merges of many fragments":      "{ node(id: 1) { " + numbered(49, "...F%[1]d ") + "} } " + numbered(49, "fragment F%[1]d on Contact { name owner { name tags { name } } contacts(first: 1) { nodes { id } } } "),
		"fragments that double":         fan(30, 2),
		"fragments that triple":         fan(40, 3),
		"fragment cycle":                "{ ...A } fragment A on Query { ...B ...B } fragment B on Query { ...A ...A }",
		"two fragments of one name":     "{ ...A } fragment A on Query { hello } fragment A on Query { ...A ...A ...A }",
		"unknown fields":                "{" + numbered(499, "unknown_field_%[1]d ") + "}",
		"unknown fields, long":          "{" + numbered(10, strings.Repeat("x", 6000)+"%[1]d ") + "}",
		"unknown arguments":             "{ hello(" + numbered(900, "nam%[1]d: 1 ") + ") }",
		"unknown types":                 "query (" + numbered(50, "$v%[1]d: Membr"+strings.Repeat("r", 1000)+" ") + ") { hello }",
		"unknown fragments":             "{" + numbered(400, "...U%[1]d ") + "}",
		"unknown directives":            "{ hello " + strings.Repeat("@unknown ", 1900) + "}",
		"one directive repeatedly":      "{ hello " + strings.Repeat("@skip(if: false) ", 600) + "}",
		"long string":                   `{ hello(name: ` + strings.Repeat("9", 60_000) + `) }`,
		"long enum":                     `mutation { rename(input: {id: 1, plan: {kind: ` + strings.Repeat("A", 60_000) + `}}) { member { id } } }`,
		"long operation name":           object{"query": "query A { hello } query B { hello }", "operationName": strings.Repeat("x", 900_000)},
		"long variable":                 object{"query": "query ($n: Int!) { contacts(first: $n) { totalCount } }", "variables": object{"n": strings.Repeat("x", 900_000)}},
		"long variable name":            object{"query": "mutation ($i: RenameInput!) { rename(input: $i) { member { id } } }", "variables": object{"i": object{strings.Repeat("x", 900_000): 1}}},
		"long enum variable":            object{"query": "query ($i: RenameInput!) { hello }", "variables": object{"i": object{"id": 1, "plan": object{"kind": strings.Repeat("x", 900_000)}}}},
		"deep literal":                  "{ hello(name: " + nested(1900, "[", "", "]") + ") }",
		"deep selection":                nested(900, "{ a ", "", "}"),
		"deep list type":                "query ($v: " + nested(1900, "[", "Int", "]") + ") { hello }",
		"deep variables":                `{"query":"{ hello }","variables":{"v":` + nested(9000, "[", "", "]") + `}}`,
		"deeper json":                   `{"query":"{ hello }","variables":` + nested(200_000, `{"a":`, "1", "}") + `}`,
		"many variables":                object{"query": "{ hello }", "variables": object{"v": items(100_000)}},
		"tokens":                        strings.Repeat("{", 60_000),
		"comments":                      strings.Repeat("#\n", 30_000) + "{ hello }",
		"commas":                        "{ hello }" + strings.Repeat(",", 60_000),
		"no text at all":                strings.Repeat("\n", 60_000),
		"unfinished string":             `{ hello(name: "` + strings.Repeat("a", 60_000),
		"unfinished block":              `{ hello(name: """` + strings.Repeat("a", 60_000),
		"nul":                           "{ hello \x00 }",
		"huge page":                     "{ contacts(first: 1000000000) { nodes { id } } }",
		"huge pages within pages":       "{ contacts(first: 99999) { nodes { contacts(first: 99999) { nodes { contacts(first: 99999999) { nodes { id } } } } } } }",
		"a page beyond numbers":         "{ contacts(first: 99999999999999999999999) { nodes { id } } }",
		"a page below zero":             "{ contacts(first: -5) { nodes { contacts(first: 5001) { nodes { id } } } } }",
		"pages in aliases":              "{" + numbered(20, "a%[1]d: contacts(first: 300) { nodes { id name } } ") + "}",
		"circular introspection":        "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }",
		"introspection, many times":     "{" + numbered(20, "a%[1]d: __schema { types { name fields { name } } } ") + "}",
		"introspection in fragments":    "{" + numbered(20, "...F%[1]d ") + "}" + numbered(20, " fragment F%[1]d on Query { __type(name: \"Member\") { fields { name } } }"),
		"introspection, doubled inside": "{ __schema { types { a: fields { name } b: fields { name } c: fields { name } } } }",
		"errors":                        "{" + numbered(20, "a%[1]d: broken(how: \"many\") ") + "}",
		"an error in every node":        "{ nodes(ids: [" + strings.Repeat("1 ", 1900) + "]) { ... on Contact { owner { broken(how: \"x\") } } } }",
		"batch":                         []object{{"query": "{ hello }"}, {"query": "{ hello }"}},
		"type definitions":              numbered(400, "type A%[1]d { a: Int } "),
	}
}

// TestAttacks: such documents are refused, or their answer is bounded.
func TestAttacks(t *testing.T) {
	d := &directory.Directory{}
	for _, introspect := range []func(context.Context) bool{nil, everybody} {
		h := serveWith(d, edge.Options{Introspection: introspect})
		for name, attack := range attacks() {
			t.Run(name, func(t *testing.T) {
				if text, ok := attack.(string); ok && !strings.HasPrefix(text, `{"query"`) {
					attack = object{"query": text}
				}
				for _, accept := range []string{graphJSON, plainJSON, "text/event-stream"} {
					w := httptest.NewRecorder()
					h.ServeHTTP(w, call{body: attack, accept: accept}.request())
					if w.Body.Len() > 64<<10 || w.Code == http.StatusInternalServerError || strings.Contains(w.Body.String(), "Did you mean") {
						t.Errorf("%s: status %d, %d bytes: %.200s", accept, w.Code, w.Body.Len(), w.Body)
					}
				}
			})
		}
	}
}

// overlap is a document whose fields merge in threes on every level.
func overlap(levels int) string {
	b := "{ ...F0 }"
	for i := range levels {
		b += fmt.Sprintf(" fragment F%d on Query { %s }", i, strings.Repeat(fmt.Sprintf("... on Query { ...F%d } ", i+1), 3))
	}
	return b + fmt.Sprintf(" fragment F%d on Query { hello }", levels)
}

// TestErrorsAreFewAndShort: five errors of two hundred characters, whatever was wrong,
// and none of them suggests a name.
func TestErrorsAreFewAndShort(t *testing.T) {
	h := serve(edge.Options{})
	for _, text := range []string{
		"{" + numbered(30, "helo%[1]d membr ") + "}",
		"{ hello(nam: 1) member(id: 1) { nam stat: { x } } contacts { totalCoun } }",
		"query ($x: Membr) { hello }",
		`mutation { rename(input: {id: 1, plan: {kind: ACTIV}, note: []}) { member } }`,
		"{ " + strings.Repeat("x", 3000) + " }",
		"{ hello(" + strings.Repeat("客", 500) + ": 1) }",
	} {
		got := query(t, h, text, nil)
		if n := len(got.Errors); n < 1 || n > 5 {
			t.Errorf("%d errors for %.60s", n, text)
		}
		for _, e := range got.Errors {
			if n := utf8.RuneCountInString(e.Message); n > 200 || strings.Contains(e.Message, "Did you mean") || strings.Contains(e.Message, `"hello"`) {
				t.Errorf("%d characters: %s", n, e.Message)
			}
		}
	}
}

// FuzzGuard: whatever the document, the answer is bounded JSON and nothing panics.
func FuzzGuard(f *testing.F) {
	for _, seed := range []string{
		"{ hello }", "query A($a: [Int!]! = [1]) @skip(if: true) { a: hello(name: \"x\") ...F } fragment F on Query { node(id: 1) { ... on Member { id } } }",
		"{ ...A } fragment A on Query { ...A }", "subscription { count(to: 2) { number } }", "{ __schema { types { fields { type { ofType { name } } } } } }",
		"mutation { execute(id: 1) approve(id: 2) }", "{", "}", "{ contacts(first: $n) { nodes { id } } }", "{ hello(name: \"\"\"a\"\"\") }",
		"{ ... @defer { hello } }", "fragment A on Query { hello } fragment A on Query { hello } { ...A }", "\ufeff{ hello }", "{ contacts(first: 0x1) { edges { node { owner { id } } } } }",
	} {
		f.Add(seed, `{"n": 1}`)
	}
	f.Add("query ($n: Int) { contacts(first: $n) { nodes { id } } }", `{"n": 1e3}`)
	f.Add("query ($i: RenameInput!) { hello }", `{"i": {"id": [[]], "plan": null}}`)
	h := serve(edge.Options{Introspection: everybody, StandAlone: []string{"execute"}, Sizes: map[string]int{"Member.tags": 3}})
	f.Fuzz(func(t *testing.T, text, variables string) {
		body := object{"query": text}
		if json.Valid([]byte(variables)) {
			body["variables"] = json.RawMessage(variables)
		}
		got := do(t, h, call{body: body, accept: graphJSON})
		if len(got.body) > 8<<20 || got.status == http.StatusInternalServerError {
			t.Errorf("status %d, %d bytes for %q", got.status, len(got.body), text)
		}
	})
}
