package handover_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// Handovers that one person has carried out at the same moment add up: the second one
// waits for the first, on PostgreSQL; SQLite has one writer.
func TestWhatIsHandedOverAtOnceAddsUp(t *testing.T) {
	clock := storetest.NewClock()
	db := storetest.Postgres(t, clock)
	for name, way := range map[string]func(w *world) func(ctx context.Context) error{
		"handOver": func(w *world) func(ctx context.Context) error {
			in, _ := w.input(2, 0)
			return func(ctx context.Context) error { _, err := w.s.HandOver(ctx, in, nil, w.key()); return err }
		},
		"executeHandover": func(w *world) func(ctx context.Context) error { // what nobody has asked for
			token := 100 + w.token(-1)
			p := w.planned(w.create(token, 2, 0, nil))
			w.must(w.submit(token, p))
			return func(ctx context.Context) error { return w.s.Execute(ctx, p.id, w.digest(p), w.key()) }
		},
	} {
		w := newWorld(t, db, clock, name)
		w.rule(2, false, 1)
		first := way(w)
		w.leaver, w.new = w.Member("another leaver", w.Root), w.Member("another new one", w.Root)
		second := way(w)
		boss, again := w.Verified(w.people[0]), w.Verified(w.people[0])
		through, result := make(chan struct{}), make(chan error, 1)
		var begin, past sync.Once
		ok(t, first(store.Count(boss, func(q string) {
			if !strings.HasPrefix(strings.TrimSpace(q), "UPDATE transfers") { // the sum is known
				return
			}
			begin.Do(func() {
				go func() {
					result <- second(store.Count(again, func(q string) {
						if strings.HasPrefix(strings.TrimSpace(q), "UPDATE ") { // past its own sum
							past.Do(func() { close(through) })
						}
					}))
				}()
				short, cancel := context.WithTimeout(again, time.Second/2)
				defer cancel()
				select {
				case <-through: // without having waited
				case <-short.Done():
				}
			})
		})))
		want(t, <-result, fault.ApprovalRequired, "")
	}
}
