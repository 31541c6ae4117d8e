package store

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
)

// beatPages is how much a beat writes to an SQLite file: about what a small use case
// does. So it also notices when the free pages inside the file are used up.
const beatPages = 16 << 10

// forgottenBeat is when the row of a process that ended goes.
const forgottenBeat = time.Hour

// Beat writes that this process can write, and fails with UNAVAILABLE where it cannot:
// a database that is gone, a full disk, a standby. Each process has a row of its own, so
// replicas do not wait for each other.
func (db *DB) Beat(ctx context.Context) error {
	return explain(ctx, db.once(ctx, nid.ID{}, func(ctx context.Context, tx *Tx) error {
		var pad []byte
		if !db.Postgres() {
			pad = make([]byte, beatPages)
			_, _ = rand.Read(pad) // never fails (crypto/rand)
		}
		// First the new row, then away with the old one: it has no room but what is free.
		at := time.Now().UTC().Truncate(time.Microsecond) // the wall's: no test holds it
		if _, err := tx.Keep(ctx, "heartbeats", `INSERT INTO heartbeats (server, at, pad) VALUES ($1, $2, $3) ON CONFLICT (server, at) DO UPDATE SET pad = excluded.pad`, db.server, at, pad); err != nil {
			return err
		}
		_, err := tx.Keep(ctx, "heartbeats", `DELETE FROM heartbeats WHERE server = $1 AND at < $2 OR at < $3`, db.server, at, at.Add(-forgottenBeat))
		return err
	}))
}
