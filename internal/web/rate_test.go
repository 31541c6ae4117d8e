package web

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
)

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, func(o *Options) { o.Limits.Rate, o.Limits.Burst = 2, 3 })
		from := func(addr string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", "/graphql", nil)
			r.RemoteAddr = addr
			w := httptest.NewRecorder()
			f.ServeHTTP(w, r)
			return w
		}
		for range 3 {
			if w := from("192.0.2.1:1"); w.Code != 200 {
				t.Fatalf("%d within the burst", w.Code)
			}
		}
		wantFault(t, from("192.0.2.1:2"), 429, fault.RateLimited)
		if w := from("192.0.2.2:1"); w.Code != 200 {
			t.Errorf("somebody else: %d", w.Code)
		}
		if w := f.do("GET", "/healthz", ""); w.Code != 200 {
			t.Errorf("health: %d", w.Code)
		}
		<-time.After(500 * time.Millisecond) // on the bubble's clock
		if w := from("192.0.2.1:1"); w.Code != 200 {
			t.Errorf("after the time it was told: %d", w.Code)
		}
		wantFault(t, from("192.0.2.1:1"), 429, fault.RateLimited)
		for i := range 3 {
			from(fmt.Sprintf("[2001:db8::%d]:1", i))
		}
		wantFault(t, from("[2001:db8::ffff]:1"), 429, fault.RateLimited) // the same subscriber
		if w := from("[2001:db8:0:1::1]:1"); w.Code != 200 {
			t.Errorf("another subscriber: %d", w.Code)
		}
	})
	off := newServer(t, func(o *Options) { o.Limits.Rate = -1 })
	for range 1000 {
		if w := off.do("POST", "/graphql", ""); w.Code != 200 {
			t.Fatalf("no limit, but %d", w.Code)
		}
	}
}

func TestRatesForgetAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRates("address", 10, 10)
		addr := func(i int) string { return fmt.Sprint(i) }
		for i := range maxBuckets + 100 {
			s.take(addr(i))
		}
		if len(s.buckets) != maxBuckets {
			t.Errorf("%d buckets", len(s.buckets))
		}
		if s.take(addr(maxBuckets+100)) == 0 {
			t.Error("addresses beyond the limit take what they like")
		}
		if s.take(addr(5)) != 0 {
			t.Error("an address that was there before is held up by the others")
		}
		<-time.After(time.Second) // on the bubble's clock: all are full again
		if s.take(addr(maxBuckets+101)) != 0 || len(s.buckets) != 1 {
			t.Errorf("%d buckets are left", len(s.buckets))
		}
	})
}

// An account and a corp have limits of their own, wherever its people come from.
func TestRatesOfAccountAndCorp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, func(o *Options) {
			o.Limits = Limits{Rate: -1, AccountRate: 1, AccountBurst: 3, CorpRate: 1, CorpBurst: 5}
		})
		corp, n := nid.New(nid.Corp), 0
		from := func(member nid.ID) *httptest.ResponseRecorder {
			n++
			f.doorman.actor = access.Actor{Corp: corp, ID: member}
			r := httptest.NewRequest("POST", "/graphql", nil)
			r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1", n)
			r.Header.Set("Authorization", "Bearer good")
			w := httptest.NewRecorder()
			f.ServeHTTP(w, r)
			return w
		}
		lina, wang := nid.New(nid.Member), nid.New(nid.Member)
		for range 3 {
			if w := from(lina); w.Code != 200 {
				t.Fatalf("%d within the burst", w.Code)
			}
		}
		wantFault(t, from(lina), 429, fault.RateLimited)
		for range 2 {
			if w := from(wang); w.Code != 200 {
				t.Fatalf("%d within the corp's burst", w.Code)
			}
		}
		w := from(nid.New(nid.Member)) // who has asked for nothing yet, of a corp that has
		wantFault(t, w, 429, fault.RateLimited)
		if w.Header().Get("Retry-After") != "1" {
			t.Error("Retry-After: ", w.Header())
		}
		if w := f.do("POST", "/graphql", ""); w.Code != 200 {
			t.Errorf("who has not signed in is of no corp: %d", w.Code)
		}
		corp = nid.New(nid.Corp)
		if w := from(nid.New(nid.Member)); w.Code != 200 {
			t.Errorf("another corp: %d", w.Code)
		}
	})
}

// vessel is what replicas share, in memory.
type vessel struct {
	mu     sync.Mutex
	levels map[string]float64
	at     time.Time
	broken bool
	told   int
}

func (v *vessel) Levels(_ context.Context, in []Pour) ([]float64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.broken {
		return nil, errors.New("connection refused")
	}
	now := time.Now()
	out := make([]float64, len(in))
	for i, p := range in {
		v.told += p.N
		v.levels[p.Key] = max(0, v.levels[p.Key]-p.PerSecond*now.Sub(v.at).Seconds()) + float64(p.N)
		out[i] = v.levels[p.Key]
	}
	v.at = now
	return out, nil
}

// Replicas let pass together what one may, and a second's worth more at most.
func TestReplicasShareRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vessel{levels: map[string]float64{}}
		ctx, cancel := context.WithCancel(t.Context())
		var replicas []*pace
		for range 3 {
			l := newPace(Limits{Rate: 10, Burst: 40, AccountRate: -1, CorpRate: -1})
			go l.share(ctx, v)
			replicas = append(replicas, l)
		}
		passed := 0
		storm := func(seconds int) {
			for range seconds * 100 { // each replica is asked 100 times a second
				for _, l := range replicas {
					if l.address.take("192.0.2.1/32") == 0 {
						passed++
					}
				}
				<-time.After(10 * time.Millisecond)
			}
		}
		storm(1)
		if passed > 3*(40+10) {
			t.Errorf("%d passed in the first second", passed)
		}
		passed = 0
		storm(60)
		if passed < 60*10*8/10 || passed > 60*10+3*10 {
			t.Errorf("%d passed in a minute of three replicas, whose limit is 600 together", passed)
		}
		<-time.After(time.Minute) // all has drained
		passed = 0
		storm(1)
		if passed < 40 {
			t.Errorf("after a rest only %d passed", passed)
		}
		v.mu.Lock()
		v.broken = true
		v.mu.Unlock()
		<-time.After(time.Minute)
		passed = 0
		storm(10)
		if passed < 3*100 {
			t.Errorf("each alone, %d passed", passed)
		}
		cancel()
		synctest.Wait()
	})
}

// An outage of the database is not paid for afterwards by those within their limit.
func TestAnOutageIsNotPaidFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vessel{levels: map[string]float64{}}
		ctx, cancel := context.WithCancel(t.Context())
		l := newPace(Limits{Rate: 10, Burst: 40, AccountRate: -1, CorpRate: -1})
		go l.share(ctx, v)
		use := func(seconds int) (refused int) { // half of what one may
			for range seconds * 5 {
				if l.address.take("192.0.2.1/32") > 0 {
					refused++
				}
				<-time.After(200 * time.Millisecond)
			}
			return refused
		}
		broken := func(b bool) { v.mu.Lock(); defer v.mu.Unlock(); v.broken = b }
		use(60)
		broken(true)
		use(600)
		broken(false)
		if n := use(300); n > 0 {
			t.Errorf("%d of 1500 are refused", n)
		}
		cancel()
		synctest.Wait()
	})
}
