package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// TestRowLevelSecurityAlone reads every table with SQL that forgets the corp, so
// that none of ent's rules and no condition of ours stands in the way. PostgreSQL
// by itself shows one corp's rows to that corp, and nothing where no corp is named.
func TestRowLevelSecurityAlone(t *testing.T) {
	_, app := storetest.PostgresURLs(t)
	clock := storetest.NewClock()
	db, err := store.Open(t.Context(), store.Options{URL: app, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	raw, err := sql.Open("postgres", app)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })

	var special bool
	if err := raw.QueryRow(`SELECT rolsuper OR rolbypassrls OR EXISTS (SELECT 1 FROM pg_tables WHERE tableowner = current_user) FROM pg_roles WHERE rolname = current_user`).Scan(&special); err != nil || special {
		t.Fatalf("the application's role can go round row-level security: %v", err)
	}
	corps := []*testcorp.Corp{testcorp.New(t, db, clock, "acme"), testcorp.New(t, db, clock, "globex")}
	for _, c := range corps {
		c.Contact("李娜", "KEY", c.Admin)
		c.Group("friends", c.Admin)
		c.SignedIn(c.Admin, true)
	}
	tables, err := names(raw)
	if err != nil || len(tables) < 25 {
		t.Fatalf("tables with a corp: %d %v", len(tables), err)
	}
	filled := 0
	for _, table := range tables {
		var n int
		if err := raw.QueryRow(fmt.Sprintf(`SELECT count(*) FROM %q`, table)).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d rows seen though no corp is named (%v)", table, n, err)
		}
		for i, c := range corps {
			own, foreign := counts(t, db, c.ID, corps[1-i].ID, table)
			if foreign != 0 {
				t.Errorf("%s: %d rows of another corp seen", table, foreign)
			}
			filled += own
		}
	}
	if filled < 30 {
		t.Errorf("only %d rows to see: the test shows little", filled)
	}
	// Writing is bound as well.
	err = db.Tx(store.System(context.Background(), corps[0].ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, "contacts", `UPDATE contacts SET company = 'stolen' RETURNING id`)
		tx.Cover(ids...)
		if len(ids) != 1 {
			t.Errorf("an update without a corp reached %d rows", len(ids))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	err = db.Tx(store.System(context.Background(), corps[0].ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, "tags", `INSERT INTO tags (id, corp_id, created_at, group_name, name) VALUES ($1, $2, $3, '', 'x') RETURNING id`, nid.New(nid.Tag), corps[1].ID, tx.Now())
		tx.Cover(ids...)
		return err
	})
	if err == nil {
		t.Error("a row was put into another corp")
	}
}

func names(db *sql.DB) (out []string, err error) {
	rows, err := db.Query(`SELECT c.relname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'corp_id'
		WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

// counts gives how many rows of its own and of another corp a corp sees in a table.
func counts(t *testing.T, db *store.DB, corp, other nid.ID, table string) (own, foreign int) {
	t.Helper()
	ctx := access.With(context.Background(), &access.Actor{Kind: access.System, Corp: corp})
	err := db.View(ctx, func(ctx context.Context, r *store.Read) error {
		type both struct{ own, foreign int }
		b, _, err := store.SelectOne(ctx, r, func(b *both) []any { return []any{&b.own, &b.foreign} },
			fmt.Sprintf(`SELECT count(*) FILTER (WHERE corp_id = $1), count(*) FILTER (WHERE corp_id <> $1 OR corp_id = $2) FROM %q`, table), corp, other)
		own, foreign = b.own, b.foreign
		return err
	})
	if err != nil {
		t.Errorf("%s: %v", table, err)
	}
	return own, foreign
}
