package web

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/openhandover/openhandover/internal/fault"
)

const listed = "https://console.example.com"

func withOrigin(o *Options) { o.AllowOrigin = []string{listed} }

func TestCrossOriginMatrix(t *testing.T) {
	for name, test := range map[string]struct {
		method  string
		headers []string
		status  int
		shared  bool // the page may read the answer
	}{
		"a program":                     {"POST", nil, 200, false},
		"our own page":                  {"POST", []string{"Origin: http://example.com", "Sec-Fetch-Site: same-origin"}, 200, false},
		"our own page, older browser":   {"POST", []string{"Origin: http://example.com"}, 200, false},
		"a listed page":                 {"POST", []string{"Origin: " + listed, "Sec-Fetch-Site: cross-site"}, 200, true},
		"a listed page reads":           {"GET", []string{"Origin: " + listed, "Sec-Fetch-Site: cross-site"}, 200, true},
		"another page":                  {"POST", []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, 403, false},
		"another page, older browser":   {"POST", []string{"Origin: https://evil.example"}, 403, false},
		"another page with a token":     {"POST", []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Authorization: Bearer good"}, 403, false},
		"another page, no origin":       {"POST", []string{"Sec-Fetch-Site: cross-site"}, 403, false},
		"a sister page":                 {"POST", []string{"Origin: https://other.example.com", "Sec-Fetch-Site: same-site"}, 403, false},
		"a page of nowhere":             {"POST", []string{"Origin: null", "Sec-Fetch-Site: cross-site"}, 403, false},
		"another page reads":            {"GET", []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, 200, false},
		"almost listed":                 {"POST", []string{"Origin: https://console.example.com.evil.example"}, 403, false},
		"listed without TLS":            {"POST", []string{"Origin: http://console.example.com"}, 403, false},
		"listed page asks first":        {"OPTIONS", []string{"Origin: " + listed, "Access-Control-Request-Method: POST"}, 204, true},
		"another page asks first":       {"OPTIONS", []string{"Origin: https://evil.example", "Access-Control-Request-Method: POST"}, 403, false},
		"OPTIONS that asks for nothing": {"OPTIONS", []string{"Origin: " + listed}, 200, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newServer(t, withOrigin)
			w := f.do(test.method, "/graphql", "", test.headers...)
			h := w.Header()
			if w.Code != test.status {
				t.Errorf("status %d", w.Code)
			}
			if w.Code == http.StatusForbidden {
				wantFault(t, w, 403, fault.Forbidden)
			}
			if (f.api.ctx != nil) != (test.status == 200) {
				t.Error("the API saw what it should not, or did not see what it should")
			}
			want := ""
			if test.shared {
				want = listed
			}
			if h.Get("Access-Control-Allow-Origin") != want || (h.Get("Access-Control-Allow-Credentials") == "true") != test.shared {
				t.Errorf("headers %v", h)
			}
			if !slices.Contains(h.Values("Vary"), "Origin") {
				t.Error("a cache would give this answer to every page")
			}
			if test.status == 204 && (h.Get("Access-Control-Allow-Methods") == "" || h.Get("Access-Control-Allow-Headers") == "" || h.Get("Access-Control-Max-Age") == "") {
				t.Errorf("headers %v", h)
			}
		})
	}
}

func TestNoOriginIsListedByItself(t *testing.T) {
	f := newServer(t, nil)
	w := f.do("POST", "/graphql", "", "Origin: "+listed)
	wantFault(t, w, 403, fault.Forbidden)
	if w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Error("CORS without a list")
	}
	if _, err := New(Options{AllowOrigin: []string{"console.example.com"}}); err == nil {
		t.Error("an origin without a scheme is accepted")
	}
}

// A page whose name was bound to this machine does not reach the demo.
func TestTheDemoAnswersToThisMachinesNames(t *testing.T) {
	f := newServer(t, func(o *Options) { o.LoopbackOnly = true })
	for host, want := range map[string]int{
		"localhost:8080": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "127.0.0.1": 200, "::1": 200,
		"rebound.example.com:8080": 403, "localhost.example.com": 403, "192.0.2.1:8080": 403, "": 403,
	} {
		r := httptest.NewRequest("GET", "/version", nil)
		r.Host = host
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d", host, w.Code)
		}
	}
}
