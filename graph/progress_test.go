package graph

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// The two protocols, and what ends a stream in each.
var protocols = map[string]struct{ accept, end string }{
	"events": {"text/event-stream", "event: complete"},
	"apollo": {`multipart/mixed;boundary="graphql";subscriptionSpec=1.0,application/json`, "--graphql--"},
}

const progressText = `subscription($id: ID!) { handoverProgress(id: $id) { handoverId state total planned waiting completed refused limitReached failed skipped cancelled reverted finished updatedAt } }`

// live is the API behind a real server, watched by one replica while another works.
type live struct {
	t         testing.TB
	c         *testcorp.Corp
	worker    *handover.Service
	url       string
	who       map[string]context.Context
	lina, wen nid.ID
}

// eachLive runs a test on both engines over both protocols. On PostgreSQL the work is
// done by another replica.
func eachLive(t *testing.T, test func(t *testing.T, l *live, accept, end string)) {
	for name, p := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Run("sqlite", func(t *testing.T) {
				t.Parallel()
				clock := storetest.NewClock()
				db := storetest.SQLite(t, clock)
				test(t, newLive(t, db, db, clock), p.accept, p.end)
			})
			t.Run("postgres", func(t *testing.T) {
				t.Parallel()
				clock := storetest.NewClock()
				here, url := storetest.PostgresURL(t, clock)
				there, err := store.Open(t.Context(), store.Options{URL: url, Clock: clock.Now, MaxConns: 4})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = there.Close() })
				l := newLive(t, here, there, clock)
				l.listen(here)
				test(t, l, p.accept, p.end)
			})
		})
	}
}

func newLive(t *testing.T, here, there *store.DB, clock *storetest.Clock) *live {
	c := testcorp.New(t, here, clock, "acme")
	l := &live{t: t, c: c, worker: &handover.Service{DB: there, Log: c.Log, AtOnce: 1}, who: map[string]context.Context{"admin": c.SignedIn(c.Admin, true)}}
	l.lina, l.wen = c.Member("lina", c.Root), c.Member("wen", c.Root)
	h := newAPI(t, here, c).h
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(access.With(r.Context(), access.From(l.who[r.Header.Get("X-Who")]))))
	}))
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

// listen returns when this replica hears the other one.
func (l *live) listen(here *store.DB) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = here.Listen(ctx) }()
	l.t.Cleanup(func() { cancel(); <-ended })
	heard, deaf := here.Hear("hello")
	defer deaf()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		l.tell("hello")
		select {
		case <-heard:
			return
		case <-again.C:
		}
	}
}

func (l *live) tell(topic string) {
	l.t.Helper()
	l.change(func(_ context.Context, tx *store.Tx) error { tx.Tell(topic); return nil })
}

// change is made by the other replica.
func (l *live) change(fn func(context.Context, *store.Tx) error) {
	l.t.Helper()
	if err := l.worker.DB.Tx(store.System(context.Background(), l.c.ID, "test"), fn); err != nil {
		l.t.Fatal(err)
	}
}

// running is a handover of n contacts that waits for its worker.
func (l *live) running(n int) nid.ID {
	l.t.Helper()
	l.c.Contacts(n, l.lina)
	l.c.Depart(l.lina)
	id, err := l.worker.HandOver(l.who["admin"], handover.Input{Kind: handover.Resigned, LeaverID: l.lina, Successors: handover.Choice{MemberID: &l.wen}}, nil, "key")
	if err != nil {
		l.t.Fatal(err)
	}
	return id
}

// stream is an open stream.
type stream struct {
	t    testing.TB
	r    *bufio.Reader
	resp *http.Response
	end  string
}

// message is what one event carries, whatever the protocol.
type message struct {
	Data *struct {
		HandoverProgress *progressShown
	}
	Errors  []fail
	Payload *message
}

type progressShown struct {
	HandoverID, State, UpdatedAt                                                                              string
	Total, Planned, Waiting, Completed, Refused, LimitReached, Failed, Skipped, Cancelled, Reverted, Finished int
}

// watch opens a stream.
func (l *live) watch(who, accept, end string, id string) *stream {
	l.t.Helper()
	return l.open(who, accept, end, progressText, map[string]any{"id": id})
}

