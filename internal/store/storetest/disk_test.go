package storetest_test

import (
	"database/sql"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/openhandover/openhandover/internal/store/storetest"
)

// TestThePowerCutTakesWhatWasNotSynced shows that a test of power cuts can fail: with
// synchronous=NORMAL, commits that were acknowledged are gone.
func TestThePowerCutTakesWhatWasNotSynced(t *testing.T) {
	for mode, survives := range map[string]bool{"NORMAL": false, "FULL": true} {
		folder, left := t.TempDir(), t.TempDir()
		d, err := storetest.Watch(folder, func(*storetest.Disk) {})
		if err != nil {
			t.Fatal(err)
		}
		defer d.End()
		count := func(folder string, write int) (n int) {
			raw, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "a.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous("+mode+")")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = raw.Close() })
			for i := range write {
				if i == 0 {
					_, err = raw.Exec(`CREATE TABLE t (n integer)`)
				}
				if err == nil {
					_, err = raw.Exec(`INSERT INTO t VALUES (1)`)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			_ = raw.QueryRow(`SELECT count(*) FROM t`).Scan(&n) // where the table is gone too, none
			return n
		}
		count(folder, 10)
		var files map[string][]byte
		d.Now(func() { files = d.Cut(rand.New(rand.NewPCG(1, 1))) })
		for name, b := range files {
			if err := os.WriteFile(filepath.Join(left, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if n := count(left, 0); (n == 10) != survives {
			t.Errorf("synchronous=%s: %d of 10 commits are left", mode, n)
		}
	}
}
