package handover_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/job"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

const (
	workerVariable = "HANDOVER_TEST_WORKER"
	// workerAtOnce makes many small chunks of a test's few transfers.
	workerAtOnce = 50
)

// work is the main function of a replica that only works in the background, until
// whoever started it is gone.
func work(url string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Options{URL: url, StatementCache: true, MaxConns: 4})
	if err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); cancel() }()
	go func() { _ = db.Listen(ctx) }()
	s := &handover.Service{DB: db, Log: audit.New(box), AtOnce: workerAtOnce}
	fmt.Println("ready")
	(&job.Runner{DB: db, Kinds: map[string]job.Work{handover.WorkHandovers: s.Work}, Log: slog.Default()}).Run(ctx)
	return nil
}

// replica is a process that runs work.
type replica struct {
	t    *testing.T
	name string
	url  string
	cmd  *exec.Cmd
}

func startReplica(t *testing.T, name, url string) *replica {
	t.Helper()
	r := &replica{t: t, name: name, url: url + "&application_name=" + name}
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *replica) start() {
	r.t.Helper()
	r.cmd = exec.Command(os.Args[0])
	r.cmd.Env = append(os.Environ(), workerVariable+"="+r.url)
	r.cmd.Stderr = os.Stderr
	_, err := r.cmd.StdinPipe() // ends when we do
	ok(r.t, err)
	out, err := r.cmd.StdoutPipe()
	ok(r.t, err)
	ok(r.t, r.cmd.Start())
	if line := bufio.NewScanner(out); !line.Scan() || line.Text() != "ready" {
		r.t.Fatalf("%s did not begin: %s", r.name, line.Text())
	}
}

// kill is SIGKILL: nothing of the process's own runs after it.
func (r *replica) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// Two replicas carry a large handover out. Fifty times the one that is at work is
// killed, in the midst of whatever it does, and started again. Nothing is lost and
// nothing happens twice.
func TestReplicasAreKilledAllAlong(t *testing.T) {
	t.Parallel()
	const n, kills = 8000, 50
	clock := storetest.NewClock()
	db, url := storetest.PostgresURL(t, clock)
	l := newLoad(t, db, clock, n, 20)
	s := &handover.Service{DB: db, Log: l.Log, AtOnce: workerAtOnce}
	id, err := s.HandOver(l.Verified(l.Admin), l.input(), nil, "k")
	ok(t, err)
	replicas := []*replica{startReplica(t, "replica-0", url), startReplica(t, "replica-1", url)}
	random := rand.New(rand.NewPCG(2026, 50))
	struck := 0
	for i := range kills {
		// Somewhere in each fiftieth of the way, but for the last, which is left whole.
		target := i*n/(kills+1) + random.IntN(n/(kills+1))
		await(t, 30*time.Second, "progress", func() bool { return l.completed(id) >= target })
		victim := replicas[random.IntN(2)]
		for _, r := range replicas {
			if l.atWork(r.name) {
				victim = r
				struck++
				break
			}
		}
		victim.kill()
		if i < kills-1 {
			l.outlast(t, id)
		} else {
			// The last time nobody helps: the other one finds it when the lease has run out.
			before, killed := l.completed(id), time.Now()
			await(t, 15*time.Second, "going on", func() bool { return l.completed(id) > before })
			t.Logf("went on after %s", time.Since(killed).Round(100*time.Millisecond))
		}
		victim.start()
	}
	await(t, 30*time.Second, "the end", func() bool { return l.completed(id) == n })
	t.Logf("killed %d times, %d times in a transaction; claimed %d times", kills, struck, testcorp.Value[int](l.Corp, `SELECT run_token FROM handovers WHERE id = $1`, id))
	if struck < kills/2 {
		t.Errorf("only %d of %d kills struck somebody at work", struck, kills)
	}
	for _, r := range replicas {
		r.kill()
	}
	l.whole(t, id, n)
}

// atWork reports whether a replica is in a transaction now.
func (l *load) atWork(name string) bool {
	return testcorp.Value[bool](l.Corp, `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 AND backend_xid IS NOT NULL)`, name)
}

// outlast lets the lease of a replica that is no more run out at once, and wakes the others.
func (l *load) outlast(t *testing.T, id nid.ID) {
	t.Helper()
	ok(t, l.DB.Tx(store.System(context.Background(), l.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		if _, _, err := tx.Lease(ctx, "handovers", `UPDATE handovers SET lease_until = NULL WHERE corp_id = $1 AND id = $2 RETURNING id, run_token`, tx.Corp(), id); err != nil {
			return err
		}
		return tx.Wake(ctx, handover.WorkHandovers, tx.Now())
	}))
}

// whole checks that n transfers were completed once each, and everything that is
// kept of them.
func (l *load) whole(t *testing.T, id nid.ID, n int) {
	t.Helper()
	storetest.Analyze(t, l.DB)
	for what, query := range map[string]string{
		"transfers completed at the first attempt": `SELECT count(*) FROM transfers WHERE handover_id = $1 AND status = 'COMPLETED' AND attempt = 1`,
		"follows that moved once":                  `SELECT count(*) FROM transfers AS t JOIN follows AS f ON f.id = t.follow_id AND f.member_id = t.to_id AND f.ended_at IS NULL AND f.owner_version = 2 WHERE t.handover_id = $1`,
		"open periods begun by a transfer":         `SELECT count(*) FROM transfers AS t JOIN ownership_periods AS p ON p.transfer_id = t.id AND p.member_id = t.to_id AND p.until_at IS NULL WHERE t.handover_id = $1`,
		"transfers with an entry":                  `SELECT count(DISTINCT subject_id) FROM audit_entries WHERE handover_id = $1 AND action = 'transfer.finish'`,
		"entries of transfers":                     `SELECT count(*) FROM audit_entries WHERE handover_id = $1 AND action = 'transfer.finish'`,
		"transfers by the statistics":              `SELECT sum(r.n) FROM transfer_rollups AS r JOIN handovers AS h ON h.leaver_id = r.leaver_id WHERE h.id = $1 AND r.status = 'COMPLETED'`,
	} {
		if got := testcorp.Value[int](l.Corp, query, id); got != n {
			t.Errorf("%s: %d, want %d", what, got, n)
		}
	}
	if got := testcorp.Value[int](l.Corp, `SELECT count(*) FROM ownership_periods`); got != 2*n {
		t.Errorf("%d periods, want %d", got, 2*n)
	}
	if got := testcorp.Value[int](l.Corp, `SELECT count(*) FROM audit_entries WHERE action = 'handover.finish'`); got != 1 {
		t.Errorf("finished %d times", got)
	}
	if state := testcorp.Value[string](l.Corp, `SELECT state FROM handovers WHERE id = $1`, id); state != "COMPLETED" {
		t.Errorf("state %s", state)
	}
	for what, query := range wrongs {
		err := l.DB.View(store.System(context.Background(), l.ID, "test"), func(ctx context.Context, r *store.Read) error {
			ids, err := store.Select(ctx, r, func(id *nid.ID) []any { return []any{id} }, query, l.ID)
			if len(ids) > 0 {
				t.Errorf("%s: %v", what, ids[:min(len(ids), 10)])
			}
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := audit.Verify(context.Background(), l.DB, l.ID, audit.Trust{}, nil); err != nil {
		t.Errorf("the log does not verify: %v", err)
	}
}
