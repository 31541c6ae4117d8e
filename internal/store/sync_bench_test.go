package store_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkCommit measures on SQLite what it costs that an acknowledged commit survives a
// power cut (synchronous=FULL), and that deleted content is overwritten (secure_delete).
// Each round commits once in every mode, so that whatever else the machine does slows all
// of them; the medians are reported.
func BenchmarkCommit(b *testing.B) {
	modes := []struct{ name, pragmas string }{
		{"normal", "&_pragma=synchronous(NORMAL)"}, {"full", "&_pragma=synchronous(FULL)"}, {"full-secure", "&_pragma=synchronous(FULL)&_pragma=secure_delete(1)"},
	}
	conns, took := make([]*sql.Conn, len(modes)), make([][]time.Duration, len(modes))
	ctx := context.Background()
	for i, m := range modes {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "a.db")+"?_pragma=journal_mode(WAL)"+m.pragmas)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = db.Close() })
		if conns[i], err = db.Conn(ctx); err != nil {
			b.Fatal(err)
		}
		if _, err := conns[i].ExecContext(ctx, `CREATE TABLE t (id integer PRIMARY KEY, a text)`); err != nil {
			b.Fatal(err)
		}
	}
	text := strings.Repeat("x", 200)
	for n := 0; b.Loop(); n++ {
		for i, c := range conns {
			began := time.Now()
			// As much as a small handover writes: some thirty rows, of which some replace others.
			for _, q := range []string{`BEGIN IMMEDIATE`, `INSERT INTO t (a) SELECT $1 FROM (VALUES (1),(2),(3),(4),(5)) CROSS JOIN (VALUES (1),(2),(3),(4),(5))`,
				`DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY id LIMIT 5)`, `COMMIT`} {
				var args []any
				if strings.Contains(q, "$1") {
					args = []any{text}
				}
				if _, err := c.ExecContext(ctx, q, args...); err != nil {
					b.Fatal(err)
				}
			}
			took[i] = append(took[i], time.Since(began))
		}
	}
	for i, m := range modes {
		slices.Sort(took[i])
		b.ReportMetric(float64(took[i][len(took[i])/2].Microseconds()), m.name+"-µs")
	}
}
