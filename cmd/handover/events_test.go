package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
)

func TestReadEvents(t *testing.T) {
	stop := errors.New("stop")
	for name, c := range map[string]struct {
		stream string
		heard  []string
		end    string
	}{
		"one":              {"event: next\ndata: a\n\n" + complete, []string{"a\n"}, "ended before the handover"},
		"of two lines":     {"event: next\ndata: a\ndata: b\n\n" + complete, []string{"a\nb\n"}, "ended before the handover"},
		"without a space":  {"event:next\ndata:a\n\n" + complete, []string{"a\n"}, "ended before the handover"},
		"of Windows":       {"event: next\r\ndata: a\r\n\r\nevent: complete\r\n\r\n", []string{"a\n"}, "ended before the handover"},
		"signs of life":    {":\n\n: still here\n\nevent: next\n: now\nid: 7\ndata: a\n\n" + complete, []string{"a\n"}, "ended before the handover"},
		"other events":     {"data: x\n\nevent: ad\ndata: y\n\nevent: next\ndata: a\n\n" + complete, []string{"a\n"}, "ended before the handover"},
		"nothing after":    {complete + "event: next\ndata: a\n\n", nil, "ended before the handover"},
		"cut":              {"event: next\ndata: a\n\nevent: next\ndata: b\n", []string{"a\n"}, "unexpected EOF"},
		"nothing":          {"", nil, "unexpected EOF"},
		"too long":         {"event: next\ndata: " + strings.Repeat("a", longestEvent), nil, "token too long"},
		"the reader stops": {"event: next\ndata: stop\n\nevent: next\ndata: a\n\n", []string{"stop\n"}, "stop"},
	} {
		lines, heard := 0, []string(nil)
		err := readEvents(iotest.HalfReader(strings.NewReader(c.stream)), func() { lines++ }, func(data []byte) error {
			if heard = append(heard, string(data)); string(data) == "stop\n" {
				return stop
			}
			return nil
		})
		_, passing := errors.AsType[lost](err)
		if !slices.Equal(heard, c.heard) || err == nil || !strings.HasSuffix(err.Error(), c.end) || passing == errors.Is(err, stop) {
			t.Errorf("%s: heard %q, %v (passing: %v)", name, heard, err, passing)
		}
		if c.heard != nil && lines < 3 {
			t.Errorf("%s: %d signs of life", name, lines)
		}
	}
}

