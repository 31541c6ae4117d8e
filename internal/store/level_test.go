package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// What replicas pour adds up, whoever pours, and no two of them lock each other out.
func TestReplicasPourIntoOneBucket(t *testing.T) {
	_, app := storetest.PostgresURLs(t)
	var replicas []*store.DB
	for range 3 {
		db, err := store.Open(t.Context(), store.Options{URL: app})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		replicas = append(replicas, db)
	}
	var keys []string
	for i := range 50 {
		keys = append(keys, fmt.Sprintf("key-%02d", i))
	}
	pour := func(ctx context.Context, db *store.DB, keys []string, rate float64) ([]float64, error) {
		in := make([]store.Pour, len(keys))
		for i, k := range keys {
			in[i] = store.Pour{Key: k, N: 2, PerSecond: rate}
		}
		return db.Pour(ctx, in)
	}
	var at sync.WaitGroup
	for i, db := range replicas {
		mine := slices.Clone(keys)
		if i == 1 {
			slices.Reverse(mine)
		}
		at.Go(func() {
			for range 20 {
				if _, err := pour(t.Context(), db, mine, 1e-9); err != nil { // it drains nothing to speak of
					t.Error(err)
				}
			}
		})
	}
	at.Wait()
	levels, err := pour(t.Context(), replicas[0], keys, 1e-9)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range levels {
		if l < 121.9 || l > 122 {
			t.Errorf("%s: %f of 122", keys[i], l)
		}
	}
	if levels, err = pour(t.Context(), replicas[1], keys[:1], 1e9); err != nil || levels[0] != 2 {
		t.Errorf("drained and poured 2 into: %v, %v", levels, err)
	}
}
