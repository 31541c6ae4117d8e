package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// TestMain is the tour's curl where it is called by that name: a stranger's
// machine may have none, and the test needs Go and a shell alone.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "curl" {
		if err := littleCurl(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "curl:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// littleCurl knows what the tour and the demo's greeting use: -s, -b, -c, -H, -d.
func littleCurl(args []string) error {
	var url, body, jar string
	header := http.Header{}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-s":
		case "-b", "-c":
			i++
			jar = args[i]
		case "-H":
			i++
			name, value, _ := strings.Cut(args[i], ": ")
			header.Set(name, value)
		case "-d":
			i++
			if body = args[i]; body == "@-" {
				b, err := io.ReadAll(os.Stdin)
				if err != nil {
					return err
				}
				body = string(b)
			}
		default:
			url = args[i]
		}
	}
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = header
	if cookie, err := os.ReadFile(jar); err == nil {
		r.Header.Set("Cookie", string(cookie))
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	for _, c := range resp.Cookies() {
		if jar == "" {
			break
		}
		if err := os.WriteFile(jar, []byte(c.Name+"="+c.Value), 0o600); err != nil {
			return err
		}
	}
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}

// output is a command's output, readable while the command writes.
type output struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{}
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.b.Write(p)
}

func (o *output) String() string { o.mu.Lock(); defer o.mu.Unlock(); return o.b.String() }

// A stranger starts the demo, pastes what it prints, and pastes the README's tour.
func TestTheTour(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	tour, err := os.ReadFile("../../examples/tour.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(tour), "\n")[2:] {
		if !strings.Contains(string(readme), line) {
			t.Errorf("README.md lacks the tour's line %q", line)
		}
	}
	bin := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(bin, "curl")); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	stdout, stderr := newOutput(), newOutput()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--demo", "--data", data, "--listen", "127.0.0.1:0"}, strings.NewReader(""), stdout, stderr)
	}()
	printed := regexp.MustCompile(`(?m)^ +(curl -s (http://\S+/graphql) .*)$`)
	var line []string
	for line == nil {
		select {
		case code := <-ended:
			t.Fatalf("serve ended with %d: %s", code, stderr)
		case <-stdout.more:
			line = printed.FindStringSubmatch(stdout.String())
		}
	}
	shell := func(script string) string {
		cmd := exec.Command("sh", "-c", script)
		cmd.Dir = "../.."
		cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "API="+line[2])
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if out := shell(line[1]); !strings.Contains(out, `"name":"高洁"`) {
		t.Errorf("the printed curl answered %s", out)
	}
	out := shell(". examples/tour.sh")
	for _, want := range []string{
		`"contacts":186,"keyContacts":9,"groups":14`, `"contacts":177,"groups":14,"approvalsRequired":0,"immediate":true`,
		`"STEP_UP_REQUIRED"`, `"state":"COMPLETED","progress":{"total":191,"completed":191}`, `"APPROVAL_REQUIRED"`,
		`"state":"AWAITING_APPROVAL","approvalsRequired":1`, `"approveHandover":{"handover":{"state":"READY"}}`,
		`"state":"COMPLETED","progress":{"completed":9}`, `"action":"handover.approve","actorLabel":"方华"`, `"unassigned":null`,
	} {
		at := strings.Index(out, want)
		if at < 0 {
			t.Fatalf("the tour lacks, after what came before:\n%s\nin what is left:\n%s", want, out)
		}
		out = out[at+len(want):]
	}
	// The log verifies while the server runs, and SIGTERM drains it.
	var verified bytes.Buffer
	if code := run(ctx, []string{"audit", "verify", "--demo", "--json", "--data", data}, nil, &verified, stderr); code != done {
		t.Errorf("audit verify ended with %d: %s %s", code, verified.String(), stderr)
	}
	for dec := json.NewDecoder(&verified); dec.More(); {
		var v struct{ OK bool }
		if err := dec.Decode(&v); err != nil || !v.OK {
			t.Errorf("audit verify: %v, %v", v, err)
		}
	}
	stop()
	if code := <-ended; code != done {
		t.Errorf("serve ended with %d: %s", code, stderr)
	}
}
