package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/openhandover/openhandover/internal/access"
)

// Shared is where replicas tell each other what they let pass.
type Shared interface {
	// Levels pours what passed here into the bucket of each key, which all replicas share
	// and which drains at its rate, and gives how full each is now, in their order.
	Levels(ctx context.Context, poured []Pour) ([]float64, error)
}

// Pour is what one process let pass since it said so last.
type Pour struct {
	// Key is a hash: whose bucket it is is nobody's business.
	Key       string
	N         int
	PerSecond float64
}

// shareEvery is how often replicas tell each other what they let pass. In between each
// counts for itself, so that no request waits for another replica: of all of them
// together a second's worth more than the limit may pass, at most.
const shareEvery = time.Second

// pace is the rates of one process, by whom they are counted.
type pace struct {
	address, account, corp *rates
}

func newPace(l Limits) *pace {
	return &pace{newRates("address", l.Rate, l.Burst), newRates("account", l.AccountRate, l.AccountBurst), newRates("corp", l.CorpRate, l.CorpBurst)}
}

// actor takes one request of the account and the corp of who has signed in.
func (p *pace) actor(a *access.Actor) time.Duration {
	if !a.SignedIn() {
		return 0
	}
	if wait := p.account.take(a.ID.String()); wait > 0 {
		return wait
	}
	return p.corp.take(a.Corp.String())
}

// share tells the other replicas, until ctx ends. Where that fails each goes on alone.
func (p *pace) share(ctx context.Context, with Shared) {
	if with == nil {
		return
	}
	tick := time.NewTicker(shareEvery)
	defer tick.Stop()
	for failed := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := p.exchange(ctx, with)
		if err != nil && !failed && ctx.Err() == nil {
			slog.WarnContext(ctx, "replicas cannot add up rates; each counts for itself", "err", err)
		}
		failed = err != nil
	}
}

// exchange tells what passed here since the last time, and takes from each bucket what
// others let pass.
func (p *pace) exchange(ctx context.Context, with Shared) error {
	var poured []Pour
	var from []*bucket
	for _, r := range []*rates{p.address, p.account, p.corp} {
		r.collect(func(one Pour, b *bucket) { poured, from = append(poured, one), append(from, b) })
	}
	if len(poured) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shareEvery)
	defer cancel()
	levels, err := with.Levels(ctx, poured)
	if err != nil {
		return err
	}
	for i, b := range from {
		b.settle(poured[i].N, levels[i])
	}
	return nil
}

// rates has a token bucket for each address, account or corp that asked lately.
type rates struct {
	of    string
	limit rate.Limit
	burst int

	mu      sync.Mutex
	buckets map[string]*bucket
	swept   time.Time
	// rest is for keys beyond maxBuckets: with so many asking at once the memory for
	// them matters more than fairness between them.
	rest *bucket
}

// bucket is one token bucket.
type bucket struct {
	*rate.Limiter
	untold atomic.Int64 // let pass here since it was told
}

const maxBuckets = 1 << 16

// newRates sets no limit when perSecond is negative.
func newRates(of string, perSecond float64, burst int) *rates {
	if perSecond < 0 {
		return nil
	}
	l := rate.Limit(perSecond)
	return &rates{of: of, limit: l, burst: burst, buckets: map[string]*bucket{}, rest: &bucket{Limiter: rate.NewLimiter(l, burst)}}
}

// subscriber is whose requests an address counts for: all of an IPv6 /64 have one.
func subscriber(addr netip.Addr) string {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits)
	return p.String()
}

// take takes one token, or says how long it takes until there is one.
func (s *rates) take(key string) time.Duration {
	if s == nil {
		return 0
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bucket(key, now)
	r := b.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
		return wait
	}
	b.untold.Add(1)
	return 0
}

func (s *rates) bucket(key string, now time.Time) *bucket {
	if b := s.buckets[key]; b != nil {
		return b
	}
	if len(s.buckets) >= maxBuckets {
		s.sweep(now)
	}
	if len(s.buckets) >= maxBuckets {
		return s.rest
	}
	b := &bucket{Limiter: rate.NewLimiter(s.limit, s.burst)}
	s.buckets[key] = b
	return b
}

// sweep forgets buckets that are full again, which is the same as none. Looking
// more often than they can fill would be work for nothing.
func (s *rates) sweep(now time.Time) {
	if now.Sub(s.swept) < time.Duration(float64(s.burst)/float64(s.limit)*float64(time.Second)) {
		return
	}
	s.swept = now
	for key, b := range s.buckets {
		if b.TokensAt(now) >= float64(s.burst) {
			delete(s.buckets, key)
		}
	}
}

// collect gathers what has not been told.
func (s *rates) collect(told func(Pour, *bucket)) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, b := range s.buckets {
		// After an outage no more than what is missing here still: the rest has drained.
		if n := b.forget(); n > 0 {
			hash := sha256.Sum256([]byte(s.of + " " + key))
			told(Pour{hex.EncodeToString(hash[:16]), int(n), float64(s.limit)}, b)
		}
	}
}

// forget lets go of what has drained since it passed, and gives what is left to tell.
func (b *bucket) forget() int64 {
	missing := int64(math.Ceil(float64(b.Burst()) - b.TokensAt(time.Now())))
	if n := b.untold.Load(); n > missing {
		b.untold.Add(missing - n)
	}
	return b.untold.Load()
}

// settle takes from the bucket what others let pass: by how much the shared one is
// fuller than what passed here would make it.
func (b *bucket) settle(told int, level float64) {
	now := time.Now()
	own := float64(b.Burst()) - b.TokensAt(now) - float64(b.untold.Add(-int64(told)))
	if others := int(level - own); others > 0 {
		b.ReserveN(now, min(others, b.Burst()))
	}
}
