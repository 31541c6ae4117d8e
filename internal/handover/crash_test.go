package handover_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// order is what a process that is going to be killed is told to do.
type order struct {
	URL           string
	Corp, Person  nid.ID
	Session       string
	Handover      nid.ID
	Digest, Key   string
	VerifiedUntil time.Time
}

const orderVariable = "HANDOVER_TEST_ORDER"

// TestMain is the main function of a victim where an order is given, and of a
// replica that works in the background where its database is.
func TestMain(m *testing.M) {
	if url := os.Getenv(workerVariable); url != "" {
		if err := work(url); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		return
	}
	if text := os.Getenv(orderVariable); text != "" {
		if err := victim(text); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func victim(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	session, err := hex.DecodeString(o.Session)
	if err != nil {
		return err
	}
	box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
	if err != nil {
		return err
	}
	db, err := store.Open(context.Background(), store.Options{URL: o.URL, StatementCache: true, Clock: func() time.Time { return storetest.Epoch }})
	if err != nil {
		return err
	}
	s := &handover.Service{DB: db, Log: audit.New(box)}
	ctx := access.With(context.Background(), &access.Actor{
		Kind: access.Person, Corp: o.Corp, ID: o.Person, Session: session, VerifiedUntil: o.VerifiedUntil,
		Grants: []access.Grant{{Permissions: access.Permissions}},
	})
	fmt.Println("ready")
	return s.Execute(ctx, o.Handover, o.Digest, o.Key)
}

// A process is killed at a random moment of each of 100 executions; whoever comes
// next repeats with the same key. Nothing is lost, nothing happens twice, and the
// log has no hole.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	const cases, each = 100, 4
	for name, open := range map[string]func(testing.TB, *storetest.Clock) (*store.DB, string){"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := storetest.NewClock()
			db, url := open(t, clock)
			c := testcorp.New(t, db, clock, "acme")
			lina, wang := c.Member("lina", c.Root), c.Member("wang", c.Root)
			contacts := c.Contacts(cases*each, lina)
			c.Depart(lina)
			s := &handover.Service{DB: db, Log: c.Log}
			admin := c.Verified(c.Admin)
			actor := access.From(admin)
			killed := 0
			for i := range cases {
				in := handover.Input{Kind: handover.Resigned, LeaverID: lina, Successors: handover.Choice{MemberID: &wang},
					Select: &handover.Selection{ContactIDs: contacts[i*each : (i+1)*each]}}
				id, err := s.Create(admin, in, nil, nil, fmt.Sprint("create-", i))
				ok(t, err)
				ok(t, s.Submit(admin, id, 1))
				digest := testcorp.Value[string](c, `SELECT digest FROM handovers WHERE id = $1`, id)
				o := order{URL: url, Corp: c.ID, Person: c.Admin, Session: hex.EncodeToString(actor.Session), Handover: id, Digest: digest,
					Key: fmt.Sprint("execute-", i), VerifiedUntil: actor.VerifiedUntil}
				if kill(t, o, time.Duration(rand.IntN(30_000))*time.Microsecond) {
					killed++
				}
				ok(t, s.Execute(admin, id, digest, o.Key))
				if got := testcorp.Value[int](c, `SELECT count(*) FROM transfers WHERE handover_id = $1 AND status = 'COMPLETED' AND attempt = 1`, id); got != each {
					t.Fatalf("handover %d: %d transfers completed once, want %d", i, got, each)
				}
			}
			t.Logf("%d of %d were killed before they were done", killed, cases)
			for what, query := range map[string]string{
				"follows of the successor":    `SELECT count(*) FROM follows WHERE member_id = $1 AND ended_at IS NULL AND owner_version = 2`,
				"open periods":                `SELECT count(*) FROM ownership_periods WHERE member_id = $1 AND until_at IS NULL`,
				"contacts by the counter":     `SELECT contacts FROM member_counters WHERE member_id = $1`,
				"transfers by the statistics": `SELECT sum(n) FROM transfer_rollups WHERE successor_id = $1 AND status = 'COMPLETED'`,
			} {
				if got := testcorp.Value[int](c, query, wang); got != cases*each {
					t.Errorf("%s: %d, want %d", what, got, cases*each)
				}
			}
			if got := testcorp.Value[int](c, `SELECT count(*) FROM audit_entries WHERE action = 'transfer.finish'`); got != cases*each {
				t.Errorf("%d transfer entries, want %d", got, cases*each)
			}
			if _, err := audit.Verify(context.Background(), db, c.ID, audit.Trust{}, nil); err != nil {
				t.Errorf("the log does not verify: %v", err)
			}
		})
	}
}

// kill starts a process on the order and kills it a moment after it has begun;
// it reports whether the process had not ended by itself.
func kill(t *testing.T, o order, after time.Duration) bool {
	t.Helper()
	text, err := json.Marshal(o)
	ok(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), orderVariable+"="+string(text))
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	line := bufio.NewScanner(out)
	if !line.Scan() || line.Text() != "ready" {
		t.Fatalf("the process did not begin: %s", line.Text())
	}
	timer := time.NewTimer(after)
	defer timer.Stop()
	<-timer.C
	_ = cmd.Process.Kill()
	return cmd.Wait() != nil
}
