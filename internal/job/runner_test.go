package job_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/job"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func wake(t *testing.T, c *testcorp.Corp, kind string, at time.Time) {
	t.Helper()
	if err := c.DB.Tx(store.System(context.Background(), c.ID, "test"), func(ctx context.Context, tx *store.Tx) error { return tx.Wake(ctx, kind, at) }); err != nil {
		t.Fatal(err)
	}
}

// run starts a runner that ends with the test.
func run(t *testing.T, db *store.DB, kinds map[string]job.Work) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&job.Runner{DB: db, Kinds: kinds, Log: slog.New(slog.DiscardHandler)}).Run(ctx)
	}()
	go func() { _ = db.Listen(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

// What is due is done, what failed is done again, one corp's panic is not another's,
// and a call for work while work is done is not lost.
func TestWorkIsFoundAndFoundAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		good, bad := testcorp.New(t, db, clock, "good"), testcorp.New(t, db, clock, "bad")
		ran := make(chan int, 100)
		tries := map[nid.ID]int{}
		first := make(chan struct{})
		kinds := map[string]job.Work{"test": func(ctx context.Context, corp nid.ID) (time.Time, error) {
			switch corp {
			case bad.ID:
				panic("bad")
			}
			tries[corp]++ // one at a time for each corp
			n := tries[corp]
			if n == 1 {
				close(first)
				wake(t, good, "test", db.Now()) // somebody calls meanwhile
			}
			ran <- n
			if n == 2 {
				return time.Time{}, errors.New("try again")
			}
			return time.Time{}, nil
		}}
		wake(t, bad, "test", db.Now())
		wake(t, good, "test", db.Now())
		wake(t, good, "another kind", db.Now())
		run(t, db, kinds)
		<-first
		for want := 1; want <= 3; want++ {
			if got := <-ran; got != want {
				t.Fatalf("run %d, want %d", got, want)
			}
		}
	})
}

// What is due later waits for its time, and is not lost where it was looked for early.
func TestAlarmsAreQuietUntilTheirTime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		ctx := context.Background()
		due := func() []store.Alarm {
			t.Helper()
			a, err := db.Alarms(ctx, []string{"test"})
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		wake(t, c, "test", db.Now().Add(time.Hour))
		if len(due()) != 0 {
			t.Error("due too early")
		}
		wake(t, c, "test", db.Now().Add(2*time.Hour)) // later does not put it off
		clock.Add(time.Hour)
		seen := due()
		if len(seen) != 1 {
			t.Fatalf("%d are due", len(seen))
		}
		wake(t, c, "test", db.Now())
		if err := db.Quiet(ctx, seen[0], time.Time{}); err != nil {
			t.Fatal(err)
		}
		if len(due()) != 1 {
			t.Error("an alarm was silenced that somebody had set since")
		}
		if err := db.Quiet(ctx, due()[0], db.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if len(due()) != 0 {
			t.Error("it was put off and is due")
		}
		clock.Add(time.Minute)
		if err := db.Quiet(ctx, due()[0], time.Time{}); err != nil || len(due()) != 0 {
			t.Error("it is not quiet", err)
		}
	})
}

// What one replica tells the others hear, if it commits.
func TestReplicasHearEachOther(t *testing.T) {
	clock := storetest.NewClock()
	a, url := storetest.PostgresURL(t, clock)
	b, err := store.Open(context.Background(), store.Options{URL: url, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	c := testcorp.New(t, a, clock, "acme")
	heard, deaf := b.Hear("news")
	defer deaf()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = b.Listen(ctx) }()
	say := func(topic string, fail error) {
		err := a.Tx(store.System(ctx, c.ID, "test"), func(_ context.Context, tx *store.Tx) error { tx.Tell(topic); return fail })
		if !errors.Is(err, fail) {
			t.Fatal(err)
		}
	}
	undone := errors.New("undone")
	tick := time.NewTicker(20 * time.Millisecond) // until the other one listens
	defer tick.Stop()
	for told := false; !told; {
		say("news", nil)
		select {
		case <-heard:
			told = true
		case <-tick.C:
		}
	}
	marker, _ := b.Hear("marker")
	for len(heard) > 0 {
		<-heard
	}
	say("marker", nil)
	<-marker
	for len(heard) > 0 {
		<-heard
	}
	say("news", undone)
	say("marker", nil)
	<-marker
	if len(heard) > 0 {
		t.Error("heard what was rolled back")
	}
}
