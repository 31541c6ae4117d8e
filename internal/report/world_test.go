package report_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/report"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// world is a corp with handovers of many moments and outcomes behind it.
type world struct {
	*testcorp.Corp
	t           testing.TB
	s           *handover.Service
	sales, east nid.ID // east is below sales
	service     nid.ID
	lina, wang  nid.ID // of east and service
	zhao        nid.ID // of root
	reporter    nid.ID // sees the statistics of sales
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) { test(t, newWorld(t, db, clock)) })
}

func newWorld(t testing.TB, db *store.DB, clock *storetest.Clock) *world {
	c := testcorp.New(t, db, clock, "acme")
	w := &world{Corp: c, t: t, s: &handover.Service{DB: db, Log: c.Log}}
	w.sales, w.service = c.Department("sales", c.Root), c.Department("service", c.Root)
	w.east = c.Department("east", w.sales)
	w.lina, w.wang, w.zhao, w.reporter = c.Member("lina", w.east), c.Member("wang", w.service), c.Member("zhao", c.Root), c.Member("reporter", c.Root)
	c.Grant(w.reporter, access.Reporter.Name, w.sales)
	return w
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (cause: %+v)", err, errors.Unwrap(err))
	}
}

// system changes what no use case of the test changes, and covers it.
func (w *world) system(change func(ctx context.Context, tx *store.Tx) error) {
	w.t.Helper()
	ok(w.t, w.DB.Tx(store.System(context.Background(), w.ID, "test data"), change))
}

// moments straddle the days, weeks and months of several zones, and the nights in
// which clocks in Berlin change. wait is how long a platform then takes.
var moments = []struct {
	at   string
	wait time.Duration
}{
	{"2026-03-02T09:07:00Z", 10 * time.Minute}, {"2026-03-28T22:59:00Z", time.Minute}, {"2026-03-28T23:01:00Z", time.Minute},
	{"2026-03-29T00:59:59Z", 0}, {"2026-03-29T01:00:00Z", 3 * time.Minute}, {"2026-03-29T21:59:00Z", 0}, {"2026-03-29T22:00:00Z", 31 * time.Hour},
	{"2026-04-30T18:14:00Z", 0}, {"2026-04-30T18:15:00Z", 90 * time.Minute}, {"2026-10-24T21:59:00Z", 0}, {"2026-10-24T22:00:00Z", time.Hour},
	{"2026-10-25T00:30:00Z", 0}, {"2026-10-25T01:30:00Z", 8 * time.Hour}, {"2026-10-25T23:00:00Z", 0}, {"2026-12-31T16:00:00Z", 2 * time.Hour},
}

// live makes the corp's past: at each moment one hands over to the next, every
// other time through a platform, which accepts, refuses, fails or does not answer.
func (w *world) live() {
	w.t.Helper()
	w.system(func(ctx context.Context, tx *store.Tx) error { // key contacts without an approval
		ids, err := tx.Change(ctx, "approval_policies", `UPDATE approval_policies SET key_contacts = false WHERE corp_id = $1 RETURNING corp_id`, w.ID)
		tx.Cover(ids...)
		return err
	})
	order := []nid.ID{w.lina, w.wang, w.zhao}
	for i, m := range order {
		w.Contacts(5, m)
		w.Contact(fmt.Sprint("key ", i), "KEY", m)
		w.Group(fmt.Sprint("group ", i), m)
	}
	for i, m := range moments {
		w.until(m.at)
		from, to := order[i%3], order[(i+1)%3]
		kind := handover.OnJob
		if i == len(moments)-1 {
			w.Depart(from)
			kind = handover.Resigned
		}
		w.s.Platform = func(nid.ID) bool { return i%2 == 0 }
		in := handover.Input{Kind: kind, LeaverID: from, Successors: handover.Choice{MemberID: &to}}
		id, err := w.s.HandOver(w.Verified(w.Admin), in, nil, fmt.Sprint("round ", i))
		ok(w.t, err)
		w.Clock.Add(m.wait)
		w.settle(id, i)
		if item := testcorp.Value[nid.ID](w.Corp, `SELECT contact_id FROM transfers WHERE handover_id = $1 AND status = 'WAITING' AND kind = 'CONTACT'`, id); !item.IsZero() {
			in.Select = &handover.Selection{ContactIDs: []nid.ID{item}} // promised already: it ends SKIPPED
			_, err := w.s.HandOver(w.Verified(w.Admin), in, nil, fmt.Sprint("again ", i))
			ok(w.t, err)
		}
	}
	w.Clock.Add(30 * time.Hour)
	w.rules()
}

