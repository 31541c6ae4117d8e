package reports_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// follow reads a report page by page along its links, and says how many there were.
func (w *world) follow(question string, limit int) (rows [][]string, pages int) {
	w.t.Helper()
	for next := base + question + fmt.Sprintf("&limit=%d", limit); next != ""; pages++ {
		if pages > 100 {
			w.t.Fatalf("%s goes round in circles", question)
		}
		page := w.get(next)
		got := page.table()[1:]
		if len(got) == 0 || len(got) > limit {
			w.t.Errorf("%s: a page of %d rows, limit %d", next, len(got), limit)
		}
		rows = append(rows, got...)
		next, _, _ = strings.Cut(strings.TrimPrefix(page.Header.Get("Link"), "<"), `>; rel="next"`)
	}
	return rows, pages
}

// Following the links from page to page gives every row once, whatever the size.
func TestPagesHoldEveryRowOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.live()
		for _, question := range []string{
			"transfer_items.csv?tz=UTC", "transfer_items.csv?from=2026-03-02&until=2026-10-25", "unassigned_aging.csv?headers=name",
			"transfer_daily.csv?groupBy=LEAVER,SUCCESSOR,STATUS", "transfer_daily.csv?groupBy=STATUS,LEAVER&bucket=none",
			"transfer_daily.csv?groupBy=STATUS,KIND&bucket=month&from=2026-03-02T08:00:00Z", "transfer_daily.csv?bucket=hour&groupBy=",
		} {
			whole := w.get(base + question)
			want := whole.table()[1:]
			if whole.Header.Get("Link") != "" || len(want) < 2 {
				t.Fatalf("%s: %d rows, link %q", question, len(want), whole.Header.Get("Link"))
			}
			for _, limit := range []int{1, 2, 3, len(want), len(want) + 1} {
				got, pages := w.follow(question, limit)
				if fmt.Sprint(got) != fmt.Sprint(want) || pages != (len(want)+limit-1)/limit {
					t.Errorf("%s by %d: %d pages\nwant %v\ngot  %v", question, limit, pages, want, got)
				}
			}
		}
		// JSON names the next page itself, and its links work as they are.
		var page struct {
			Rows []map[string]any
			Next *string
		}
		w.ok(json.Unmarshal([]byte(w.get(base+"transfer_items.json?limit=8&lang=en").good().Body), &page))
		if len(page.Rows) != 8 || page.Next == nil {
			t.Fatalf("%d rows, next %v", len(page.Rows), page.Next)
		}
		w.ok(json.Unmarshal([]byte(w.get(*page.Next).good().Body), &page))
		if len(page.Rows) != 3 || page.Next != nil {
			t.Errorf("%d rows, next %v", len(page.Rows), page.Next)
		}
		// A cursor goes with its question.
		_, cursor, _ := strings.Cut(strings.TrimSuffix(w.get(base+"transfer_items.csv?limit=1").Header.Get("Link"), `>; rel="next"`), "cursor=")
		cursor, _, _ = strings.Cut(cursor, "&")
		w.get(base+"transfer_items.csv?from=2026-03-01&cursor="+cursor).refused(400, fault.Invalid, "cursor")
		w.get(base+"transfer_daily.csv?cursor="+cursor).refused(400, fault.Invalid, "cursor")
		w.get(base + "transfer_items.csv?lang=zh-CN&limit=2&cursor=" + cursor).good()
	})
}

func TestNothingNewIsNotSentAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.live()
		for _, name := range names {
			for _, format := range []string{".csv", ".json"} {
				first := w.get(base + name + format).good()
				tag := first.Header.Get("ETag")
				if tag == "" || strings.HasPrefix(tag, "W/") {
					t.Fatalf("%s: ETag %q", name, tag)
				}
				for _, match := range []string{tag, `"x", ` + tag, "W/" + tag, "*"} {
					if again := w.get(base+name+format, "If-None-Match", match); again.Status != 304 || again.Body != "" || again.Header.Get("ETag") != tag {
						t.Errorf("%s with %s: %d", name, match, again.Status)
					}
				}
				head := w.do("HEAD", base+name+format, "Authorization", "Bearer "+w.token)
				if head.Status != 200 || head.Body != "" || head.Header.Get("ETag") != tag || head.Header.Get("Content-Length") != fmt.Sprint(len(first.Body)) ||
					head.Header.Get("Content-Type") != first.Header.Get("Content-Type") {
					t.Errorf("HEAD %s: %d %v", name, head.Status, head.Header)
				}
				if other := w.get(base+name+format+"?headers=label", "If-None-Match", tag); other.Status != 200 {
					t.Errorf("%s with labels: %d", name, other.Status)
				}
			}
		}
		old := w.get(base + "transfer_items.csv").Header.Get("ETag")
		w.hand("again", w.zhao, w.wang, selection(w.Contact("another", "NORMAL", w.zhao)))
		if got := w.get(base+"transfer_items.csv", "If-None-Match", old); got.Status != 200 {
			t.Errorf("after a handover: %d", got.Status)
		}
		if c := w.get(base + "transfer_items.csv").Header.Get("Cache-Control"); c != "private, no-cache" {
			t.Errorf("Cache-Control %s", c)
		}
	})
}

