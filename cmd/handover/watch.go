package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
)

type watchCmd struct {
	ID        string `arg:"" help:"The handover's id (hov_…)."`
	URL       string `name:"url" default:"http://127.0.0.1:8080" placeholder:"URL" help:"Where handover serves (${default})."`
	TokenFile string `placeholder:"FILE" help:"File that holds a session or service token; the token itself may stand in HANDOVER_TOKEN."`
	JSON      bool   `name:"json" help:"Print each step as a line of JSON."`
}

// Run watches a handover over HTTP until it has ended. It fails unless the handover
// is COMPLETED, so that a script can go on from there.
func (c *watchCmd) Run(e *env) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	token, err := c.token()
	if err != nil {
		return err
	}
	d := newDisplay(e.stdout, e.stderr, c.JSON)
	w := &watcher{
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		url:    target, token: token, id: c.ID, language: fault.T("en", "zh-CN").In(e.lang), silence: silence, show: d,
	}
	last, err := w.run(e.ctx)
	if d.end(last); err != nil {
		return err
	}
	if last.State != completed {
		return fmt.Errorf("%s is %s: %s", c.ID, last.State, last.summary())
	}
	return nil
}

// target is where to ask. A token goes to another machine over TLS only.
func (c *watchCmd) target() (string, error) {
	if id, err := nid.Parse(c.ID); err != nil || id.Kind() != nid.Handover {
		return "", &misuse{fmt.Errorf("%q is no handover's id, which begins with hov_", c.ID)}
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" {
		return "", &misuse{errors.New("--url: write https://HOST or http://127.0.0.1:PORT")}
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", &misuse{errors.New("--url: the token would cross the network in the clear; use https://")}
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/graphql") // as serve --demo prints it
	return u.JoinPath("graphql").String(), nil
}

func (c *watchCmd) token() (string, error) {
	token := os.Getenv("HANDOVER_TOKEN")
	if c.TokenFile != "" {
		b, err := os.ReadFile(c.TokenFile)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		token = string(b)
	}
	if token = strings.TrimSpace(token); token == "" || strings.ContainsAny(token, "\r\n\t ") {
		return "", &misuse{errors.New("say who you are: put one token into HANDOVER_TOKEN or into the file of --token-file")}
	}
	return token, nil
}

const (
	// silence is how long a stream may say nothing; it gives a sign of life every four seconds.
	silence = 15 * time.Second
	// The waits between two tries to connect again, and when to give up.
	shortestPause, longestPause, giveUp = 500 * time.Millisecond, 10 * time.Second, 5 * time.Minute
)

// watcher follows one handover.
type watcher struct {
	client                   *http.Client
	url, token, id, language string
	silence                  time.Duration
	show                     *display

	last  *standing // nil before the first event
	heard time.Time // the last event or the last sign of life
}

// lost is a failure that may pass: the stream is to be opened again.
type lost struct{ error }

// run follows until the handover has ended, connecting again where a connection that
// once worked was lost. What it gives is how it stood last; nil: nothing was heard.
func (w *watcher) run(ctx context.Context) (*standing, error) {
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		before, began := w.last, time.Now()
		err := w.stream(ctx)
		if ctx.Err() != nil {
			return w.last, ctx.Err()
		}
		if err == nil {
			return w.last, nil
		}
		if _, passing := errors.AsType[lost](err); !passing || w.last == nil || time.Since(w.heard) > giveUp {
			return w.last, err
		}
		if w.last != before {
			w.show.note(err)
			if time.Since(began) > longestPause { // else it may go on like that
				pause = shortestPause
			}
		}
		select {
		case <-ctx.Done():
			return w.last, ctx.Err()
		case <-time.After(pause):
		}
	}
}

const progressDocument = `subscription($id: ID!) { handoverProgress(id: $id) {
	handoverId state total planned waiting completed refused limitReached failed skipped cancelled reverted finished updatedAt } }`

// stream opens one stream and shows what it tells; nil: the handover has ended.
func (w *watcher) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(w.silence, func() { cancel(errors.New("the connection is silent")) })
	defer silent.Stop()
	resp, err := w.ask(ctx)
	if err != nil {
		return lost{because(ctx, fmt.Errorf("cannot reach %s: %w", w.url, plain(err)))}
	}
	defer resp.Body.Close()
	if err := w.refused(resp); err != nil {
		return err
	}
	err = readEvents(resp.Body, func() { w.heard = time.Now(); silent.Reset(w.silence) }, w.event)
	if errors.Is(err, errEnded) {
		return nil
	}
	if _, passing := errors.AsType[lost](err); passing {
		return lost{because(ctx, err)}
	}
	return err
}

func (w *watcher) ask(ctx context.Context) (*http.Response, error) {
	body, err := json.Marshal(map[string]any{"query": progressDocument, "variables": map[string]string{"id": w.id}})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Accept-Language", w.language)
	r.Header.Set("Authorization", "Bearer "+w.token)
	return w.client.Do(r)
}

// errEnded: the handover has ended.
var errEnded = errors.New("ended")

// event shows one event.
func (w *watcher) event(data []byte) error {
	var e struct {
		Data   *struct{ HandoverProgress *standing }
		Errors graphErrors
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("cannot read what the server says: %w", err)
	}
	if len(e.Errors) > 0 {
		return e.Errors.err()
	}
	if e.Data == nil || e.Data.HandoverProgress == nil {
		return errors.New("the server says nothing of the handover")
	}
	w.last = e.Data.HandoverProgress
	w.show.step(w.last)
	if w.last.over() {
		return errEnded
	}
	return nil
}

// because names what ended a context, where that is the reason.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// plain leaves out of an error of net/http the method and URL that it begins with.
func plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
