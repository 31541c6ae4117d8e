package web

import (
	"bufio"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func graphiqlNotes() (string, error) {
	b, err := os.ReadFile("graphiql/README.md")
	return string(b), err
}

// run starts a server on a free port; the returned function stops it and gives
// what Run returned.
func run(t *testing.T, f func(*Options)) (*fixture, string, func() error) {
	t.Helper()
	ready := make(chan net.Addr, 1)
	s := newServer(t, func(o *Options) {
		o.Listen, o.Ready = "127.0.0.1:0", func(a, _ net.Addr) { ready <- a }
		if f != nil {
			f(o)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(cancel)
	select {
	case a := <-ready:
		return s, "http://" + a.String(), func() error { cancel(); return <-done }
	case err := <-done:
		t.Fatal(err)
		return nil, "", nil
	}
}

func TestRunServesAndStops(t *testing.T) {
	_, url, stop := run(t, nil)
	res, err := http.Get(url + "/healthz")
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	res.Body.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(url + "/healthz"); err == nil {
		t.Error("still there")
	}
}

func TestRunWaitsForWhatRuns(t *testing.T) {
	s, url, stop := run(t, nil)
	in, leave := make(chan struct{}), make(chan struct{})
	s.api.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
		close(in)
		<-leave
		if r.Context().Err() != nil {
			t.Error("stopping ended a request that had time left")
		}
		_, _ = io.WriteString(w, "whole")
	}
	got := make(chan string, 1)
	go func() {
		res, err := http.Post(url+"/graphql", "application/json", strings.NewReader("{}"))
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		got <- string(b)
	}()
	<-in
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	<-s.stopping.Done()
	if w := s.shown("/readyz"); w.Code != 503 || !readAnswer(t, w).Stopping {
		t.Errorf("ready while stopping: %d %s", w.Code, w.Body)
	}
	close(leave)
	if b := <-got; b != "whole" {
		t.Errorf("the last request got %q", b)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestRunEndsStreams(t *testing.T) {
	s, url, stop := run(t, nil)
	s.api.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ":\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		_, _ = io.WriteString(w, "event: complete\n\n")
	}
	r, err := http.NewRequest("POST", url+"/graphql", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body := bufio.NewReader(res.Body)
	if line, err := body.ReadString('\n'); err != nil || line != ":\n" {
		t.Fatalf("%q %v", line, err)
	}
	start := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if time.Since(start) > 5*time.Second {
		t.Error("waited for a stream")
	}
	if rest, err := io.ReadAll(body); err != nil || !strings.Contains(string(rest), "event: complete") {
		t.Errorf("%q %v", rest, err)
	}
}

func TestRunGivesUpInTheEnd(t *testing.T) {
	s, url, stop := run(t, func(o *Options) { o.Limits.Drain = 20 * time.Millisecond })
	in, leave := make(chan struct{}), make(chan struct{})
	defer close(leave)
	s.api.HandlerFunc = func(http.ResponseWriter, *http.Request) { close(in); <-leave }
	failed := make(chan error, 1)
	go func() {
		res, err := http.Post(url+"/graphql", "application/json", strings.NewReader("{}"))
		if err == nil {
			res.Body.Close()
		}
		failed <- err
	}()
	<-in
	if err := stop(); err == nil || !strings.Contains(err.Error(), "1 requests did not finish within 20ms") {
		t.Errorf("stopped with %v", err)
	}
	if <-failed == nil {
		t.Error("the request was not cut off")
	}
}

func TestRunNamesTheAddressThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newServer(t, func(o *Options) { o.Listen = l.Addr().String() })
	if err := s.Run(context.Background()); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("%v", err)
	}
}

// The operators' listener is one of its own: on this machine for this machine's names
// alone, up to the end of a stop, and never by force on an address that nobody chose.
func TestOperatorsListener(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, operator := range []string{"127.0.0.1:0", "", taken.Addr().String()} {
		ready := make(chan [2]net.Addr, 1)
		f := newServer(t, func(o *Options) {
			o.Listen, o.Operator, o.OperatorYields = "127.0.0.1:0", operator, true
			o.Ready = func(a, b net.Addr) { ready <- [2]net.Addr{a, b} }
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		at := <-ready
		public := "http://" + at[0].String()
		if code, _ := fetch(t, public+"/metrics", ""); code != 404 {
			t.Errorf("clients get metrics: %d", code)
		}
		if operator == "127.0.0.1:0" {
			own := "http://" + at[1].String()
			if code, body := fetch(t, own+"/metrics", ""); code != 200 || !strings.Contains(body, "go_goroutines") {
				t.Errorf("metrics: %d %.100s", code, body)
			}
			if code, _ := fetch(t, own+"/graphql", ""); code != 404 {
				t.Errorf("the API at the operators' address: %d", code)
			}
			if code, _ := fetch(t, own+"/metrics", "evil.example"); code != 403 {
				t.Errorf("by another name: %d", code)
			}
		} else if at[1] != nil {
			t.Errorf("operators are served at %s", at[1])
		}
		if said := strings.Contains(f.log.String(), "--listen-metrics"); said != (operator == taken.Addr().String()) {
			t.Errorf("%q: the log says %s", operator, f.log)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if at[1] != nil {
			if c, err := net.Dial("tcp", at[1].String()); err == nil {
				_ = c.Close()
				t.Error("still there")
			}
		}
	}
	chosen := newServer(t, func(o *Options) { o.Listen, o.Operator = "127.0.0.1:0", taken.Addr().String() })
	if err := chosen.Run(t.Context()); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("an address that was chosen and is taken: %v", err)
	}
}

func fetch(t *testing.T, url, host string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// TestSlowHeader opens a connection and says nothing.
func TestSlowHeader(t *testing.T) {
	_, url, stop := run(t, func(o *Options) { o.Limits.Header = 30 * time.Millisecond })
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /healthz HTT"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || strings.Contains(string(b), "200 OK") {
		t.Errorf("the server waits: %q %v", b, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestServerLogHasNoAddresses(t *testing.T) {
	f := newServer(t, nil)
	l := log.New(anonymous{f.Server.log}, "", 0)
	l.Print("http: TLS handshake error from 192.0.2.77:4711: EOF")
	l.Print("http: panic serving [2001:db8::77]:4711: x")
	if s := f.log.String(); strings.Contains(s, "192.0.2.77") || strings.Contains(s, "2001:db8") || strings.Count(s, "(address)") != 2 || !strings.Contains(s, "handshake") {
		t.Error(s)
	}
}
