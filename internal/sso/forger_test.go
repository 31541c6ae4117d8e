package sso_test

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/sso"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// forger is a provider that says and signs whatever a test wants, as no real one would.
type forger struct {
	t      *testing.T
	server *httptest.Server
	key    *rsa.PrivateKey

	mu     sync.Mutex
	token  string // what is given for any code
	iss    bool   // whether it says that it names itself
	silent bool
	asked  int    // for its discovery document
	keys   string // where it says its keys are; empty: where they are
	away   bool   // whether its keys cannot be read
	kid    string // of the key it signs with; empty: one
	before func() // is done before it gives a token
}

func newForger(t *testing.T) *forger {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{t: t, key: key}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func (f *forger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" && f.before != nil {
		f.before()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(r.URL.Path, "openid-configuration") {
		f.asked++
	}
	switch {
	case f.silent, f.away && r.URL.Path == "/keys":
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("what nobody outside should read"))
	case strings.HasSuffix(r.URL.Path, "openid-configuration"):
		u := f.server.URL
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": u, "authorization_endpoint": u + "/auth", "token_endpoint": u + "/token", "jwks_uri": cmp.Or(f.keys, u+"/keys"),
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}, "authorization_response_iss_parameter_supported": f.iss})
	case r.URL.Path == "/keys":
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &f.key.PublicKey, KeyID: cmp.Or(f.kid, "one"), Algorithm: "RS256", Use: "sig"}}})
	case r.URL.Path == "/token":
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": f.token})
	}
}

// sign makes a token of claims.
func (f *forger) sign(alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	f.t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", cmp.Or(f.kid, "one")))
	if err != nil {
		f.t.Fatal(err)
	}
	b, err := json.Marshal(claims)
	if err != nil {
		f.t.Fatal(err)
	}
	signed, err := s.Sign(b)
	if err != nil {
		f.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

// comeBack begins at a provider and comes back from it with a token that says what it
// should, but for the changes.
func (f *forger) comeBack(s *scene, b *browser, p *sso.Provider, change func(claims map[string]any), token func(claims map[string]any) string, also url.Values) answer {
	f.t.Helper()
	start := s.begin(b, p.ID, "?return=/x")
	u, err := url.Parse(start.to)
	if err != nil || u.Query().Get("state") == "" {
		f.t.Fatal(start)
	}
	now := s.DB.Now()
	claims := map[string]any{"iss": f.server.URL, "aud": p.ClientID, "sub": "sub-lina", "preferred_username": "lina@example.com", "nonce": u.Query().Get("nonce"),
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "auth_time": now.Unix(), "sid": "session-1"}
	if change != nil {
		change(claims)
	}
	f.mu.Lock()
	if f.token = f.sign(jose.RS256, f.key, claims); token != nil {
		f.token = token(claims)
	}
	f.mu.Unlock()
	q := url.Values{"code": {"any"}, "state": {u.Query().Get("state")}}
	maps.Copy(q, also)
	return b.do("GET", s.s.RedirectURI(p)+"?"+q.Encode(), nil)
}

func (f *forger) connect(s *scene) *sso.Provider {
	f.t.Helper()
	in := s.input()
	in.Name, in.Issuer = "Forger", f.server.URL
	id, err := s.s.Save(s.Verified(s.Admin), in)
	s.must(err)
	return &sso.Provider{ID: id, Corp: s.ID, ClientID: in.ClientID}
}

func TestForgedTokensLetNobodyIn(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		f := newForger(t)
		p := f.connect(s)
		stolen, err := rsa.GenerateKey(rand.Reader, 2048)
		s.must(err)
		set := func(name string, v any) func(map[string]any) { return func(c map[string]any) { c[name] = v } }
		drop := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
		now := s.DB.Now()
		for what, try := range map[string]struct {
			change func(map[string]any)
			token  func(map[string]any) string
			also   url.Values
		}{
			"another nonce":      {change: set("nonce", "another")},
			"no nonce":           {change: drop("nonce")},
			"another audience":   {change: set("aud", "another-client")},
			"several audiences":  {change: set("aud", []string{"handover", "another-client"})},
			"somebody else's":    {change: func(c map[string]any) { c["aud"], c["azp"] = []string{"handover", "other"}, "other" }},
			"another issuer":     {change: set("iss", "https://issuer.example")},
			"expired":            {change: set("exp", now.Add(-time.Minute).Unix())},
			"no end":             {change: drop("exp")},
			"of the future":      {change: set("iat", now.Add(time.Hour).Unix())},
			"no subject":         {change: drop("sub")},
			"an endless subject": {change: set("sub", strings.Repeat("x", 300))},
			"no algorithm": {token: func(c map[string]any) string {
				parts := strings.Split(f.sign(jose.RS256, f.key, c), ".")
				return "eyJhbGciOiJub25lIn0." + parts[1] + "."
			}},
			"signed with what is public": {token: func(c map[string]any) string {
				return f.sign(jose.HS256, []byte(f.key.N.String()), c)
			}},
			"signed with another key": {token: func(c map[string]any) string { return f.sign(jose.RS256, stolen, c) }},
			"no token":                {token: func(map[string]any) string { return "" }},
			"nonsense":                {token: func(map[string]any) string { return "a.b.c" }},
			"an endless token":        {token: func(map[string]any) string { return strings.Repeat("x", 100<<10) }},
			"another provider's name": {also: url.Values{"iss": {"https://issuer.example"}}},
			"no code":                 {also: url.Values{"code": {""}}},
		} {
			b := newBrowser(t)
			got := f.comeBack(s, b, p, try.change, try.token, try.also)
			if got.status != 303 || got.to != s.server.URL+"/x?sso_error=refused" || s.is(b) != " false" {
				t.Errorf("%s: %+v, is %q", what, got, s.is(b))
			}
		}
		b := newBrowser(t)
		s.wants(f.comeBack(s, b, p, nil, nil, url.Values{"iss": {f.server.URL}}), 303, s.server.URL+"/x")
		s.wantIs(b, s.lina, false)
		// A token serves one sign-in: the next asks for another nonce.
		f.mu.Lock()
		used := f.token
		f.mu.Unlock()
		s.wants(f.comeBack(s, newBrowser(t), p, nil, func(map[string]any) string { return used }, nil), 303, s.server.URL+"/x?sso_error=refused")
	})
}

