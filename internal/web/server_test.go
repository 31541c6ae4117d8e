package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

// doorman knows one secret, "good", and has two ways to fail.
type doorman struct {
	actor access.Actor
	seen  []Credential
	from  *access.Actor
}

func (d *doorman) Authenticate(ctx context.Context, c Credential) (*access.Actor, error) {
	d.seen = append(d.seen, c)
	d.from = access.From(ctx)
	switch c.Secret {
	case "good":
		a := d.actor
		a.Kind = access.Person
		return &a, nil
	case "broken":
		return nil, errors.New("connection refused")
	case "often":
		return nil, fault.New(fault.RateLimited, "", fault.T("too often", "过于频繁"))
	case "nobody":
		return nil, nil
	}
	return nil, fault.New(fault.Unauthenticated, "", fault.T("the session ended", "会话已结束"))
}

// api is what the API saw.
type api struct {
	http.HandlerFunc
	ctx context.Context
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.ctx = r.Context()
	if a.HandlerFunc != nil {
		a.HandlerFunc(w, r)
		return
	}
	_, _ = io.WriteString(w, `{"data":null}`)
}

func (a *api) actor() *access.Actor { return access.From(a.ctx) }

type fixture struct {
	*Server
	api     *api
	doorman *doorman
	log     *bytes.Buffer
}

func newServer(t *testing.T, change func(*Options)) *fixture {
	t.Helper()
	f := &fixture{api: &api{}, doorman: &doorman{}, log: &bytes.Buffer{}}
	o := Options{GraphQL: f.api, Authenticator: f.doorman, Schema: []byte("type Query { a: Int }"), Build: BuildFacts(),
		Log: slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if change != nil {
		change(&o)
	}
	var err error
	if f.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	return f
}

// do makes a request with headers given as "Name: value".
func (f *fixture) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	var b io.Reader
	if body != "" {
		b = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, b)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// shown is what operators see at a path.
func (f *fixture) shown(path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.operator(nil).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

type problem struct {
	Errors []struct {
		Message    string
		Extensions struct {
			Code              fault.Code
			RequestID         string
			RetryAfterSeconds int
		}
	}
}

// wantFault checks the whole of a refusal.
func wantFault(t *testing.T, w *httptest.ResponseRecorder, status int, code fault.Code) {
	t.Helper()
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || len(p.Errors) != 1 {
		t.Fatalf("%d, no fault: %s", w.Code, w.Body)
	}
	e := p.Errors[0]
	if w.Code != status || e.Extensions.Code != code || e.Message == "" || e.Extensions.RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("%d %+v, wanted %d %s", w.Code, e, status, code)
	}
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		t.Errorf("type %q", got)
	}
	if code == fault.RateLimited || code == fault.Unavailable {
		if w.Header().Get("Retry-After") == "" || e.Extensions.RetryAfterSeconds < 1 {
			t.Errorf("does not say when to try again: %v %+v", w.Header(), e)
		}
	}
}

func TestPaths(t *testing.T) {
	f := newServer(t, nil)
	for _, test := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"POST", "/graphql", 200, `{"data":null}`},
		{"GET", "/schema.graphql", 200, "type Query"},
		{"HEAD", "/schema.graphql", 200, ""},
		{"GET", "/healthz", 200, `{"ok":true}`},
		{"GET", "/readyz", 200, `"ready":true`},
		{"GET", "/metrics", 404, "NOT_FOUND"},
		{"GET", "/version", 200, `{"version":"`},
		{"GET", "/graphiql", 200, "<html"},
		{"GET", "/graphiql/LICENSES.txt", 200, "MIT"},
		{"GET", "/graphiql/../secret", 307, ""},
		{"GET", "/graphiql/README.md", 404, "NOT_FOUND"},
		{"GET", "/", 404, "NOT_FOUND"},
		{"GET", "/nothing/here", 404, "NOT_FOUND"},
		{"POST", "/healthz", 405, "INVALID"},
		{"DELETE", "/schema.graphql", 405, "INVALID"},
	} {
		w := f.do(test.method, test.path, "")
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.body) {
			t.Errorf("%s %s: %d %.200s", test.method, test.path, w.Code, w.Body)
		}
		h := w.Header()
		if h.Get("X-Request-Id") == "" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" ||
			h.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("Cache-Control") == "" {
			t.Errorf("%s %s: headers %v", test.method, test.path, h)
		}
		if test.status == 405 && h.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s does not say what it allows", test.path)
		}
	}
	without := newServer(t, func(o *Options) { o.Schema = nil })
	wantFault(t, without.do("GET", "/schema.graphql", ""), 404, fault.NotFound)
}

