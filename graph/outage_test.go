package graph

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
	"github.com/openhandover/openhandover/internal/web"
)

// station is a server whose database can be taken away.
type station struct {
	t   *testing.T
	api string
	all string
}

func newStation(t *testing.T, db *store.DB, c *testcorp.Corp) *station {
	t.Helper()
	totp, err := secret.NewBox(secret.ForTOTP, secret.DemoKey())
	if err != nil {
		t.Fatal(err)
	}
	who := &identity.Service{DB: db, Log: c.Log, TOTP: totp, Cost: secret.Cheap}
	if err := who.SetPassword(store.System(t.Context(), c.ID, "test"), c.Admin, "root-admin", right); err != nil {
		t.Fatal(err)
	}
	s, err := web.New(web.Options{GraphQL: Handler(&Resolver{DB: db, Use: Cases{Identity: who}}, Options{}), Authenticator: keeper{who}, Limits: web.Limits{Rate: -1},
		Checks: []web.Check{{Name: "database", Run: db.Beat}, {Name: "migrations", Run: db.Fits}}})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return &station{t, h.URL + "/graphql", h.URL}
}

// ready asks until the outcome of the check before is forgotten.
func (s *station) ready() (status int) {
	s.t.Helper()
	r, err := http.Get(s.all + "/readyz")
	if err != nil {
		s.t.Fatal(err)
	}
	_ = r.Body.Close()
	return r.StatusCode
}

// becomes waits until readiness says so: checks are good for a second.
func (s *station) becomes(want int) {
	s.t.Helper()
	for s.t.Context().Err() == nil && s.ready() != want {
	}
}

func (s *station) signIn() (status int, code string, after int) {
	s.t.Helper()
	body := `{"query":"mutation { signIn(input: {corp: \"acme\", login: \"root-admin\", password: \"` + right + `\"}) { expiresAt } }"}`
	r, err := http.Post(s.api, "application/json", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	var v struct {
		Errors []struct {
			Extensions struct {
				Code              string
				RetryAfterSeconds int
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
		s.t.Fatal(err)
	}
	if len(v.Errors) > 0 {
		code, after = v.Errors[0].Extensions.Code, v.Errors[0].Extensions.RetryAfterSeconds
	}
	return r.StatusCode, code, after
}

func (s *station) unavailable(when string) {
	s.t.Helper()
	if status, code, after := s.signIn(); status != http.StatusServiceUnavailable || code != "UNAVAILABLE" || after < 1 {
		s.t.Errorf("%s: %d %s, again after %d s", when, status, code, after)
	}
	s.becomes(http.StatusServiceUnavailable)
}

func (s *station) works(when string) {
	s.t.Helper()
	s.becomes(http.StatusOK)
	if status, code, _ := s.signIn(); status != http.StatusOK || code != "" {
		s.t.Errorf("%s: %d %s", when, status, code)
	}
}

// A full disk is said as such, and the service recovers alone.
func TestAFullDiskIsSaid(t *testing.T) {
	db := storetest.SQLite(t, storetest.NewClock())
	c := testcorp.New(t, db, storetest.NewClock(), "acme")
	s := newStation(t, db, c)
	s.works("before")
	pragma := func(q string) (n int) {
		t.Helper()
		if err := db.Pool().QueryRowContext(t.Context(), q).Scan(&n); err != nil { //nolint:forbidigo // a limit of one connection
			t.Fatal(err)
		}
		return n
	}
	db.Pool().SetMaxOpenConns(1)
	db.Pool().SetMaxIdleConns(1)
	pragma("PRAGMA max_page_count = 1") // is never less than what there is
	// What is free inside the file goes first.
	for full := false; !full; {
		err := db.Tx(store.System(t.Context(), c.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Keep(ctx, "denials", `INSERT INTO denials (corp_id, actor_id, action, minute, n) VALUES ($1, $2, $3, $4, 1)`, c.ID, tx.NewID(1), strings.Repeat("x", 900), tx.Now())
			return err
		})
		full = err != nil
	}
	for status := http.StatusOK; status == http.StatusOK; { // each leaves entries in the log, until they have no room
		status, _, _ = s.signIn()
	}
	s.unavailable("the disk is full")
	pragma("PRAGMA max_page_count = 1000000000")
	s.works("there is room again")
}

// wire is a connection to PostgreSQL that can be cut, or left hanging.
type wire struct {
	net.Listener
	to    string
	mu    sync.Mutex
	hangs bool
	open  []net.Conn
}

func (w *wire) run() {
	for {
		in, err := w.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", w.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		w.mu.Lock()
		w.open = append(w.open, in, out)
		if w.hangs {
			w.mu.Unlock()
			continue
		}
		w.mu.Unlock()
		go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
		go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
	}
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		_ = c.Close()
	}
	w.open = nil
}

// A database that is gone, and one that no longer answers, are said as such.
func TestADeadDatabaseIsSaid(t *testing.T) {
	_, app := storetest.PostgresURLs(t)
	u, err := url.Parse(app)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l, to: u.Host}
	t.Cleanup(func() { _ = w.Close(); w.cut() })
	go w.run()
	address := l.Addr().String()
	u.Host = address
	clock := storetest.NewClock()
	db, err := store.Open(t.Context(), store.Options{URL: u.String(), Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c := testcorp.New(t, db, clock, "acme")
	s := newStation(t, db, c)
	s.works("before")

	_ = w.Close()
	w.cut()
	s.unavailable("connections are refused")

	if w.Listener, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	go w.run()
	s.works("it is back")

	w.mu.Lock()
	w.hangs = true
	w.mu.Unlock()
	w.cut()
	s.becomes(http.StatusServiceUnavailable) // nobody answers
	w.mu.Lock()
	w.hangs = false
	w.mu.Unlock()
	w.cut()
	s.works("it answers again")
}
