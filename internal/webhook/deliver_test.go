package webhook_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
	"github.com/openhandover/openhandover/internal/webhook"
)

func TestAMessageArrivesSigned(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		if next := s.deliver(); next != -1 {
			t.Errorf("nothing to send, and the next is in %s", next)
		}
		s.emit(1)
		if next := s.deliver(); next != -1 {
			t.Errorf("all is sent, and the next is in %s", next)
		}
		s.only(webhook.Delivered, 1, http.StatusOK, "")
		ids, bodies := s.r.got()
		if len(ids) != 1 || ids[0] == "" || !holds(bodies[0], `"id":"`+ids[0]+`"`) {
			t.Errorf("the receiver got %q under %q", bodies, ids)
		}
		if s.deliver(); len(s.r.ids) > 0 {
			t.Error("it was sent again")
		}
	})
}

// Every wait of the table, then the end.
func TestAFailureIsRetriedForTwoDays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.r.answers(status(http.StatusInternalServerError))
		s.emit(1)
		for i, least := range []time.Duration{
			5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 24 * time.Hour,
		} {
			next := s.deliver()
			if next < least || next > least+least/5 {
				t.Errorf("after attempt %d the next is in %s, want %s or a fifth more", i+1, next, least)
			}
			s.only(webhook.Waiting, i+1, 500, webhook.BadStatus)
			clock.Add(next - time.Microsecond)
			s.deliver()
			s.only(webhook.Waiting, i+1, 500, webhook.BadStatus) // not before its time
			clock.Add(time.Microsecond)
		}
		if next := s.deliver(); next != -1 {
			t.Errorf("after the last attempt there is another in %s", next)
		}
		s.only(webhook.Failed, 10, 500, webhook.BadStatus)
		ids, _ := s.r.got()
		if len(ids) != 10 || len(slices.Compact(ids)) != 1 {
			t.Errorf("the receiver got %q", ids)
		}
	})
}

func TestAfterAFailureItSucceeds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.r.answers(status(http.StatusServiceUnavailable))
		s.emit(1)
		clock.Add(s.deliver())
		s.r.answers(status(http.StatusNoContent))
		s.deliver()
		s.only(webhook.Delivered, 2, http.StatusNoContent, "")
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		for _, c := range []struct {
			header     string
			least, top time.Duration
		}{
			{"600", 10 * time.Minute, 10 * time.Minute},
			{clock.Now().Add(time.Hour).Format(http.TimeFormat), time.Hour, time.Hour},
			{"1", 5 * time.Second, 6 * time.Second},      // less than we wait anyway
			{"99999999", 24 * time.Hour, 24 * time.Hour}, // nobody puts us off for years
			{"-5", 5 * time.Second, 6 * time.Second},     // nonsense
			{"soon", 5 * time.Second, 6 * time.Second},   // nonsense
			{clock.Now().Add(-time.Hour).Format(http.TimeFormat), 5 * time.Second, 6 * time.Second},
		} {
			s := newScene(t, db, clock, c.header)
			s.r.answers(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", c.header)
				w.WriteHeader(http.StatusTooManyRequests)
			})
			s.emit(1)
			if next := s.deliver(); next < c.least || next > c.top {
				t.Errorf("Retry-After: %s: the next is in %s", c.header, next)
			}
			s.only(webhook.Waiting, 1, http.StatusTooManyRequests, webhook.BadStatus)
		}
	})
}

