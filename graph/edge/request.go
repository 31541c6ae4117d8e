package edge

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
)

// idParameters are the names under which clients send a trusted document's id:
// ours, and what Relay and Meta's clients say.
var idParameters = []string{"documentId", "id", "doc_id"}

// read gets the parameters out of a GET or POST request, with the document's text
// in place of its id.
func (e *edge) read(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, *refusal) {
	start := graphql.Now()
	var raw map[string]json.RawMessage
	var no *refusal
	switch r.Method {
	case http.MethodGet:
		raw, no = fromURL(r.URL)
	case http.MethodPost:
		raw, no = fromBody(http.MaxBytesReader(w, r.Body, e.Limits.BodyBytes), r.Header)
	default:
		no = wrongMethod
	}
	if no != nil {
		return nil, no
	}
	p := &graphql.RawParams{Headers: r.Header}
	if no := decode(raw, p); no != nil {
		return nil, no
	}
	if no := e.document(r.Context(), raw, p); no != nil {
		return nil, no
	}
	p.ReadTime = graphql.TraceTiming{Start: start, End: graphql.Now()}
	return p, nil
}

// fromURL reads a GET request. A parameter given twice is refused: whoever checks
// the first must not be fooled by the second.
func fromURL(u *url.URL) (map[string]json.RawMessage, *refusal) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, wrongURL
	}
	out := map[string]json.RawMessage{}
	for _, name := range append([]string{"query", "operationName", "variables", "extensions"}, idParameters...) {
		v, ok := values[name]
		if !ok {
			continue
		}
		if len(v) != 1 || !utf8.ValidString(v[0]) {
			return nil, wrongParameter(name)
		}
		switch name {
		case "variables", "extensions":
			out[name] = json.RawMessage(v[0])
		default:
			out[name], _ = json.Marshal(v[0]) // a string always encodes
		}
	}
	return out, nil
}

// fromBody reads a POST request: one JSON object in UTF-8. Bytes that are not UTF-8
// are refused, because decoding would silently replace them.
func fromBody(body io.Reader, h http.Header) (map[string]json.RawMessage, *refusal) {
	mt, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	charset := params["charset"]
	if err != nil || mt != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, wrongContentType
	}
	if c := h.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		return nil, wrongContentType
	}
	b, err := io.ReadAll(body)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, tooLarge
	}
	if err != nil {
		return nil, notRead
	}
	var out map[string]json.RawMessage
	if !utf8.Valid(b) || json.Unmarshal(b, &out) != nil || out == nil {
		return nil, notOneObject
	}
	return out, nil
}

// decode fills the parameters, each of which must have its own type or be null.
func decode(raw map[string]json.RawMessage, p *graphql.RawParams) *refusal {
	for name, dst := range map[string]any{
		"query": &p.Query, "operationName": &p.OperationName, "variables": &p.Variables, "extensions": &p.Extensions,
	} {
		m := bytes.TrimSpace(raw[name])
		if len(m) == 0 {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(m))
		d.UseNumber() // keeps ids and amounts exact
		if d.Decode(dst) != nil {
			return wrongParameter(name)
		}
		if _, err := d.Token(); err != io.EOF {
			return wrongParameter(name)
		}
	}
	return nil
}