func (l *live) open(who, accept, end, document string, variables map[string]any) *stream {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l.t.Cleanup(cancel)
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		l.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {accept}, "X-Who": {who}}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = resp.Body.Close() })
	return &stream{l.t, bufio.NewReader(resp.Body), resp, end}
}

// next gives the next event; nil: the stream has ended in good order.
func (s *stream) next() *message {
	s.t.Helper()
	for {
		line, err := s.r.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		text := strings.TrimPrefix(line, "data: ")
		switch {
		case line == s.end:
			rest, err := io.ReadAll(s.r)
			if err != nil || strings.Trim(string(rest), "\r\n") != "" && string(rest) != "data:\n\n" {
				s.t.Errorf("after the end: %q, %v", rest, err)
			}
			return nil
		case err != nil:
			s.t.Fatalf("the stream broke off: %v", err)
		case !strings.HasPrefix(text, "{") || text == "{}":
			continue
		}
		m := new(message)
		if err := json.Unmarshal([]byte(text), m); err != nil {
			s.t.Fatalf("%v: %s", err, text)
		}
		if m.Payload != nil {
			return m.Payload
		}
		return m
	}
}

// progress is next for what must be progress, whose counters must sum up.
func (s *stream) progress() *progressShown {
	s.t.Helper()
	m := s.next()
	if m == nil || m.Data == nil || m.Data.HandoverProgress == nil {
		s.t.Fatalf("no progress: %+v", m)
	}
	p := m.Data.HandoverProgress
	if sum := p.Planned + p.Waiting + p.Completed + p.Refused + p.LimitReached + p.Failed + p.Skipped + p.Cancelled + p.Reverted; sum != p.Total || p.Finished != p.Total-p.Planned-p.Waiting {
		s.t.Errorf("the counters sum to %d of %d: %+v", sum, p.Total, p)
	}
	return p
}

// refused checks that the next event is one error, and the last.
func (s *stream) refused(code string) {
	s.t.Helper()
	m := s.next()
	if m == nil || len(m.Errors) != 1 || m.Errors[0].Extensions.Code != code || m.Data != nil && m.Data.HandoverProgress != nil {
		s.t.Fatalf("want %s: %+v", code, m)
	}
	if m := s.next(); m != nil {
		s.t.Errorf("after %s: %+v", code, m)
	}
}

