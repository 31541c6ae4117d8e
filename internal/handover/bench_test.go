package handover_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// BenchmarkHandOver is handOver as a client calls it, with session, permission,
// digest, idempotency key, counters, statistics and audit chain: n contacts go to
// a colleague and, in the next round, back.
func BenchmarkHandOver(b *testing.B) {
	for name, open := range map[string]func(testing.TB, *storetest.Clock) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		for _, n := range []int{1, 20, 200} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				clock := storetest.NewClock()
				db := open(b, clock)
				c := testcorp.New(b, db, clock, "acme")
				c.Grant(c.Admin, access.Administrator.Name, nid.ID{})
				lina, wang := c.Member("lina", c.Root), c.Member("wang", c.Root)
				c.Contacts(n, lina)
				s := &handover.Service{DB: db, Log: c.Log}
				storetest.Analyze(b, db)
				from, to, round := lina, wang, 0
				for b.Loop() {
					b.StopTimer()
					round++
					clock.Add(91 * 24 * time.Hour) // else they would cool down, and nothing would move
					admin := c.Verified(c.Admin)
					b.StartTimer()
					in := handover.Input{Kind: handover.OnJob, LeaverID: from, Successors: handover.Choice{MemberID: &to}}
					if _, err := s.HandOver(context.WithoutCancel(admin), in, nil, fmt.Sprint(round)); err != nil {
						b.Fatal(err)
					}
					from, to = to, from
				}
				b.StopTimer()
				if moved := testcorp.Value[int](c, `SELECT count(*) FROM transfers WHERE corp_id = $1 AND status = 'COMPLETED'`, c.ID); moved != n*round {
					b.Fatalf("%d contacts moved in %d rounds of %d", moved, round, n)
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "transfers/s")
			})
		}
	}
}