// rules says of what wang handed over that the second rule of a set chose, and of
// what lina did that the set's fallback did.
func (w *world) rules() {
	w.t.Helper()
	set := nid.New(nid.RuleSet)
	w.system(func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, "rule_sets", `INSERT INTO rule_sets (id, corp_id, created_at, updated_at, version, name, rules, automatic) VALUES ($1, $2, $3, $3, 1, 'VIP', '[]', false) RETURNING id`,
			set, tx.Corp(), tx.Now())
		if err != nil {
			return err
		}
		tx.Cover(ids...)
		for leaver, index := range map[nid.ID]any{w.wang: 1, w.lina: nil} {
			ids, err := tx.Change(ctx, "transfers", `UPDATE transfers SET rule_set_id = $3, rule_index = $4 WHERE corp_id = $1 AND from_id = $2 RETURNING id`, tx.Corp(), leaver, set, index)
			if err != nil {
				return err
			}
			tx.Cover(ids...)
			stored := -1
			if n, ok := index.(int); ok {
				stored = n
			}
			if _, err := tx.Keep(ctx, "transfer_rollups", `UPDATE transfer_rollups SET rule_set_id = $3, rule_index = $4 WHERE corp_id = $1 AND leaver_id = $2`, tx.Corp(), leaver, set, stored); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *world) until(at string) {
	w.t.Helper()
	moment, err := time.Parse(time.RFC3339, at)
	ok(w.t, err)
	if moment.Before(w.Clock.Now()) {
		w.t.Fatalf("%s is over", at)
	}
	w.Clock.Add(moment.Sub(w.Clock.Now()))
}

func (w *world) settle(id nid.ID, round int) {
	w.t.Helper()
	var waiting []nid.ID
	w.read(store.System(context.Background(), w.ID, "test"), func(ctx context.Context, r *store.Read) (err error) {
		waiting, err = store.Select(ctx, r, func(id *nid.ID) []any { return []any{id} },
			`SELECT id FROM transfers WHERE corp_id = $1 AND handover_id = $2 AND status = 'WAITING' ORDER BY position`, w.ID, id)
		return err
	})
	outcomes := []handover.Outcome{
		{Status: handover.TransferCompleted}, {Status: handover.TransferRefused, Reason: handover.CustomerRefused}, {Status: handover.TransferCompleted},
		{Status: handover.TransferLimitReached, Reason: handover.SuccessorFull}, {Status: handover.TransferFailed, Reason: handover.PlatformError},
	}
	var said []handover.Outcome
	for i, t := range waiting {
		if n := (i + round) % (len(outcomes) + 1); n < len(outcomes) { // one in six never hears
			o := outcomes[n]
			o.Transfer = t
			said = append(said, o)
		}
	}
	ok(w.t, w.s.Settle(store.System(context.Background(), w.ID, "platform outcome"), id, said))
}

func (w *world) read(ctx context.Context, fn func(context.Context, *store.Read) error) {
	w.t.Helper()
	ok(w.t, w.DB.View(ctx, fn))
}

// ask is a question as a test asks it.
type ask struct {
	filter report.Filter
	bucket report.Bucket
	zone   string
	by     []report.Dimension
	fill   bool
}

// result is all that an answer holds.
type result struct {
	TimeZone  string
	AsOf      time.Time
	Rows      []*report.Row
	Totals    report.Row
	Truncated bool
}

func (w *world) ask(ctx context.Context, a ask) (out result, err error) {
	err = w.DB.View(ctx, func(ctx context.Context, r *store.Read) error {
		got, err := report.Statistics(ctx, r, a.filter, a.bucket, a.zone, a.by, a.fill)
		if err != nil {
			return err
		}
		out.TimeZone, out.AsOf = got.TimeZone, got.AsOf
		if out.Totals, err = got.Totals(ctx, true); err != nil {
			return err
		}
		out.Rows, out.Truncated, err = got.Rows(ctx, true)
		return err
	})
	return out, err
}

// fact is one transfer as it is stored, with the names a report shows.
type fact struct {
	assigned, quarter                       time.Time
	finished                                sql.NullTime
	status, reason, kind, importance, case_ string
	leaver, successor                       string
	from, to                                nid.ID // departments
	fromName, toName                        string
	handover                                nid.ID
	set                                     sql.NullString
	rule                                    sql.NullInt64
}

// facts scans all transfers: what the statistics must say, without the rollups.
func (w *world) facts() (facts []fact) {
	w.t.Helper()
	w.read(store.System(context.Background(), w.ID, "test"), func(ctx context.Context, r *store.Read) (err error) {
		facts, err = store.Select(ctx, r, func(f *fact) []any {
			return []any{&f.assigned, &f.finished, &f.status, &f.reason, &f.kind, &f.importance, &f.case_, &f.leaver, &f.successor, &f.from, &f.to, &f.fromName, &f.toName, &f.handover, &f.set, &f.rule}
		}, `SELECT t.assigned_at, t.finished_at, t.status, coalesce(t.reason, ''), t.kind, t.importance, h.kind, a.name, b.name, t.from_department_id, t.to_department_id, c.name, d.name, t.handover_id, s.name, t.rule_index
			FROM transfers AS t JOIN handovers AS h ON h.id = t.handover_id JOIN members AS a ON a.id = t.from_id JOIN members AS b ON b.id = t.to_id
			JOIN departments AS c ON c.id = t.from_department_id JOIN departments AS d ON d.id = t.to_department_id
			LEFT JOIN rule_sets AS s ON s.id = t.rule_set_id
			WHERE t.corp_id = $1 AND t.assigned_at IS NOT NULL`, w.ID)
		return err
	})
	for i := range facts {
		facts[i].quarter = facts[i].assigned.UTC().Truncate(15 * time.Minute)
	}
	return facts
}

func (f *fact) value(d report.Dimension) string {
	rule := f.set.String
	if f.rule.Valid {
		rule = fmt.Sprintf("%s #%d", f.set.String, f.rule.Int64+1)
	}
	return map[report.Dimension]string{
		report.Department: f.toName, report.FromDepartment: f.fromName, report.Leaver: f.leaver, report.Successor: f.successor, report.Kind: f.kind,
		report.HandoverKind: f.case_, report.Status: f.status, report.Importance: f.importance, report.Reason: f.reason, report.Rule: rule,
	}[d]
}
