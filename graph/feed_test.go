package graph

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
)

// tally is something that counts up, is told of, and ends at a number.
type tally struct {
	value atomic.Int64
	looks atomic.Int64
	fails atomic.Pointer[error]
	heard chan struct{}
	done  atomic.Bool
}

func (c *tally) add() {
	c.value.Add(1)
	select {
	case c.heard <- struct{}{}:
	default:
	}
}

func (c *tally) fail(err error) { c.fails.Store(&err) }

func (c *tally) follow(t *testing.T, ctx context.Context, last int64) <-chan int64 {
	t.Helper()
	c.heard = make(chan struct{}, 1)
	f := &feed[int64]{
		heard: c.heard,
		look: func(context.Context) (int64, error) {
			c.looks.Add(1)
			if err := c.fails.Load(); err != nil && *err != nil {
				return 0, *err
			}
			return c.value.Load(), nil
		},
		same: func(a, b int64) bool { return a == b },
		last: func(v int64) bool { return v >= last },
	}
	out, err := f.start(ctx, func() { c.done.Store(true) })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ended checks that nothing more comes, and that the feed has cleaned up.
func (c *tally) ended(t *testing.T, out <-chan int64) {
	t.Helper()
	if v, more := <-out; more {
		t.Errorf("%d comes after the end", v)
	}
	synctest.Wait()
	if !c.done.Load() {
		t.Error("it still listens")
	}
}

// A snapshot at once; many changes a second make two events a second; the last one
// ends it.
func TestFeedRunsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c tally
		out := c.follow(t, t.Context(), 1001)
		start := time.Now()
		go func() {
			for range 1001 {
				<-time.After(7 * time.Millisecond)
				c.add()
			}
		}()
		var at []time.Duration
		var got []int64
		for v := range out {
			at, got = append(at, time.Since(start)), append(got, v)
		}
		// Seven seconds and a little: the snapshot, one each half second, and the last.
		if got[0] != 0 || at[0] != 0 || len(got) != 16 || got[len(got)-1] != 1001 || !slices.IsSorted(got) {
			t.Errorf("%d events: %v at %v", len(got), got, at)
		}
		for i := 1; i < len(at); i++ {
			if at[i]-at[i-1] < progressPause {
				t.Errorf("events at %v and %v", at[i-1], at[i])
			}
		}
		c.ended(t, out)
	})
}

// After a pause the first change comes at once.
func TestFeedIsPrompt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var c tally
		out := c.follow(t, ctx, 1000)
		<-out
		<-time.After(time.Second)
		start := time.Now()
		c.add()
		if v := <-out; v != 1 || time.Since(start) != 0 {
			t.Errorf("%d after %v", v, time.Since(start))
		}
		cancel() // the client goes
		c.ended(t, out)
	})
}

// A change that nobody told of is seen by looking; what has not changed is not said.
func TestFeedLooksWithoutBeingTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c tally
		out := c.follow(t, t.Context(), 1)
		<-out
		start := time.Now()
		c.heard <- struct{}{} // told, and nothing has changed
		<-time.After(progressPause + 2*progressPoll + time.Second)
		c.value.Store(1) // changed, and nobody told
		if v := <-out; v != 1 || time.Since(start) != progressPause+3*progressPoll {
			t.Errorf("%d after %v", v, time.Since(start))
		}
		if n := c.looks.Load(); n != 5 { // the first, the one that was told, three of its own accord
			t.Errorf("%d looks", n)
		}
		c.ended(t, out)
	})
}

func TestFeedThatCannotLook(t *testing.T) {
	for _, r := range []struct {
		name string
		err  error
		ends bool
	}{
		{"out of sight", fault.Missing("id"), true},
		{"the database is away", fault.New(fault.Unavailable, "", fault.T("later", "稍后")), false},
		{"something unforeseen", errors.New("disk"), false},
	} {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c tally
				out := c.follow(t, t.Context(), 1)
				<-out
				c.fail(r.err)
				c.add()
				if r.ends {
					c.ended(t, out)
					return
				}
				<-time.After(time.Minute)
				c.fail(nil)
				if v := <-out; v != 1 {
					t.Errorf("%d", v)
				}
				c.ended(t, out)
			})
		})
	}
	t.Run("signed in no more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var c tally
			out := c.follow(t, ctx, 2)
			<-out
			c.fail(fault.New(fault.Unauthenticated, "", fault.T("sign in first", "请先登录")))
			c.add()
			if v := <-out; v != 0 { // what was known, so that the stream asks who is there
				t.Errorf("%d is told to somebody who is signed in no more", v)
			}
			cancel()
			c.ended(t, out)
		})
	})
	t.Run("from the start", func(t *testing.T) {
		f := &feed[int]{look: func(context.Context) (int, error) { return 0, fault.Missing("id") }}
		if out, err := f.start(t.Context(), func() {}); out != nil || fault.CodeOf(err) != fault.NotFound {
			t.Error(out, err)
		}
	})
}
