package audit_test

import (
	"fmt"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
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

// BenchmarkVerify is a log of 20,000 entries, from the database to the result.
func BenchmarkVerify(b *testing.B) {
	const size = 20_000
	for name, open := range engines {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			fill(s, size)
			for b.Loop() {
				if _, err := audit.Verify(b.Context(), s.db, s.corp, audit.Trust{}, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