func TestNotChangedSince(t *testing.T) {
	f := newServer(t, nil)
	tag := f.do("GET", "/schema.graphql", "").Header().Get("ETag")
	if tag == "" {
		t.Fatal("no tag")
	}
	if w := f.do("GET", "/schema.graphql", "", "If-None-Match: "+tag); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRequestID(t *testing.T) {
	f := newServer(t, nil)
	for given, kept := range map[string]bool{
		"abc-DEF_12.3": true, "": false, "short": false, "with space": false, "new\nline--": false, "中文中文中文": false,
		`quote"quote"`: false, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false,
	} {
		w := f.do("POST", "/graphql", "", "X-Request-Id: "+given)
		got := w.Header().Get("X-Request-Id")
		if (got == given) != kept || len(got) < 8 {
			t.Errorf("%q became %q", given, got)
		}
		if f.api.actor().RequestID != got {
			t.Errorf("the API sees %q, the client %q", f.api.actor().RequestID, got)
		}
	}
	if a, b := f.do("GET", "/version", ""), f.do("GET", "/version", ""); a.Header().Get("X-Request-Id") == b.Header().Get("X-Request-Id") {
		t.Error("two requests share an id")
	}
}

func TestLanguage(t *testing.T) {
	f := newServer(t, nil)
	for accept, want := range map[string]string{
		"": "en", "zh-CN": "zh-CN", "zh": "zh-CN", "zh-Hans-CN,zh;q=0.9": "zh-CN", "en-GB,zh;q=0.5": "en", "fr,zh;q=0.5": "zh-CN",
		"fr": "en", "zh;q=0.1,en": "en", "*": "en", "%%%": "en", strings.Repeat("zh,", 200): "en",
	} {
		f.do("POST", "/graphql", "", "Accept-Language: "+accept)
		if got := f.api.actor().Lang; got != want {
			t.Errorf("%.40q gives %s, not %s", accept, got, want)
		}
	}
	if w := f.do("GET", "/x", "", "Accept-Language: zh-CN"); !strings.Contains(w.Body.String(), "此路径") {
		t.Errorf("not in Chinese: %s", w.Body)
	}
}

func TestClientAddress(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, test := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:99", "", "192.0.2.1"},
		{"192.0.2.1:99", "198.51.100.7", "192.0.2.1"}, // not a proxy of ours: may say anything
		{"10.0.0.1:99", "198.51.100.7", "198.51.100.7"},
		{"10.0.0.1:99", "", "10.0.0.1"},
		{"10.0.0.1:99", "1.1.1.1, 198.51.100.7, 10.2.2.2", "198.51.100.7"}, // the leftmost is forged
		{"10.0.0.1:99", "198.51.100.7:4444", "198.51.100.7"},
		{"10.0.0.1:99", "nonsense", "10.0.0.1"},
		{"10.0.0.1:99", "198.51.100.7, nonsense, 10.3.3.3", "10.3.3.3"},
		{"[fd00::1]:99", "2001:db8::5", "2001:db8::5"},
		{"[::ffff:10.0.0.1]:99", "198.51.100.7", "198.51.100.7"},
		{"[fe80::1%eth0]:99", "", "fe80::1"},
	} {
		f := newServer(t, func(o *Options) { o.BehindProxy = networks })
		r := httptest.NewRequest("POST", "/graphql", nil)
		r.RemoteAddr = test.peer
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		f.ServeHTTP(httptest.NewRecorder(), r)
		if got := f.api.actor().Address; got != test.want {
			t.Errorf("%s for %q: %s, not %s", test.peer, test.forwarded, got, test.want)
		}
	}
	f := newServer(t, nil)
	r := httptest.NewRequest("POST", "/graphql", nil)
	r.RemoteAddr = "@"
	f.ServeHTTP(httptest.NewRecorder(), r)
	if got := f.api.actor().Address; got != "" {
		t.Errorf("a peer without an address has %q", got)
	}
}