// Who is sent to one provider does not come back from another.
func TestProvidersAreNotMixedUp(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		f := newForger(t)
		evil, good := f.connect(s), s.connect(s.input())
		b := newBrowser(t)
		back, err := url.Parse(s.authenticate(b, s.begin(b, good, "").to, lina))
		s.must(err)
		if got := b.do("GET", s.s.RedirectURI(evil)+"?"+back.RawQuery, nil); got.status != 400 {
			t.Errorf("%+v", got)
		}
		other := testcorp.New(t, s.DB, s.Clock, "globex")
		elsewhere := &sso.Provider{ID: good, Corp: other.ID}
		for _, got := range []answer{b.do("GET", s.s.SignInURL(elsewhere), nil), b.do("GET", s.s.RedirectURI(elsewhere)+"?"+back.RawQuery, nil),
			b.do("POST", s.s.LogoutURI(elsewhere), url.Values{"logout_token": {"x"}})} {
			if got.status != 404 {
				t.Errorf("another corp's provider: %+v", got)
			}
		}
		// One that names itself is held to it (RFC 9207).
		g := newForger(t)
		g.iss = true
		in := s.input()
		in.Name, in.Issuer = "Names itself", g.server.URL
		id, err := s.s.Save(s.Verified(s.Admin), in)
		s.must(err)
		p := &sso.Provider{ID: id, Corp: s.ID, ClientID: in.ClientID}
		s.wants(g.comeBack(s, newBrowser(t), p, nil, nil, nil), 303, s.server.URL+"/x?sso_error=refused")
		s.wants(g.comeBack(s, newBrowser(t), p, nil, nil, url.Values{"iss": {g.server.URL}}), 303, s.server.URL+"/x")
	})
}

func TestAProviderThatDoesNotAnswer(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		f := newForger(t)
		p := f.connect(s)
		b := newBrowser(t)
		start, err := url.Parse(s.begin(b, p.ID, "?return=/x").to)
		s.must(err)
		f.silent = true
		s.wants(b.do("GET", s.s.RedirectURI(p)+"?code=a&state="+start.Query().Get("state"), nil), 303, s.server.URL+"/x?sso_error=unavailable")
		// One that never answered is left alone for a moment, whoever comes.
		s.restart()
		f.asked = 0
		for range 5 {
			if got := s.begin(b, p.ID, ""); got.status != 502 {
				t.Errorf("%+v", got)
			}
		}
		if f.asked != 1 {
			t.Errorf("it was asked %d times", f.asked)
		}
		in := s.input()
		in.Name, in.Issuer = "Silent", f.server.URL+"/silent"
		if _, err := s.s.Save(s.Verified(s.Admin), in); err == nil || !strings.Contains(err.Error(), "input.issuer") {
			t.Error(err)
		}
		in.Active = false // to be switched on later
		id, err := s.s.Save(s.Verified(s.Admin), in)
		s.must(err)
		if got := s.begin(b, id, ""); got.status != 404 {
			t.Errorf("one that is switched off: %+v", got)
		}
	})
}

