package handover_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// BenchmarkAudited is how many handovers of one contact are carried out and recorded a
// second by eight administrators at once: all in one corp, where the head of its log
// puts them in a row, and spread over ten.
func BenchmarkAudited(b *testing.B) {
	const clients = 8
	for name, open := range map[string]func(testing.TB, *storetest.Clock) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		for _, corps := range []int{1, 10} {
			b.Run(fmt.Sprintf("%s/corps=%d", name, corps), func(b *testing.B) {
				clock := storetest.NewClock()
				db := open(b, clock)
				all := make([]*audited, corps)
				for i := range all {
					all[i] = newAudited(b, db, clock, fmt.Sprint("corp", i), 2*clients)
				}
				storetest.Analyze(b, db)
				var next atomic.Int64
				var wait sync.WaitGroup
				b.ResetTimer()
				for w := range clients {
					wait.Go(func() {
						for {
							n := int(next.Add(1)) - 1
							if n >= b.N {
								return
							}
							all[n%corps].handOver(b, (w+n/corps%2*clients)%(2*clients), fmt.Sprint(n))
						}
					})
				}
				wait.Wait()
				b.StopTimer()
				moved := 0
				for _, x := range all {
					moved += x.moved()
				}
				if moved != b.N {
					b.Fatalf("%d contacts moved in %d handovers", moved, b.N)
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "handovers/s")
			})
		}
	}
}

// perPair is how many contacts a pair of members has: one goes after another, so that
// none has moved more often than a few times.
const perPair = 40

// audited is a corp whose pairs of members hand contacts to each other.
type audited struct {
	*testcorp.Corp
	s     *handover.Service
	admin []context.Context // one session each: nobody waits for another's
	pairs []*pair
}

type pair struct {
	mu       sync.Mutex
	a, b     nid.ID
	contacts []nid.ID
	next     int // from a to b; after the last they go back
}

func newAudited(b *testing.B, db *store.DB, clock *storetest.Clock, title string, pairs int) *audited {
	c := testcorp.New(b, db, clock, title)
	x := &audited{Corp: c, s: &handover.Service{DB: db, Log: c.Log}}
	many := 1000
	if err := (&setting.Service{DB: db, Log: c.Log}).Save(c.Verified(c.Admin), setting.SaveInput{MovesPerContact: &many}); err != nil {
		b.Fatal(err)
	}
	for i := range pairs {
		p := &pair{a: c.Member(fmt.Sprint("from", i), c.Root), b: c.Member(fmt.Sprint("to", i), c.Root)}
		p.contacts = c.Contacts(perPair, p.a)
		x.pairs = append(x.pairs, p)
		x.admin = append(x.admin, context.WithoutCancel(c.Verified(c.Admin)))
	}
	return x
}

func (x *audited) handOver(b *testing.B, i int, key string) {
	p := x.pairs[i]
	p.mu.Lock()
	defer p.mu.Unlock()
	in := handover.Input{Kind: handover.OnJob, LeaverID: p.a, Successors: handover.Choice{MemberID: &p.b},
		Select: &handover.Selection{ContactIDs: p.contacts[p.next : p.next+1]}}
	if _, err := x.s.HandOver(x.admin[i], in, nil, key); err != nil {
		b.Error(err)
		return
	}
	if p.next++; p.next == perPair {
		p.a, p.b, p.next = p.b, p.a, 0
	}
}

// moved is how many transfers were carried out.
func (x *audited) moved() int {
	return testcorp.Value[int](x.Corp, `SELECT count(*) FROM transfers WHERE corp_id = $1 AND status = 'COMPLETED'`, x.ID)
}
