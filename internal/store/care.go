package store

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
)

// Careless lists the settings of a PostgreSQL server by which a power cut takes what was
// acknowledged, or breaks the database. The program sets SQLite's itself.
func (db *DB) Careless(ctx context.Context) (settings []string, err error) {
	if !db.Postgres() {
		return nil, nil
	}
	err = db.snapshot(ctx, nid.ID{}, func(c *conn) error {
		settings, err = Select(ctx, c, func(s *string) []any { return []any{s} }, `SELECT name || ' = ' || setting FROM pg_settings
			WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name`)
		return err
	})
	return settings, err
}

// personal lists the tables that erasing changes.
var personal = []string{
	"approvals", "contact_tags", "contacts", "credentials", "follow_tags", "follows", "handovers", "leak_findings", "member_identities", "members",
	"messages", "name_grams", "passkeys", "recovery_codes", "review_items", "scim_users", "subject_keys", "transfers",
}

// Remains reports where a PostgreSQL server may still hold content that was erased at a
// time: tables that were not vacuumed since, and an archive of WAL.
func (db *DB) Remains(ctx context.Context, erased time.Time) (tables []string, archived bool, err error) {
	if !db.Postgres() {
		return nil, false, nil
	}
	err = db.snapshot(ctx, nid.ID{}, func(c *conn) error {
		tables, err = Select(ctx, c, func(s *string) []any { return []any{s} }, `SELECT s.relname FROM pg_stat_user_tables AS s
			JOIN pg_class AS c ON c.oid = s.relid AND c.relkind = 'r' LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid LEFT JOIN pg_class AS p ON p.oid = i.inhparent
			WHERE s.schemaname = current_schema() AND coalesce(p.relname, s.relname) `+db.InText(1)+`
			AND coalesce(greatest(s.last_vacuum, s.last_autovacuum), '-infinity') < $2 ORDER BY s.relname`,
			db.Texts(personal), erased)
		if err != nil {
			return err
		}
		archived, _, err = SelectOne(ctx, c, func(b *bool) []any { return []any{b} }, `SELECT current_setting('archive_mode') <> 'off'`)
		return err
	})
	return tables, archived, err
}
