package sso_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/outbound"
	"github.com/openhandover/openhandover/internal/sso"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
	"github.com/openhandover/openhandover/internal/web"
)

// people are the users of a provider.
type people map[string]*storage.User

func (p people) GetUserByID(id string) *storage.User { return p[id] }

func (p people) GetUserByUsername(name string) *storage.User {
	for _, u := range p {
		if u.Username == name {
			return u
		}
	}
	return nil
}

func (people) ExampleClientID() string { return "service" }

// company is an OpenID provider: a real one, with its storage in memory. It says acr, and
// that it looked at authTime, where that is set.
type company struct {
	*storage.Storage
	server  *httptest.Server
	users   people
	clients map[string]*storage.Client

	mu       sync.Mutex
	acr      string
	authTime time.Time
}

func newCompany(t *testing.T) *company {
	t.Helper()
	c := &company{users: people{}, clients: map[string]*storage.Client{}}
	c.Storage = storage.NewStorageWithClients(c.users, c.clients)
	c.server = httptest.NewUnstartedServer(nil)
	c.server.Config.Handler = exampleop.SetupServer(c.url(), c, nil, false)
	c.server.Start()
	t.Cleanup(c.server.Close)
	return c
}

func (c *company) url() string { return "http://" + c.server.Listener.Addr().String() }

func (c *company) user(id, name, email string, verified bool) {
	c.users[id] = &storage.User{ID: id, Username: name, Password: "secret", FirstName: name, Email: email, EmailVerified: verified}
}

func (c *company) says(acr string, authTime time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acr, c.authTime = acr, authTime
}

// request is one of its requests, with what it says of how it looked.
type request struct {
	*storage.AuthRequest
	acr string
	at  time.Time
}

func (r *request) GetACR() string { return r.acr }

func (r *request) GetAuthTime() time.Time {
	if !r.at.IsZero() {
		return r.at
	}
	return r.AuthRequest.GetAuthTime()
}

func (c *company) dress(r op.AuthRequest, err error) (op.AuthRequest, error) {
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return &request{r.(*storage.AuthRequest), c.acr, c.authTime}, nil
}

func (c *company) AuthRequestByID(ctx context.Context, id string) (op.AuthRequest, error) {
	return c.dress(c.Storage.AuthRequestByID(ctx, id))
}

func (c *company) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	return c.dress(c.Storage.AuthRequestByCode(ctx, code))
}

func (c *company) CreateAccessToken(ctx context.Context, r op.TokenRequest) (string, time.Time, error) {
	if dressed, ok := r.(*request); ok {
		r = dressed.AuthRequest
	}
	return c.Storage.CreateAccessToken(ctx, r)
}

// scene is a corp, the whole server over it, and the company's provider.
type scene struct {
	*testcorp.Corp
	t          *testing.T
	s          *sso.Service
	who        *identity.Service
	server     *httptest.Server
	front      http.Handler // what it serves
	op         *company
	lina, wang nid.ID
}

type doorman struct{ *identity.Service }

func (d doorman) Authenticate(ctx context.Context, c web.Credential) (*access.Actor, error) {
	return d.Service.Authenticate(ctx, c.Secret)
}

func each(t *testing.T, test func(t *testing.T, s *scene)) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		clock.Add(time.Since(clock.Now())) // providers live today
		s := &scene{Corp: testcorp.New(t, db, clock, "acme"), t: t, op: newCompany(t)}
		box := func(p secret.Purpose) *secret.Box {
			b, err := secret.NewBox(p, secret.DemoKey())
			s.must(err)
			return b
		}
		s.who = &identity.Service{DB: db, Log: s.Log, TOTP: box(secret.ForTOTP), Demo: true, Ceremonies: box(secret.ForCeremonies)}
		s.s = &sso.Service{DB: db, Log: s.Log, Identity: s.who, Box: box(secret.ForProviders), Ceremonies: box(secret.ForCeremonies),
			Client: outbound.NewClient(true), AllowPrivate: true, Origins: []string{"https://console.example.com"}}
		s.restart()
		s.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.front.ServeHTTP(w, r) }))
		s.server.Config.BaseContext = func(net.Listener) context.Context { return context.Background() }
		s.server.Start()
		t.Cleanup(s.server.Close)
		s.s.Public = s.server.URL
		s.lina, s.wang = s.Member("lina", s.Root), s.Member("wang", s.Root)
		s.op.user("sub-lina", "lina@example.com", "lina@example.com", true)
		s.op.user("sub-wang", "wang@example.com", "wang@example.com", true)
		s.op.user("sub-stranger", "stranger@example.com", "stranger@example.com", true)
		test(t, s)
	})
}

