package edge_test

//go:generate go run github.com/99designs/gqlgen generate --config testdata/directory/gqlgen.yml

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/graph/edge"
	"github.com/openhandover/openhandover/graph/edge/testdata/directory"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
)

const (
	plainJSON = "application/json"
	graphJSON = "application/graphql-response+json"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// serve makes the edge over the test schema.
func serve(o edge.Options) http.Handler { return serveWith(&directory.Directory{}, o) }

func serveWith(d *directory.Directory, o edge.Options) http.Handler {
	if o.Logger == nil {
		o.Logger = quiet
	}
	return edge.New(d.Schema(), o)
}

// everybody is for Options.Introspection.
func everybody(context.Context) bool { return true }

// call is one request, written down.
type call struct {
	method string // POST
	accept string // none
	body   any    // string: as it is; nil: none; else encoded
	url    url.Values
	header map[string]string
	actor  *access.Actor
}

func (c call) request() *http.Request {
	method := c.method
	if method == "" {
		method = http.MethodPost
	}
	var body io.Reader
	switch b := c.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			panic(err)
		}
		body = bytes.NewReader(encoded)
	}
	r := httptest.NewRequest(method, "/graphql?"+c.url.Encode(), body)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", plainJSON)
	}
	if c.accept != "" {
		r.Header.Set("Accept", c.accept)
	}
	for k, v := range c.header {
		if v == "" {
			r.Header.Del(k)
		} else {
			r.Header.Set(k, v)
		}
	}
	if c.actor != nil {
		r = r.WithContext(access.With(r.Context(), c.actor))
	}
	return r
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	body   string
	Data   json.RawMessage `json:"data"`
	Errors []replyError    `json:"errors"`
}

type replyError struct {
	Message    string         `json:"message"`
	Path       []any          `json:"path"`
	Extensions map[string]any `json:"extensions"`
}

func (r reply) code() string {
	if len(r.Errors) == 0 {
		return ""
	}
	c, _ := r.Errors[0].Extensions["code"].(string)
	return c
}

func do(t testing.TB, h http.Handler, c call) reply {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, c.request())
	out := reply{status: w.Code, header: w.Header(), body: w.Body.String()}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("the answer is not JSON: %v: %.200s", err, out.body)
	}
	return out
}

// query asks with the new media type, whose status codes tell request errors apart.
func query(t testing.TB, h http.Handler, text string, vars map[string]any) reply {
	t.Helper()
	return do(t, h, call{accept: graphJSON, body: map[string]any{"query": text, "variables": vars}})
}

func person(session string) *access.Actor {
	return &access.Actor{
		Kind: access.Person, Corp: corp, ID: nid.New(nid.Member), Session: []byte(session), Lang: "en", RequestID: "req-1",
	}
}

var corp = nid.New(nid.Corp)
