package store_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/openhandover/openhandover/ent/migrate/migrations"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/pgtest"
)

// engine is where a database of an earlier version can be made.
type engine struct {
	name    string
	dialect goose.Dialect
	driver  string
	schema  string // lists all that is in the schema, a line each
	// make gives the URL for the store, and that of one whom nothing binds.
	make func(t *testing.T) (url, dsn, super string)
}

var engines = []engine{
	{"sqlite", goose.DialectSQLite3, "sqlite", `SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY 1`,
		func(t *testing.T) (url, dsn, super string) {
			file := filepath.Join(t.TempDir(), "a.db")
			dsn = "file:" + file + "?_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_txlock=immediate&_time_format=sqlite"
			return "sqlite:" + file, dsn, dsn
		}},
	{"postgres", goose.DialectPostgres, "postgres", `
		SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || a.attnotnull || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || ' ' || coalesce(a.attacl::text, '')
			FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
			WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
		UNION ALL SELECT 'table ' || relname || ' ' || relrowsecurity || relforcerowsecurity || relpersistence::text || coalesce(relacl::text, '') FROM pg_class WHERE relnamespace = 'public'::regnamespace
		UNION ALL SELECT 'constraint ' || conname || ' ' || pg_get_constraintdef(oid) || convalidated FROM pg_constraint WHERE connamespace = 'public'::regnamespace
		UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
		UNION ALL SELECT 'trigger ' || tgrelid::regclass || ' ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
		UNION ALL SELECT 'policy ' || tablename || '.' || policyname || roles::text || cmd || coalesce(qual, '') || coalesce(with_check, '') FROM pg_policies WHERE schemaname = 'public'
		UNION ALL SELECT 'function ' || pg_get_functiondef(oid) || coalesce(proacl::text, '') FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND proname LIKE 'handover%'
		ORDER BY 1`,
		func(t *testing.T) (url, dsn, super string) {
			owner, _ := pgtest.Database(t)
			return owner, owner, pgtest.As(t, owner, "")
		}},
}

