package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"

	"github.com/openhandover/openhandover/internal/fault"
)

// longestEvent is more than any event of ours has.
const longestEvent = 1 << 20

// readEvents reads a stream of server-sent events until its end (nil) or an error:
// alive is called for every line, event for the data of every "next" event. Its
// errors end the reading and come back as they are.
func readEvents(r io.Reader, alive func(), event func(data []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestEvent)
	name, data := "", []byte(nil)
	for lines.Scan() {
		alive()
		line := lines.Bytes()
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(line) == 0: // the event is whole
			switch name {
			case "next":
				if err := event(data); err != nil {
					return err
				}
			case "complete":
				return nil
			}
			name, data = "", nil
		case string(field) == "event":
			name = string(value)
		case string(field) == "data":
			data = append(append(data, value...), '\n')
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF // a stream says when it is over
}

// answered is what a server has said no with.
type answered struct{ code, text string }

func (a *answered) Error() string { return a.text }

// passing are the codes of what may go better the next time.
var passing = []string{string(fault.Unavailable), string(fault.Timeout), string(fault.RateLimited)}

type graphErrors []struct {
	Message    string
	Extensions struct{ Code string }
}

// err is the first error, as one that may pass or not.
func (g graphErrors) err() error {
	a := &answered{g[0].Extensions.Code, g[0].Message}
	if slices.Contains(passing, a.code) {
		return lost{a}
	}
	return a
}

// refused says why an answer is no stream; nil: it is one.
func (w *watcher) refused(resp *http.Response) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode == http.StatusOK && kind == "text/event-stream" {
		return nil
	}
	var body struct{ Errors graphErrors }
	b, err := io.ReadAll(io.LimitReader(resp.Body, longestEvent))
	if err == nil && json.Unmarshal(b, &body) == nil && len(body.Errors) > 0 {
		return body.Errors.err()
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout: // of a proxy
		return lost{fmt.Errorf("%s answers %s", w.url, resp.Status)}
	case http.StatusOK:
		return errors.New(w.url + " does not answer with a stream; is that OpenHandover?")
	}
	return fmt.Errorf("%s answers %s", w.url, resp.Status)
}