func TestAccessLogHasNoPersonalData(t *testing.T) {
	f := newServer(t, nil)
	w := f.do("POST", "/graphql?query=secretquery", `{"query":"secretbody"}`, "Authorization: Bearer secrettoken", "Cookie: __Host-handover_session=secretcookie", "User-Agent: secretagent")
	f.do("GET", "/customers/secretname", "")
	f.do("SECRETMETHOD", "/graphql", "")
	f.do("GET", "/healthz", "")
	if s := f.log.String(); strings.Contains(strings.ToLower(s), "secret") || strings.Contains(s, "192.0.2.1") {
		t.Errorf("log: %s", s)
	}
	var lines []map[string]any
	for line := range strings.Lines(f.log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m)
	}
	if len(lines) != 4 {
		t.Fatalf("%d lines", len(lines))
	}
	first := lines[0]
	if first["method"] != "POST" || first["path"] != "/graphql" || first["status"] != 200.0 || first["bytes"] != 13.0 ||
		first["requestId"] != w.Header().Get("X-Request-Id") || first["duration"] == nil || first["level"] != "INFO" {
		t.Errorf("%v", first)
	}
	if lines[1]["path"] != "other" || lines[1]["status"] != 404.0 || lines[2]["method"] != "other" {
		t.Errorf("%v", lines[1:3])
	}
	if lines[3]["level"] != "DEBUG" {
		t.Errorf("health checks fill the log: %v", lines[3])
	}
}

func TestLogHandlerNamesTheRequestOnce(t *testing.T) {
	var b bytes.Buffer
	l := slog.New(LogHandler(LogHandler(slog.NewTextHandler(&b, nil)))).With("a", 1)
	l.InfoContext(access.With(context.Background(), &access.Actor{RequestID: "req-12345"}), "hello")
	l.Info("outside")
	if strings.Count(b.String(), "requestId=req-12345") != 1 || strings.Count(b.String(), "requestId") != 1 || strings.Count(b.String(), "a=1") != 2 {
		t.Errorf("%s", &b)
	}
}

func TestPanic(t *testing.T) {
	f := newServer(t, nil)
	f.api.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		access.CookieFrom(r.Context()).Clear()
		panic("13800138000 is a customer's number")
	}
	w := f.do("POST", "/graphql", "")
	wantFault(t, w, 500, fault.Internal)
	if w.Header().Get("Content-Length") != "" || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("half of the other answer: %v", w.Header())
	}
	if all := w.Body.String() + f.log.String(); strings.Contains(all, "13800138000") || !strings.Contains(f.log.String(), "server_test.go") {
		t.Errorf("log: %s", f.log)
	}
	f.api.HandlerFunc = func(http.ResponseWriter, *http.Request) {
		var none []int
		_ = none[len(f.doorman.seen)]
	}
	f.do("POST", "/graphql", "")
	if !strings.Contains(f.log.String(), "index out of range") {
		t.Errorf("the log does not say what happened: %s", f.log)
	}
	if len(f.requests) != 0 {
		t.Error("a panic keeps its place")
	}
}

func TestPanicInTheMiddleBreaksOff(t *testing.T) {
	f := newServer(t, nil)
	f.api.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"data":`)
		_ = http.NewResponseController(w).Flush()
		panic("x")
	}
	s := httptest.NewServer(f)
	defer s.Close()
	res, err := http.Post(s.URL+"/graphql", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("a broken answer looks whole: %s", b)
	}
}
