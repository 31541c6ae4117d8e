package pqcache

import "testing"

// BenchmarkSelect is one row by its primary key, with and without the cache.
func BenchmarkSelect(b *testing.B) {
	for name, most := range map[string]int{"plain": 0, "kept": 64} {
		b.Run(name, func(b *testing.B) {
			db := open(b, Connector{Max: most}, nil)
			run(b, db, "CREATE TABLE customer (id int PRIMARY KEY, name text)")
			run(b, db, "INSERT INTO customer SELECT g, 'customer ' || g FROM generate_series(1, 10000) g")
			run(b, db, "ANALYZE customer")
			for i := 0; b.Loop(); i++ {
				text(b, db, "SELECT name FROM customer WHERE id = $1", i%10000+1)
			}
		})
	}
}

// BenchmarkBegin is an empty transaction with a setting: sent with BEGIN, or as a
// statement of its own.
func BenchmarkBegin(b *testing.B) {
	for name, together := range map[string]bool{"together": true, "apart": false} {
		b.Run(name, func(b *testing.B) {
			db := open(b, Connector{Max: 64}, nil)
			setting := SetConfig(Setting{"test.corp", "7"})
			ctx := b.Context()
			if together {
				ctx = WithBegin(ctx, setting)
			}
			for b.Loop() {
				tx, err := db.BeginTx(ctx, nil)
				if err != nil {
					b.Fatal(err)
				}
				if !together {
					run(b, tx, setting)
				}
				commit(b, tx)
			}
		})
	}
}
