package web

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

func TestCredentials(t *testing.T) {
	const basic = "Authorization: Basic dG9rZW46Z29vZA==" // token:good
	for name, test := range map[string]struct {
		method  string
		headers []string
		want    Credential
		refused bool // without having asked
	}{
		"none":                    {},
		"bearer":                  {headers: []string{"Authorization: Bearer good"}, want: Credential{Bearer, "good"}},
		"bearer in any case":      {headers: []string{"Authorization: bEARER  good"}, want: Credential{Bearer, "good"}},
		"cookie":                  {headers: []string{"Cookie: a=b; __Host-handover_session=good"}, want: Credential{Cookie, "good"}},
		"bearer before cookie":    {headers: []string{"Authorization: Bearer good", "Cookie: __Host-handover_session=bad"}, want: Credential{Bearer, "good"}},
		"basic on GET":            {method: "GET", headers: []string{basic}, refused: true},
		"basic on POST":           {headers: []string{basic}, refused: true},
		"basic with another name": {method: "GET", headers: []string{"Authorization: Basic YWRtaW46Z29vZA=="}, refused: true},
		"basic that is no base64": {method: "GET", headers: []string{"Authorization: Basic !"}, refused: true},
		"another scheme":          {headers: []string{"Authorization: Digest good"}, refused: true},
		"no secret":               {headers: []string{"Authorization: Bearer"}, refused: true},
		"bad bearer, good cookie": {headers: []string{"Authorization: Digest good", "Cookie: __Host-handover_session=good"}, refused: true},
		"two authorizations":      {headers: []string{"Authorization: Bearer good", "Authorization: Bearer good"}, refused: true},
		"two words":               {headers: []string{"Authorization: Bearer go od"}, refused: true},
		"far too long":            {headers: []string{"Authorization: Bearer " + strings.Repeat("x", maxSecret+1)}, refused: true},
		"no ASCII":                {headers: []string{"Authorization: Bearer gööd"}, refused: true},
		"empty cookie":            {headers: []string{"Cookie: __Host-handover_session="}},
		"somebody else's cookie":  {headers: []string{"Cookie: session=good"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newServer(t, nil)
			f.do(or(test.method, "POST"), "/graphql", "", test.headers...)
			asked := test.want != Credential{}
			if got := f.doorman.seen; asked && (len(got) != 1 || got[0].Kind != test.want.Kind || got[0].Secret != test.want.Secret) || !asked && got != nil {
				t.Errorf("asked about %+v", got)
			}
			if f.api.actor().SignedIn() != asked || access.Refused(f.api.ctx) != test.refused {
				t.Errorf("actor %+v, refused %v", f.api.actor(), access.Refused(f.api.ctx))
			}
		})
	}
}

func TestActor(t *testing.T) {
	f := newServer(t, nil)
	f.doorman.actor.Label = "lina"
	f.do("POST", "/graphql", "", "Authorization: Bearer good", "X-Request-Id: request-1", "Accept-Language: zh-CN")
	a := f.api.actor()
	if a.Kind != access.Person || a.Label != "lina" || a.RequestID != "request-1" || a.Address != "192.0.2.1" || a.Lang != "zh-CN" {
		t.Errorf("%+v", a)
	}
	if b := f.doorman.from; b.SignedIn() || b.RequestID != "request-1" || b.Address != "192.0.2.1" {
		t.Errorf("who recognises knows %+v", b)
	}
	f.doorman.actor.Lang = "en" // the member's own choice
	f.do("POST", "/graphql", "", "Authorization: Bearer good", "Accept-Language: zh-CN")
	if got := f.api.actor().Lang; got != "en" {
		t.Errorf("language %s", got)
	}
}

func TestCredentialThatDoesNotWork(t *testing.T) {
	for _, secret := range []string{"expired", "nobody"} {
		f := newServer(t, nil)
		w := f.do("POST", "/graphql", "", "Cookie: __Host-handover_session="+secret)
		if w.Code != 200 || f.api.actor().SignedIn() || !access.Refused(f.api.ctx) {
			t.Errorf("%s: %d, %+v", secret, w.Code, f.api.actor())
		}
		if f.api.actor().RequestID == "" {
			t.Error("the anonymous actor lost the request's id")
		}
		if w.Header().Get("Set-Cookie") != "" {
			t.Error("a late answer must not take a newer session away")
		}
	}
	f := newServer(t, nil)
	wantFault(t, f.do("POST", "/graphql", "", "Authorization: Bearer broken"), 503, fault.Unavailable)
	wantFault(t, f.do("POST", "/graphql", "", "Authorization: Bearer often"), 429, fault.RateLimited)
	if f.api.ctx != nil {
		t.Error("the API was asked all the same")
	}
	if !strings.Contains(f.log.String(), "connection refused") {
		t.Errorf("the log does not say why: %s", f.log)
	}
}

