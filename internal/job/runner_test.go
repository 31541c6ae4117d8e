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

// A LISTEN connection that is lost is made anew, and everybody looks again, since
// something may have been told meanwhile.
func TestALostListenerComesBack(t *testing.T) {
	clock := storetest.NewClock()
	db := storetest.Postgres(t, clock)
	c := testcorp.New(t, db, clock, "acme")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- db.Listen(ctx) }()
	session, err := db.Pool().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	listener := func() (pid int) {
		t.Helper()
		for pid == 0 { // until it is there
			err := session.QueryRowContext(ctx, `SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'`).Scan(&pid)
			if err != nil {
				t.Fatal(err)
			}
		}
		return pid
	}
	heard, deaf := db.Hear("news")
	defer deaf()
	lost := listener()
	if _, err := session.ExecContext(ctx, `SELECT pg_terminate_backend($1)`, lost); err != nil {
		t.Fatal(err)
	}
	<-heard // told by nobody
	if now := listener(); now == lost {
		t.Error("the connection is the one that was lost")
	}
	if err := db.Tx(store.System(ctx, c.ID, "test"), func(_ context.Context, tx *store.Tx) error { tx.Tell("news"); return nil }); err != nil {
		t.Fatal(err)
	}
	<-heard
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Listening ends with its context, whether or not it has a connection by then.
func TestListeningEndsWithItsContext(t *testing.T) {
	clock := storetest.NewClock()
	_, url := storetest.PostgresURL(t, clock)
	db, err := store.Open(t.Context(), store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Listen(ctx); err != nil {
		t.Error(err)
	}
}

// Long work of one kind leaves room for the others, and for itself as room comes.
func TestLongWorkLeavesRoom(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		var corps []*testcorp.Corp
		for _, name := range []string{"a", "b", "c", "d"} {
			corps = append(corps, testcorp.New(t, db, clock, name))
		}
		long, short, release := make(chan nid.ID, 10), make(chan nid.ID, 10), make(chan struct{})
		kinds := map[string]job.Work{
			"long": func(ctx context.Context, corp nid.ID) (time.Time, error) {
				long <- corp
				select {
				case <-release:
				case <-ctx.Done():
				}
				return time.Time{}, nil
			},
			"short": func(_ context.Context, corp nid.ID) (time.Time, error) { short <- corp; return time.Time{}, nil },
		}
		for _, c := range corps {
			wake(t, c, "long", db.Now())
		}
		run(t, db, kinds)
		for range 3 {
			<-long
		}
		wake(t, corps[0], "short", db.Now())
		<-short
		if len(long) > 0 {
			t.Error("the fourth long one has taken the last place")
		}
		release <- struct{}{}
		<-long
		close(release)
	})
}

// The age of what is overdue is that of work nobody is at.
func TestOverdue(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		a, b := testcorp.New(t, db, clock, "a"), testcorp.New(t, db, clock, "b")
		ctx := context.Background()
		age := func(want time.Duration) {
			t.Helper()
			if got, err := db.Overdue(ctx); err != nil || got != want {
				t.Errorf("overdue for %v, want %v; %v", got, want, err)
			}
		}
		age(0)
		wake(t, a, "test", db.Now().Add(time.Hour))
		age(0)
		clock.Add(time.Hour + time.Minute)
		wake(t, b, "test", db.Now())
		clock.Add(time.Minute)
		age(2 * time.Minute)
		due, err := db.Alarms(ctx, []string{"test"})
		if err != nil || len(due) != 2 {
			t.Fatal(due, err)
		}
		if err := db.Attend(ctx, due[0]); err != nil {
			t.Fatal(err)
		}
		age(time.Minute)
		if again, err := db.Alarms(ctx, []string{"test"}); err != nil || len(again) != 2 || again[0].Corp != b.ID {
			t.Error("what somebody is at must stay due for other replicas, after what nobody is at", again, err)
		}
		if err := db.Quiet(ctx, due[0], time.Time{}); err != nil {
			t.Fatal(err)
		}
		if left, err := db.Alarms(ctx, []string{"test"}); err != nil || len(left) != 1 {
			t.Error("an alarm that was attended to cannot be silenced", left, err)
		}
		// One that was set again meanwhile is not the one that is attended to.
		wake(t, b, "test", db.Now())
		if err := db.Attend(ctx, due[1]); err != nil {
			t.Fatal(err)
		}
		age(time.Minute)
	})
}
