package audit_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	_ "github.com/lib/pq"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/pgtest"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// scene is a database with nothing in it but the log of one corp.
type scene struct {
	t     testing.TB
	db    *store.DB
	clock *storetest.Clock
	box   *secret.Box
	log   *audit.Log
	corp  nid.ID
	lina  nid.ID
	app   *sql.DB // as the program's own role
	super *sql.DB // as one whom no right and no row-level security binds
}

func each(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

var engines = map[string]func(testing.TB) *scene{"sqlite": onSQLite, "postgres": onPostgres}

func onSQLite(t testing.TB) *scene {
	clock := storetest.NewClock()
	db, url := storetest.SQLiteURL(t, clock)
	raw := open(t, "sqlite", "file:"+strings.TrimPrefix(url, "sqlite:")+"?_pragma=busy_timeout(5000)")
	return newScene(t, db, clock, raw, raw)
}

func onPostgres(t testing.TB) *scene {
	clock := storetest.NewClock()
	owner, app := storetest.PostgresURLs(t)
	db, err := store.Open(context.Background(), store.Options{URL: app, StatementCache: true, Clock: clock.Now, MaxConns: 24})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return newScene(t, db, clock, open(t, "postgres", app), open(t, "postgres", pgtest.As(t, owner, "")))
}

func open(t testing.TB, driver, url string) *sql.DB {
	t.Helper()
	raw, err := sql.Open(driver, url)
	if err != nil {
		t.Fatal(err)
	}
	raw.SetMaxOpenConns(2)
	t.Cleanup(func() { _ = raw.Close() })
	return raw
}

func newScene(t testing.TB, db *store.DB, clock *storetest.Clock, app, super *sql.DB) *scene {
	t.Helper()
	box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
	if err != nil {
		t.Fatal(err)
	}
	return &scene{t: t, db: db, clock: clock, box: box, log: audit.New(box), corp: nid.New(nid.Corp), lina: nid.New(nid.Member), app: app, super: super}
}

// person is the context of somebody who acts from an address.
func (s *scene) person() context.Context {
	return access.With(context.Background(), &access.Actor{Kind: access.Person, Corp: s.corp, ID: s.lina, RequestID: "request-1", Address: "192.0.2.7",
		Grants: []access.Grant{{Permissions: []access.Permission{access.ReadAuditLog}}}})
}

func (s *scene) system() context.Context {
	return store.System(context.Background(), s.corp, "a test")
}

func (s *scene) append(ctx context.Context, entries ...audit.Entry) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.log.Append(ctx, tx, entries...) })
}

func (s *scene) exec(query string, args ...any) {
	s.t.Helper()
	if _, err := s.super.Exec(query, args...); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
}

func (s *scene) count(query string, args ...any) (n int) {
	s.t.Helper()
	if err := s.super.QueryRow(query, args...).Scan(&n); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// views reads the whole log as the API would.
func (s *scene) views(ctx context.Context) (views []audit.View, err error) {
	err = s.db.View(ctx, func(ctx context.Context, r *store.Read) error {
		leaves, err := store.Select(ctx, r, func(b *[]byte) []any { return []any{b} },
			`SELECT leaf FROM audit_entries WHERE corp_id = $1 ORDER BY "index"`, s.corp)
		if err != nil {
			return err
		}
		views, err = audit.NewReader(s.box).Values(ctx, r, leaves)
		return err
	})
	return views, err
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (cause: %+v)", err, errors.Unwrap(err))
	}
}

func inParallel(n int, do func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return errs
}
