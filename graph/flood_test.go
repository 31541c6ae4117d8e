package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// inTurn runs a test on one engine after the other: a test that measures shares its machine with nobody of
// this package.
func inTurn(t *testing.T, test func(t *testing.T, db *store.DB, clock *storetest.Clock)) {
	for name, open := range map[string]func(testing.TB, *storetest.Clock) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			clock := storetest.NewClock()
			test(t, open(t, clock), clock)
		})
	}
}

// rolled gives a corp statistics: n rows over 1,500 days.
func rolled(t *testing.T, c *testcorp.Corp, n int) {
	t.Helper()
	none := nid.ID{}.UUID()
	begin := storetest.Epoch.AddDate(0, 0, -1500)
	for done := 0; done < n; {
		var rows []map[string]any
		for range min(5000, n-done) {
			rows = append(rows, map[string]any{"at": begin.Add(time.Duration(done%1500) * 24 * time.Hour), "slot": done % 50, "reason": fmt.Sprint("R", done/1500)})
			done++
		}
		err := c.DB.Tx(store.System(context.Background(), c.ID, "test data"), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Keep(ctx, "transfer_rollups", `INSERT INTO transfer_rollups (corp_id, bucket, leaver_id, successor_id, from_department_id, to_department_id,
				kind, handover_kind, importance, status, reason, rule_set_id, rule_index, takeover_slot, n)
				SELECT $2, at, $3, $3, $4, $5, 'CONTACT', 'RESIGNED', 'NORMAL', 'COMPLETED', reason, $4, -1, slot, 1 FROM `+tx.DB().Rows(1, "v", "at time", "slot int", "reason text"),
				tx.DB().Batch(rows), c.ID, c.Admin, none, c.Root)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	storetest.Analyze(t, c.DB)
}

// question is one statistic with all that a row has; different i ask differently.
func question(i int) string {
	return fmt.Sprintf(`a%d: transferStatistics(bucket: WEEK, groupBy: [REASON, LEAVER], filter: {from: "2022-02-%02dT00:00:00Z", kinds: CONTACT}, fill: true) {
		truncated totals { assigned takeoverHoursP50 }
		rows { id bucketStart bucketLabel leaver leaverId reason kind status rule handoverKind successor assigned completed refused waiting waitingOver24h
			limitReached skipped failed cancelled reverted decided successRate refusalRate takeoverHoursP50 takeoverHoursP90 } } `, i, i%28+1)
}

func questions(from, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(question(from + i))
	}
	return "{ " + b.String() + "}"
}

// numbered writes format n times with the number from 0 and the one from 1.
func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i, i+1)
	}
	return b.String()
}

// send is one request without a test's bookkeeping, for floods.
func (a *api) send(ctx context.Context, document string) *httptest.ResponseRecorder {
	body, err := json.Marshal(map[string]any{"query": document})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, r)
	return w
}

