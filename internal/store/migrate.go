package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/openhandover/openhandover/ent/migrate/migrations"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
)

// Migration is one step of the schema and whether the database has it.
type Migration struct {
	Version int64
	Name    string
	Applied bool
}

func (db *DB) provider() (*goose.Provider, error) {
	name, d := "sqlite", goose.DialectSQLite3
	var opts []goose.ProviderOption
	if db.Postgres() {
		name, d = "postgres", goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, err
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(migrations.FS, name)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(d, db.sql, files, append(opts, goose.WithTableName("handover_migrations"))...)
}

// Migrate brings the schema up to date, under a lock, and says which steps it took.
func (db *DB) Migrate(ctx context.Context) (steps []Migration, err error) {
	p, err := db.provider()
	if err != nil {
		return nil, err
	}
	done, err := p.Up(ctx)
	for _, r := range done {
		steps = append(steps, Migration{Version: r.Source.Version, Name: r.Source.Path, Applied: true})
	}
	if err != nil {
		return steps, fmt.Errorf("migration failed: %w", err)
	}
	return steps, nil
}

// Migrations lists all steps.
func (db *DB) Migrations(ctx context.Context) (steps []Migration, err error) {
	p, err := db.provider()
	if err != nil {
		return nil, err
	}
	all, err := p.Status(ctx)
	for _, s := range all {
		steps = append(steps, Migration{Version: s.Source.Version, Name: s.Source.Path, Applied: s.State == goose.StateApplied})
	}
	return steps, err
}

// ErrUnfit says that the database lacks migrations that this program needs.
var ErrUnfit = errors.New("the database's schema does not fit this program; run `handover migrate up`")

// fitGood is how long it is good for that the database fits.
const fitGood = 30 * time.Second

// Fits checks that every migration is applied. It takes no lock, so that readiness can
// ask on every replica, and asks the database again only after a while.
func (db *DB) Fits(ctx context.Context) error {
	db.fit.Lock()
	defer db.fit.Unlock()
	if !db.fitAt.IsZero() && time.Since(db.fitAt) < fitGood {
		return nil
	}
	p, err := db.provider()
	if err != nil {
		return err
	}
	var applied []int64
	err = db.snapshot(ctx, nid.ID{}, func(c *conn) (err error) {
		applied, err = Select(ctx, c, func(v *int64) []any { return []any{v} }, `SELECT version_id FROM handover_migrations WHERE is_applied`)
		return err
	})
	if fault.CodeOf(err) == fault.Unavailable || fault.CodeOf(err) == fault.Timeout {
		return err
	}
	if err != nil {
		// An empty database has no such table.
		slog.DebugContext(ctx, "the migrations cannot be listed", "err", err)
		return ErrUnfit
	}
	for _, s := range p.ListSources() {
		if !slices.Contains(applied, s.Version) {
			return ErrUnfit
		}
	}
	db.fitAt = time.Now()
	return nil
}

// ErrAhead says that a newer program has migrated the database.
var ErrAhead = errors.New("the database belongs to a newer version of this program; run that one, or restore a backup from before it")

// Ahead fails with ErrAhead where the database has a migration that this program
// does not know. It is for the start: a replica that runs while its successor
// migrates goes on serving, and is not unfit for that.
func (db *DB) Ahead(ctx context.Context) error {
	p, err := db.provider()
	if err != nil {
		return err
	}
	has, err := p.GetDBVersion(ctx)
	if err != nil {
		slog.DebugContext(ctx, "the database's version cannot be read", "err", err)
		return ErrUnfit
	}
	if all := p.ListSources(); has > all[len(all)-1].Version {
		return ErrAhead
	}
	return nil
}
