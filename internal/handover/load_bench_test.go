package handover_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// maxResident is what a worker may take of memory, in MB.
const maxResident = 300

// BenchmarkBackground is the largest handover there may be, as an operator runs it:
// the program itself answers previewHandover and createHandover over HTTP, and its
// job runner carries the plan out: on PostgreSQL in a process of its own.
func BenchmarkBackground(b *testing.B) {
	program := filepath.Join(b.TempDir(), "handover")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, "../../cmd/handover").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for name, open := range map[string]func(testing.TB, *storetest.Clock) (*store.DB, string){"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		b.Run(fmt.Sprintf("%s/%d", name, handover.MaxTransfers), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				clock := storetest.NewClock()
				db, url := open(b, clock)
				l := newLoad(b, db, clock, handover.MaxTransfers, 20)
				var api, worker *process
				if db.Postgres() {
					api, worker = serve(b, program, url, "--no-workers"), serve(b, program, url, "--workers-only")
				} else {
					api = serve(b, program, url)
					worker = api
				}
				l.background(b, api, worker)
			}
		})
	}
}

func (l *load) background(b *testing.B, api, worker *process) {
	token := l.token(b)
	plan := map[string]any{"kind": "RESIGNED", "leaverId": l.leaver.String(), "successors": map[string]any{"split": map[string]any{"method": "EVEN", "memberIds": texts(l.successors)}}}

	took := map[string]time.Duration{}
	ask := func(what, query string, variables map[string]any, into any) {
		start := time.Now()
		api.ask(b, token, query, variables, into)
		took[what] = time.Since(start)
	}
	var seen struct{ PreviewHandover struct{ Digest string } }
	ask("preview", `query($plan: HandoverPlanInput!) { previewHandover(input: $plan) { digest total approvalsRequired problems { reason items }
		successors { contacts before after member { name } } items(first: 100) { nodes { because contact { name } to { name } } } } }`, map[string]any{"plan": plan}, &seen)
	type one struct {
		Handover struct {
			ID, Digest, State string
			Version           int
		}
	}
	var made struct{ CreateHandover one }
	ask("create", `mutation($in: CreateHandoverInput!) { createHandover(input: $in) { handover { id digest state version } } }`,
		map[string]any{"in": map[string]any{"plan": plan, "digest": seen.PreviewHandover.Digest, "idempotencyKey": "create"}}, &made)
	h := made.CreateHandover.Handover
	ask("submit", `mutation($in: SubmitHandoverInput!) { submitHandover(input: $in) { handover { state } } }`,
		map[string]any{"in": map[string]any{"id": h.ID, "version": h.Version}}, nil)
	id, err := nid.Parse(h.ID)
	ok(b, err)
	ask("execute", `mutation($in: ExecuteHandoverInput!) { executeHandover(input: $in) { handover { state } } }`,
		map[string]any{"in": map[string]any{"id": h.ID, "digest": h.Digest, "idempotencyKey": "execute"}}, nil)

	b.StartTimer()
	start := time.Now()
	await(b, 5*time.Minute, "the handover", func() bool { return l.completed(id) == handover.MaxTransfers })
	took["run"] = time.Since(start)
	b.StopTimer()

	for what, d := range took {
		b.ReportMetric(d.Seconds(), what+"-s")
	}
	b.ReportMetric(float64(handover.MaxTransfers)/took["run"].Seconds(), "transfers/s")
	b.ReportMetric(api.peak(b), "api-MB")
	b.ReportMetric(worker.peak(b), "worker-MB")
	if mb := worker.peak(b); mb > maxResident {
		b.Errorf("the worker took %.0f MB, may take %d", mb, maxResident)
	}
	if _, err := audit.Verify(context.Background(), l.DB, l.ID, audit.Trust{}, nil); err != nil {
		b.Errorf("the log does not verify: %v", err)
	}
	b.StartTimer()
}

func texts(ids []nid.ID) (out []string) {
	for _, id := range ids {
		out = append(out, id.String())
	}
	return out
}

// token signs the administrator in, identity just proven.
func (l *load) token(t testing.TB) string {
	token := secret.NewToken(secret.Session, l.ID)
	now := time.Now().UTC().Truncate(time.Microsecond)
	ok(t, l.DB.Tx(store.System(context.Background(), l.ID, "test data"), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Keep(ctx, "sessions", `INSERT INTO sessions (secret_hash, corp_id, id, member_id, epoch, method, created_at, expires_at, last_seen_at, verified_until)
			SELECT $1, corp_id, id, id, epoch, 'PASSWORD', $4, $5, $4, $5 FROM members WHERE corp_id = $2 AND id = $3`, secret.Hash(token), l.ID, l.Admin, now, now.Add(time.Hour))
		return err
	}))
	return token
}

// process is the program, serving.
type process struct {
	cmd *exec.Cmd
	url string
}

// serve starts the program until the end of the test.
func serve(t testing.TB, program, database string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, append([]string{"serve"}, args...)...)}
	p.cmd.Env = append(os.Environ(), "HANDOVER_DATABASE_URL="+database, "HANDOVER_SECRET_KEY="+rand.Text()+rand.Text(), "HANDOVER_LISTEN=127.0.0.1:0", "HANDOVER_DATA="+t.TempDir())
	var said bytes.Buffer
	p.cmd.Stderr = &said
	out, err := p.cmd.StdoutPipe()
	ok(t, err)
	ok(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("%v said:\n%s", args, said.String())
		}
	})
	line := bufio.NewScanner(out)
	for line.Scan() {
		if url, ok := strings.CutPrefix(line.Text(), "serving on "); ok {
			p.url = url
			return p
		}
	}
	t.Fatal("the program does not serve")
	return nil
}

func (p *process) ask(t testing.TB, token, query string, variables map[string]any, into any) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	ok(t, err)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, p.url+"/graphql", bytes.NewReader(body))
	ok(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	ok(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	ok(t, err)
	var a struct {
		Data   json.RawMessage
		Errors []any
	}
	ok(t, json.Unmarshal(text, &a))
	if len(a.Errors) > 0 {
		t.Fatalf("%s", text)
	}
	if into != nil {
		ok(t, json.Unmarshal(a.Data, into))
	}
}

// peak is the most memory that the process has had, in MB; 0 where the system does not tell.
func (p *process) peak(t testing.TB) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	ok(t, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kb, err := strconv.Atoi(f[1])
			ok(t, err)
			return float64(kb) / 1024
		}
	}
	t.Fatal("the system does not tell the peak of a process's memory")
	return 0
}