// Ten times the rows in a page take no statement more.
func TestStatementsDoNotGrowWithRows(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		statements := func(path string) (rows, n int) {
			var count atomic.Int64
			actor := &access.Actor{Kind: access.Token, Corp: w.ID, ID: w.Admin, Grants: []access.Grant{{Permissions: []access.Permission{access.ViewStatistics, access.ViewContacts, access.ViewGroups}}}}
			ctx := store.Count(access.With(context.Background(), actor), func(string) { count.Add(1) })
			return len(w.as(ctx, path).table()), int(count.Load())
		}
		grow := func(from, until int) {
			for i := from; i < until; i++ {
				a, b := w.Member(fmt.Sprint("leaver ", i), w.Department(fmt.Sprint("department ", i), w.Root)), w.Member(fmt.Sprint("successor ", i), w.service)
				w.Contact(fmt.Sprint("stays ", i), "NORMAL", b)
				w.Group(fmt.Sprint("group ", i), b)
				w.hand(fmt.Sprint(i), a, b, selection(w.Contact(fmt.Sprint("moves ", i), "NORMAL", a)))
				w.Depart(b)
				w.Clock.Add(24 * time.Hour)
			}
		}
		grow(0, 3)
		few := map[string][2]int{}
		for _, name := range names {
			rows, n := statements(base + name + ".csv")
			few[name] = [2]int{rows, n}
		}
		grow(3, 30)
		for _, name := range names {
			rows, n := statements(base + name + ".csv")
			if n != few[name][1] || rows < few[name][0]+27 {
				t.Errorf("%s: %d statements for %d lines, %d for %d", name, few[name][1], few[name][0], n, rows)
			}
		}
	})
}

// An answer is read in several chunks, and what is more than statistics give at once
// goes on where they stopped.
func TestManyRows(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.hand("one", w.wang, w.zhao, selection(w.Contact("any", "NORMAL", w.wang)))
		const copies, hours = 2345, 10_050
		system := store.System(context.Background(), w.ID, "test data")
		w.ok(w.DB.Tx(system, func(ctx context.Context, tx *store.Tx) error {
			rows := make([]map[string]any, copies)
			for i := range rows {
				rows[i] = map[string]any{"id": nid.New(nid.Transfer), "n": i + 1}
			}
			ids, err := tx.Change(ctx, "transfers", `INSERT INTO transfers (id, corp_id, created_at, position, kind, status, merged, attempt, expected_version, importance,
					assigned_at, finished_at, updated_at, handover_id, contact_id, follow_id, from_id, to_id, from_department_id, to_department_id)
				SELECT v.id, corp_id, created_at, position + v.n, kind, status, merged, attempt, expected_version, importance,
					assigned_at, finished_at, updated_at, handover_id, contact_id, follow_id, from_id, to_id, from_department_id, to_department_id
				FROM `+tx.DB().Rows(1, "v", "id uuid", "n int")+` CROSS JOIN transfers WHERE corp_id = $2 RETURNING id`, tx.DB().Batch(rows), tx.Corp())
			tx.Cover(ids...)
			return err
		}))
		w.ok(w.DB.Tx(system, func(ctx context.Context, tx *store.Tx) error {
			rows := make([]map[string]any, hours)
			for i := range rows {
				rows[i] = map[string]any{"at": time.Date(2021, 1, 1, i, 15, 0, 0, time.UTC)}
			}
			_, err := tx.Keep(ctx, "transfer_rollups", `INSERT INTO transfer_rollups (corp_id, bucket, leaver_id, successor_id, from_department_id, to_department_id,
					kind, handover_kind, importance, status, reason, rule_set_id, rule_index, takeover_slot, n)
				SELECT $2, at, $3, $4, $5, $6, 'CONTACT', 'RESIGNED', 'NORMAL', 'COMPLETED', '', $7, -1, 0, 1 FROM `+tx.DB().Rows(1, "v", "at time"),
				tx.DB().Batch(rows), w.ID, w.lina, w.wang, w.sales, w.service, nid.ID{}.UUID())
			return err
		}))
		for _, c := range []struct {
			question         string
			rows, limit, key int
			pages            int
		}{
			{"transfer_items.csv?until=2027-01-01", copies + 1, 2300, 0, 2},
			{"transfer_items.csv?tz=UTC", copies + 1, 10_000, 0, 1},
			{"transfer_daily.csv?bucket=hour&groupBy=&tz=UTC&until=2026-01-01", hours, 10_000, 2, 2}, // 9,999 at once, and then the rest
		} {
			rows, pages := w.follow(c.question, c.limit)
			seen := map[string]bool{}
			for _, r := range rows {
				seen[r[c.key]] = true
			}
			if len(rows) != c.rows || len(seen) != c.rows || pages != c.pages {
				t.Errorf("%s: %d rows, %d different, %d pages", c.question, len(rows), len(seen), pages)
			}
		}
	})
}

// One stretch of time with more rows than statistics give cannot be paged: that is
// said, and nothing is left out in silence.
func TestTooManyGroups(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.ok(w.DB.Tx(store.System(context.Background(), w.ID, "test data"), func(ctx context.Context, tx *store.Tx) error {
			rows := make([]map[string]any, 10_001)
			for i := range rows {
				rows[i] = map[string]any{"id": nid.New(nid.Member)}
			}
			_, err := tx.Keep(ctx, "transfer_rollups", `INSERT INTO transfer_rollups (corp_id, bucket, leaver_id, successor_id, from_department_id, to_department_id,
					kind, handover_kind, importance, status, reason, rule_set_id, rule_index, takeover_slot, n)
				SELECT $2, $3, v.id, $4, $5, $6, 'CONTACT', 'RESIGNED', 'NORMAL', 'COMPLETED', '', $7, -1, 0, 1 FROM `+tx.DB().Rows(1, "v", "id uuid")+``,
				tx.DB().Batch(rows), w.ID, time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC), w.wang, w.sales, w.service, nid.ID{}.UUID())
			return err
		}))
		w.get(base+"transfer_daily.csv?groupBy=LEAVER").refused(400, fault.Invalid, "groupBy")
		w.get(base + "transfer_daily.csv").good()
	})
}
