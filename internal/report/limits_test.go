package report_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	enthandover "github.com/openhandover/openhandover/ent/handover"
	"github.com/openhandover/openhandover/ent/transfer"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/report"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// counting notes the statements of a context.
func counting(ctx context.Context, into *[]string) context.Context {
	var mu sync.Mutex
	return store.Count(ctx, func(q string) {
		mu.Lock()
		defer mu.Unlock()
		*into = append(*into, strings.Join(strings.Fields(q), " "))
	})
}

// roll writes statistics directly, a transfer for each time.
func (w *world) roll(times []time.Time) {
	w.t.Helper()
	none := nid.ID{}.UUID()
	for len(times) > 0 {
		n := min(len(times), 5000)
		rows := make([]map[string]any, n)
		for i, at := range times[:n] {
			rows[i] = map[string]any{"at": at}
		}
		times = times[n:]
		w.system(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Keep(ctx, "transfer_rollups", `INSERT INTO transfer_rollups (corp_id, bucket, leaver_id, successor_id, from_department_id, to_department_id,
				kind, handover_kind, importance, status, reason, rule_set_id, rule_index, takeover_slot, n)
				SELECT $2, at, $3, $4, $5, $6, 'CONTACT', 'RESIGNED', 'NORMAL', 'COMPLETED', '', $5, -1, 0, 1 FROM `+tx.DB().Rows(1, "v", "at time"),
				tx.DB().Batch(rows), w.ID, w.lina, w.wang, none, w.service)
			return err
		})
	}
}

func TestAtMostTenThousandRows(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		begin := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		// 300 hours far apart and 300 in a row: fewer than fit, in more hours than fit.
		var times []time.Time
		for i := range 300 {
			times = append(times, begin.Add(time.Duration(i)*97*time.Hour), time.Date(2025, 1, 1, i, 30, 0, 0, time.UTC))
		}
		w.roll(times)
		admin := w.SignedIn(w.Admin, false)
		sparse := ask{bucket: report.Hour, zone: "UTC"}
		got, err := w.ask(admin, sparse)
		ok(t, err)
		if len(got.Rows) != 600 || got.Truncated || got.Totals.Assigned != 600 || !got.Rows[0].BucketStart.Equal(begin) || *got.Rows[599].BucketLabel != "2025-01-13 11:00 +00:00" {
			t.Errorf("%d rows, truncated %v, %d in all", len(got.Rows), got.Truncated, got.Totals.Assigned)
		}
		// To fill pushes nothing out: the first stretches are filled, all transfers are there.
		sparse.fill = true
		got, err = w.ask(admin, sparse)
		ok(t, err)
		counted := 0
		for _, r := range got.Rows {
			counted += r.Assigned
		}
		if counted != 600 || !got.Truncated || len(got.Rows) < report.MaxBuckets || !got.Rows[report.MaxBuckets-1].BucketStart.Equal(begin.Add((report.MaxBuckets-1)*time.Hour)) {
			t.Errorf("filled: %d rows with %d transfers, truncated %v", len(got.Rows), counted, got.Truncated)
		}
		// And more hours than fit.
		times = nil
		for i := range 10_050 {
			times = append(times, time.Date(2021, 1, 1, i, 15, 0, 0, time.UTC))
		}
		w.roll(times)
		from := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
		until := from.Add(report.MaxRows * time.Hour)
		for _, c := range []struct {
			until     *time.Time
			truncated bool
		}{{nil, true}, {&until, false}} {
			got, err = w.ask(admin, ask{bucket: report.Hour, zone: "UTC", by: []report.Dimension{report.Leaver}, filter: report.Filter{From: &from, Until: c.until, Kinds: []transfer.Kind{"CONTACT"}}})
			ok(t, err)
			if len(got.Rows) != report.MaxRows || got.Truncated != c.truncated || *got.Rows[9999].Leaver != "lina" {
				t.Errorf("%d rows, truncated %v", len(got.Rows), got.Truncated)
			}
		}
	})
}

