package reports_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/openhandover/openhandover/graph"
	"github.com/openhandover/openhandover/graph/edge"
	"github.com/openhandover/openhandover/graph/reports"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
	"github.com/openhandover/openhandover/internal/web"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// world is a corp with a past, served over HTTP.
type world struct {
	*testcorp.Corp
	t        *testing.T
	api      *edge.Handler
	reports  *reports.Handler
	identity *identity.Service
	handover *handover.Service
	server   *httptest.Server
	platform bool // whether a platform takes its time

	sales, service, hr nid.ID
	lina, wang, zhao   nid.ID // of sales, service and the root
	token              string // may see statistics
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) { test(t, newWorld(t, db, clock)) })
}

func newWorld(t *testing.T, db *store.DB, clock *storetest.Clock) *world {
	t.Helper()
	c := testcorp.New(t, db, clock, "acme")
	box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
	w := &world{Corp: c, t: t, identity: &identity.Service{DB: db, Log: c.Log}, handover: &handover.Service{DB: db, Log: c.Log}}
	w.ok(err)
	w.handover.Platform = func(nid.ID) bool { return w.platform }
	w.api = graph.Handler(&graph.Resolver{DB: db, Audit: audit.NewReader(box), Use: graph.Cases{Identity: w.identity, Handover: w.handover}}, graph.Options{TrustedOnly: true})
	w.reports = reports.New(w.api, db.Now)
	s, err := web.New(web.Options{GraphQL: w.api, Reports: w.reports, OpenAPI: reports.OpenAPI(), Authenticator: door{w.identity}, Limits: web.Limits{Rate: -1, Answer: 5 * time.Minute, Upload: 5 * time.Minute}, Log: slog.New(slog.DiscardHandler)})
	w.ok(err)
	w.server = httptest.NewServer(s)
	t.Cleanup(w.server.Close)

	w.sales, w.service, w.hr = c.Department("sales", c.Root), c.Department("service", c.Root), c.Department("hr", c.Root)
	w.lina, w.wang, w.zhao = c.Member("lina", w.sales), c.Member("wang", w.service), c.Member("zhao", c.Root)
	w.token = w.newToken(access.ViewStatistics)
	return w
}

// door recognises service tokens and sessions.
type door struct{ *identity.Service }

func (d door) Authenticate(ctx context.Context, c web.Credential) (*access.Actor, error) {
	if kind, ok := secret.KindOf(c.Secret); !ok || c.Kind == web.Basic && kind != secret.Service {
		return nil, fault.New(fault.Unauthenticated, "", fault.T("sign in first", "请先登录"))
	}
	return d.Service.Authenticate(ctx, c.Secret)
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v (cause: %+v)", err, errors.Unwrap(err))
	}
}

func (w *world) newToken(permissions ...access.Permission) string {
	w.t.Helper()
	_, token, err := w.identity.CreateToken(store.System(context.Background(), w.ID, "test"), "bi", permissions, nil, w.DB.Now().AddDate(0, 11, 0))
	w.ok(err)
	return token
}

// live makes a past: lina leaves and hands over, once on the spot and once through a
// platform; wang hands over in the night in which Berlin's clocks go back; and two
// leavers' customers wait.
func (w *world) live() {
	w.t.Helper()
	var some []nid.ID
	for _, title := range []string{"=1+1", "+86 130", "李娜", `Smith, "Jo"`} {
		some = append(some, w.Contact(title, "NORMAL", w.lina))
	}
	group := w.Group("@all", w.lina)
	later := w.Contacts(3, w.lina)
	w.Depart(w.lina)
	w.hand("one", w.lina, w.wang, handover.Selection{ContactIDs: some, GroupIDs: []nid.ID{group}})
	w.platform = true
	w.hand("two", w.lina, w.zhao, handover.Selection{ContactIDs: later})
	w.Clock.Add(3 * time.Hour)
	w.settle(handover.Outcome{Status: handover.TransferCompleted}, handover.Outcome{Status: handover.TransferRefused, Reason: handover.CustomerRefused})
	w.platform = false
	w.until("2026-10-24T21:30:00Z") // 23:30 in Berlin
	w.hand("three", w.wang, w.zhao, handover.Selection{ContactIDs: some[:1]})
	w.until("2026-10-25T22:30:00Z") // 23:30 of a day of 25 hours
	w.hand("four", w.wang, w.zhao, handover.Selection{ContactIDs: some[1:2]})
	w.until("2026-10-25T23:30:00Z") // the next day
	w.hand("five", w.wang, w.zhao, handover.Selection{ContactIDs: some[2:3]})

	gone := w.Member("gone", w.sales)
	w.Contact("waits", "KEY", gone)
	w.Contact("waits, too", "NORMAL", gone)
	w.Group("waiting group", gone)
	w.Depart(gone)
	w.Clock.Add(4 * 24 * time.Hour)
	fresh := w.Member("fresh", w.service)
	w.Contact("new", "NORMAL", fresh)
	w.Depart(fresh)
	w.Clock.Add(time.Hour)
}

