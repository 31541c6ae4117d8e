package siblings

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

type item struct {
	Kin
	n int
}

func items(n int) []*item {
	out := make([]*item, n)
	for i := range out {
		out[i] = &item{n: i}
	}
	return out
}

func TestSiblingsShareOneLoad(t *testing.T) {
	rows := Join(items(50))
	var calls atomic.Int32
	double := func(_ context.Context, rows []*item) (map[int]int, error) {
		calls.Add(1)
		out := map[int]int{}
		for _, r := range rows {
			out[r.n] = 2 * r.n
		}
		return out, nil
	}
	var wg sync.WaitGroup
	for _, r := range rows {
		wg.Go(func() {
			got, err := Load(t.Context(), r, "double", double)
			if err != nil || got[r.n] != 2*r.n {
				t.Errorf("%d: %v %v", r.n, got[r.n], err)
			}
		})
	}
	wg.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("50 siblings ran the load %d times", n)
	}
	if _, err := Load(t.Context(), rows[0], "other", double); err != nil || calls.Load() != 2 {
		t.Errorf("another key did not load: %v", err)
	}
}

func TestLoneRowLoadsForItself(t *testing.T) {
	r := &item{n: 7}
	got, err := Load(t.Context(), r, "k", func(_ context.Context, rows []*item) (int, error) { return len(rows), nil })
	if got != 1 || err != nil {
		t.Errorf("%d %v", got, err)
	}
}

func TestErrorIsShared(t *testing.T) {
	rows, broken := Join(items(2)), errors.New("broken")
	calls := 0
	for _, r := range rows {
		_, err := Load(t.Context(), r, "k", func(context.Context, []*item) (int, error) { calls++; return 0, broken })
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
	if calls != 1 {
		t.Errorf("ran %d times", calls)
	}
}

func TestPanicReachesTheOthersAsAnError(t *testing.T) {
	rows := Join(items(2))
	func() {
		defer func() { _ = recover() }()
		_, _ = Load(t.Context(), rows[0], "k", func(context.Context, []*item) (int, error) { panic("oops") })
	}()
	if _, err := Load(t.Context(), rows[1], "k", func(context.Context, []*item) (int, error) { return 1, nil }); err == nil {
		t.Error("a sibling of a load that panicked got a value")
	}
}
