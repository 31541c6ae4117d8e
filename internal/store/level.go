package store

import (
	"context"
	"fmt"

	"github.com/openhandover/openhandover/internal/nid"
)

// Pour is what was let into a bucket.
type Pour struct {
	Key       string
	N         int
	PerSecond float64 // by which the bucket drains
}

// forgotten is for how long a bucket is kept that nobody pours into.
const forgotten = "10 minutes"

// Pour pours into buckets that all replicas of an installation share, and gives how full
// each is then, in their order; keys are given once each. They drain by themselves, on
// the database's clock. PostgreSQL only: an SQLite file has one process.
func (db *DB) Pour(ctx context.Context, in []Pour) ([]float64, error) {
	rows := make([]map[string]any, len(in))
	for i, p := range in {
		rows[i] = map[string]any{"key": p.Key, "n": p.N, "rate": p.PerSecond}
	}
	type row struct {
		key   string
		level float64
	}
	var found []row
	err := db.once(ctx, nid.ID{}, func(ctx context.Context, tx *Tx) (err error) {
		// In one order, so that replicas wait for each other rather than lock each other out.
		found, err = KeepInto(ctx, tx, func(r *row) []any { return []any{&r.key, &r.level} }, "levels", `
			INSERT INTO levels (key, level, rate, at) SELECT v.key, v.n, v.rate, clock_timestamp() FROM `+db.Rows(1, "v", "key text", "n float8", "rate float8")+` ORDER BY v.key
			ON CONFLICT (key) DO UPDATE SET at = GREATEST(levels.at, excluded.at), rate = excluded.rate, level = excluded.level
				+ GREATEST(0, levels.level - excluded.rate * GREATEST(0, EXTRACT(EPOCH FROM excluded.at - levels.at)))
			RETURNING key, level`, db.Batch(rows))
		if err != nil {
			return err
		}
		_, err = tx.Keep(ctx, "levels", `DELETE FROM levels WHERE at < clock_timestamp() - interval '`+forgotten+`'`)
		return err
	})
	if err != nil {
		return nil, explain(ctx, err)
	}
	byKey := make(map[string]float64, len(found))
	for _, r := range found {
		byKey[r.key] = r.level
	}
	out := make([]float64, len(in))
	for i, p := range in {
		level, ok := byKey[p.Key]
		if !ok {
			return nil, fmt.Errorf("no level of %s came back", p.Key)
		}
		out[i] = level
	}
	return out, nil
}