// at migrates up to a version, as an earlier program did.
func (e engine) at(t *testing.T, dsn string, version int64) {
	t.Helper()
	db, err := sql.Open(e.driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	files, err := fs.Sub(migrations.FS, e.name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(e.dialect, db, files, goose.WithTableName("handover_migrations"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
}

func migrated(t *testing.T, url string) []store.Migration {
	t.Helper()
	db, err := store.Open(context.Background(), store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	steps, err := db.Migrate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Fits(t.Context()); err != nil {
		t.Fatal(err)
	}
	return steps
}

// earlier is a corp as the schema before 00004 holds it, in SQL of both engines. Each {name}
// is an id of the kind that its first three letters say.
const earlier = `
INSERT INTO corps (id, corp_id, created_at, updated_at, name) VALUES ({crp}, {crp}, {then}, {then}, 'acme');
INSERT INTO members (id, corp_id, created_at, updated_at, user_id, name, name_key, status, answers, departure_held_at, last_day) VALUES
	({mbr-asks}, {crp}, {then}, {then}, 'asks', '王磊', '王磊', 'ACTIVE', true, NULL, NULL),
	({mbr-runs}, {crp}, {then}, {then}, 'runs', 'runs', 'runs', 'ACTIVE', true, NULL, NULL),
	({mbr-held}, {crp}, {then}, {then}, 'held', 'held', 'held', 'LEAVING', true, {then}, '2026-01-01'),
	({mbr-boss}, {crp}, {then}, {then}, 'boss', 'boss', 'boss', 'LEAVING', true, {then}, '2026-01-01'),
	({mbr-gone}, {crp}, {then}, {then}, 'gone', 'gone', 'gone', 'LEAVING', true, NULL, '2026-12-31');
INSERT INTO sessions (secret_hash, corp_id, id, member_id, epoch, method, created_at, expires_at, last_seen_at) VALUES
	({blob-1}, {crp}, {ses-held}, {mbr-held}, 1, 'PASSWORD', {then}, {then}, {then}), ({blob-2}, {crp}, {ses-boss}, {mbr-boss}, 1, 'PASSWORD', {then}, {then}, {then});
INSERT INTO roles (id, corp_id, created_at, updated_at, name, permissions, sensitive, built_in) VALUES
	({rol}, {crp}, {then}, {then}, 'ADMINISTRATOR', '["VIEW_MEMBERS", "MANAGE_ROLES"]', true, true);
INSERT INTO grants (id, corp_id, created_at, member_id, role_id) VALUES ({grt}, {crp}, {then}, {mbr-boss}, {rol});
INSERT INTO access_reviews (id, corp_id, created_at, due_at) VALUES ({rev}, {crp}, {then}, {then});
INSERT INTO review_items (id, corp_id, created_at, rank, review_id, grant_id, member_id) VALUES ({rvi}, {crp}, {then}, 1, {rev}, {grt}, {mbr-boss});
INSERT INTO contacts (id, corp_id, created_at, updated_at, name, name_key, importance, accountable_id) VALUES
	({con-kept}, {crp}, {then}, {then}, '李娜', '李娜', 'KEY', {mbr-asks}), ({con-lost}, {crp}, {then}, {then}, 'lost', 'lost', 'NORMAL', {mbr-asks});
INSERT INTO follows (id, corp_id, created_at, updated_at, since, contact_id, member_id) VALUES ({flw-kept}, {crp}, {then}, {then}, {then}, {con-kept}, {mbr-asks});
INSERT INTO follows (id, corp_id, created_at, updated_at, since, contact_id, member_id, ended_at) VALUES ({flw-lost}, {crp}, {then}, {then}, {then}, {con-lost}, {mbr-asks}, {then});
INSERT INTO follows (id, corp_id, created_at, updated_at, since, contact_id, member_id, remark) VALUES ({flw-gone}, {crp}, {then}, {then}, {then}, {con-kept}, {mbr-gone}, 'friend');
INSERT INTO tags (id, corp_id, created_at, group_name, name) VALUES ({tag}, {crp}, {then}, '', 'vip');
INSERT INTO contact_tags (corp_id, contact_id, tag_id) VALUES ({crp}, {con-kept}, {tag});
INSERT INTO groups (id, corp_id, created_at, updated_at, name, name_key, owner_id, accountable_id) VALUES
	({grp-kept}, {crp}, {then}, {then}, 'kept', 'kept', {mbr-asks}, {mbr-asks}), ({grp-lost}, {crp}, {then}, {then}, 'lost', 'lost', {mbr-runs}, {mbr-runs});
INSERT INTO handovers (id, corp_id, created_at, updated_at, kind, state, digest, plan, leaver_id, requested_by_id, executed_by_id) VALUES
	({hov-asked}, {crp}, {then}, {then}, 'RESIGNED', 'COMPLETED', 'd', '{}', {mbr-gone}, {mbr-asks}, {mbr-runs}),
	({hov-token}, {crp}, {then}, {then}, 'RESIGNED', 'COMPLETED', 'd', '{}', {mbr-gone}, NULL, {mbr-runs}),
	({hov-draft}, {crp}, {then}, {then}, 'RESIGNED', 'DRAFT', 'd', '{}', {mbr-gone}, NULL, NULL);
INSERT INTO transfers (id, corp_id, created_at, updated_at, position, kind, expected_version, handover_id, contact_id, follow_id, from_id, to_id) VALUES
	({trf}, {crp}, {then}, {then}, 0, 'CONTACT', 1, {hov-asked}, {con-kept}, {flw-kept}, {mbr-gone}, {mbr-asks});
INSERT INTO history_grants (id, corp_id, created_at, successor_id, leaver_id, contact_id, group_id, handover_id, transfer_id, ended_at) VALUES
	({hgr-contact}, {crp}, {then}, {mbr-asks}, {mbr-gone}, {con-kept}, NULL, {hov-asked}, {trf}, NULL),
	({hgr-group}, {crp}, {then}, {mbr-asks}, {mbr-gone}, NULL, {grp-kept}, {hov-asked}, {trf}, NULL),
	({hgr-away}, {crp}, {then}, {mbr-asks}, {mbr-gone}, {con-lost}, NULL, {hov-asked}, {trf}, NULL),
	({hgr-other}, {crp}, {then}, {mbr-asks}, {mbr-gone}, NULL, {grp-lost}, {hov-asked}, {trf}, NULL),
	({hgr-over}, {crp}, {then}, {mbr-asks}, {mbr-gone}, {con-lost}, NULL, {hov-asked}, {trf}, {then});
INSERT INTO corp_settings (corp_id, moves_per_contact, moves_within_days, groups_per_day, departures_per_hour, departures_percent, revertible_days,
	dual_control, dual_control_off_by, dual_control_off_until, version, updated_at) VALUES ({crp}, 1, 2, 3, 4, 5, 6, true, {mbr-asks}, {then}, 3, {then});
INSERT INTO pending_grants (corp_id, id, member_id, role_id, role_version, requested_by_id, created_at, lapses_at) VALUES ({crp}, {chg}, {mbr-runs}, {rol}, 1, {mbr-asks}, {then}, {then})`

// filled puts rows in, and gives what stands for their ids.
func (e engine) filled(t *testing.T, super string, statements string) (db *sql.DB, id func(string) string) {
	t.Helper()
	db = connection(t, e.driver, super)
	kinds := map[string]nid.Kind{"crp": nid.Corp, "mbr": nid.Member, "ses": nid.Session, "rol": nid.Role, "grt": nid.Grant, "rev": nid.Review, "rvi": nid.ReviewItem,
		"con": nid.Contact, "flw": nid.Follow, "grp": nid.Group, "hov": nid.Handover, "trf": nid.Transfer, "hgr": nid.HistoryGrant, "chg": nid.Change, "tag": nid.Tag}
	ids := map[string]nid.ID{}
	text := regexp.MustCompile(`\{[a-z0-9-]+\}`).ReplaceAllStringFunc(statements, func(name string) string {
		name = strings.Trim(name, "{}")
		switch n, blob := strings.CutPrefix(name, "blob-"); {
		case name == "then":
			return `'2026-01-02 03:04:05+00:00'`
		case blob && e.name == "postgres":
			return `'\x0` + n + `'`
		case blob:
			return `x'0` + n + `'`
		}
		if ids[name].IsZero() {
			ids[name] = nid.New(kinds[name[:3]])
		}
		return "'" + ids[name].UUID() + "'"
	})
	for statement := range strings.SplitSeq(text, ";\n") {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return db, func(name string) string { return ids[name].String() }
}

// TestAnEarlierDatabaseIsMigrated takes a database as the first release candidates left it to
// the schema of this program, with its data.
func TestAnEarlierDatabaseIsMigrated(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			url, dsn, super := e.make(t)
			e.at(t, dsn, 3)
			db, id := e.filled(t, super, earlier)
			if steps := migrated(t, url); len(steps) == 0 || !strings.HasPrefix(steps[0].Name, "00004") {
				t.Errorf("took the steps %v", steps)
			}
			for _, w := range []struct {
				what, query string
				want        []string
			}{
				{"who answers for handovers", `SELECT coalesce(m.user_id, 'nobody') || ' ' || h.authors FROM handovers AS h LEFT JOIN members AS m ON m.id = h.responsible_id ORDER BY h.id`,
					[]string{`asks ["` + id("mbr-asks") + `"]`, `runs []`, `nobody []`}},
				{"grants of history in force", `SELECT coalesce(c.name, g.name) FROM history_grants AS h LEFT JOIN contacts AS c ON c.id = h.contact_id LEFT JOIN groups AS g ON g.id = h.group_id
					WHERE h.ended_at IS NULL AND h.ended_by_id IS NULL ORDER BY h.id`, []string{"李娜", "kept"}},
				{"grants of history that had ended", `SELECT 'one' FROM history_grants WHERE ended_at = '2026-01-02 03:04:05+00:00'`, []string{"one"}},
				{"grants of history that end now", `SELECT 'one' FROM history_grants WHERE ended_at > '2026-01-03 00:00:00+00:00'`, []string{"one", "one"}},
				{"who lost access", `SELECT user_id || ' ' || epoch FROM members WHERE suspended ORDER BY 1`, []string{"held 2"}},
				{"who is signed in", `SELECT m.user_id FROM sessions AS s JOIN members AS m ON m.id = s.member_id`, []string{"boss"}},
				{"how the contacts of leavers look", `SELECT b.name || ' ' || b.remark || ' ' || b.importance || ' ' || b.tags || ' ' || t.name FROM notice_baselines AS b JOIN members AS m ON m.id = b.member_id
					JOIN tags AS t ON CAST(t.id AS text) = b.contact_tags WHERE m.user_id = 'gone'`, []string{"李娜 friend KEY  vip"}},
				{"items of reviews", `SELECT m.user_id FROM review_items AS r JOIN members AS m ON m.id = r.member_id WHERE r.token_id IS NULL`, []string{"boss"}},
				{"key marks", `SELECT name FROM contacts WHERE key_until IS NULL AND key_changed_by_id IS NULL ORDER BY id`, []string{"李娜", "lost"}},
				{"searchable names", `SELECT DISTINCT c.name FROM name_grams AS n JOIN contacts AS c ON c.id = n.id WHERE n.gram = '李娜'`, []string{"李娜"}},
				{"settings", `SELECT 'kept' FROM corp_settings WHERE dual_control AND revertible_days = 6 AND version = 3 AND history_for_successors AND history_max_days = 90 AND NOT read_receipts`, []string{"kept"}},
				{"changes that wait", `SELECT operation FROM pending_changes`, nil},
			} {
				if got := list(t, db, w.query); !slices.Equal(got, w.want) {
					t.Errorf("%s: %q, want %q", w.what, got, w.want)
				}
			}
			for what, refused := range map[string]string{
				"a requester who does not answer for it":         `UPDATE handovers SET responsible_id = NULL WHERE requested_by_id IS NOT NULL`,
				"somebody unknown who answers for it":            `UPDATE handovers SET responsible_id = id WHERE requested_by_id IS NULL`,
				"access ended without a held departure":          `UPDATE members SET suspended = true WHERE departure_held_at IS NULL`,
				"an unknown person behind a departure":           `UPDATE members SET departure_by_id = corp_id`,
				"an unknown person behind a key mark":            `UPDATE contacts SET key_changed_by_id = id`,
				"a key mark that leaves no date":                 `UPDATE contacts SET importance = 'NORMAL'`,
				"an unknown transfer that ended a grant":         `UPDATE history_grants SET ended_by_id = id`,
				"an unknown department of rules":                 `INSERT INTO rule_sets (id, corp_id, created_at, updated_at, name, rules, department_id) SELECT id, corp_id, created_at, created_at, 'x', '[]', id FROM corps`,
				"an item of a review about nothing":              `UPDATE review_items SET grant_id = NULL, member_id = NULL`,
				"an item of a review about a token that is none": `UPDATE review_items SET grant_id = NULL, member_id = NULL, token_id = id`,
			} {
				if _, err := db.Exec(refused); err == nil {
					t.Errorf("the database takes %s", what)
				}
			}
			if e.name == "sqlite" {
				if got := slices.Concat(list(t, db, `PRAGMA integrity_check`), list(t, db, `SELECT "table" FROM pragma_foreign_key_check`)); !slices.Equal(got, []string{"ok"}) {
					t.Error(got)
				}
			}
			fresh, _, all := e.make(t)
			migrated(t, fresh)
			if d := cmp.Diff(list(t, connection(t, e.driver, all), e.schema), list(t, db, e.schema)); d != "" {
				t.Errorf("the schema is not that of a new database: %s", d)
			}
		})
	}
}

// TestAMigrationThatFailsChangesNothing takes a file whose tables somebody has changed by hand.
func TestAMigrationThatFailsChangesNothing(t *testing.T) {
	e := engines[0]
	url, dsn, _ := e.make(t)
	e.at(t, dsn, 3)
	raw := connection(t, e.driver, dsn)
	raw.SetMaxOpenConns(1)
	for _, statement := range []string{`PRAGMA writable_schema = ON`,
		"UPDATE sqlite_schema SET sql = replace(sql, 'CONSTRAINT `members_answers` CHECK', 'CHECK') WHERE name = 'members'", `PRAGMA writable_schema = RESET`,
		`CREATE TABLE x (y)`} {
		if _, err := raw.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	was := list(t, raw, e.schema)
	db, err := store.Open(t.Context(), store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Migrate(t.Context()); err == nil {
		t.Error("the migration went by what it did not find")
	}
	if err := db.Fits(t.Context()); !errors.Is(err, store.ErrUnfit) {
		t.Errorf("the database fits: %v", err)
	}
	if d := cmp.Diff(was, list(t, connection(t, e.driver, dsn), e.schema)); d != "" {
		t.Error(d)
	}
}

func connection(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
