package store_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/openhandover/openhandover/internal/store"
)

// TestScrubLeavesNoCopies fills pages in random order, so that they split and rows move,
// and deletes some rows. SQLite overwrites what it deletes (secure_delete), and that is
// not all there is: a page that a row has moved out of may still hold it.
func TestScrubLeavesNoCopies(t *testing.T) {
	const word = "龘靐齉"
	ghosts := 0
	for seed := range uint64(4) {
		file := filepath.Join(t.TempDir(), "a.db")
		db, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + file})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		c, err := db.Pool().Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		run := func(query string, args ...any) {
			t.Helper()
			if _, err := c.ExecContext(context.Background(), query, args...); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
		}
		copies := func() (n int) {
			for _, f := range []string{file, file + "-wal"} {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				n += bytes.Count(b, []byte(word))
			}
			return n
		}
		run(`CREATE TABLE t (a text PRIMARY KEY, b text)`)
		run(`CREATE INDEX x ON t (b)`)
		run(`CREATE TABLE u (a text PRIMARY KEY, b text) WITHOUT ROWID`)
		rnd := rand.New(rand.NewPCG(seed, 3))
		for range 40 {
			run(`BEGIN`)
			for i := range 60 {
				who := "somebody"
				if i%30 == 0 {
					who = word
				}
				for _, table := range []string{"t", "u"} {
					run(`INSERT INTO `+table+` VALUES ($1, $2)`, fmt.Sprintf("%08x", rnd.Uint32()), fmt.Sprintf("%08x %s %0*d", rnd.Uint32(), who, rnd.IntN(150), i))
				}
			}
			run(`COMMIT`)
		}
		run(`UPDATE t SET b = 'Deleted' WHERE b LIKE '%' || $1 || '%'`, word)
		run(`DELETE FROM u WHERE b LIKE '%' || $1 || '%'`, word)
		run(`PRAGMA wal_checkpoint(TRUNCATE)`)
		ghosts += copies()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := db.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := copies(); n > 0 {
			t.Errorf("seed %d: %d copies are left", seed, n)
		}
	}
	if ghosts == 0 {
		t.Error("nothing was left before scrubbing: the test shows nothing")
	}
}
