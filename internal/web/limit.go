package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

// manner is how a path is served.
type manner struct {
	room slots
	// basic: a service token may come as the password of Basic.
	basic bool
	// streams: an answer may be an event stream, with room of its own and no deadline.
	streams bool
}

// api puts the limits and the actor before the API.
func (s *Server) api(next http.Handler, m manner) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait := s.rates.address.take(subscriber(clientAddress(r, s.o.BehindProxy))); wait > 0 {
			s.refuse(w, r, "rate", tooOften(wait))
			return
		}
		if f := s.receive(w, r); f != nil {
			s.refuse(w, r, "body", f)
			return
		}
		room, streams := m.room, m.streams && streams(r)
		if streams {
			room = s.streams
		}
		if !room.take() {
			s.refuse(w, r, "busy", busy())
			return
		}
		defer room.leave()
		ctx, cancel := s.bounded(w, r, streams)
		defer cancel()
		r, f := s.authenticate(r.WithContext(ctx), m.basic)
		if f != nil {
			s.refuse(w, r, "authentication", f)
			return
		}
		if wait := s.rates.actor(access.From(r.Context())); wait > 0 {
			s.refuse(w, r, "rate", tooOften(wait))
			return
		}
		c := s.newCookie(r)
		if a, ok := w.(*answer); ok {
			a.cookie = c
		}
		next.ServeHTTP(w, r.WithContext(access.WithCookie(r.Context(), c)))
	})
}

// downloads puts the limits before files. They have room of their own, and all the time
// that they are taken in: whoever sends sets a deadline for each piece.
func (s *Server) downloads(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait := s.rates.address.take(subscriber(clientAddress(r, s.o.BehindProxy))); wait > 0 {
			s.refuse(w, r, "rate", tooOften(wait))
			return
		}
		if !s.files.take() {
			s.refuse(w, r, "busy", busy())
			return
		}
		defer s.files.leave()
		ctx, cancel := context.WithTimeout(r.Context(), longestFile)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// longestFile is how long a file may be sent.
const longestFile = 15 * time.Minute

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, reason string, f *fault.Error) {
	s.metrics.refused.WithLabelValues(reason).Inc()
	fail(w, r, f)
}

// slots are the room for so many at once.
type slots chan struct{}

func (s slots) take() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) leave() { <-s }

// receive reads the body before the request counts as in flight, so that slow
// senders neither hold up others nor use up the time to answer. Of a body that is
// too long the API reads as much as is allowed and then *http.MaxBytesError.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) *fault.Error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if !s.uploads.take() {
		return busy()
	}
	defer s.uploads.leave()
	limit := s.o.Limits.Body
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close")
		return fault.New(fault.Timeout, "", fault.T("the request's body did not arrive in time", "请求内容未能及时送达"))
	case err != nil:
		w.Header().Set("Connection", "close")
		return fault.Bad("", "the request's body cannot be read", "无法读取请求内容")
	case int64(len(body)) > limit:
		w.Header().Set("Connection", "close")
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:limit]), tooLong(limit)))
	default:
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	// The deadline would end the context of an answer that takes longer.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return nil
}

type tooLong int64

func (l tooLong) Read([]byte) (int, error) { return 0, &http.MaxBytesError{Limit: int64(l)} }

// bounded gives the context of the answer: with a deadline, or, for an event
// stream, one that ends when the server stops.
func (s *Server) bounded(w http.ResponseWriter, r *http.Request, streams bool) (context.Context, context.CancelFunc) {
	if !streams {
		return context.WithTimeout(r.Context(), s.o.Limits.Answer)
	}
	// The stream sets a deadline for each event it writes.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	ctx, cancel := context.WithCancel(r.Context())
	forget := context.AfterFunc(s.stopping, cancel)
	return ctx, func() { forget(); cancel() }
}

// streams reports whether the client asks for an event stream: only when that is
// the first thing it accepts, since some clients name it on every request.
func streams(r *http.Request) bool {
	first, _, _ := strings.Cut(r.Header.Get("Accept"), ",")
	kind, params, err := mime.ParseMediaType(first)
	return err == nil && (kind == "text/event-stream" || kind == "multipart/mixed" && params["subscriptionspec"] != "")
}
