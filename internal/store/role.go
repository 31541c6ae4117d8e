package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
)

// Role is what the connected PostgreSQL role could do beside what it should; an
// SQLite file has no roles and the zero Role.
type Role struct {
	Name string
	// Super and Bypass go round row-level security, Owner may switch it off. A role
	// that the session can take on by SET ROLE counts too.
	Super, Bypass, Owner bool
}

// Loose reports whether row-level security does not bind the role for sure.
func (r Role) Loose() bool { return r.Super || r.Bypass || r.Owner }

// Risky reports whether only the program's own conditions would keep that many corps
// apart.
func (r Role) Risky(corps int) bool { return r.Super || r.Bypass || r.Owner && corps > 1 }

// Role says who the program is to the database.
func (db *DB) Role(ctx context.Context) (r Role, err error) {
	if !db.Postgres() {
		return r, nil
	}
	err = db.snapshot(ctx, nid.ID{}, func(c *conn) error {
		r, _, err = SelectOne(ctx, c, func(r *Role) []any { return []any{&r.Name, &r.Super, &r.Bypass, &r.Owner} },
			`SELECT current_user::text,
				EXISTS (SELECT FROM pg_roles WHERE rolsuper AND pg_has_role(session_user, oid, 'MEMBER')),
				EXISTS (SELECT FROM pg_roles WHERE rolbypassrls AND NOT rolsuper AND pg_has_role(session_user, oid, 'MEMBER')),
				EXISTS (SELECT FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
					AND pg_has_role(session_user, relowner, 'MEMBER'))`)
		return err
	})
	return r, err
}

// Facts are what an operator should know of the database.
type Facts struct {
	Version  string
	Encoding string
	// Skew is how far the database's clock is ahead of ours.
	Skew time.Duration
}

// Facts asks the database about itself.
func (db *DB) Facts(ctx context.Context) (f Facts, err error) {
	q := `SELECT 'SQLite ' || sqlite_version(), 'UTF8', strftime('%s', 'now') * 1.0`
	if db.Postgres() {
		q = `SELECT 'PostgreSQL ' || current_setting('server_version'), pg_encoding_to_char(encoding), extract(epoch FROM clock_timestamp())::float8
			FROM pg_database WHERE datname = current_database()`
	}
	var at float64
	err = db.snapshot(ctx, nid.ID{}, func(c *conn) error {
		var err error
		f, _, err = SelectOne(ctx, c, func(f *Facts) []any { return []any{&f.Version, &f.Encoding, &at} }, q)
		return err
	})
	f.Skew = time.Until(time.UnixMilli(int64(at * 1000)))
	return f, err
}

// Pool is the connection pool, for metrics. Statements never go to it directly.
func (db *DB) Pool() *sql.DB { return db.sql }
