package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/outbound"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
	"github.com/openhandover/openhandover/internal/webhook"
)

// receiver is somebody else's program: it knows the secret that its administrator
// was shown, and checks every message with it.
type receiver struct {
	t      *testing.T
	clock  *storetest.Clock
	server *httptest.Server

	mu     sync.Mutex
	key    []byte
	answer func(http.ResponseWriter, *http.Request)
	ids    []string // of the messages, in the order of coming
	bodies []string
}

func newReceiver(t *testing.T, clock *storetest.Clock) *receiver {
	t.Helper()
	r := &receiver{t: t, clock: clock}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) url() string { return r.server.URL + "/hook" }

func (r *receiver) answers(f func(http.ResponseWriter, *http.Request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func (r *receiver) learn(shown string) {
	encoded, ok := strings.CutPrefix(shown, "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		r.t.Fatalf("the secret is not one of the specification: %q", shown)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.key = key
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		r.t.Errorf("reading: %v", err)
	}
	r.mu.Lock()
	id := q.Header.Get("webhook-id")
	if problem := r.verify(q.Header, body); problem != "" {
		r.t.Error("the message is not to be trusted: " + problem)
	}
	if q.Method != http.MethodPost || q.Header.Get("Content-Type") != "application/json" {
		r.t.Errorf("%s of %s", q.Method, q.Header.Get("Content-Type"))
	}
	r.ids, r.bodies = append(r.ids, id), append(r.bodies, string(body))
	answer := r.answer
	r.mu.Unlock()
	if answer != nil {
		answer(w, q)
	}
}

// verify does what docs/webhooks.md tells receivers to do.
func (r *receiver) verify(h http.Header, body []byte) string {
	sent, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || time.Unix(sent, 0).Sub(r.clock.Now()).Abs() > 5*time.Minute {
		return "the timestamp is " + h.Get("webhook-timestamp")
	}
	m := hmac.New(sha256.New, r.key)
	fmt.Fprintf(m, "%s.%d.%s", h.Get("webhook-id"), sent, body)
	for _, s := range strings.Fields(h.Get("webhook-signature")) {
		version, encoded, _ := strings.Cut(s, ",")
		got, err := base64.StdEncoding.DecodeString(encoded)
		if version == "v1" && err == nil && hmac.Equal(got, m.Sum(nil)) {
			return ""
		}
	}
	return "the signature is " + h.Get("webhook-signature")
}

// got gives what came since it was last asked.
func (r *receiver) got() (ids, bodies []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids, bodies = r.ids, r.bodies
	r.ids, r.bodies = nil, nil
	return ids, bodies
}

// scene is a corp with one webhook.
type scene struct {
	*testcorp.Corp
	t    *testing.T
	s    *webhook.Service
	r    *receiver
	hook nid.ID
}

func service(t *testing.T, c *testcorp.Corp) *webhook.Service {
	t.Helper()
	box, err := secret.NewBox(secret.ForWebhooks, secret.DemoKey())
	if err != nil {
		t.Fatal(err)
	}
	return &webhook.Service{DB: c.DB, Log: c.Log, Box: box, Client: outbound.NewClient(true), AllowPrivate: true}
}

func newScene(t *testing.T, db *store.DB, clock *storetest.Clock, title ...string) *scene {
	t.Helper()
	s := &scene{Corp: testcorp.New(t, db, clock, strings.Join(append([]string{"acme"}, title...), " ")), t: t, r: newReceiver(t, clock)}
	s.s = service(t, s.Corp)
	id, shown, err := s.s.Save(s.Verified(s.Admin), webhook.Input{Name: "crm", URL: s.r.url(), Active: true})
	if err != nil {
		t.Fatal(err)
	}
	s.hook = id
	s.r.learn(shown)
	return s
}

func (s *scene) in(fn func(context.Context, *store.Tx) error) {
	s.t.Helper()
	if err := s.DB.Tx(store.System(context.Background(), s.ID, "test"), fn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) emit(n int) {
	s.t.Helper()
	s.in(func(ctx context.Context, tx *store.Tx) error {
		for range n {
			if err := notify.Emit(ctx, tx, notify.MemberDeparted, s.Admin, map[string]any{"contacts": 3}); err != nil {
				return err
			}
		}
		return nil
	})
}

// deliver runs a round and gives how far ahead the next is; -1 for none.
func (s *scene) deliver() time.Duration {
	s.t.Helper()
	next, err := s.s.Deliver(context.Background(), s.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	if next.IsZero() {
		return -1
	}
	return next.Sub(s.Clock.Now())
}

// delivery is a row as it is stored.
type delivery struct {
	id       nid.ID
	state    webhook.State
	attempts int
	status   *int
	problem  *string
	next     *time.Time
	finished *time.Time
}

func (d delivery) String() string {
	b, _ := json.Marshal([]any{d.state, d.attempts, d.status, d.problem, d.next, d.finished})
	return string(b)
}

func (s *scene) deliveries() (out []delivery) {
	s.t.Helper()
	s.in(func(ctx context.Context, tx *store.Tx) (err error) {
		out, err = store.Select(ctx, tx, func(d *delivery) []any {
			return []any{&d.id, &d.state, &d.attempts, &d.status, &d.problem, &d.next, &d.finished}
		}, `SELECT id, state, attempts, status, problem, next_at, finished_at FROM webhook_deliveries WHERE corp_id = $1 ORDER BY created_at, id`, tx.Corp())
		return err
	})
	return out
}

// only checks the one delivery there is.
func (s *scene) only(state webhook.State, attempts, status int, problem webhook.Problem) delivery {
	s.t.Helper()
	all := s.deliveries()
	if len(all) != 1 {
		s.t.Fatalf("%d deliveries: %v", len(all), all)
	}
	d := all[0]
	if d.state != state || d.attempts != attempts || value(d.status) != status || webhook.Problem(value(d.problem)) != problem ||
		(state == webhook.Waiting) != (d.next != nil) || (state == webhook.Waiting) != (d.finished == nil) {
		s.t.Fatalf("want %s after %d attempts with %d %q, got %s", state, attempts, status, problem, d)
	}
	return d
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// holds checks that a text has a part nowhere, whatever the case.
func holds(text, part string) bool {
	return bytes.Contains(bytes.ToLower([]byte(text)), bytes.ToLower([]byte(part)))
}
