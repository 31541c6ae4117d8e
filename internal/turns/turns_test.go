package turns_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openhandover/openhandover/internal/turns"
)

// visit enters, notes it, and stays until it is told to leave.
type visitors struct {
	t       *testing.T
	room    *turns.Room
	entered []string
	stay    chan struct{}
	refused map[string]error
	mu      sync.Mutex // of entered and refused
}

func (v *visitors) visit(group, name string) {
	leave, err := v.room.Enter(v.t.Context(), group, name)
	if err != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.refused[group+name] = err
		return
	}
	defer leave()
	v.mu.Lock()
	v.entered = append(v.entered, group+name)
	v.mu.Unlock()
	<-v.stay
}

func TestTurnsGoRoundTheGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitors{t: t, room: &turns.Room{Running: 1, Waiting: 12, PerGuest: 3, Wait: time.Hour}, stay: make(chan struct{}), refused: map[string]error{}}
		for _, who := range []string{"a1", "a1", "a1", "a1", "a2", "b1", "c1"} {
			go v.visit(who[:1], who[1:])
			synctest.Wait()
		}
		go v.visit("a", "1") // a fourth that waits
		synctest.Wait()
		if !errors.Is(v.refused["a1"], turns.ErrShare) {
			t.Errorf("more than a guest's share: %v", v.refused)
		}
		for range 7 {
			v.stay <- struct{}{}
			synctest.Wait()
		}
		if got := strings.Join(v.entered, " "); got != "a1 b1 c1 a1 a1 a1 a2" {
			t.Error(got)
		}
	})
}

func TestOneGuestRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitors{t: t, room: &turns.Room{Running: 2, Waiting: 8, PerGuest: 3, Wait: time.Hour}, stay: make(chan struct{}), refused: map[string]error{}}
		for _, who := range []string{"a1", "a1", "a1", "a2"} {
			go v.visit(who[:1], who[1:])
			synctest.Wait()
		}
		if !slices.Equal(v.entered, []string{"a1", "a2"}) {
			t.Error(v.entered)
		}
		close(v.stay)
		synctest.Wait()
		if len(v.entered) != 4 {
			t.Error(v.entered)
		}
	})
}

func TestNobodyWaitsLongerThanAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitors{t: t, room: &turns.Room{Running: 1, Waiting: 2, PerGuest: 2, Wait: 2 * time.Second}, stay: make(chan struct{}), refused: map[string]error{}}
		go v.visit("a", "1")
		synctest.Wait()
		start := time.Now()
		if _, err := v.room.Enter(t.Context(), "b", "1"); !errors.Is(err, turns.ErrFull) || time.Since(start) != 2*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := v.room.Enter(ctx, "b", "1"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		go v.visit("b", "1")
		synctest.Wait()
		if _, err := v.room.Enter(t.Context(), "b", "2"); !errors.Is(err, turns.ErrShare) {
			t.Errorf("more than half: %v", err)
		}
		go v.visit("c", "1")
		synctest.Wait()
		if _, err := v.room.Enter(t.Context(), "d", "1"); !errors.Is(err, turns.ErrFull) {
			t.Errorf("all that may wait do: %v", err)
		}
		close(v.stay)
	})
}
