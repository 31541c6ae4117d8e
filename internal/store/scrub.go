package store

import (
	"context"
	"errors"
)

// ErrScrub says that SQLite's write-ahead log may still hold deleted content.
var ErrScrub = errors.New("another process keeps reading the database, so its -wal file may still hold deleted content; " +
	"run the command again, or stop the server first")

// Scrub removes every copy of deleted content from an SQLite file. secure_delete
// overwrites deleted rows at once, but a page that was split earlier may keep copies of
// rows that moved to another page, and the write-ahead log keeps former pages. So Scrub
// rewrites the file and empties the log. Writers wait while it rewrites.
// On PostgreSQL it does nothing: the owner runs VACUUM, see docs/operations.md.
func (db *DB) Scrub(ctx context.Context) error {
	if db.Postgres() {
		return nil
	}
	c, err := db.sql.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	const patience = 6 // times SQLite's busy_timeout
	for range patience {
		if _, err = c.ExecContext(ctx, "VACUUM"); err == nil || !Transient(err) {
			break
		}
	}
	if err != nil {
		return explain(ctx, err)
	}
	for range patience {
		var busy, inLog, moved int
		if err := c.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &inLog, &moved); err != nil {
			return explain(ctx, err)
		}
		if busy == 0 {
			return nil
		}
	}
	return ErrScrub
}
