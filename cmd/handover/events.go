package main

import (
	"bufio"
	"bytes"
	"cmp"
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

// readEvents reads a stream of server-sent events: alive is called for every line,
// event for the data of every "next" event. Its errors end the reading and come back
// as they are; a stream that ends before that is lost.
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
				return lost{errors.New("the stream has ended before the handover")}
			}
			name, data = "", nil
		case string(field) == "event":
			name = string(value)
		case string(field) == "data":
			data = append(append(data, value...), '\n')
		}
	}
	// A stream says when it is over: without that the end is a loss, too.
	return lost{fmt.Errorf("the connection was lost: %w", cmp.Or(lines.Err(), io.ErrUnexpectedEOF))}
}

// What may go better the next time: as codes, and as answers of ours or of a proxy.
// One is that a server still counts the stream that was lost as open.
var (
	passingCodes    = []fault.Code{fault.Unavailable, fault.Timeout, fault.RateLimited}
	passingStatuses = []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
)

type graphErrors []struct {
	Message    string
	Extensions struct{ Code fault.Code }
}

// err is the first error, as one that may pass or not.
func (g graphErrors) err() error {
	err := errors.New(g[0].Message)
	if slices.Contains(passingCodes, g[0].Extensions.Code) {
		return lost{err}
	}
	return err
}

// refused says why an answer is no stream; nil: it is one.
func (w *watcher) refused(resp *http.Response) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode == http.StatusOK && kind == "text/event-stream" {
		return nil
	}
	err := fmt.Errorf("%s answers %s", w.url, resp.Status)
	if resp.StatusCode == http.StatusOK {
		err = errors.New(w.url + " does not answer with a stream; is that OpenHandover?")
	}
	var body struct{ Errors graphErrors }
	if json.NewDecoder(io.LimitReader(resp.Body, longestEvent)).Decode(&body) == nil && len(body.Errors) > 0 {
		err = body.Errors.err()
	}
	if slices.Contains(passingStatuses, resp.StatusCode) {
		return lost{err}
	}
	return err
}
