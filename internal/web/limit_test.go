package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stream = "Accept: text/event-stream"
		f := newServer(t, func(o *Options) { o.Limits = Limits{Requests: 2, Streams: 1, Rate: -1} })
		leave := make(chan struct{})
		f.api.HandlerFunc = func(http.ResponseWriter, *http.Request) { <-leave }
		done := make(chan int, 4)
		start := func(headers ...string) {
			go func() { done <- f.do("POST", "/graphql", "", headers...).Code }()
			synctest.Wait()
		}
		start()
		start()
		wantFault(t, f.do("POST", "/graphql", ""), 503, fault.Unavailable)
		start(stream) // has room of its own
		wantFault(t, f.do("POST", "/graphql", "", stream), 503, fault.Unavailable)
		for _, path := range []string{"/healthz", "/readyz", "/version"} {
			if w := f.do("GET", path, ""); w.Code != 200 {
				t.Errorf("%s says %d when busy", path, w.Code)
			}
		}
		metrics := f.shown("/metrics").Body.String()
		for _, line := range []string{`handover_http_in_flight{kind="request"} 2`, `handover_http_in_flight{kind="stream"} 1`, `handover_http_refused_total{reason="busy"} 2`} {
			if !strings.Contains(metrics, line) {
				t.Errorf("metrics have no %s", line)
			}
		}
		close(leave)
		for range 3 {
			if code := <-done; code != 200 {
				t.Errorf("one that was in: %d", code)
			}
		}
		if w := f.do("POST", "/graphql", ""); w.Code != 200 {
			t.Errorf("room again, but %d", w.Code)
		}
	})
}

// Who waits for an identity provider that does not answer takes no room from the API.
func TestWaitingForProvidersLeavesTheAPIAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		f := newServer(t, func(o *Options) {
			o.Limits = Limits{Requests: 2, Rate: -1}
			o.SSO = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-leave })
		})
		for range away {
			go f.do("GET", "/sso/a/b", "")
		}
		synctest.Wait()
		wantFault(t, f.do("GET", "/sso/a/b", ""), 503, fault.Unavailable)
		if w := f.do("POST", "/graphql", ""); w.Code != 200 {
			t.Errorf("the API: %d", w.Code)
		}
		close(leave)
		synctest.Wait()
	})
}

func TestDefaultsAreThoseOfTheSafetyRules(t *testing.T) {
	want := Limits{256, 1024, 512, 1 << 20, 5 * time.Second, 30 * time.Second, 15 * time.Second, 30 * time.Second, 50, 200, 50, 500, 200, 2000, 64}
	if got := (Limits{}).orDefaults(); got != want {
		t.Errorf("%+v", got)
	}
}

func TestDeadline(t *testing.T) {
	for accept, ends := range map[string]bool{
		"":                                    true,
		"application/json":                    true,
		"application/json, text/event-stream": true, // names it, but wants JSON
		"multipart/mixed":                     true,
		"text/event-stream":                   false,
		"text/event-stream; q=1, application/json":                                false,
		"multipart/mixed;boundary=graphql;subscriptionSpec=1.0, application/json": false,
	} {
		t.Run(accept, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newServer(t, nil)
				start := time.Now()
				f.api.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
					select {
					case <-r.Context().Done():
						if !errors.Is(r.Context().Err(), context.DeadlineExceeded) {
							t.Error(r.Context().Err())
						}
					case <-time.After(time.Hour):
					}
				}
				f.do("POST", "/graphql", "{}", "Accept: "+accept)
				want := time.Hour
				if ends {
					want = 15 * time.Second
				}
				if took := time.Since(start); took != want {
					t.Errorf("took %s, not %s", took, want)
				}
			})
		})
	}
}

