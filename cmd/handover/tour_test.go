package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

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
		cmd.Env = append(os.Environ(), "API="+line[2])
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
