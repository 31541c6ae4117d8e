package backup_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/backup"
	"github.com/openhandover/openhandover/internal/demo"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// BenchmarkBackup writes the demo's larger corp, of some 45,000 rows, and puts it back.
func BenchmarkBackup(b *testing.B) {
	for name, open := range map[string]func(testing.TB, *storetest.Clock) (*store.DB, string){"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		_, url := open(b, storetest.NewClock())
		clock := demo.NewClock(func() time.Time { return storetest.Epoch })
		db, err := store.Open(context.Background(), store.Options{URL: url, StatementCache: true, Clock: clock.Now})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = db.Close() })
		box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
		if err != nil {
			b.Fatal(err)
		}
		log := audit.New(box)
		if err := demo.Seed(context.Background(), demo.Services{DB: db, Log: log, Clock: clock, Identity: &identity.Service{DB: db, Log: log, Demo: true},
			Members: &member.Service{DB: db, Log: log}, Handovers: &handover.Service{DB: db, Log: log}}); err != nil {
			b.Fatal(err)
		}
		corp, err := db.CorpNamed(context.Background(), "demo")
		if err != nil {
			b.Fatal(err)
		}
		key := newKey(b)
		var file bytes.Buffer
		var sum backup.Summary
		b.Run("write/"+name, func(b *testing.B) {
			for b.Loop() {
				file.Reset()
				if sum, err = backup.Write(context.Background(), db, corp, &file, []age.Recipient{key.Recipient()}, signing, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(sum.Rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(file.Len())/1e6, "MB")
		})
		b.Run("restore/"+name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				back := empty[name](b, storetest.NewClock())
				b.StartTimer()
				if _, err := backup.Restore(context.Background(), back, bytes.NewReader(file.Bytes()), backup.Options{Identities: []age.Identity{key}, Log: log}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(sum.Rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
