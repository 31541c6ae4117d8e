package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

func open(t *testing.T, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func run(t *testing.T, db *sql.DB, q string, args ...any) {
	t.Helper()
	if _, err := db.Exec(q, args...); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

func text(t *testing.T, db *sql.DB, q string, args ...any) string {
	t.Helper()
	var got string
	if err := db.QueryRow(q, args...).Scan(&got); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return got
}

func TestDatabaseHasTheThreeRoles(t *testing.T) {
	ownerURL, appURL := Database(t)
	owner, app, reader := open(t, ownerURL), open(t, appURL), open(t, As(t, ownerURL, Reader))
	run(t, owner, "CREATE EXTENSION pg_trgm")
	run(t, owner, "CREATE TABLE customer (corp int, name text)")
	run(t, owner, "ALTER TABLE customer ENABLE ROW LEVEL SECURITY")
	run(t, owner, "ALTER TABLE customer FORCE ROW LEVEL SECURITY")
	run(t, owner, "CREATE POLICY corp ON customer USING (corp = current_setting('test.corp', true)::int)")
	run(t, owner, "GRANT SELECT ON customer TO handover_app, handover_reader")
	run(t, open(t, As(t, ownerURL, "")), "INSERT INTO customer VALUES (1, '李娜')")

	for role, db := range map[string]*sql.DB{Owner: owner, App: app, Reader: reader} {
		if got := text(t, db, "SELECT current_user"); got != role {
			t.Errorf("signed in as %s, not as %s", got, role)
		}
		if got := text(t, db, "SELECT count(*) FROM customer"); got != "0" {
			t.Errorf("%s goes round row-level security", role)
		}
		if got := text(t, db, "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = current_user"); got != "false" {
			t.Errorf("%s may too much", role)
		}
	}
	if _, err := app.Exec("CREATE TABLE mine (id int)"); pq.As(err, pqerror.InsufficientPrivilege) == nil {
		// Before PostgreSQL 15 anybody could create tables in schema public.
		if got := text(t, owner, "SELECT current_setting('server_version_num')"); got >= "150000" {
			t.Errorf("the app role made a table: %v", err)
		}
	}
}

func TestDatabaseIsDroppedAtTheEnd(t *testing.T) {
	var name string
	t.Run("a test", func(t *testing.T) {
		ownerURL, _ := Database(t)
		db, err := sql.Open("postgres", ownerURL)
		if err != nil {
			t.Fatal(err)
		}
		name = text(t, db, "SELECT current_database()") // and the connection stays open
	})
	if got := text(t, open(t, URL(t)), "SELECT count(*) FROM pg_database WHERE datname = $1", name); got != "0" {
		t.Errorf("database %s is still there", name)
	}
}

func TestTemplateIsBuiltOnceAndCopied(t *testing.T) {
	name := "once " + t.Name() + time.Now().String()
	var built atomic.Int32
	build := func(ownerURL string) error {
		built.Add(1)
		db, err := sql.Open("postgres", ownerURL) // left open: it must not be in the way
		if err != nil {
			return err
		}
		_, err = db.Exec("CREATE TABLE migrated (by text); INSERT INTO migrated VALUES (current_user)")
		return err
	}
	dropAfter(t, need(t), databaseOf(name))
	// Another process is another host without what this one remembers.
	other, err := join(t.Context(), URL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer other.admin.Close()
	var group sync.WaitGroup
	for i := range 6 {
		group.Go(func() {
			if i%2 == 0 {
				Template(t, name, build)
			} else if err := other.template(t.Context(), databaseOf(name), build); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if built.Load() != 1 {
		t.Fatalf("built %d times", built.Load())
	}
	for range 2 {
		owner, _ := Database(t, Template(t, name, build))
		db := open(t, owner)
		if got := text(t, db, "SELECT string_agg(by, ' ') FROM migrated"); got != Owner {
			t.Errorf("the copy holds %q, want one row of the owner: copies must not share rows", got)
		}
		run(t, db, "INSERT INTO migrated VALUES ('changed')")
	}
}

func TestTemplateThatFailsIsBuiltAgain(t *testing.T) {
	h := need(t)
	name := "fails " + time.Now().String()
	dropAfter(t, need(t), databaseOf(name))
	broken := errors.New("migration 7 failed")
	if err := h.template(t.Context(), databaseOf(name), func(string) error { return broken }); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	if err := h.template(t.Context(), databaseOf(name), func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestSweepRemovesOnlyWhatIsOldAndUnused(t *testing.T) {
	h := need(t)
	now := time.Now()
	old, recent := now.Add(-leftover-time.Minute).Unix(), now.Add(-leftover+time.Minute).Unix()
	id := strings.ToLower(rand.Text()[:8])
	for _, c := range []struct {
		name          string
		template      int64 // when it was last used; 0: it is no template
		used, removed bool
	}{
		{name: fmt.Sprintf("%s%x_%s", testPrefix, old, id), removed: true},
		{name: fmt.Sprintf("%s%x_%s_used", testPrefix, old, id), used: true},
		{name: fmt.Sprintf("%s%x_%s", testPrefix, recent, id)},
		{name: templatePrefix + id + "_old", template: old, removed: true},
		{name: templatePrefix + id + "_recent", template: recent},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := h.create(t.Context(), c.name, "template0"); err != nil {
				t.Fatal(err)
			}
			dropAfter(t, h, c.name)
			if c.template != 0 {
				for _, q := range []string{"ALTER DATABASE %s WITH IS_TEMPLATE true", "COMMENT ON DATABASE %s IS '%d'"} {
					args := []any{pq.QuoteIdentifier(c.name), c.template}
					if err := h.exec(t.Context(), fmt.Sprintf(q, args[:strings.Count(q, "%")]...)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if c.used {
				if err := open(t, h.as(c.name, Owner)).Ping(); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.sweep(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			left := text(t, h.admin, "SELECT count(*) FROM pg_database WHERE datname = $1", c.name)
			if removed := left == "0"; removed != c.removed {
				t.Errorf("removed: %t, want %t", removed, c.removed)
			}
		})
	}
}

// dropAfter removes a database that the test makes past Database.
func dropAfter(t *testing.T, h *host, name string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, quoted := context.Background(), pq.QuoteIdentifier(name)
		if err := h.exec(ctx, "ALTER DATABASE "+quoted+" WITH IS_TEMPLATE false"); pq.As(err, pqerror.InvalidCatalogName) != nil {
			return // gone already
		}
		if err := h.exec(ctx, "DROP DATABASE "+quoted+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
}

func TestProbe(t *testing.T) {
	version, err := Probe(t.Context(), URL(t))
	if want := text(t, open(t, URL(t)), "SHOW server_version"); err != nil || version != want {
		t.Errorf("version %q, %v; want %q", version, err, want)
	}
	if version, err := Probe(t.Context(), "postgres://nobody@127.0.0.1:1/postgres"); err == nil {
		t.Errorf("no server has version %q", version)
	}
}

func TestJoinSaysWhatIsWrongWithTheURL(t *testing.T) {
	ownerURL, _ := Database(t)
	for _, c := range []struct{ address, want string }{
		{"host=db password=geheim", "is not of the form"},
		{"postgres://user:geheim@db:5432/\x7f", "is not of the form"},
		{"postgres://user:geheim@127.0.0.1:1/postgres", "reach the server"},
		{ownerURL, "must name a superuser"},
	} {
		_, err := join(t.Context(), c.address)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), EnvURL) {
			t.Errorf("join(%q) = %v, want it to say %q and %s", c.address, err, c.want, EnvURL)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("join(%q) gives the password away: %v", c.address, err)
		}
	}
}