// restart begins anew with what is stored: nothing is known any more of any provider.
func (s *scene) restart() {
	s.t.Helper()
	was := s.s
	s.s = &sso.Service{DB: was.DB, Log: was.Log, Identity: was.Identity, Box: was.Box, Ceremonies: was.Ceremonies, Client: was.Client,
		AllowPrivate: was.AllowPrivate, Public: was.Public, Origins: was.Origins}
	var err error
	s.front, err = web.New(web.Options{GraphQL: http.HandlerFunc(whoAmI), Authenticator: doorman{s.who}, SSO: s.s, Log: slog.New(slog.DiscardHandler)})
	s.must(err)
}

// whoAmI answers who is signed in, and whether they have proven it.
func whoAmI(w http.ResponseWriter, r *http.Request) {
	a := access.From(r.Context())
	fmt.Fprintf(w, "%s %v", a.ID, !a.VerifiedUntil.IsZero())
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// input is the company's provider as an administrator connects it.
func (s *scene) input() sso.Input {
	secret := "shared"
	return sso.Input{Name: "Company", Issuer: s.op.url(), ClientID: "handover", ClientSecret: &secret, Claim: "preferred_username", Matches: sso.ByUserID,
		Domain: "example.com", ACRValues: []string{"mfa"}, Active: true}
}

// connect connects a provider and registers us there.
func (s *scene) connect(in sso.Input) nid.ID {
	s.t.Helper()
	id, err := s.s.Save(s.Verified(s.Admin), in)
	s.must(err)
	s.op.clients[in.ClientID] = storage.WebClient(in.ClientID, "shared", s.s.RedirectURI(&sso.Provider{ID: id, Corp: s.ID}))
	return id
}

// browser keeps cookies and follows nothing by itself.
type browser struct {
	t *testing.T
	http.Client
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// answer is what a browser was told.
type answer struct {
	status int
	to     string // Location
	body   string
}

func (b *browser) do(method, to string, form url.Values) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, to, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	to = ""
	if l, err := res.Location(); err == nil {
		to = l.String()
	}
	return answer{res.StatusCode, to, string(body)}
}

// begin goes to sign in and gives where the browser is sent.
func (s *scene) begin(b *browser, provider nid.ID, query string) answer {
	s.t.Helper()
	return b.do("GET", s.server.URL+"/sso/"+s.ID.String()+"/"+provider.String()+query, nil)
}

// authenticate is what somebody does at the provider; it gives where that sends them.
func (s *scene) authenticate(b *browser, to, user string) string {
	s.t.Helper()
	login := b.do("GET", to, nil)
	at, err := url.Parse(login.to)
	s.must(err)
	done := b.do("POST", s.op.url()+"/login/username", url.Values{"username": {user}, "password": {"secret"}, "id": {at.Query().Get("authRequestID")}})
	back := b.do("GET", done.to, nil)
	if back.to == "" {
		s.t.Fatalf("the provider sends nobody back: %+v, %+v, %+v", login, done, back)
	}
	return back.to
}

// signIn does all of it, and gives what our server said in the end.
func (s *scene) signIn(b *browser, provider nid.ID, user, query string) answer {
	s.t.Helper()
	start := s.begin(b, provider, query)
	if start.status != http.StatusSeeOther {
		s.t.Fatalf("%+v", start)
	}
	return b.do("GET", s.authenticate(b, start.to, user), nil)
}

// is says who a browser is signed in as, and whether that is proven.
func (s *scene) is(b *browser) string {
	s.t.Helper()
	return b.do("POST", s.server.URL+"/graphql", nil).body
}

func (s *scene) wantIs(b *browser, member nid.ID, proven bool) {
	s.t.Helper()
	if got, want := s.is(b), fmt.Sprintf("%s %v", member, proven); got != want {
		s.t.Errorf("signed in as %q, want %q", got, want)
	}
}

func (s *scene) wants(got answer, status int, to string) {
	s.t.Helper()
	if got.status != status || got.to != to {
		s.t.Errorf("got %d to %q, want %d to %q\n%s", got.status, got.to, status, to, got.body)
	}
}

func (s *scene) entries(action access.Action) int {
	s.t.Helper()
	return testcorp.Value[int](s.Corp, `SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = $2`, s.ID, string(action))
}

// login gives a member something to sign in with by password.
func (s *scene) login(name string, member nid.ID) {
	s.t.Helper()
	s.must(s.who.SetPassword(store.System(s.t.Context(), s.ID, "test"), member, name, "a long enough password"))
}

// signedIn gives the browser a session that began in another way.
func (b *browser) signedIn(s *scene, token string) {
	u, err := url.Parse(s.server.URL)
	s.must(err)
	b.Jar.SetCookies(u, []*http.Cookie{{Name: "handover_session", Value: token, Path: "/"}})
}
