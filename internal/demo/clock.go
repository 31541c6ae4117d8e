package demo

import (
	"sync"
	"time"
)

// Clock is the store's clock while the past is made: it can be put anywhere. Its
// Now goes into store.Options.Clock. It is safe for concurrent use.
type Clock struct {
	mu   sync.Mutex
	wall func() time.Time
	at   time.Time // zero: it goes with the wall
}

// NewClock is a clock that goes with wall; nil is time.Now.
func NewClock(wall func() time.Time) *Clock {
	if wall == nil {
		wall = time.Now
	}
	return &Clock{wall: wall}
}

// Now gives the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() {
		return c.wall()
	}
	return c.at
}

// Stop puts the clock to a time, where it stays.
func (c *Clock) Stop(at time.Time) { c.set(at) }

// Resume lets the clock go with the wall again.
func (c *Clock) Resume() { c.set(time.Time{}) }

func (c *Clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}