func TestTheProviderEndsSessions(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		f := newForger(t)
		p := f.connect(s)
		in := func(sub, sid string) *browser {
			t.Helper()
			b := newBrowser(t)
			got := f.comeBack(s, b, p, func(c map[string]any) {
				c["sub"], c["sid"], c["preferred_username"] = "sub-"+sub, sid, sub+"@example.com"
			}, nil, nil)
			s.wants(got, 303, s.server.URL+"/x")
			return b
		}
		one, two, other := in("lina", "s1"), in("lina", "s2"), in("wang", "s3")
		by := s.DB.Now()
		n := 0
		token := func(change func(map[string]any)) string {
			n++
			claims := map[string]any{"iss": f.server.URL, "aud": p.ClientID, "iat": by.Unix(), "exp": by.Add(2 * time.Minute).Unix(), "jti": "jti-" + string(rune('a'+n)),
				"sub": "sub-lina", "sid": "s1", "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
			change(claims)
			return f.sign(jose.RS256, f.key, claims)
		}
		post := func(token string) answer {
			return newBrowser(t).do("POST", s.s.LogoutURI(p), url.Values{"logout_token": {token}})
		}
		idToken := func() string { f.mu.Lock(); defer f.mu.Unlock(); return f.token }()
		for what, bad := range map[string]string{
			"nothing": "", "nonsense": "a.b.c", "an ID token": idToken,
			"with a nonce":      token(func(c map[string]any) { c["nonce"] = "n" }),
			"without an event":  token(func(c map[string]any) { delete(c, "events") }),
			"another event":     token(func(c map[string]any) { c["events"] = map[string]any{"x": 1} }),
			"without an id":     token(func(c map[string]any) { delete(c, "jti") }),
			"about nobody":      token(func(c map[string]any) { delete(c, "sub"); delete(c, "sid") }),
			"for somebody else": token(func(c map[string]any) { c["aud"] = "other" }),
			"of somebody else":  token(func(c map[string]any) { c["iss"] = "https://issuer.example" }),
			"expired":           token(func(c map[string]any) { c["exp"] = by.Add(-time.Minute).Unix() }),
			"old":               token(func(c map[string]any) { c["iat"] = by.Add(-time.Hour).Unix() }),
			"of the future":     token(func(c map[string]any) { c["iat"] = by.Add(time.Hour).Unix() }),
		} {
			if got := post(bad); got.status != 400 || !strings.Contains(got.body, "invalid_request") {
				t.Errorf("%s: %+v", what, got)
			}
		}
		s.wantIs(one, s.lina, false)
		good := token(func(map[string]any) {})
		if got := post(good); got.status != 200 {
			t.Errorf("%+v", got)
		}
		if s.is(one) != " false" {
			t.Error("the session that was ended goes on")
		}
		s.wantIs(two, s.lina, false)
		if got := post(good); got.status != 400 {
			t.Errorf("the same token again: %+v", got)
		}
		if got := post(token(func(c map[string]any) { delete(c, "sid") })); got.status != 200 {
			t.Errorf("%+v", got)
		}
		if s.is(two) != " false" {
			t.Error("a session of who was signed out goes on")
		}
		s.wantIs(other, s.wang, false)
		if got := post(token(func(c map[string]any) { c["sub"] = "nobody"; delete(c, "sid") })); got.status != 200 {
			t.Errorf("nobody of ours: %+v", got)
		}
		if n := s.entries(access.SessionRevoke); n != 2 {
			t.Errorf("%d ends recorded", n)
		}
		if got := newBrowser(t).do("GET", s.s.LogoutURI(p), nil); got.status != 405 {
			t.Errorf("%+v", got)
		}
	})
}

// What is secret does not go where everybody can read it.
func TestEndpointsHaveTLS(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		f := newForger(t)
		f.server.Close()
		f.server = httptest.NewTLSServer(f)
		t.Cleanup(f.server.Close)
		s.s.Client, s.s.AllowPrivate = f.server.Client(), false
		in := s.input()
		in.Issuer, f.keys = f.server.URL, "http://keys.example.com/"
		if _, err := s.s.Save(s.Verified(s.Admin), in); err == nil || !strings.Contains(err.Error(), "has no TLS") {
			t.Error(err)
		}
		f.keys = ""
		_, err := s.s.Save(s.Verified(s.Admin), in)
		s.must(err)
	})
}