func TestGoneSwitchesTheWebhookOff(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.r.answers(status(http.StatusGone))
		s.emit(1)
		s.deliver()
		s.only(webhook.Failed, 1, http.StatusGone, webhook.Gone)
		if testcorp.Value[bool](s.Corp, `SELECT active FROM webhooks WHERE id = $1`, s.hook) {
			t.Error("the webhook is still on")
		}
		if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM audit_entries WHERE action = 'webhook.save' AND subject_id = $1 AND actor_kind = 'SYSTEM'`, s.hook); n != 1 {
			t.Errorf("%d entries say so", n)
		}
		s.emit(1)
		s.only(webhook.Failed, 1, http.StatusGone, webhook.Gone) // nothing more is written for it
	})
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	clock := storetest.NewClock()
	s := newScene(t, storetest.SQLite(t, clock), clock)
	s.r.answers(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/hook" {
			t.Error("the redirect was followed")
		}
		http.Redirect(w, q, "/elsewhere", http.StatusTemporaryRedirect)
	})
	s.emit(1)
	s.deliver()
	s.only(webhook.Waiting, 1, http.StatusTemporaryRedirect, webhook.Redirected)
}

func TestNoAnswerInTime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		if s.s.Client.Timeout != 10*time.Second {
			t.Errorf("the limit is %s", s.s.Client.Timeout)
		}
		s.s.Client.Timeout = 50 * time.Millisecond
		never := make(chan struct{})
		defer close(never)
		s.r.answers(func(http.ResponseWriter, *http.Request) { <-never })
		s.emit(1)
		s.deliver()
		s.only(webhook.Waiting, 1, 0, webhook.NoAnswer)
	})
}

func TestNobodyThere(t *testing.T) {
	clock := storetest.NewClock()
	s := newScene(t, storetest.SQLite(t, clock), clock)
	s.emit(1)
	s.r.server.Close()
	s.deliver()
	s.only(webhook.Waiting, 1, 0, webhook.NoContact)
}

// An answer without end is not read to its end.
func TestOnlyTheBeginningOfAnAnswerIsRead(t *testing.T) {
	clock := storetest.NewClock()
	s := newScene(t, storetest.SQLite(t, clock), clock)
	var written atomic.Int64
	s.r.answers(func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 64<<10)
		for {
			n, err := w.Write(chunk)
			if written.Add(int64(n)); err != nil {
				return
			}
		}
	})
	s.emit(1)
	s.deliver()
	s.only(webhook.Delivered, 1, http.StatusOK, "")
	s.r.server.CloseClientConnections()
	s.r.server.Close() // waits for the handler
	if n := written.Load(); n > 64<<20 {
		t.Errorf("%d bytes were taken", n)
	}
}

// Whoever is killed between claim and answer leaves a claim that ends by itself.
func TestAKilledWorkersMessageIsSentAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.emit(1)
		ctx, kill := context.WithCancel(context.Background())
		reached, release := make(chan struct{}), make(chan struct{})
		s.r.answers(func(http.ResponseWriter, *http.Request) { close(reached); <-release })
		done := make(chan error)
		go func() { _, err := s.s.Deliver(ctx, s.ID); done <- err }()
		<-reached
		kill()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the killed worker says %v", err)
		}
		close(release)
		s.only(webhook.Waiting, 1, 0, "")
		s.r.answers(nil)
		if next := s.deliver(); next != time.Minute {
			t.Errorf("the claim holds for %s", next)
		}
		clock.Add(time.Minute)
		s.deliver()
		s.only(webhook.Delivered, 2, http.StatusOK, "")
		if ids, _ := s.r.got(); len(ids) != 2 || ids[0] != ids[1] {
			t.Errorf("the receiver got %q", ids)
		}
	})
}

// A worker that was asleep for longer than its claim does not undo what another did.
func TestALateAnswerChangesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.emit(1)
		reached, release := make(chan struct{}), make(chan struct{})
		s.r.answers(func(w http.ResponseWriter, _ *http.Request) {
			close(reached)
			<-release
			w.WriteHeader(http.StatusInternalServerError)
		})
		done := make(chan error)
		go func() { _, err := s.s.Deliver(context.Background(), s.ID); done <- err }()
		<-reached
		clock.Add(time.Minute)
		s.r.answers(status(http.StatusBadGateway))
		next := s.deliver()
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if d := s.only(webhook.Waiting, 2, http.StatusBadGateway, webhook.BadStatus); d.next.Sub(clock.Now()) != next {
			t.Errorf("the next is in %s, no longer in %s", d.next.Sub(clock.Now()), next)
		}
	})
}

func TestTwoWorkersNeverSendOneMessageAtTheSameTime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		const n = 60
		s.emit(n)
		var mu sync.Mutex
		under := map[string]bool{}
		s.r.answers(func(_ http.ResponseWriter, q *http.Request) {
			id := q.Header.Get("webhook-id")
			mu.Lock()
			if under[id] {
				t.Errorf("%s is being sent twice", id)
			}
			under[id] = true // and stays: there is no reason to send it again
			mu.Unlock()
		})
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for {
					next, err := s.s.Deliver(context.Background(), s.ID)
					if err != nil {
						t.Error(err)
						return
					}
					if next.IsZero() || next.After(clock.Now()) { // nothing, or with the others
						return
					}
				}
			})
		}
		wg.Wait()
		if ids, _ := s.r.got(); len(ids) != n {
			t.Errorf("%d requests for %d messages", len(ids), n)
		}
		for _, d := range s.deliveries() {
			if d.state != webhook.Delivered || d.attempts != 1 {
				t.Fatalf("a message is %s", d)
			}
		}
	})
}

// One that does not answer holds up no other: it gets a few of a round's places.
func TestABacklogOfOneWebhookLeavesRoomForOthers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.r.answers(status(http.StatusInternalServerError))
		s.emit(50)
		clock.Add(time.Second)
		other := newReceiver(t, clock)
		_, shown, err := s.s.Save(s.Verified(s.Admin), webhook.Input{Name: "other", URL: other.url(), Active: true})
		if err != nil {
			t.Fatal(err)
		}
		other.learn(shown)
		s.emit(1)
		if next := s.deliver(); next > 0 {
			t.Errorf("there is more to do at once, and the next is in %s", next)
		}
		slow, _ := s.r.got()
		if fast, _ := other.got(); len(slow) != 4 || len(fast) != 1 {
			t.Errorf("a round sent %d to the one and %d to the other", len(slow), len(fast))
		}
	})
}

func TestWhatIsSwitchedOffOrDeletedIsNotSentTo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		ctx := s.Verified(s.Admin)
		s.emit(1)
		version := 1
		if _, shown, err := s.s.Save(ctx, webhook.Input{ID: &s.hook, Version: &version, Name: "crm", URL: s.r.url(), Active: false}); err != nil || shown != "" {
			t.Fatalf("%v, and the secret is shown again: %v", err, shown != "")
		}
		s.only(webhook.Failed, 0, 0, webhook.Off)
		version = 2
		if _, _, err := s.s.Save(ctx, webhook.Input{ID: &s.hook, Version: &version, Name: "crm", URL: s.r.url(), Active: true}); err != nil {
			t.Fatal(err)
		}
		s.emit(1)
		if err := s.s.Delete(ctx, s.hook); err != nil {
			t.Fatal(err)
		}
		if next := s.deliver(); next != -1 {
			t.Errorf("the next is in %s", next)
		}
		for _, d := range s.deliveries() {
			if d.state != webhook.Failed || webhook.Problem(value(d.problem)) != webhook.Off {
				t.Errorf("a message is %s", d)
			}
		}
		// One that was written while the webhook was being deleted.
		s.in(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Keep(ctx, "webhook_deliveries", `INSERT INTO webhook_deliveries (corp_id, id, webhook_id, event, subject_id, body, state, attempts, created_at, next_at)
				VALUES ($1, $2, $3, 'member.departed', $4, '{}', 'WAITING', 0, $5, $5)`, s.ID, nid.New(0), s.hook, s.Admin, tx.Now())
			return err
		})
		if next := s.deliver(); next != -1 {
			t.Errorf("the next is in %s", next)
		}
		if ids, _ := s.r.got(); len(ids) != 0 {
			t.Errorf("the receiver got %q", ids)
		}
		if n := testcorp.Value[int](s.Corp, `SELECT length(secret) FROM webhooks WHERE id = $1`, s.hook); n != 0 {
			t.Error("the secret of a deleted webhook is still there")
		}
	})
}

func TestFinishedDeliveriesAreForgotten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		sweep := func(want int) {
			t.Helper()
			if n, err := s.s.Sweep(store.System(context.Background(), s.ID, "sweep")); err != nil || n != want {
				t.Errorf("%d forgotten, want %d: %v", n, want, err)
			}
		}
		s.emit(2)
		s.deliver()
		clock.Add(30 * 24 * time.Hour)
		s.emit(1)
		sweep(0)
		clock.Add(time.Second)
		sweep(2)
		if all := s.deliveries(); len(all) != 1 || all[0].state != webhook.Waiting {
			t.Errorf("left are %v", all)
		}
	})
}

// The message is the one of the specification's own libraries.
func TestSignatureOfTheSpecification(t *testing.T) {
	clock := storetest.NewClock()
	clock.Add(time.Unix(1614265330, 0).Sub(clock.Now()))
	r := &receiver{t: t, clock: clock}
	r.learn("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	const id, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", `{"test": 2432232314}`
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	timestamp, signature := webhook.Sign(r.key, id, clock.Now(), []byte(body))
	if timestamp != strconv.Itoa(1614265330) || signature != want {
		t.Errorf("%s at %s", signature, timestamp)
	}
	if problem := r.verify(http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {"v1a,AAAA " + want}}, []byte(body)); problem != "" {
		t.Error("our own receiver would refuse it: " + problem)
	}
	if r.verify(http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {want}}, []byte(body+" ")) == "" {
		t.Error("our own receiver takes anything")
	}
}
