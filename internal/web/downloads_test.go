package web

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
)

// Files are fetched by their links: no credential is looked at, and the room is their own.
func TestFilesHaveALaneOfTheirOwn(t *testing.T) {
	var seen []string
	entered, leave := make(chan struct{}), make(chan struct{})
	f := newServer(t, func(o *Options) {
		o.Limits.Files = 1
		o.Exports = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.PathValue("file") == "slow" {
				close(entered)
				<-leave
			}
			_, dated := r.Context().Deadline()
			if access.From(r.Context()).SignedIn() || !dated {
				t.Error("somebody is signed in, or there is no end to it")
			}
			seen = append(seen, r.PathValue("id")+" "+r.PathValue("file"))
			_, _ = io.WriteString(w, "file")
		})
	})
	const path = "/api/v1/exports/exp_1/%E5%AE%A2%E6%88%B7.csv?signature=secret"
	w := f.do("GET", path, "", "Authorization: Bearer hos_whatever")
	if w.Code != http.StatusOK || w.Body.String() != "file" || len(seen) != 1 || seen[0] != "exp_1 客户.csv" {
		t.Errorf("%d %s, asked for %v", w.Code, w.Body, seen)
	}
	if strings.Contains(f.log.String(), "secret") || strings.Contains(f.log.String(), "exp_1") {
		t.Errorf("the log tells the link: %s", f.log)
	}
	if w := f.do("POST", path, ""); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	over := make(chan struct{})
	go func() { f.do("GET", "/api/v1/exports/exp_1/slow", ""); close(over) }()
	<-entered
	if w := f.do("GET", path, ""); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("a second one: %d", w.Code)
	}
	if w := f.do("POST", "/graphql", `{"query":"{a}"}`, "Content-Type: application/json"); w.Code != http.StatusOK {
		t.Errorf("the API beside it: %d", w.Code)
	}
	close(leave)
	<-over
	if w := newServer(t, nil).do("GET", path, ""); w.Code != http.StatusNotFound {
		t.Errorf("without exports: %d", w.Code)
	}
}