func TestNothingToCount(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.SignedIn(w.Admin, false)
		from, until := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
		for _, c := range []struct {
			ask
			rows int
		}{
			{ask{bucket: report.Day}, 0},
			{ask{bucket: report.Day, fill: true, filter: report.Filter{From: &from, Until: &until}, zone: "UTC"}, 2},
			{ask{bucket: report.Day, fill: true, filter: report.Filter{From: &from, Until: &until}, by: []report.Dimension{report.Kind}}, 0},
			{ask{bucket: report.None, fill: true}, 1},
			{ask{bucket: report.None}, 0},
			{ask{bucket: report.Month, fill: true, filter: report.Filter{From: new(w.DB.Now().AddDate(1, 0, 0))}}, 0},
		} {
			got, err := w.ask(admin, c.ask)
			ok(t, err)
			if len(got.Rows) != c.rows || got.Truncated || got.Totals.Assigned != 0 || got.Totals.SuccessRate != nil || got.Totals.TakeoverHoursP50 != nil {
				t.Errorf("%+v: %+v", c.ask, got)
			}
		}
	})
}

func TestWhoMayAskWhat(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.live()
		other := testcorp.New(t, w.DB, w.Clock, "other")
		if _, err := w.ask(w.SignedIn(w.lina, false), ask{bucket: report.None}); fault.CodeOf(err) != fault.Forbidden {
			t.Errorf("without permission: %v", err)
		}
		if _, err := w.ask(context.Background(), ask{bucket: report.None}); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("without anybody: %v", err)
		}
		if got, err := w.ask(other.SignedIn(other.Admin, false), ask{bucket: report.None}); err != nil || got.Totals.Assigned != 0 {
			t.Errorf("another corp sees %d transfers, %v", got.Totals.Assigned, err)
		}
		all, err := w.ask(w.SignedIn(w.Admin, false), ask{bucket: report.None})
		ok(t, err)
		some, err := w.ask(w.SignedIn(w.reporter, false), ask{bucket: report.None})
		ok(t, err)
		if some.Totals.Assigned == 0 || some.Totals.Assigned >= all.Totals.Assigned {
			t.Errorf("a department sees %d of %d transfers", some.Totals.Assigned, all.Totals.Assigned)
		}
		for name, c := range map[string]struct {
			change func(*ask)
			code   fault.Code
			field  string
		}{
			"an unknown department":     {func(a *ask) { a.filter.DepartmentID = new(nid.New(nid.Department)) }, fault.NotFound, "filter.departmentId"},
			"another corp's department": {func(a *ask) { a.filter.DepartmentID = &other.Root }, fault.NotFound, "filter.departmentId"},
			"an end before the start":   {func(a *ask) { a.filter.From, a.filter.Until = new(storetest.Epoch), new(storetest.Epoch) }, fault.Invalid, "filter.until"},
			"an unknown kind":           {func(a *ask) { a.filter.Kinds = []transfer.Kind{"x"} }, fault.Invalid, "filter.kinds"},
			"an unknown kind of case":   {func(a *ask) { a.filter.HandoverKinds = []enthandover.Kind{"x"} }, fault.Invalid, "filter.handoverKinds"},
			"an unknown bucket":         {func(a *ask) { a.bucket = "YEAR" }, fault.Invalid, "bucket"},
			"an unknown zone":           {func(a *ask) { a.zone = "Europe/Atlantis" }, fault.Invalid, "timeZone"},
			"the machine's zone":        {func(a *ask) { a.zone = "Local" }, fault.Invalid, "timeZone"},
			"a path for a zone":         {func(a *ask) { a.zone = "../../etc/passwd" }, fault.Invalid, "timeZone"},
			"an unknown dimension":      {func(a *ask) { a.by = []report.Dimension{"COLOUR"} }, fault.Invalid, "groupBy"},
			"an unknown handover":       {func(a *ask) { a.filter.HandoverID = new(nid.New(nid.Handover)) }, fault.NotFound, "filter.handoverId"},
			"a dimension twice":         {func(a *ask) { a.by = []report.Dimension{report.Kind, report.Kind} }, fault.Invalid, "groupBy"},
		} {
			a := ask{bucket: report.Day}
			c.change(&a)
			_, err := w.ask(w.SignedIn(w.Admin, false), a)
			if f, is := errors.AsType[*fault.Error](err); !is || f.Code != c.code || f.Field != c.field {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestAnErasedMemberHasNoName(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.live()
		w.system(func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Change(ctx, "members", `UPDATE members SET erased_at = $3, name = '' WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), w.lina, tx.Now())
			tx.Cover(ids...)
			return err
		})
		got, err := w.ask(w.SignedIn(w.Admin, false), ask{bucket: report.None, by: []report.Dimension{report.Leaver}})
		ok(t, err)
		found := false
		for _, r := range got.Rows {
			if *r.LeaverID == w.lina {
				found = *r.Leaver == leaf.Erased
			}
		}
		if !found {
			t.Error("the erased member is missing or has a name")
		}
	})
}

// Rows without a transfer are left out before any with one.
func TestFillPushesNoTransferOut(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		// A leaver and a successor at opposite ends, and so many groups that not every day of each fits.
		begin := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
		var rows []map[string]any
		for i := range 40 {
			rows = append(rows, map[string]any{"at": begin.AddDate(0, 0, i*25), "slot": i % 5, "kind": []string{"CONTACT", "GROUP"}[i%2], "reason": fmt.Sprint("R", i)})
		}
		none := nid.ID{}.UUID()
		w.system(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Keep(ctx, "transfer_rollups", `INSERT INTO transfer_rollups (corp_id, bucket, leaver_id, successor_id, from_department_id, to_department_id,
				kind, handover_kind, importance, status, reason, rule_set_id, rule_index, takeover_slot, n)
				SELECT $2, at, $3, $4, $5, $6, kind, 'RESIGNED', 'NORMAL', 'COMPLETED', reason, $5, -1, slot, 1 FROM `+tx.DB().Rows(1, "v", "at time", "slot int", "kind text", "reason text"),
				tx.DB().Batch(rows), w.ID, w.lina, w.wang, none, w.service)
			return err
		})
		from, until := begin, begin.AddDate(0, 0, 1000)
		got, err := w.ask(w.SignedIn(w.Admin, false), ask{bucket: report.Day, zone: "UTC", fill: true, by: []report.Dimension{report.Reason}, filter: report.Filter{From: &from, Until: &until}})
		ok(t, err)
		counted := 0
		for _, r := range got.Rows {
			counted += r.Assigned
		}
		if counted != 40 || len(got.Rows) != report.MaxRows || !got.Truncated {
			t.Errorf("%d rows with %d transfers, truncated %v", len(got.Rows), counted, got.Truncated)
		}
	})
}

// A question for too many stretches of time is refused before a statement is sent.
func TestTooManyStretchesCostNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		from, until := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2020, 1, 1, 2001, 0, 0, 0, time.UTC)
		for name, c := range map[string]struct {
			until *time.Time
			zone  string
		}{"both ends": {&until, "UTC"}, "until now": {nil, "Asia/Shanghai"}} {
			var statements []string
			ctx := counting(w.SignedIn(w.Admin, false), &statements)
			err := w.DB.View(ctx, func(ctx context.Context, r *store.Read) error {
				a, err := report.Statistics(ctx, r, report.Filter{From: &from, Until: c.until}, report.Hour, c.zone, nil, true)
				if err != nil {
					return err
				}
				_, _, err = a.Rows(ctx, false)
				return err
			})
			if f, is := errors.AsType[*fault.Error](err); !is || f.Code != fault.Invalid || f.Field != "bucket" || len(statements) > 0 {
				t.Errorf("%s: %v after %d statements", name, err, len(statements))
			}
		}
		until = until.Add(-time.Hour)
		if _, err := w.ask(w.SignedIn(w.Admin, false), ask{bucket: report.Hour, zone: "UTC", fill: true, filter: report.Filter{From: &from, Until: &until}}); err != nil {
			t.Errorf("2000 stretches: %v", err)
		}
	})
}
