package main

import (
	"fmt"

	"github.com/openhandover/openhandover/internal/store"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Apply the migrations that are missing, under a lock."`
	Status migrateStatusCmd `cmd:"" help:"List all migrations and whether they are applied."`
}

type migrateUpCmd struct{}

// Run migrates with the owner's connection.
func (*migrateUpCmd) Run(e *env) error {
	url := e.config.MigrationDatabase().Reveal()
	if err := private(url); err != nil {
		return err
	}
	db, err := store.Open(e.ctx, store.Options{URL: unhurried(url)})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	steps := 0
	err = e.migrate(db, func(name string) {
		steps++
		fmt.Fprintln(e.stdout, "applied", name)
	})
	if err == nil && steps == 0 {
		fmt.Fprintln(e.stdout, "nothing to do: the database is up to date")
	}
	return err
}

type migrateStatusCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

type migration struct {
	Version int64  `json:"version"`
	Name    string `json:"name"`
	Applied bool   `json:"applied"`
}

// Run lists the migrations. Its exit code is 1 where one is missing.
func (c *migrateStatusCmd) Run(e *env) error {
	db, err := e.existing(e.config.MigrationDatabase().Reveal())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	steps, err := db.Migrations(e.ctx)
	if err != nil {
		return err
	}
	missing := 0
	list := []migration{}
	for _, s := range steps {
		list = append(list, migration(s))
		state := "applied"
		if !s.Applied {
			state = "missing"
			missing++
		}
		if !c.JSON {
			fmt.Fprintf(e.stdout, "%s  %s\n", state, s.Name)
		}
	}
	if c.JSON {
		if err := e.json(list); err != nil {
			return err
		}
	}
	if missing > 0 {
		return fmt.Errorf("migrations are missing: %d; run `handover migrate up`", missing)
	}
	return nil
}
