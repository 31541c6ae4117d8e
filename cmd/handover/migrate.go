package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/openhandover/openhandover/internal/store"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Apply the migrations that are missing, under a lock."`
	Status migrateStatusCmd `cmd:"" help:"List all migrations and whether they are applied."`
}

type migrateUpCmd struct{}

// Run migrates with the owner's connection.
func (*migrateUpCmd) Run(e *env) error {
	db, err := e.owner()
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	steps, err := db.Migrate(e.ctx)
	for _, s := range steps {
		fmt.Fprintln(e.stdout, "applied", s.Name)
	}
	if err == nil && len(steps) == 0 {
		fmt.Fprintln(e.stdout, "nothing to do: the database is up to date")
	}
	return err
}

type migrateStatusCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run lists the migrations. Its exit code is 1 where one is missing.
func (c *migrateStatusCmd) Run(e *env) error {
	db, err := e.owner()
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	steps, err := db.Migrations(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(steps)
	}
	missing := 0
	for _, s := range steps {
		state := "applied"
		if !s.Applied {
			state = "missing"
			missing++
		}
		fmt.Fprintf(e.stdout, "%s  %s\n", state, s.Name)
	}
	if missing > 0 {
		return fmt.Errorf("%d migrations are missing; run `handover migrate up`", missing)
	}
	return nil
}

// owner opens the database for migrations.
func (e *env) owner() (*store.DB, error) {
	url := e.config.MigrationDatabase().Reveal()
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
	}
	return store.Open(e.ctx, store.Options{URL: url})
}
