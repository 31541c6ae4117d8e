package store_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/pgtest"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// connected is one connection as a role, with what settings it makes for itself.
func connected(t *testing.T, url string) *sql.DB {
	t.Helper()
	raw, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	raw.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = raw.Close() })
	return raw
}

func list(t *testing.T, db *sql.DB, query string, args ...any) (out []string) {
	t.Helper()
	rows, err := db.Query(query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// unread are the columns that readers have no use for, by table.
var unread = map[string][]string{
	"handovers": {"reason", "message", "plan", "hold_reason", "approval_reasons"},
	"transfers": {"detail", "because", "undo"},
}

// TestWhoMayWhat lists every privilege in the schema that somebody other than the owner
// has: nothing is PUBLIC's, and the program and the readers have what they need.
func TestWhoMayWhat(t *testing.T) {
	owner, _ := storetest.PostgresURLs(t)
	super := connected(t, pgtest.As(t, owner, ""))
	const all = `
		SELECT coalesce(g.rolname, 'PUBLIC') || ' ' || string_agg(a.privilege_type, ',' ORDER BY a.privilege_type) || ' ' || o.name FROM (
			SELECT p.oid::regprocedure::text AS name, coalesce(p.proacl, acldefault('f', p.proowner)) AS acl, p.proowner AS owner FROM pg_proc AS p
				WHERE p.pronamespace = 'public'::regnamespace
			UNION ALL SELECT c.relname, coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)), c.relowner FROM pg_class AS c
				WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
			UNION ALL SELECT c.relname || '.' || k.attname, k.attacl, c.relowner FROM pg_class AS c JOIN pg_attribute AS k ON k.attrelid = c.oid AND k.attacl IS NOT NULL
				WHERE c.relnamespace = 'public'::regnamespace
		) AS o, aclexplode(o.acl) AS a LEFT JOIN pg_roles AS g ON g.oid = a.grantee
		WHERE a.grantee <> o.owner GROUP BY g.rolname, o.name ORDER BY 1`
	want := map[string]string{}
	for _, table := range list(t, super, `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')`) {
		want["handover_app "+table] = "DELETE,INSERT,SELECT,UPDATE"
	}
	for _, f := range []string{"handover_corp()", "handover_corp_named(text)", "handover_corps()"} {
		want["handover_app "+f] = "EXECUTE"
	}
	for _, append := range []string{"audit_entries", "audit_hashes", "checkpoints"} {
		want["handover_app "+append] = "INSERT,SELECT"
	}
	want["handover_app audit_heads"], want["handover_app handover_migrations"] = "INSERT,SELECT,UPDATE", "SELECT"
	delete(want, "handover_app bi_readers")
	for _, table := range []string{"corps", "departments", "department_closure", "members", "member_departments", "member_counters",
		"handovers", "transfers", "transfer_rollups"} {
		want["handover_reader "+table] = "SELECT"
	}
	// Of these not what people wrote, nor what was planned.
	for table, hidden := range unread {
		delete(want, "handover_reader "+table)
		for _, column := range list(t, super, `SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`, table) {
			if !slices.Contains(hidden, column) {
				want["handover_reader "+table+"."+column] = "SELECT"
			}
		}
	}
	want["handover_reader handover_reader_corp()"] = "EXECUTE"
	for _, line := range list(t, super, all) {
		part := strings.SplitN(line, " ", 3)
		key := part[0] + " " + part[2]
		if want[key] != part[1] {
			t.Errorf("%s has %s on %s, want %q", part[0], part[1], part[2], want[key])
		}
		delete(want, key)
	}
	for key, has := range want {
		t.Errorf("%s lacks %s", key, has)
	}
	if can := list(t, super, `SELECT privilege_type FROM pg_namespace, aclexplode(nspacl)
		WHERE nspname = 'public' AND grantee = 0 AND privilege_type = 'CREATE'`); len(can) > 0 {
		t.Error("everybody may make tables in the schema")
	}

	// Every table but goose's has row-level security, forced on the owner too, and no policy is everybody's.
	if open := list(t, super, `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
		AND NOT (relrowsecurity AND relforcerowsecurity) ORDER BY 1`); !slices.Equal(open, []string{"handover_migrations"}) {
		t.Errorf("without row-level security: %v", open)
	}
	if public := list(t, super, `SELECT tablename || '.' || policyname FROM pg_policies WHERE schemaname = 'public' AND 'public' = ANY (roles)`); len(public) > 0 {
		t.Errorf("policies for everybody: %v", public)
	}
	// What runs as the owner looks names up where nobody else can put any.
	if loose := list(t, super, `SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
		AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)`); len(loose) > 0 {
		t.Errorf("functions of the owner with the caller's search_path: %v", loose)
	}
}

// TestReadersReadOneCorp tries to cross as a role that reads for reports: by the
// setting that the program uses, by other roles, and by tables of its own.
func TestReadersReadOneCorp(t *testing.T) {
	owner, app := storetest.PostgresURLs(t)
	clock := storetest.NewClock()
	db, err := store.Open(t.Context(), store.Options{URL: app, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	acme, globex := testcorp.New(t, db, clock, "acme"), testcorp.New(t, db, clock, "globex")
	boss := connected(t, owner)
	bi := connected(t, pgtest.As(t, owner, pgtest.Reader))
	seen := func(what string, want ...string) {
		t.Helper()
		if got := list(t, bi, `SELECT name FROM corps ORDER BY name`); !slices.Equal(got, want) {
			t.Errorf("%s: sees the corps %v, want %v", what, got, want)
		}
	}
	run := func(db *sql.DB, query string, args ...any) error { _, err := db.Exec(query, args...); return err }
	seen("a reader of no corp")
	if err := run(bi, `SELECT set_config('handover.corp', $1, false)`, acme.ID.UUID()); err != nil {
		t.Fatal(err)
	}
	seen("a reader of no corp that names one")
	if err := run(boss, `INSERT INTO bi_readers (role_name, corp, created_at) VALUES ('handover_reader', $1, now())`, globex.ID.UUID()); err != nil {
		t.Fatal(err)
	}
	seen("a reader of globex that names acme", "globex")
	for _, query := range []string{
		`SET handover.corp = '` + acme.ID.UUID() + `'`, `RESET handover.corp`, `SET row_security = on`, `SET ROLE NONE`, `SET ROLE handover_reader`,
		`CREATE TEMP TABLE bi_readers AS SELECT 'handover_reader'::text AS role_name, '` + acme.ID.UUID() + `'::uuid AS corp`,
		`CREATE TEMP VIEW corps AS SELECT '` + acme.ID.UUID() + `'::uuid AS corp_id, 'acme'::text AS name`,
		`DROP VIEW pg_temp.corps`, `SET search_path = pg_temp, public`,
	} {
		if err := run(bi, query); err != nil {
			t.Errorf("%s: %v", query, err)
		}
		if strings.HasPrefix(query, "CREATE TEMP VIEW") {
			continue // that shows itself
		}
		seen(query, "globex")
	}
	for table, n := range map[string]int{"members": 1, "departments": 1} {
		if got := list(t, bi, `SELECT corp_id::text FROM `+table); len(got) != n || got[0] != globex.ID.UUID() {
			t.Errorf("%s: %v", table, got)
		}
	}
	for _, query := range []string{
		`SET ROLE handover_app`, `SET ROLE handover_owner`, `SET SESSION AUTHORIZATION handover_app`,
		`SET row_security = off; SELECT * FROM corps`, `SELECT * FROM public.bi_readers`,
		`SELECT handover_corps()`, `SELECT handover_corp_named('acme')`, `SELECT handover_corp()`, `SELECT * FROM alarms`, `SELECT * FROM levels`,
		`SELECT * FROM contacts`,
		`SELECT * FROM credentials`, `SELECT * FROM audit_entries`, `UPDATE members SET name = 'x'`, `DELETE FROM transfers`, `CREATE TABLE public.mine (n int)`,
	} {
		if err := run(bi, query); err == nil {
			t.Errorf("a reader may %s", query)
		}
		_ = run(bi, `RESET row_security`)
	}
	for table, columns := range unread {
		if err := run(bi, `SELECT id, state, total FROM handovers`); table == "handovers" && err != nil {
			t.Errorf("a reader cannot read what became of handovers: %v", err)
		}
		for _, column := range append([]string{"*"}, columns...) {
			if err := run(bi, `SELECT `+column+` FROM `+table); err == nil {
				t.Errorf("a reader reads %s.%s", table, column)
			}
		}
	}
	// The program cannot make itself or others readers.
	program := connected(t, app)
	for _, query := range []string{`INSERT INTO bi_readers VALUES ('handover_app', '` + acme.ID.UUID() + `', now())`,
		`SELECT handover_reader_corp()`, `SET ROLE handover_reader`} {
		if err := run(program, query); err == nil {
			t.Errorf("the program may %s", query)
		}
	}
}

// TestOwnersFunctionsAreNotFooled calls what runs as the tables' owner with tables of
// the caller's own under the names that the functions read.
func TestOwnersFunctionsAreNotFooled(t *testing.T) {
	_, app := storetest.PostgresURLs(t)
	clock := storetest.NewClock()
	db, err := store.Open(t.Context(), store.Options{URL: app, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	acme := testcorp.New(t, db, clock, "acme")
	program := connected(t, app)
	for _, query := range []string{
		`CREATE FUNCTION pg_temp.whose() RETURNS text LANGUAGE sql AS 'SELECT current_user::text'`,
		`CREATE TEMP VIEW corps AS SELECT '` + nid.New(nid.Corp).UUID() + `'::uuid AS id, pg_temp.whose() AS name`,
		`GRANT SELECT ON pg_temp.corps TO PUBLIC`, `SET search_path = pg_temp, public`,
	} {
		if _, err := program.Exec(query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	if got := list(t, program, `SELECT public.handover_corps()::text`); !slices.Equal(got, []string{acme.ID.UUID()}) {
		t.Errorf("handover_corps gives %v", got)
	}
	if got := list(t, program, `SELECT coalesce(public.handover_corp_named('handover_owner')::text, '')`); !slices.Equal(got, []string{""}) {
		t.Errorf("handover_corp_named ran the caller's view: %v", got)
	}
}

// TestAlarmsAndLevelsAreWalledToo: a corp's transaction sees no other corp's alarms and
// no levels at all, with statements that forget the corp.
func TestAlarmsAndLevelsAreWalledToo(t *testing.T) {
	_, app := storetest.PostgresURLs(t)
	clock := storetest.NewClock()
	db, err := store.Open(t.Context(), store.Options{URL: app, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	acme, globex := testcorp.New(t, db, clock, "acme"), testcorp.New(t, db, clock, "globex")
	program := connected(t, app)
	within := func(corp nid.ID, query string, args ...any) (n int64, err error) {
		t.Helper()
		tx, err := program.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if !corp.IsZero() {
			if _, err := tx.Exec(`SELECT set_config('handover.corp', $1, true)`, corp.UUID()); err != nil {
				t.Fatal(err)
			}
		}
		r, err := tx.Exec(query, args...)
		if err != nil {
			return 0, err
		}
		if n, err = r.RowsAffected(); err == nil {
			err = tx.Commit()
		}
		return n, err
	}
	for _, c := range []nid.ID{acme.ID, globex.ID} {
		if _, err := within(c, `INSERT INTO alarms (corp, kind, due_at, n) VALUES ($1, 'x', now(), 1)`, c.UUID()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Pour(t.Context(), []store.Pour{{Key: "a", N: 1, PerSecond: 1}}); err != nil {
		t.Fatal(err)
	}
	type try struct {
		corp  nid.ID
		query string
		n     int64
	}
	for _, w := range []try{
		{acme.ID, `UPDATE alarms SET n = n + 1`, 1}, {acme.ID, `SELECT FROM alarms`, 1}, {nid.ID{}, `SELECT FROM alarms`, 2},
		{nid.ID{}, `UPDATE alarms SET n = 0`, 0},
		{nid.ID{}, `DELETE FROM alarms`, 0}, {acme.ID, `DELETE FROM alarms WHERE corp <> '` + acme.ID.UUID() + `'`, 0},
		{acme.ID, `SELECT FROM levels`, 0}, {acme.ID, `DELETE FROM levels`, 0}, {nid.ID{}, `SELECT FROM levels`, 1},
	} {
		if n, err := within(w.corp, w.query); err != nil || n != w.n {
			t.Errorf("%s as %v: %d rows, want %d (%v)", w.query, w.corp, n, w.n, err)
		}
	}
	for _, query := range []string{fmt.Sprintf(`INSERT INTO alarms (corp, kind, due_at, n) VALUES ('%s', 'y', now(), 1)`, globex.ID.UUID()),
		`INSERT INTO levels (key, level, rate, at) VALUES ('b', 0, 1, now())`} {
		if _, err := within(acme.ID, query); err == nil {
			t.Errorf("acme may %s", query)
		}
	}
}
