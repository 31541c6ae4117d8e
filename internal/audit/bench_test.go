package audit_test

import (
	"fmt"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/nid"
)

// BenchmarkAppend is many writers in one corp, who all wait for its head.
func BenchmarkAppend(b *testing.B) {
	for name, open := range engines {
		for _, size := range []int{1, 200} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				s := open(b)
				entries := make([]audit.Entry, size)
				for i := range entries {
					entries[i] = audit.Entry{Action: access.TransferFinish, Subject: nid.New(nid.Transfer), Before: map[string]any{"owner": s.lina}, After: map[string]any{"status": "COMPLETED"}}
				}
				b.SetParallelism(4)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := s.append(s.person(), entries...); err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "entries/s")
			})
		}
	}
}

// BenchmarkVerify is a sealed log, from the database to the result: chain, columns,
// tree, and every checkpoint with its copy.
func BenchmarkVerify(b *testing.B) {
	const size = 200_000
	for name, open := range engines {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			fill(s, size)
			sealer := &audit.Sealer{DB: s.db, Log: s.log, Keys: checkpoint.Keys{key(1)}, Folder: b.TempDir()}
			if _, err := sealer.Work(b.Context(), s.corp); err != nil {
				b.Fatal(err)
			}
			trust := audit.Trust{Folder: sealer.Folder, Keys: []string{sealer.Keys.Public(s.corp)}}
			for b.Loop() {
				r, err := audit.Verify(b.Context(), s.db, s.corp, trust, nil)
				if err != nil || r.Sealed != r.Entries || r.Entries < size {
					b.Fatalf("%+v, %v", r, err)
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkSeal is what the sealer does with a thousand new entries.
func BenchmarkSeal(b *testing.B) {
	for name, open := range engines {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			sealer := &audit.Sealer{DB: s.db, Log: s.log, Keys: checkpoint.Keys{key(1)}, Folder: b.TempDir()}
			for b.Loop() {
				b.StopTimer()
				fill(s, audit.SealAfter)
				b.StartTimer()
				if _, err := sealer.Work(b.Context(), s.corp); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*audit.SealAfter)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
