package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

type readyAnswer struct {
	Ready, Degraded, Stopping bool
	Checks                    []outcome
}

func readAnswer(t *testing.T, w *httptest.ResponseRecorder) (a readyAnswer) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return a
}

func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken error
		var runs atomic.Int32
		f := newServer(t, func(o *Options) {
			o.Checks = []Check{
				{Name: "database", Run: func(context.Context) error { runs.Add(1); return broken }},
				{Name: "migrations", Run: func(context.Context) error { return nil }},
			}
		})
		w := f.shown("/readyz")
		if a := readAnswer(t, w); w.Code != 200 || !a.Ready || len(a.Checks) != 2 || a.Checks[0].Name != "database" || !a.Checks[0].OK {
			t.Errorf("%d %+v", w.Code, a)
		}
		broken = errors.New("dial tcp db.internal: refused")
		<-time.After(checkGood)
		w = f.shown("/readyz")
		if a := readAnswer(t, w); w.Code != 503 || a.Ready || a.Checks[0].OK || !a.Checks[1].OK {
			t.Errorf("%d %+v", w.Code, a)
		}
		if strings.Contains(w.Body.String(), "db.internal") || !strings.Contains(f.log.String(), "db.internal") {
			t.Errorf("the reason is for the log: %s", w.Body)
		}
		before := runs.Load()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { f.shown("/readyz") })
		}
		all.Wait()
		if got := runs.Load(); got != before {
			t.Errorf("asked %d times within a second", got-before)
		}
	})
}

// What only warns is shown, and keeps no request away.
func TestDegraded(t *testing.T) {
	f := newServer(t, func(o *Options) {
		o.Checks = []Check{
			{Name: "database", Run: func(context.Context) error { return nil }},
			{Name: "queue", Run: func(context.Context) error { return errors.New("nobody works") }, Warns: true},
		}
	})
	w := f.shown("/readyz")
	if a := readAnswer(t, w); w.Code != 200 || !a.Ready || !a.Degraded || !a.Checks[0].OK || a.Checks[1].OK {
		t.Errorf("%d %+v", w.Code, a)
	}
	if !strings.Contains(f.log.String(), "degraded") || strings.Contains(f.log.String(), "not ready") {
		t.Errorf("logged %s", f.log.String())
	}
}

func TestReadyDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, func(o *Options) {
			o.Checks = []Check{{Name: "queue", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}}
		})
		start := time.Now()
		w := f.shown("/readyz")
		if a := readAnswer(t, w); w.Code != 503 || a.Checks[0].Milliseconds != 2000 || time.Since(start) != checkTime {
			t.Errorf("%d %+v after %s", w.Code, a, time.Since(start))
		}
	})
}

func TestVersion(t *testing.T) {
	f := newServer(t, func(o *Options) { o.Build.Version, o.Build.Revision = "v1.2.3", "abc" })
	var b Build
	if err := json.Unmarshal(f.shown("/version").Body.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	if b.Version != "v1.2.3" || b.Revision != "abc" || b.Go != runtime.Version() || b.Platform != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("%+v", b)
	}
}

func TestMetricsOfTheCaller(t *testing.T) {
	registry := prometheus.NewRegistry()
	pool := prometheus.NewGauge(prometheus.GaugeOpts{Name: "handover_pool_open", Help: "Open connections."})
	pool.Set(7)
	registry.MustRegister(pool)
	f := newServer(t, func(o *Options) { o.Metrics = registry })
	if got := f.shown("/metrics").Body.String(); !strings.Contains(got, "handover_pool_open 7") || !strings.Contains(got, "go_goroutines") {
		t.Errorf("%.300s", got)
	}
	if _, err := New(Options{Metrics: registry}); err == nil {
		t.Error("two servers count into the same metrics")
	}
}

// Clients are told whether the server is ready and which version it is. Names of checks, a
// commit and figures are for operators.
func TestDetailsAreForOperators(t *testing.T) {
	broken := errors.New("no room")
	f := newServer(t, func(o *Options) {
		o.Build = Build{Version: "v1.2.3", Revision: "abc", Time: "2026-01-02T03:04:05Z", Go: "go1.26", Platform: "linux/amd64"}
		o.Checks = []Check{
			{Name: "database", Run: func(context.Context) error { return nil }},
			{Name: "backups", Run: func(context.Context) error { return broken }, Warns: true},
		}
	})
	for path, want := range map[string]string{"/readyz": `{"ready":true}`, "/version": `{"version":"v1.2.3"}`} {
		if w := f.do("GET", path, ""); w.Code != 200 || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s tells clients %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	wantFault(t, f.do("GET", "/metrics", ""), 404, fault.NotFound)
	for path, want := range map[string]string{"/readyz": `"name":"backups","ok":false`, "/version": `"revision":"abc"`, "/metrics": "go_goroutines", "/healthz": `"ok":true`} {
		if w := f.shown(path); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s tells operators %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	wantFault(t, f.shown("/graphql"), 404, fault.NotFound)
	g := newServer(t, func(o *Options) {
		o.Checks = []Check{{Name: "database", Run: func(context.Context) error { return broken }}}
	})
	if w := g.do("GET", "/readyz", ""); w.Code != 503 || strings.TrimSpace(w.Body.String()) != `{"ready":false}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Who may read the schema is who may introspect.
func TestSchemaIsForWhoMayReadIt(t *testing.T) {
	signedIn := newServer(t, func(o *Options) {
		o.ReadsSchema = func(ctx context.Context) bool { return access.From(ctx).SignedIn() }
	})
	const path = "/schema.graphql"
	wantFault(t, signedIn.do("GET", path, ""), 401, fault.Unauthenticated)
	wantFault(t, signedIn.do("GET", path, "", "Authorization: Bearer wrong"), 401, fault.Unauthenticated)
	w := signedIn.do("GET", path, "", "Authorization: Bearer good")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "type Query") || !strings.Contains(w.Header().Get("Vary"), "Authorization") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	tag := "If-None-Match: " + w.Header().Get("ETag")
	if w := signedIn.do("GET", path, "", "Authorization: Bearer good", tag); w.Code != 304 {
		t.Errorf("the same again: %d", w.Code)
	}
	wantFault(t, signedIn.do("GET", path, "", tag), 401, fault.Unauthenticated)
	if w := signedIn.do("GET", path, "", "Cookie: __Host-handover_session=good"); w.Code != 200 {
		t.Errorf("by the session's cookie: %d %s", w.Code, w.Body)
	}
	nobody := newServer(t, func(o *Options) { o.ReadsSchema = func(context.Context) bool { return false } })
	wantFault(t, nobody.do("GET", path, "", "Authorization: Bearer good"), 404, fault.NotFound)
}
