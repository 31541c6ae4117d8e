// Package storetest runs a test on both engines, each time on a migrated database
// of its own.
package storetest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/ent/migrate/migrations"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/pgtest"
)

// Epoch is where a test's clock starts.
var Epoch = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// Clock is a time that a test moves by hand.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now is the current time of the test.
func (c *Clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

// NewClock is a clock at Epoch.
func NewClock() *Clock { return &Clock{now: Epoch} }

// Add moves the time.
func (c *Clock) Add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// Each runs the test on SQLite and on PostgreSQL, in parallel. On PostgreSQL it is
// connected as the application's role, which row-level security binds.
func Each(t *testing.T, test func(t *testing.T, db *store.DB, clock *Clock)) {
	t.Helper()
	for name, open := range map[string]func(testing.TB, *Clock) *store.DB{"sqlite": SQLite, "postgres": Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := NewClock()
			test(t, open(t, clock), clock)
		})
	}
}

// template is a migrated SQLite file that every test copies.
var template = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "handover-template-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "t.db")
	db, err := store.Open(context.Background(), store.Options{URL: "sqlite:" + file})
	if err != nil {
		return nil, err
	}
	if _, err := db.Migrate(context.Background()); err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// SQLite opens a migrated database in a file of its own.
func SQLite(t testing.TB, clock *Clock) *store.DB {
	t.Helper()
	db, _ := SQLiteURL(t, clock)
	return db
}

// SQLiteURL is SQLite that also gives the URL, for another process.
func SQLiteURL(t testing.TB, clock *Clock) (*store.DB, string) {
	t.Helper()
	image, err := template()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(file, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, "sqlite:"+file, clock), "sqlite:" + file
}

// Postgres opens a migrated database of its own as the application's role.
func Postgres(t testing.TB, clock *Clock) *store.DB {
	t.Helper()
	db, _ := PostgresURL(t, clock)
	return db
}

// PostgresURL is Postgres that also gives the URL, for another process.
func PostgresURL(t testing.TB, clock *Clock) (*store.DB, string) {
	t.Helper()
	owner, app := PostgresURLs(t)
	db := open(t, app, clock)
	owners.Store(db, owner)
	t.Cleanup(func() { owners.Delete(db) })
	return db, app
}

// Analyze gives PostgreSQL statistics, as autovacuum does in a database that has
// been there for a minute. Without them it may take any index that begins with the
// corp for a foreign key's check, and reads all of the corp each time.
func Analyze(t testing.TB, db *store.DB) {
	t.Helper()
	if !db.Postgres() {
		return
	}
	url, ok := owners.Load(db)
	if !ok {
		t.Fatal("storetest: not a database of this package")
	}
	c, err := sql.Open("postgres", url.(string))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Exec("ANALYZE"); err != nil {
		t.Fatal(err)
	}
}

// owners are the URLs with which the databases can be analyzed, by *store.DB.
var owners sync.Map

// PostgresURLs makes a migrated database and gives its owner's and the
// application role's URL.
func PostgresURLs(t testing.TB) (owner, app string) {
	t.Helper()
	template := pgtest.Template(t, "migrated-"+migrationsDigest(), func(owner string) error {
		db, err := store.Open(context.Background(), store.Options{URL: owner})
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		_, err = db.Migrate(context.Background())
		return err
	})
	return pgtest.Database(t, template)
}

// migrationsDigest names the template after what it is made of, so that a server
// that outlives a change of the migrations makes a new one.
var migrationsDigest = sync.OnceValue(func() string {
	h := sha256.New()
	err := fs.WalkDir(migrations.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(migrations.FS, path)
		h.Write([]byte(path))
		h.Write(b)
		return err
	})
	if err != nil {
		panic(err) // embedded files can be read
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
})

func open(t testing.TB, url string, clock *Clock) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Options{URL: url, StatementCache: true, Clock: clock.Now, MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// As is the context in which an actor with the given grants acts.
func As(ctx context.Context, corp, member nid.ID, verified time.Time, grants ...access.Grant) context.Context {
	return access.With(ctx, &access.Actor{Kind: access.Person, Corp: corp, ID: member, Label: "tester", VerifiedUntil: verified, Grants: grants, Lang: "en", RequestID: "test"})
}
