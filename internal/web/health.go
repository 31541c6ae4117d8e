package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

// Check is one thing that has to be right before requests make sense.
type Check struct {
	// Name is shown to operators.
	Name string
	// Run fails when it is not right. The error goes to the log only.
	Run func(context.Context) error
	// Warns says that requests can be answered although it is not right: /readyz
	// shows "degraded" and stays 200, so that nothing takes the replica away.
	Warns bool
}

// How long a check may take, and how long its outcome is good for, so that asking
// often does not load what is asked.
const (
	checkTime = 2 * time.Second
	checkGood = time.Second
)

type outcome struct {
	Name         string `json:"name"`
	OK           bool   `json:"ok"`
	Milliseconds int64  `json:"milliseconds"`
	warns        bool
}

type readiness struct {
	checks []Check
	mu     sync.Mutex
	at     time.Time
	last   []outcome
}

// healthz says that the process runs; it looks at nothing else, so that a broken
// database does not get every replica restarted.
func healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]bool{"ok": true})
}

// readyz says whether requests should be sent here, and in detail why not. Whoever sends
// requests needs the status alone.
func (s *Server) readyz(detailed bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := struct {
			Ready    bool      `json:"ready"`
			Degraded bool      `json:"degraded"`
			Stopping bool      `json:"stopping"`
			Checks   []outcome `json:"checks"`
		}{Ready: true, Checks: s.readiness.ask(r.Context(), s.log)}
		for _, c := range body.Checks {
			body.Ready = body.Ready && (c.OK || c.warns)
			body.Degraded = body.Degraded || !c.OK && c.warns
		}
		if s.stopping.Err() != nil {
			body.Ready, body.Stopping = false, true
		}
		status := http.StatusOK
		if !body.Ready {
			status = http.StatusServiceUnavailable
		}
		if !detailed {
			writeJSON(w, status, map[string]bool{"ready": body.Ready})
			return
		}
		writeJSON(w, status, body)
	})
}

// ask runs the checks side by side, once for all who ask at the same time.
func (s *readiness) ask(ctx context.Context, log *slog.Logger) []outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil && time.Since(s.at) < checkGood {
		return s.last
	}
	// Others wait for the same outcome: one client that leaves must not spoil it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTime)
	defer cancel()
	out := make([]outcome, len(s.checks))
	var all sync.WaitGroup
	for i, c := range s.checks {
		all.Go(func() {
			start := time.Now()
			err := inTime(ctx, c.Run)
			out[i] = outcome{c.Name, err == nil, time.Since(start).Milliseconds(), c.Warns}
			if err != nil {
				log.WarnContext(ctx, map[bool]string{false: "not ready", true: "degraded"}[c.Warns], "check", c.Name, "error", err)
			}
		})
	}
	all.Wait()
	s.at, s.last = time.Now(), out
	return out
}

// inTime runs a check and gives up with ctx, also where the check does not: a connection
// that is dead may not say so for minutes.
func inTime(ctx context.Context, run func(context.Context) error) error {
	ran := make(chan error, 1)
	go func() { ran <- run(ctx) }()
	select {
	case err := <-ran:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Build is the facts of this program's making.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	// Time is when the revision was committed, RFC 3339.
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// BuildFacts reads what the compiler noted in the binary. What it was built
// without (no version control, say) is empty.
func BuildFacts() Build {
	b := Build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = or(info.Main.Version, b.Version)
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// answers gives the same to everybody.
func answers(v any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, v) })
}

// schema serves the SDL to whoever may read it. Who is not signed in may be one of them.
func (s *Server) schema() http.Handler {
	if s.o.Schema == nil {
		return http.HandlerFunc(nothing)
	}
	file := fixed("schema.graphql", "text/plain; charset=utf-8", s.o.Schema)
	if s.o.ReadsSchema == nil {
		return file
	}
	return s.api(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.o.ReadsSchema(r.Context()):
			w.Header().Add("Vary", "Authorization, Cookie")
			file.ServeHTTP(w, r)
		case access.From(r.Context()).SignedIn():
			nothing(w, r)
		default:
			w.Header().Set("WWW-Authenticate", "Bearer")
			fail(w, r, fault.New(fault.Unauthenticated, "", fault.T("sign in first", "请先登录")))
		}
	}), manner{room: s.requests})
}

// fixed serves bytes that change only with the program: browsers keep them and
// ask whether they are still the same.
func fixed(name, contentType string, content []byte) http.Handler {
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("ETag", tag)
		h.Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	})
}