func TestBody(t *testing.T) {
	f := newServer(t, func(o *Options) { o.Limits.Body = 10 })
	var got []byte
	var failed error
	f.api.HandlerFunc = func(_ http.ResponseWriter, r *http.Request) { got, failed = io.ReadAll(r.Body) }
	f.do("POST", "/graphql", "0123456789")
	if string(got) != "0123456789" || failed != nil {
		t.Errorf("%q, %v", got, failed)
	}
	w := f.do("POST", "/graphql", "0123456789X")
	tooBig, ok := errors.AsType[*http.MaxBytesError](failed)
	if !ok || tooBig.Limit != 10 || len(got) != 10 || w.Header().Get("Connection") != "close" {
		t.Errorf("%q, %v, %v", got, failed, w.Header())
	}
	r := httptest.NewRequest("POST", "/graphql", io.MultiReader(strings.NewReader("{"), brokenReader{}))
	recorder := httptest.NewRecorder()
	f.ServeHTTP(recorder, r)
	wantFault(t, recorder, 400, fault.Invalid)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("unexpected EOF") }

func TestRoomForBodies(t *testing.T) {
	f := newServer(t, func(o *Options) { o.Limits.Uploads = 1 })
	f.uploads.take()
	wantFault(t, f.do("POST", "/graphql", "{}"), 503, fault.Unavailable)
	if w := f.do("GET", "/graphql?query={a}", ""); w.Code != 200 {
		t.Errorf("without a body: %d", w.Code)
	}
}

// TestSlowBody sends half of a body over a real connection, and waits.
func TestSlowBody(t *testing.T) {
	f := newServer(t, func(o *Options) { o.Limits.Upload = 50 * time.Millisecond })
	s := httptest.NewServer(f)
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusRequestTimeout || !bytes.Contains(b, []byte("TIMEOUT")) || !res.Close {
		t.Errorf("%d %s %v", res.StatusCode, b, err)
	}
	if f.api.ctx != nil {
		t.Error("half a body reached the API")
	}
}

// TestBodyDeadlineEndsWithTheBody keeps an answer going longer than bodies may take.
func TestBodyDeadlineEndsWithTheBody(t *testing.T) {
	const upload = 50 * time.Millisecond
	f := newServer(t, func(o *Options) { o.Limits.Upload = upload })
	f.api.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
			w.WriteHeader(http.StatusTeapot)
		case <-time.After(4 * upload):
		}
	}
	s := httptest.NewServer(f)
	defer s.Close()
	for _, accept := range []string{"text/event-stream", "application/json"} {
		r, err := http.NewRequest("POST", s.URL+"/graphql", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Errorf("%s was cut off: %d", accept, res.StatusCode)
		}
	}
}

func TestEveryRefusalIsCounted(t *testing.T) {
	f := newServer(t, func(o *Options) { o.Limits.Rate, o.Limits.Burst = 0.001, 2 })
	f.do("POST", "/graphql", "", "Authorization: Bearer broken")
	f.do("POST", "/graphql", "", "Origin: https://evil.example")
	f.api.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
		if access.From(r.Context()).SignedIn() {
			w.WriteHeader(http.StatusAccepted)
		}
	}
	f.do("POST", "/graphql?query=secret", "{}", "Authorization: Bearer good")
	f.do("POST", "/graphql", "")
	f.do("GET", "/made/up", "")
	metrics := f.shown("/metrics").Body.String()
	for _, want := range []string{
		`handover_http_requests_total{path="/graphql",status="2xx"} 1`, `handover_http_requests_total{path="/graphql",status="4xx"} 2`,
		`handover_http_requests_total{path="/graphql",status="5xx"} 1`, `handover_http_requests_total{path="other",status="4xx"} 1`,
		`handover_http_request_seconds_count{path="/graphql"} 4`, `handover_http_refused_total{reason="authentication"} 1`,
		`handover_http_refused_total{reason="origin"} 1`, `handover_http_refused_total{reason="rate"} 1`,
		"go_goroutines ", "process_start_time_seconds ",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, never := range []string{"made", "secret"} {
		if strings.Contains(metrics, never) {
			t.Errorf("a client's own words are a label: %s", never)
		}
	}
}

// A header takes nothing but a subscription out of its room and its deadline.
func TestOnlySubscriptionsAreStreams(t *testing.T) {
	f := newServer(t, func(o *Options) {
		o.SSO = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, ok := r.Context().Deadline(); !ok {
				w.WriteHeader(http.StatusTeapot)
			}
		})
	})
	if w := f.do("GET", "/sso/a/b", "", "Accept: text/event-stream"); w.Code != 200 {
		t.Errorf("%d: no deadline", w.Code)
	}
}
