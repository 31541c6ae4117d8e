package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
)

// watch runs the command against a server, as a stranger's shell would.
func watch(t *testing.T, url, id string, flags ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), append([]string{"watch", id, "--url", url}, flags...), nil, &out, &err)
	return code, out.String(), err.String()
}

// streams is a server whose first stream says the first text, and so on.
func streams(t *testing.T, token string, texts ...string) string {
	t.Helper()
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer "+token || r.URL.Path != "/graphql" || r.Header.Get("Accept") != "text/event-stream" {
			t.Errorf("%s %s, authorized %q", r.Method, r.URL.Path, got)
		}
		text := texts[min(n, len(texts)-1)]
		n++
		if strings.HasPrefix(text, "{") {
			w.Header().Set("Content-Type", "application/graphql-response+json")
		} else {
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func step(state string, total, planned, completed int) string {
	return fmt.Sprintf(":\n\nevent: next\ndata: {\"data\":{\"handoverProgress\":{\"state\":%q,\"total\":%d,\"planned\":%d,\"completed\":%d,\"failed\":%d,\"finished\":%d}}}\n\n",
		state, total, planned, completed, total-planned-completed, total-planned)
}

const complete = "event: complete\ndata:\n\n"

func TestWatchFollowsToTheEnd(t *testing.T) {
	t.Setenv("HANDOVER_TOKEN", " hos_token\n")
	id := nid.New(nid.Handover).String()
	url := streams(t, "hos_token", step("RUNNING", 4, 4, 0)+step("RUNNING", 4, 2, 2)+step("COMPLETED", 4, 0, 4)+complete)
	code, out, errs := watch(t, url, id)
	if want := "RUNNING 0 of 4 (0 %)\nCOMPLETED 4 of 4 (100 %)\n"; code != done || out != want || errs != "" {
		t.Errorf("ended with %d: %q, %q", code, out, errs)
	}
	code, out, _ = watch(t, url, id, "--json")
	var states []string
	for dec := json.NewDecoder(strings.NewReader(out)); dec.More(); {
		var s standing
		if err := dec.Decode(&s); err != nil {
			t.Fatal(err)
		}
		states = append(states, fmt.Sprint(s.State, s.Planned))
	}
	if code != done || fmt.Sprint(states) != "[RUNNING4 RUNNING2 COMPLETED0]" {
		t.Errorf("ended with %d: %v", code, states)
	}
}

// A lost connection is opened again; what ended otherwise than well is a failure
// that says how.
func TestWatchGoesOnAfterALoss(t *testing.T) {
	t.Setenv("HANDOVER_TOKEN", "hos_token")
	id := nid.New(nid.Handover).String()
	code, out, errs := watch(t, streams(t, "hos_token",
		step("RUNNING", 4, 3, 1),
		`{"errors":[{"message":"too many requests","extensions":{"code":"RATE_LIMITED"}}]}`,
		step("PARTIAL", 4, 0, 3)+complete), id)
	if code != failed || !strings.HasPrefix(out, "RUNNING 1 of 4 (25 %)\nPARTIAL 4 of 4 (100 %), 1 failed\n") {
		t.Errorf("ended with %d: %q", code, out)
	}
	if want := id + " is PARTIAL: 3 of 4 done, 1 failed\n"; !strings.HasSuffix(errs, want) || !strings.Contains(errs, "trying again") {
		t.Errorf("said %q, want at its end %q", errs, want)
	}
}

func TestWatchSaysWhatIsWrong(t *testing.T) {
	t.Setenv("HANDOVER_TOKEN", "hos_secret")
	id := nid.New(nid.Handover).String()
	page := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(page.Close)
	elsewhere := httptest.NewServer(http.RedirectHandler("https://example.com/", http.StatusFound))
	t.Cleanup(elsewhere.Close)
	nobody := httptest.NewServer(nil)
	nobody.Close()
	for name, c := range map[string]struct {
		url, id string
		code    int
		want    string
	}{
		"refused":          {streams(t, "hos_secret", `{"errors":[{"message":"there is no such object","extensions":{"code":"NOT_FOUND"}}]}`), id, failed, "there is no such object"},
		"refused in time":  {streams(t, "hos_secret", "event: next\ndata: {\"errors\":[{\"message\":\"sign in first\",\"extensions\":{\"code\":\"UNAUTHENTICATED\"}}]}\n\n"), id, failed, "sign in first"},
		"another service":  {page.URL, id, failed, "404 Not Found"},
		"a redirection":    {elsewhere.URL, id, failed, "302 Found"},
		"nobody":           {nobody.URL, id, failed, "cannot reach " + nobody.URL},
		"no handover":      {nobody.URL, nid.New(nid.Contact).String(), usage, "begins with hov_"},
		"not our protocol": {streams(t, "hos_secret", "event: next\ndata: hello\n\n"), id, failed, "cannot read what the server says"},
		"in the clear":     {"http://handover.example.com", id, usage, "use https://"},
		"no URL":           {"handover.example.com", id, usage, "--url"},
	} {
		code, out, errs := watch(t, c.url, c.id)
		if code != c.code || !strings.Contains(errs, c.want) || out != "" {
			t.Errorf("%s: ended with %d: %q, %q", name, code, out, errs)
		}
		if strings.Contains(errs, "hos_secret") {
			t.Errorf("%s: the token is told: %s", name, errs)
		}
	}
}

func TestWatchNeedsAToken(t *testing.T) {
	t.Setenv("HANDOVER_TOKEN", "")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("hos_token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	id := nid.New(nid.Handover).String()
	url := streams(t, "hos_token", step("COMPLETED", 1, 0, 1)+complete)
	if code, _, errs := watch(t, url, id); code != usage || !strings.Contains(errs, "HANDOVER_TOKEN") {
		t.Errorf("without a token: %d, %s", code, errs)
	}
	if code, _, errs := watch(t, url, id, "--token-file", file); code != done {
		t.Errorf("with a token's file: %d, %s", code, errs)
	}
	if code, _, errs := watch(t, url, id, "--token-file", file+"s"); code != failed || !strings.Contains(errs, "--token-file") {
		t.Errorf("without the file: %d, %s", code, errs)
	}
}

func TestTarget(t *testing.T) {
	id := nid.New(nid.Handover).String()
	for given, want := range map[string]string{
		"http://127.0.0.1:8080":                "http://127.0.0.1:8080/graphql",
		"http://localhost:8080/":               "http://localhost:8080/graphql",
		"http://[::1]:8080/graphql":            "http://[::1]:8080/graphql",
		"https://handover.example.com":         "https://handover.example.com/graphql",
		"https://example.com/handover/":        "https://example.com/handover/graphql",
		"https://example.com/handover/graphql": "https://example.com/handover/graphql",
		"http://192.0.2.1":                     "",
		"http://localhost.example.com":         "",
		"https://root:secret@example.com":      "",
		"https://example.com/?token=secret":    "",
		"ftp://example.com":                    "",
		"https://":                             "",
		"://":                                  "",
	} {
		got, err := (&watchCmd{ID: id, URL: given}).target()
		_, wrong := errors.AsType[*misuse](err)
		if got != want || wrong != (want == "") || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %q, %v", given, got, err)
		}
	}
}

func TestToken(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ variable, file, want string }{
		"a variable":           {" hos_v\n", "", "hos_v"},
		"a file":               {"", "hos_f\r\n", "hos_f"},
		"a file before it":     {"hos_v", "hos_f", "hos_f"},
		"an empty file":        {"hos_v", "\n", ""},
		"a file of two tokens": {"hos_v", "hos_1\nhos_2\n", ""},
		"nothing":              {"", "", ""},
	} {
		t.Setenv("HANDOVER_TOKEN", c.variable)
		cmd := &watchCmd{}
		if c.file != "" {
			cmd.TokenFile = filepath.Join(dir, "token")
			if err := os.WriteFile(cmd.TokenFile, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := cmd.token()
		if _, wrong := errors.AsType[*misuse](err); got != c.want || wrong != (c.want == "") || err != nil && strings.Contains(err.Error(), "hos_") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// The whole way: somebody watches a plan in the demo while an administrator
// executes it.
func TestWatchingTheDemo(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stdout, stderr, ended := newOutput(), newOutput(), make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--demo", "--data", t.TempDir(), "--listen", "127.0.0.1:0"}, strings.NewReader(""), stdout, stderr)
	}()
	defer func() { stop(); <-ended }()
	url := await(t, stdout, regexp.MustCompile(`(http://\S+)/graphql`))
	var token string
	ask := func(document string) map[string]any {
		t.Helper()
		body, _ := json.Marshal(map[string]string{"query": document})
		r, err := http.NewRequest(http.MethodPost, url+"/graphql", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var answer struct {
			Data   map[string]any
			Errors []any
		}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || len(answer.Errors) > 0 {
			t.Fatalf("%s: %v %v", document, err, answer.Errors)
		}
		return answer.Data
	}
	at := func(v any, path ...string) any {
		for _, p := range path {
			if list, ok := v.([]any); ok {
				v = list[0]
			}
			v = v.(map[string]any)[p]
		}
		return v
	}
	token = at(ask(`mutation { signIn(input: {corp: "demo", login: "admin", password: "handover-demo"}) { token } }`), "signIn", "token").(string)
	ask(`mutation { verifyIdentity(input: {password: "handover-demo"}) { verifiedUntil } }`)
	leaver := at(ask(`{ members(search: "李娜") { nodes { id } } }`), "members", "nodes", "id")
	successor := at(ask(`{ members(search: "姚倩") { nodes { id } } }`), "members", "nodes", "id")
	plan := at(ask(fmt.Sprintf(`mutation { createHandover(input: {plan: {leaverId: %q, successors: {memberId: %q}, select: {contacts: {importance: NORMAL}}}, idempotencyKey: "w"}) { handover { id digest } } }`,
		leaver, successor)), "createHandover", "handover").(map[string]any)
	t.Setenv("HANDOVER_TOKEN", token)
	out, errs, code := newOutput(), newOutput(), make(chan int, 1)
	go func() { code <- run(ctx, []string{"watch", plan["id"].(string), "--url", url}, nil, out, errs) }()
	await(t, out, regexp.MustCompile(`(DRAFT 0 of 177)`))
	ask(fmt.Sprintf(`mutation { submitHandover(input: {id: %q, version: 1}) { handover { state } } }`, plan["id"]))
	ask(fmt.Sprintf(`mutation { executeHandover(input: {id: %q, digest: %q, idempotencyKey: "x"}) { handover { state } } }`, plan["id"], plan["digest"]))
	if got := <-code; got != done || !strings.HasSuffix(out.String(), "COMPLETED 177 of 177 (100 %)\n") {
		t.Errorf("ended with %d: %q, %q", got, out, errs)
	}
}

// await waits until an output has what is looked for.
func await(t *testing.T, o *output, what *regexp.Regexp) string {
	t.Helper()
	for late := time.After(5 * time.Minute); ; {
		if found := what.FindStringSubmatch(o.String()); found != nil {
			return found[1]
		}
		select {
		case <-o.more:
		case <-late:
			t.Fatalf("no %s in %s", what, o)
		}
	}
}