// Forty statistics that the smallest role asks for at once leave everybody else alone:
// in one document they cost too much, in several they wait for each other.
func TestAFloodOfStatisticsLeavesOthersAlone(t *testing.T) {
	inTurn(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		nora, wang := c.Member("nora", c.Root), c.Member("wang", c.Root)
		c.Grant(nora, access.Reporter.Name, nid.ID{})
		rolled(t, c, 6000)
		a := newAPI(t, db, c)
		reporter, other := c.SignedIn(nora, false), c.SignedIn(wang, false)

		for _, n := range []int{20, 6} {
			ask := "{ " + numbered(n, `a%[1]d: transferStatistics(filter: {from: "2025-01-%02[2]dT00:00:00Z"}) { totals { assigned } rows { assigned } } `) + "}"
			if w := a.send(reporter, ask); !strings.Contains(w.Body.String(), `"code":"LIMIT"`) {
				t.Errorf("%d in one document: %.300s", n, w.Body)
			}
		}
		var served, refused atomic.Int64
		flood := func() (over <-chan struct{}) {
			done := make(chan struct{})
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					switch w := a.send(reporter, questions(5*i, 5)); w.Code {
					case http.StatusOK:
						served.Add(1)
						if strings.Contains(w.Body.String(), `"errors"`) {
							t.Errorf("%.300s", w.Body)
						}
					case http.StatusTooManyRequests, http.StatusServiceUnavailable:
						refused.Add(1)
						if w.Header().Get("Retry-After") == "" {
							t.Error("it does not say when to try again")
						}
					default:
						t.Errorf("%d: %.300s", w.Code, w.Body)
					}
				})
			}
			go func() { all.Wait(); close(done) }()
			return done
		}
		viewer := func() time.Duration {
			start := time.Now()
			if w := a.send(other, "{ viewer { member { name mainDepartment { name } } permissions } }"); w.Code != http.StatusOK || strings.Contains(w.Body.String(), `"errors"`) {
				t.Errorf("viewer: %.300s", w.Body)
			}
			return time.Since(start)
		}
		// Quiet and flooded in turn, so that what else the machine does weighs on both.
		var quiet, flooded []time.Duration
		for range 2 {
			for range 60 {
				quiet = append(quiet, viewer())
			}
			for over := flood(); ; {
				flooded = append(flooded, viewer())
				select {
				case <-over:
				default:
					continue
				}
				break
			}
		}
		if q, f := median(quiet), median(flooded); f > 3*q {
			t.Errorf("viewer took %s when it was quiet, %s in the flood (%d answers)", q, f, len(flooded))
		}
		if served.Load() == 0 || refused.Load() == 0 {
			t.Errorf("%d served, %d refused", served.Load(), refused.Load())
		}

		live := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc + m.StackInuse
		}
		before, most := live(), uint64(0)
		for over := flood(); ; {
			most = max(most, live())
			select {
			case <-over:
			default:
				continue
			}
			break
		}
		if grown := int64(most) - int64(before); grown > 64<<20 {
			t.Errorf("the flood took %d MB", grown>>20)
		}
	})
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// The same question under many names is computed once, and durations only where they
// are asked for.
func TestAQuestionUnderManyNamesIsComputedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		rolled(t, c, 100)
		a, admin := newAPI(t, db, c), c.SignedIn(c.Admin, false)
		const plain = `transferStatistics(bucket: MONTH) { rows { id assigned } totals { assigned } truncated } `
		one := a.good(admin, "{ "+plain+"}", nil, nil)
		many := a.good(admin, "{ "+plain+" b: "+plain+" c: "+plain+"}", nil, nil)
		if len(many.statements) != len(one.statements) {
			t.Errorf("one name takes %d statements, three take %d:\n%s", len(one.statements), len(many.statements), strings.Join(many.statements, "\n"))
		}
		if s := strings.Join(one.statements, "\n"); strings.Contains(s, "OVER (") {
			t.Errorf("durations are computed that nobody asked for:\n%s", s)
		}
		totals := a.good(admin, "{ transferStatistics(bucket: DAY) { totals { assigned } } }", nil, nil)
		if s := strings.Join(totals.statements, "\n"); strings.Count(s, "sum(") > strings.Count(one.statements[len(one.statements)-1], "sum(") || len(totals.statements) >= len(one.statements) {
			t.Errorf("rows are computed that nobody asked for:\n%s", s)
		}
		timed := a.good(admin, "{ transferStatistics(bucket: MONTH) { totals { takeoverHoursP50 } } }", nil, nil)
		if s := strings.Join(timed.statements, "\n"); strings.Count(s, "seen * 2") != 1 {
			t.Errorf("the durations:\n%s", s)
		}
	})
}

// Whoever leaves takes the statement along, and nothing is told as our mistake.
func TestAStatisticEndsWithItsClient(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		rolled(t, c, 3000)
		a := newAPI(t, db, c)
		ctx, cancel := context.WithCancel(c.SignedIn(c.Admin, false))
		ctx = store.Count(ctx, func(q string) {
			if strings.Contains(q, "seen * 2") {
				cancel() // while it is sent
			}
		})
		if w := a.send(ctx, questions(0, 1)); !strings.Contains(w.Body.String(), `"code":"TIMEOUT"`) || strings.Contains(w.Body.String(), "INTERNAL") {
			t.Errorf("%d: %.300s", w.Code, w.Body)
		}
		if w := a.send(c.SignedIn(c.Admin, false), "{ viewer { member { name } } }"); !strings.Contains(w.Body.String(), "root-admin") {
			t.Errorf("afterwards: %.300s", w.Body)
		}
	})
}
