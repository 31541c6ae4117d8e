// Command diff writes the next migration of both dialects from the ent schema.
// It needs no server and no network: the wanted tables are compared with the
// snapshot (schema.hcl) that the last run left beside the migrations.
//
//	go run ./ent/migrate/diff -name add_something
//
// Plain tables, triggers, row-level security and extensions are written by hand
// in migrations of their own. Read what this writes before committing it: on
// PostgreSQL, indexes of big tables want CREATE INDEX CONCURRENTLY and
// `-- +goose NO TRANSACTION`.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/postgres"
	atlasschema "ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"
	_ "modernc.org/sqlite"

	"github.com/openhandover/openhandover/ent/migrate"
)

// engine is what differs between the dialects.
type engine struct {
	dir      string
	driver   dialect.Driver
	dialect  string
	schema   string
	diff     atlasschema.Differ
	plan     atlas.PlanApplier
	evaluate func([]byte, any) error
	marshal  func(any) ([]byte, error)
}

func main() {
	name := flag.String("name", "changes", "what the migration does, in snake_case")
	dir := flag.String("dir", "ent/migrate/migrations", "where the migrations are")
	flag.Parse()
	db, err := sql.Open("sqlite", "file:diff?mode=memory&cache=shared&_pragma=foreign_keys(1)")
	if err != nil {
		log.Fatal(err)
	}
	version := time.Now().UTC().Format("20060102150405")
	for _, e := range []engine{
		{"sqlite", entsql.OpenDB(dialect.SQLite, db), dialect.SQLite, "main", sqlite.DefaultDiff, sqlite.DefaultPlan,
			func(b []byte, v any) error { return sqlite.EvalHCLBytes(b, v, nil) }, func(v any) ([]byte, error) { return sqlite.MarshalHCL.MarshalSpec(v) }},
		{"postgres", versionOnly{}, dialect.Postgres, "public", postgres.DefaultDiff, postgres.DefaultPlan,
			func(b []byte, v any) error { return postgres.EvalHCLBytes(b, v, nil) }, func(v any) ([]byte, error) { return postgres.MarshalHCL.MarshalSpec(v) }},
	} {
		if err := e.write(context.Background(), *dir, version, *name); err != nil {
			log.Fatalf("%s: %v", e.dialect, err)
		}
	}
}

func (e engine) write(ctx context.Context, root, version, name string) error {
	a, err := schema.NewMigrate(e.driver, schema.WithDialect(e.dialect))
	if err != nil {
		return err
	}
	realm, err := a.StateReader(migrate.Complete()...).ReadState(ctx)
	if err != nil {
		return err
	}
	want := realm.Schemas[0]
	want.Name = e.schema
	have := atlasschema.New(e.schema)
	snapshot := filepath.Join(root, e.dir, "schema.hcl")
	switch b, err := os.ReadFile(snapshot); {
	case err == nil:
		if err := e.evaluate(b, have); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	changes, err := e.diff.SchemaDiff(have, want)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		fmt.Println(e.dialect + ": nothing to change")
		return nil
	}
	plan, err := e.plan.PlanChanges(ctx, name, changes, func(o *atlas.PlanOptions) {
		none := ""
		o.SchemaQualifier, o.Indent = &none, "  "
	})
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, c := range plan.Changes {
		// SQLite rebuilds tables with foreign keys switched off, which has no
		// effect inside a transaction.
		if strings.HasPrefix(c.Cmd, "PRAGMA foreign_keys") && b.Len() == 0 {
			b.WriteString("-- +goose NO TRANSACTION\n")
			break
		}
	}
	b.WriteString("-- +goose Up\n")
	for _, c := range plan.Changes {
		b.WriteString(c.Cmd + ";\n")
	}
	hcl, err := e.marshal(want)
	if err != nil {
		return err
	}
	file := filepath.Join(root, e.dir, version+"_"+name+".sql")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %d statements in %s\n", e.dialect, len(plan.Changes), file)
	return os.WriteFile(snapshot, hcl, 0o644)
}

// versionOnly answers the one question ent asks PostgreSQL: its version.
type versionOnly struct{ dialect.Driver }

func (versionOnly) Dialect() string { return dialect.Postgres }

func (versionOnly) Query(_ context.Context, q string, _, v any) error {
	if q != "SHOW server_version_num" {
		return fmt.Errorf("unexpected question to the database: %q", q)
	}
	*(v.(*entsql.Rows)) = entsql.Rows{ColumnScanner: &oneRow{value: "150000"}}
	return nil
}

// oneRow is a result of one column and one row.
type oneRow struct {
	value string
	read  bool
}

func (o *oneRow) Close() error                            { return nil }
func (o *oneRow) ColumnTypes() ([]*sql.ColumnType, error) { return nil, nil }
func (o *oneRow) Columns() ([]string, error)              { return []string{"server_version_num"}, nil }
func (o *oneRow) Err() error                              { return nil }
func (o *oneRow) Next() bool                              { more := !o.read; o.read = true; return more }
func (o *oneRow) NextResultSet() bool                     { return false }
func (o *oneRow) Scan(dest ...any) error                  { *(dest[0].(*string)) = o.value; return nil }