// As it stands, what another replica does, and the final state, which ends it.
func TestProgressIsStreamed(t *testing.T) {
	eachLive(t, func(t *testing.T, l *live, accept, end string) {
		id := l.running(12)
		s := l.watch("admin", accept, end, id.String())
		if p := s.progress(); p.HandoverID != id.String() || p.State != "RUNNING" || p.Total != 12 || p.Planned != 12 {
			t.Fatalf("first %+v", p)
		}
		done := make(chan error, 1)
		go func() { _, err := l.worker.Work(context.Background(), l.c.ID); done <- err }()
		last := &progressShown{}
		for last.State != "COMPLETED" {
			p := s.progress()
			if p.Completed <= last.Completed && p.State == last.State || p.UpdatedAt < last.UpdatedAt {
				t.Errorf("%+v after %+v", p, last)
			}
			last = p
		}
		if last.Completed != 12 {
			t.Errorf("last %+v", last)
		}
		if m := s.next(); m != nil {
			t.Errorf("after the last: %+v", m)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		// What has ended is told once; the same numbers come by query.
		s = l.watch("admin", accept, end, id.String())
		if p := s.progress(); *p != *last {
			t.Errorf("%+v, was %+v", p, last)
		}
		if m := s.next(); m != nil {
			t.Errorf("after the last: %+v", m)
		}
		var asked struct {
			Node struct{ Progress progressShown }
		}
		text := strings.TrimPrefix(progressText, "subscription($id: ID!) { handoverProgress(id: $id) ")
		newAPI(t, l.c.DB, l.c).good(l.who["admin"], "query($id: ID!) { node(id: $id) { ... on Handover { progress "+strings.TrimSuffix(text, "}")+" } } }", map[string]any{"id": id}, &asked)
		if asked.Node.Progress != *last {
			t.Errorf("by query %+v, streamed %+v", asked.Node.Progress, last)
		}
	})
}

// Every state that ends a stream does, also where it was told of and not only found.
func TestFinalStatesEndTheStream(t *testing.T) {
	eachLive(t, func(t *testing.T, l *live, accept, end string) {
		id := l.running(2)
		for _, state := range over {
			set := func(s handover.State) {
				l.change(func(ctx context.Context, tx *store.Tx) error {
					ids, err := tx.Change(ctx, "handovers", `UPDATE handovers SET state = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, l.c.ID, id, string(s))
					tx.Cover(ids...)
					tx.Tell(handover.Topic(id))
					return err
				})
			}
			set(handover.Running)
			s := l.watch("admin", accept, end, id.String())
			s.progress()
			set(state)
			if p := s.progress(); p.State != string(state) {
				t.Errorf("%+v, want %s", p, state)
			}
			if m := s.next(); m != nil {
				t.Errorf("after %s: %+v", state, m)
			}
		}
	})
}

// What is unknown, somebody else's or no handover reads alike; nobody watches unknown.
func TestProgressOfWhatCannotBeSeen(t *testing.T) {
	eachLive(t, func(t *testing.T, l *live, accept, end string) {
		id := l.running(2)
		other := testcorp.New(t, l.c.DB, l.c.Clock, "other")
		l.who["stranger"], l.who["staff"] = other.SignedIn(other.Admin, true), l.c.SignedIn(l.c.Member("staff", l.c.Root), true)
		l.who["nobody"] = context.Background()
		var first string
		for _, r := range []struct{ who, id string }{
			{"stranger", id.String()}, {"staff", id.String()}, {"admin", nid.New(nid.Handover).String()}, {"admin", l.lina.String()},
		} {
			m := l.watch(r.who, accept, end, r.id).next()
			if m == nil || len(m.Errors) != 1 || m.Errors[0].Extensions.Code != "NOT_FOUND" {
				t.Fatalf("%v: %+v", r, m)
			}
			if got := fmt.Sprint(m.Errors); first == "" {
				first = got
			} else if got != first {
				t.Errorf("%v: %s, others read %s", r, got, first)
			}
		}
		l.watch("nobody", accept, end, id.String()).refused("UNAUTHENTICATED")
	})
}

// A viewer who is at work no more is told so and hears nothing more; one who has lost
// the permission hears nothing more.
func TestViewersWhoLoseSight(t *testing.T) {
	eachLive(t, func(t *testing.T, l *live, accept, end string) {
		id := l.running(2)
		gone, poor := l.c.Member("gone", l.c.Root), l.c.Member("poor", l.c.Root)
		l.c.Grant(gone, access.Manager.Name, l.c.Root)
		grant := l.c.Grant(poor, access.Manager.Name, l.c.Root)
		l.who["gone"], l.who["poor"] = l.c.SignedIn(gone, false), l.c.SignedIn(poor, false)

		s := l.watch("gone", accept, end, id.String())
		s.progress()
		l.c.Depart(gone)
		l.tell(handover.Topic(id))
		s.refused("UNAUTHENTICATED")

		s = l.watch("poor", accept, end, id.String())
		s.progress()
		l.change(func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Change(ctx, "grants", `UPDATE grants SET revoked_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, l.c.ID, grant, tx.Now())
			tx.Cover(ids...)
			tx.Tell(handover.Topic(id))
			return err
		})
		if m := s.next(); m != nil {
			t.Errorf("seen without permission: %+v", m)
		}
	})
}

// Whoever signs out over a stream gets the answer: the question who is still signed in
// is for what lasts.
func TestSigningOutOverAStream(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		l := newLive(t, db, db, clock)
		s := l.open("admin", protocols["events"].accept, protocols["events"].end, `mutation { signOut { ok } }`, nil)
		if m := s.next(); m == nil || len(m.Errors) > 0 {
			t.Errorf("%+v", m)
		}
		if m := s.next(); m != nil {
			t.Errorf("after the answer: %+v", m)
		}
		l.watch("admin", protocols["events"].accept, protocols["events"].end, nid.New(nid.Handover).String()).refused("UNAUTHENTICATED")
	})
}
