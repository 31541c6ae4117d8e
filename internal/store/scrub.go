package store

import (
	"context"
	"errors"
)

// ErrScrub says that a copy of what was deleted may still be in the SQLite file's log.
var ErrScrub = errors.New("somebody reads the database all along, so pieces of what was deleted are still in the file that ends in -wal; run the same again, or stop the server first")

// Scrub takes what was deleted out of an SQLite file. Deleted content is overwritten at
// once (secure_delete), but a page that was split earlier may keep copies of rows that
// have moved, and the write-ahead log keeps pages as they were: the file is written
// anew, and the log is emptied. Others read and write meanwhile, apart from a moment.
// PostgreSQL has VACUUM, which is its owner's; see docs/operations.md.
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
