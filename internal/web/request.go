package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/text/language"

	"github.com/openhandover/openhandover/internal/access"
)

// ServeHTTP answers one request of a client.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.serve(w, r, s.public) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request, f face) {
	start := time.Now()
	a := &answer{ResponseWriter: w}
	actor := &access.Actor{
		Kind:      access.Anonymous,
		Lang:      languageOf(r),
		RequestID: requestID(r),
		Device:    device(r.UserAgent()),
	}
	if addr := clientAddress(r, s.o.BehindProxy); addr.IsValid() {
		actor.Address = addr.String()
	}
	r = r.WithContext(access.With(r.Context(), actor))
	path := f.label(r)
	secure(a.Header(), actor.RequestID)
	if r.Body != http.NoBody {
		// For every path: the server reads what a handler left unread.
		_ = http.NewResponseController(w).SetReadDeadline(start.Add(s.o.Limits.Upload))
	}
	defer func() {
		cut := s.caught(a, r, recover())
		took := time.Since(start)
		s.metrics.observe(path, a.status, took, streams(r))
		level := slog.LevelInfo
		if slices.Contains(quiet, path) {
			level = slog.LevelDebug
		}
		s.log.Log(r.Context(), level, "request", "method", method(r), "path", path,
			"status", a.status, "duration", took, "bytes", a.bytes)
		if cut {
			// There is no way to tell the client but to break off.
			panic(http.ErrAbortHandler)
		}
	}()
	f.handler.ServeHTTP(a, r)
	if a.status == 0 { // what net/http sends for a handler that wrote nothing
		a.WriteHeader(http.StatusOK)
	}
}

// quiet paths are asked by machines every few seconds.
var quiet = []string{"/healthz", "/readyz", "/metrics"}

// caught answers a panic, and reports whether the answer had already begun. The
// log gets where it happened; of what only what the runtime says, for any other
// value may hold a customer's data.
func (s *Server) caught(a *answer, r *http.Request, p any) bool {
	if p == nil {
		return false
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	what := fmt.Sprintf("%T", p)
	if e, ok := p.(runtime.Error); ok {
		what = e.Error()
	}
	s.log.ErrorContext(r.Context(), "panic", "what", what, "stack", string(debug.Stack()))
	if a.status != 0 {
		return true
	}
	a.cookie.forget()
	for _, name := range []string{"Content-Length", "Content-Encoding", "ETag", "Last-Modified"} {
		a.Header().Del(name) // of the answer that was begun
	}
	fail(a, r, internal())
	return false
}

// label is the path as log and metrics show it: the pattern that matches, for a
// path that a client made up may hold anything.
func (f face) label(r *http.Request) string {
	_, pattern := f.mux.Handler(r)
	if pattern == "/" || pattern == "" {
		return "other"
	}
	return pattern
}

func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// secure sets the headers of every answer. Pages that need more than nothing set
// their own Content-Security-Policy.
func secure(h http.Header, id string) {
	h.Set("X-Request-Id", id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
}

// requestID takes over the id that a proxy or client gave, if it is one that
// cannot be mistaken for anything else in a log line, else makes one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if len(id) < 8 || len(id) > 64 {
		return rand.Text()
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return rand.Text()
		}
	}
	return id
}

// spoken are our languages; the first is for whoever wants none of them.
var spoken = []string{"en", "zh-CN"}

var languages = language.NewMatcher([]language.Tag{language.English, language.SimplifiedChinese})

// languageOf picks the language of messages by Accept-Language (RFC 9110 §12.5.4).
func languageOf(r *http.Request) string {
	wanted := r.Header.Get("Accept-Language")
	if wanted == "" || len(wanted) > 256 {
		return spoken[0]
	}
	tags, _, err := language.ParseAcceptLanguage(wanted)
	if err != nil {
		return spoken[0]
	}
	_, i, _ := languages.Match(tags...)
	return spoken[i]
}

// LogHandler adds the request's id to every log line written with the request's
// context, so that lines of one request can be found. Wrapping twice adds once.
func LogHandler(h slog.Handler) slog.Handler {
	if _, ok := h.(withID); ok {
		return h
	}
	return withID{h}
}

type withID struct{ slog.Handler }

func (h withID) Handle(ctx context.Context, r slog.Record) error {
	if id := access.From(ctx).RequestID; id != "" {
		r = r.Clone()
		r.AddAttrs(slog.String("requestId", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h withID) WithAttrs(as []slog.Attr) slog.Handler { return withID{h.Handler.WithAttrs(as)} }
func (h withID) WithGroup(name string) slog.Handler    { return withID{h.Handler.WithGroup(name)} }