func TestCredentialShowsNoSecret(t *testing.T) {
	c := Credential{Bearer, "hunter2"}
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "c", c)
	if s := fmt.Sprintf("%v %+v %#v %s %x", c, c, c, c, c) + b.String(); strings.Contains(s, "hunter2") || !strings.Contains(s, "bearer") {
		t.Error(s)
	}
}

func TestSessionCookie(t *testing.T) {
	set := func(w http.ResponseWriter, r *http.Request) {
		access.CookieFrom(r.Context()).Clear()
		access.CookieFrom(r.Context()).Set("s3cret", time.Now().Add(time.Hour)) // the last word counts
		_, _ = io.WriteString(w, "{}")
		access.CookieFrom(r.Context()).Clear() // too late
	}
	f := newServer(t, nil)
	f.api.HandlerFunc = set
	c := f.do("POST", "/graphql", "").Result().Cookies()
	if len(c) != 1 {
		t.Fatalf("cookies %v", c)
	}
	if c := c[0]; c.Name != "__Host-handover_session" || c.Value != "s3cret" || c.Path != "/" || c.Domain != "" || !c.HttpOnly || !c.Secure ||
		c.SameSite != http.SameSiteLaxMode || c.MaxAge < 3590 || c.MaxAge > 3600 || time.Until(c.Expires) < 59*time.Minute {
		t.Errorf("%+v", c)
	}

	s := httptest.NewServer(f) // plain, on loopback
	defer s.Close()
	for proto, secure := range map[string]bool{"": false, "http": false, "https": true} {
		r, err := http.NewRequest("POST", s.URL+"/graphql", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Forwarded-Proto", proto)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if c := res.Cookies(); len(c) != 1 || c[0].Secure != secure || !c[0].HttpOnly || c[0].SameSite != http.SameSiteLaxMode {
			t.Errorf("behind %q: %v", proto, c)
		}
	}

	f.api.HandlerFunc = func(_ http.ResponseWriter, r *http.Request) { access.CookieFrom(r.Context()).Clear() }
	c = f.do("POST", "/graphql", "").Result().Cookies()
	if len(c) != 1 || c[0].MaxAge >= 0 || c[0].Value != "" || c[0].Path != "/" || !c[0].HttpOnly || !c[0].Secure {
		t.Errorf("clearing: %v", c)
	}
	f.api.HandlerFunc = nil
	if c = f.do("POST", "/graphql", "").Result().Cookies(); len(c) != 0 {
		t.Errorf("nobody asked for %v", c)
	}
}

// Basic is for reports, which are only read, and for nothing else.
func TestBasicIsForReports(t *testing.T) {
	const basic = "Authorization: Basic dG9rZW46Z29vZA==" // token:good
	for _, c := range []struct {
		method, path string
		asked        bool
	}{
		{"GET", "/api/v1/reports/a.csv", true},
		{"HEAD", "/api/v1/reports/a.csv", true},
		{"POST", "/api/v1/reports/a.csv", false},
		{"GET", "/graphql", false},
		{"HEAD", "/graphql", false},
		{"POST", "/graphql", false},
	} {
		f := newServer(t, func(o *Options) { o.Reports = o.GraphQL })
		f.do(c.method, c.path, "", basic)
		if asked := f.doorman.seen != nil; asked != c.asked {
			t.Errorf("%s %s: asked who it is: %v", c.method, c.path, asked)
		}
	}
}

// What is wrong below /api/ is said as a problem, whoever says it.
func TestProblems(t *testing.T) {
	f := newServer(t, func(o *Options) {
		o.Reports, o.OpenAPI, o.Limits.Rate, o.Limits.Burst = o.GraphQL, []byte("{}"), 0.001, 1
	})
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/api/v1/openapi.json", 200},
		{"GET", "/api/v2", 404},
		{"GET", "/api/v1/reports/a/b", 404},
		{"DELETE", "/api/v1/reports/a.csv", 405},
		{"POST", "/api/v1/openapi.json", 405},
		{"GET", "/api/v1/reports/a.csv", 200},
		{"GET", "/api/v1/reports/a.csv", 429}, // too often
	} {
		w := f.do(c.method, c.path, "", "Accept-Language: zh-CN")
		if w.Code != c.status {
			t.Errorf("%s %s: %d", c.method, c.path, w.Code)
		}
		if c.status == 200 {
			continue
		}
		var p fault.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != c.status || p.Detail == "" || p.RequestID == "" || w.Header().Get("Content-Type") != "application/problem+json; charset=utf-8" {
			t.Errorf("%s %s: %s", c.method, c.path, w.Body)
		}
	}
	without := newServer(t, nil)
	if w := without.do("GET", "/api/v1/reports/a.csv", ""); w.Code != 404 {
		t.Errorf("without reports: %d", w.Code)
	}
}
