package edge_test

import (
	"strings"
	"testing"

	"github.com/openhandover/openhandover/graph/edge"
)

// TestTrustedDocuments: by id under each of its names, with and without the setting.
func TestTrustedDocuments(t *testing.T) {
	const text, other = "query Hello($name: String) { hello(name: $name) }", "{ hello }"
	docs := edge.NewDocuments(text)
	var id string
	for d := range docs {
		id = "sha256:" + d
	}
	const unknown = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	vars := object{"name": "Li"}
	get := func(k, v string) call {
		return call{method: "GET", url: map[string][]string{k: {v}, "variables": {`{"name":"Li"}`}}}
	}
	for _, r := range []struct {
		name   string
		call   call
		code   string // otherwise it is answered
		strict string // the code where only trusted documents are served
	}{
		{"documentId", call{body: object{"documentId": id, "variables": vars}}, "", ""},
		{"id", call{body: object{"id": id, "variables": vars}}, "", ""},
		{"doc_id", call{body: object{"doc_id": id, "query": nil, "variables": vars}}, "", ""},
		{"without prefix, upper case", call{body: object{"documentId": strings.ToUpper(id[7:]), "variables": vars}}, "", ""},
		{"get", get("documentId", id), "", ""},
		{"with its text", call{body: object{"documentId": id, "query": text, "variables": vars}}, "", ""},
		{"two names, one id", call{body: object{"documentId": id, "id": id, "variables": vars}}, "", ""},
		{"the text alone", call{body: object{"query": text, "variables": vars}}, "", ""},
		{"another text", call{body: object{"query": other}}, "", "PERSISTED_DOCUMENT_REQUIRED"},
		{"a client's own number beside a text", call{body: object{"query": text, "id": "17", "variables": vars}}, "", ""},
		{"with another text", call{body: object{"documentId": id, "query": other}}, "BAD_REQUEST", "BAD_REQUEST"},
		{"unknown", call{body: object{"documentId": unknown}}, "PERSISTED_DOCUMENT_NOT_FOUND", "PERSISTED_DOCUMENT_NOT_FOUND"},
		{"unknown with a text", call{body: object{"documentId": unknown, "query": text}}, "PERSISTED_DOCUMENT_NOT_FOUND", "PERSISTED_DOCUMENT_NOT_FOUND"},
		{"no digest", call{body: object{"documentId": "hello"}}, "PERSISTED_DOCUMENT_NOT_FOUND", "PERSISTED_DOCUMENT_NOT_FOUND"},
		{"unknown, get", get("doc_id", unknown), "PERSISTED_DOCUMENT_NOT_FOUND", "PERSISTED_DOCUMENT_NOT_FOUND"},
		{"wrong type", call{body: object{"documentId": 7}}, "BAD_REQUEST", "BAD_REQUEST"},
		{"two ids", call{body: object{"documentId": id, "id": unknown}}, "BAD_REQUEST", "BAD_REQUEST"},
		{"none", call{body: object{"documentId": nil}}, "BAD_REQUEST", "BAD_REQUEST"},
	} {
		t.Run(r.name, func(t *testing.T) {
			for _, strict := range []bool{false, true} {
				code := r.code
				if strict {
					code = r.strict
				}
				got := do(t, serve(edge.Options{Documents: docs.Find, TrustedOnly: strict}), r.call)
				wantStatus := 200
				if code != "" {
					wantStatus = 400
				}
				if got.code() != code || got.status != wantStatus || code == "" && !strings.Contains(got.body, "hello, ") {
					t.Errorf("strict %v: want %q: status %d: %s", strict, code, got.status, got.body)
				}
			}
		})
	}
	if got := do(t, serve(edge.Options{}), call{body: object{"documentId": id}}); got.code() != "PERSISTED_DOCUMENT_NOT_FOUND" {
		t.Errorf("without documents: %s", got.body)
	}
	if got := do(t, serve(edge.Options{TrustedOnly: true}), call{body: object{"query": text}}); got.code() != "PERSISTED_DOCUMENT_REQUIRED" {
		t.Errorf("only trusted, and there are none: %s", got.body)
	}

	read, err := edge.ParseDocuments([]byte(`{"` + id + `": "` + text + `"}`))
	if found, ok := read.Find(t.Context(), id[7:]); err != nil || !ok || found != text {
		t.Errorf("manifest: %v, %v", read, err)
	}
	for _, wrong := range []string{`{"` + unknown + `": "{ hello }"}`, `{"md5": "{ hello }"}`, `["{ hello }"]`} {
		if _, err := edge.ParseDocuments([]byte(wrong)); err == nil {
			t.Errorf("accepted %s", wrong)
		}
	}
}