func (w *world) until(at string) {
	w.t.Helper()
	moment, err := time.Parse(time.RFC3339, at)
	w.ok(err)
	w.Clock.Add(moment.Sub(w.Clock.Now()))
}

func (w *world) hand(key string, from, to nid.ID, what handover.Selection) {
	w.t.Helper()
	kind := handover.Resigned
	if from != w.lina {
		kind = handover.OnJob
	}
	_, err := w.handover.HandOver(w.Verified(w.Admin), handover.Input{Kind: kind, LeaverID: from, Select: &what, Successors: handover.Choice{MemberID: &to}}, nil, key)
	w.ok(err)
}

// settle has the platform say what became of the first of what waits.
func (w *world) settle(said ...handover.Outcome) {
	w.t.Helper()
	system := store.System(context.Background(), w.ID, "platform outcome")
	type row struct{ id, handover nid.ID }
	var waiting []row
	w.ok(w.DB.View(system, func(ctx context.Context, r *store.Read) (err error) {
		waiting, err = store.Select(ctx, r, func(r *row) []any { return []any{&r.id, &r.handover} },
			`SELECT id, handover_id FROM transfers WHERE corp_id = $1 AND status = 'WAITING' ORDER BY position`, w.ID)
		return err
	}))
	for i := range said {
		said[i].Transfer = waiting[i].id
	}
	w.ok(w.handover.Settle(system, waiting[0].handover, said))
}

// reply is what came over HTTP.
type reply struct {
	t       *testing.T
	Status  int
	Header  http.Header
	Body    string
	Problem fault.Problem
}

// get asks with the reporter's token; headers come in pairs.
func (w *world) get(path string, headers ...string) *reply {
	w.t.Helper()
	return w.do(http.MethodGet, path, append([]string{"Authorization", "Bearer " + w.token}, headers...)...)
}

func (w *world) do(method, path string, headers ...string) *reply {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, nil)
	w.ok(err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return w.answer(http.DefaultClient.Do(r))
}

func (w *world) answer(res *http.Response, err error) *reply {
	w.t.Helper()
	w.ok(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	w.ok(err)
	out := &reply{t: w.t, Status: res.StatusCode, Header: res.Header, Body: string(body)}
	if res.Header.Get("Content-Type") == "application/problem+json; charset=utf-8" && len(body) > 0 {
		w.ok(json.Unmarshal(body, &out.Problem))
		if out.Problem.Status != out.Status || out.Problem.Detail == "" || out.Problem.Title == "" {
			w.t.Errorf("a problem that does not say what it is: %s", body)
		}
	}
	return out
}

// as asks in process, as whoever is in the context.
func (w *world) as(ctx context.Context, path string) *reply {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.reports.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
	return w.answer(rec.Result(), nil)
}

func (r *reply) good() *reply {
	r.t.Helper()
	if r.Status != http.StatusOK {
		r.t.Fatalf("%d: %s", r.Status, r.Body)
	}
	return r
}

// refused checks status, code and parameter of a problem.
func (r *reply) refused(status int, code fault.Code, parameter string) {
	r.t.Helper()
	if r.Status != status || r.Problem.Code != code || r.Problem.Parameter != parameter {
		r.t.Errorf("want %d %s at %q, got %d %s", status, code, parameter, r.Status, r.Body)
	}
}

var (
	anID     = regexp.MustCompile(`\b([a-z]{3})_[0-9a-hjkmnp-tv-z]{26}\b`)
	aCursor  = regexp.MustCompile(`cursor=[A-Za-z0-9_-]+`)
	aContact = regexp.MustCompile(`contact [a-z][0-9.]+ns`)
)

// golden holds a body against a file. Ids are numbered as they come, so that one
// file does for both engines.
func (r *reply) golden(file string) {
	r.t.Helper()
	seen := map[string]string{}
	next := map[string]int{}
	got := anID.ReplaceAllStringFunc(r.good().Body, func(id string) string {
		if seen[id] == "" {
			next[id[:3]]++
			seen[id] = fmt.Sprintf("%s_%d", id[:3], next[id[:3]])
		}
		return seen[id]
	})
	got = aContact.ReplaceAllString(aCursor.ReplaceAllString(got, "cursor=…"), "contact …")
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	if got != string(want) {
		r.t.Errorf("%s (go test ./graph/reports -update, then read the difference)\nwant %s\ngot  %s", file, want, got)
	}
}