// live is a server of which each connection is served by the next function.
func live(t *testing.T, streams ...func(w http.ResponseWriter, r *http.Request)) (url string, served *int) {
	t.Helper()
	served = new(int) // connections come one after the other
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*served++
		if *served > len(streams) {
			t.Errorf("connection %d", *served)
			return
		}
		streams[*served-1](w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, served
}

func tell(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	_, _ = io.WriteString(w, text)
	_ = http.NewResponseController(w).Flush()
}

// refuse answers as the API does, before there is a stream.
func refuse(status int, code, message string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"errors":[{"message":%q,"extensions":{"code":%q}}]}`, message, code)
	}
}

// A server that dies in the middle of an event, and one that has not yet noticed that
// the first stream is gone, only cost a while.
func TestWatchSurvivesABrokenConnection(t *testing.T) {
	t.Setenv("HANDOVER_TOKEN", "hos_token")
	id := nid.New(nid.Handover).String()
	url, served := live(t,
		func(w http.ResponseWriter, _ *http.Request) {
			tell(w, step("RUNNING", 4, 3, 1)+"event: next\ndata: {\"data\":{\"hand")
			panic(http.ErrAbortHandler)
		},
		refuse(http.StatusTooManyRequests, "LIMIT", "too many open streams; close one first"),
		func(w http.ResponseWriter, _ *http.Request) { tell(w, step("COMPLETED", 4, 0, 4)+complete) },
	)
	code, out, errs := watch(t, url, id)
	if want := "RUNNING 1 of 4 (25 %)\nCOMPLETED 4 of 4 (100 %)\n"; code != done || out != want || *served != 3 {
		t.Errorf("ended with %d after %d connections: %q", code, *served, out)
	}
	if !strings.HasPrefix(errs, "the connection was lost: ") || strings.Count(errs, "trying again\n") != 1 {
		t.Errorf("said %q", errs)
	}
}

// What a server refuses before anything was seen, or for good, is not tried again.
func TestWatchTakesNoForAnAnswer(t *testing.T) {
	t.Setenv("HANDOVER_TOKEN", "hos_token")
	id := nid.New(nid.Handover).String()
	running := func(w http.ResponseWriter, _ *http.Request) { tell(w, step("RUNNING", 4, 3, 1)) }
	for want, c := range map[string]struct {
		streams []func(http.ResponseWriter, *http.Request)
	}{
		"too many open streams": {[]func(http.ResponseWriter, *http.Request){refuse(http.StatusTooManyRequests, "LIMIT", "too many open streams")}},
		"sign in first":         {[]func(http.ResponseWriter, *http.Request){running, refuse(http.StatusOK, "UNAUTHENTICATED", "sign in first")}},
		"not acceptable":        {[]func(http.ResponseWriter, *http.Request){running, refuse(http.StatusNotAcceptable, "BAD_REQUEST", "not acceptable")}},
		"try again in a moment": {[]func(http.ResponseWriter, *http.Request){func(w http.ResponseWriter, _ *http.Request) {
			tell(w, ":\n\nevent: next\ndata: {\"errors\":[{\"message\":\"try again in a moment\",\"extensions\":{\"code\":\"UNAVAILABLE\"}}]}\n\n"+complete)
		}}},
	} {
		url, served := live(t, c.streams...)
		code, _, errs := watch(t, url, id)
		if code != failed || !strings.HasSuffix(errs, "handover: "+want+"\n") || *served != len(c.streams) {
			t.Errorf("%s: ended with %d after %d connections: %q", want, code, *served, errs)
		}
	}
}

// A connection over which nothing comes, not even a sign of life, is given up.
func TestWatchLeavesASilentStream(t *testing.T) {
	url, served := live(t,
		func(w http.ResponseWriter, r *http.Request) {
			tell(w, step("RUNNING", 4, 3, 1))
			<-r.Context().Done() // until the watcher hangs up
		},
		func(w http.ResponseWriter, _ *http.Request) { tell(w, step("COMPLETED", 4, 0, 4)+complete) },
	)
	var out, errs strings.Builder
	w := &watcher{client: http.DefaultClient, url: url, silence: time.Second, show: newDisplay(&out, &errs, false)}
	last, err := w.run(t.Context())
	if err != nil || last.State != completed || *served != 2 {
		t.Errorf("%+v, %v after %d connections", last, err, *served)
	}
	if errs.String() != "the connection is silent; trying again\n" {
		t.Errorf("said %q", errs.String())
	}
}

// transport answers in place of a network, on a clock that goes as fast as it can.
type transport func(r *http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func streamOf(r *http.Request, text string) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Header: http.Header{"Content-Type": {"text/event-stream"}},
		Body: io.NopCloser(strings.NewReader(text)), Request: r}
}

// Signs of life are enough: a draft may wait for days.
func TestWatchWaitsThroughSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		tries := 0
		w := &watcher{silence: silence, show: newDisplay(io.Discard, io.Discard, false), client: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			tries++
			body, say := io.Pipe()
			context.AfterFunc(r.Context(), func() { say.CloseWithError(r.Context().Err()) })
			go func() {
				_, _ = io.WriteString(say, step("READY", 4, 4, 0))
				for range 100 {
					<-time.After(silence - time.Second)
					_, _ = io.WriteString(say, ":\n\n")
				}
				_, _ = io.WriteString(say, step("COMPLETED", 4, 0, 4))
			}()
			resp := streamOf(r, "")
			resp.Body = body
			return resp, nil
		})}}
		if last, err := w.run(ctx); err != nil || last.State != completed || tries != 1 {
			t.Errorf("%+v, %v after %d connections", last, err, tries)
		}
	})
}

// Whoever was once connected tries again for five minutes, at growing distances.
func TestWatchGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries []time.Duration
		began := time.Now()
		w := &watcher{silence: silence, show: newDisplay(io.Discard, io.Discard, false), client: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			tries = append(tries, time.Since(began))
			if len(tries) == 1 {
				return streamOf(r, step("RUNNING", 4, 3, 1)), nil
			}
			return nil, errors.New("no route")
		})}}
		last, err := w.run(t.Context())
		if last == nil || last.State != "RUNNING" || err == nil || err.Error() != "cannot reach : no route" {
			t.Errorf("%+v, %v", last, err)
		}
		if took := time.Since(began); took <= giveUp || took > giveUp+longestPause {
			t.Errorf("gave up after %s", took)
		}
		const ms = time.Millisecond
		if want := []time.Duration{0, 500 * ms, 1500 * ms, 3500 * ms, 7500 * ms, 15500 * ms, 25500 * ms}; !slices.Equal(tries[:len(want)], want) {
			t.Errorf("tried at %v, want %v", tries[:len(want)], want)
		}
	})
}

// A final state that this program does not know yet ends each stream at once: no
// reason to ask twice a second.
func TestWatchDoesNotHammer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		tries := 0
		w := &watcher{silence: silence, show: newDisplay(io.Discard, io.Discard, false), client: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			tries++
			return streamOf(r, step("ARCHIVED", 4, 0, 4)+complete), nil
		})}}
		if _, err := w.run(ctx); !errors.Is(err, context.DeadlineExceeded) || tries > 10 {
			t.Errorf("%d tries in a minute, %v", tries, err)
		}
	})
}
