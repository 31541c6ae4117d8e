package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lib/pq"
)

// The roles of a production database (safety.md §2), which every test database
// has too. None is a superuser, none goes round row-level security.
const (
	// Owner owns the database and what migrations make in it.
	Owner = "handover_owner"
	// App is who the program signs in as.
	App = "handover_app"
	// Reader is for reports from outside.
	Reader = "handover_reader"
)

const (
	oldest         = 140000 // PostgreSQL 14: functions whose bodies are bound when they are made
	cleanupTimeout = time.Minute
)

// URL gives the superuser URL of the tests' server, starting it if need be.
func URL(t testing.TB) string {
	t.Helper()
	return need(t).url.String()
}

// Database makes a database for this test alone and drops it at the test's end.
// It is a copy of a template that Template made, or empty where none is named. The
// URLs sign in as Owner and as App; As gives others.
func Database(t testing.TB, template ...string) (ownerURL, appURL string) {
	t.Helper()
	h := need(t)
	from := "template0"
	if len(template) > 0 {
		from = template[0]
	}
	name := fmt.Sprintf("%s%x_%s", testPrefix, time.Now().Unix(), strings.ToLower(rand.Text()[:10]))
	if err := h.create(t.Context(), name, from); err != nil {
		t.Fatalf("pgtest: make a database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		if err := h.exec(ctx, "DROP DATABASE IF EXISTS "+pq.QuoteIdentifier(name)+" WITH (FORCE)"); err != nil {
			t.Errorf("pgtest: drop the test's database: %v", err)
		}
	})
	return h.as(name, Owner), h.as(name, App)
}

// As gives the URL of the same database for another of the three roles; with the
// empty role, for the server's superuser.
func As(t testing.TB, databaseURL, role string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal("pgtest: that is no database URL")
	}
	return need(t).as(strings.TrimPrefix(u.Path, "/"), role)
}

// Probe reports whether tests can use the server at a superuser's URL, and gives
// its version. The error says what is wrong with the server or the URL, without
// repeating the URL.
func Probe(ctx context.Context, address string) (version string, err error) {
	h, err := join(ctx, address)
	if err != nil {
		return "", err
	}
	defer h.admin.Close()
	err = h.admin.QueryRowContext(ctx, "SHOW server_version").Scan(&version)
	return version, err
}

// host is the server that this process' tests use.
type host struct {
	url   *url.URL
	admin *sql.DB
	built sync.Map // a template's database → *buildOnce
}

// theHost starts or finds the server once per process. Nobody stops it: it ends
// when this process does.
var theHost = sync.OnceValues(func() (*host, error) {
	ctx := context.Background()
	address := os.Getenv(EnvURL)
	if address == "" {
		s, err := Start(ctx, log.New(os.Stderr, "pgtest: ", 0).Printf)
		if err != nil {
			return nil, err
		}
		address = s.URL
	}
	return join(ctx, address)
})

func need(t testing.TB) *host {
	t.Helper()
	h, err := theHost()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return h
}

// join signs in to the server and gets it ready for tests: roles made, leftovers of
// runs that were killed removed.
func join(ctx context.Context, address string) (*host, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "" || u.Path == "" {
		// The text may hold a password: the error must not repeat it.
		return nil, errors.New(EnvURL + " is not of the form postgres://superuser:password@host:port/database")
	}
	if q := u.Query(); !q.Has("sslmode") {
		q.Set("sslmode", string(pq.SSLModePrefer))
		u.RawQuery = q.Encode()
	}
	admin, err := sql.Open("postgres", u.String())
	if err != nil {
		return nil, errors.New(EnvURL + " is not a URL that the PostgreSQL driver understands")
	}
	h := &host{url: u, admin: admin}
	if err := h.prepare(ctx); err != nil {
		_ = admin.Close()
		return nil, err
	}
	return h, nil
}

func (h *host) prepare(ctx context.Context) error {
	var super bool
	var version int
	err := h.admin.QueryRowContext(ctx, `SELECT rolsuper, current_setting('server_version_num')::int
		FROM pg_roles WHERE rolname = current_user`).Scan(&super, &version)
	switch {
	case err != nil:
		return fmt.Errorf("reach the server that %s names: %w", EnvURL, err)
	case !super:
		return errors.New(EnvURL + " must name a superuser: the tests make roles and databases")
	case version < oldest:
		return fmt.Errorf("the server that %s names is too old (%d): PostgreSQL 13 or newer is needed", EnvURL, version)
	}
	return h.locked(ctx, "roles", func() error {
		for _, role := range []string{Owner, App, Reader} {
			if err := h.ensure(ctx, role); err != nil {
				return err
			}
		}
		return h.sweep(ctx, time.Now())
	})
}

// ensure makes the role. One that exists is left as it is, because the server may
// not be ours alone, but it must not be able to do more than ours may.
func (h *host) ensure(ctx context.Context, role string) error {
	var mighty bool
	err := h.admin.QueryRowContext(ctx, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = $1", role).Scan(&mighty)
	if err == nil && mighty {
		return fmt.Errorf("role %s of the tests' server goes round row-level security, so tests on it would prove nothing: drop it", role)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	create := "CREATE ROLE " + role + " LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION"
	if password := h.password(role); password != "" {
		create += " PASSWORD " + pq.QuoteLiteral(password)
	}
	return h.exec(ctx, create)
}

// password is one that all processes with the same superuser URL agree on and
// nobody else can guess; none where the server asks for none.
func (h *host) password(role string) string {
	secret, ok := h.url.User.Password()
	if !ok || secret == "" {
		return ""
	}
	return hex.EncodeToString(digest(role, secret))[:32]
}

// as gives the URL of a database for a role, or for the superuser.
func (h *host) as(database, role string) string {
	u := *h.url
	u.Path = "/" + database
	if role != "" {
		u.User = url.User(role)
		if password := h.password(role); password != "" {
			u.User = url.UserPassword(role, password)
		}
	}
	return u.String()
}

func (h *host) create(ctx context.Context, name, from string) error {
	q := "CREATE DATABASE " + pq.QuoteIdentifier(name) + " OWNER " + Owner + " TEMPLATE " + pq.QuoteIdentifier(from)
	if from == "template0" {
		q += " ENCODING 'UTF8'" // which other templates would not let us choose
	}
	return h.exec(ctx, q)
}

func (h *host) exec(ctx context.Context, q string) error {
	_, err := h.admin.ExecContext(ctx, q)
	return err
}
