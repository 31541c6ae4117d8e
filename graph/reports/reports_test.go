package reports_test

import (
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/graph/reports"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
)

const base = reports.Path

var names = []string{"transfer_daily", "transfer_items", "unassigned_aging"}

func selection(contacts ...nid.ID) handover.Selection {
	return handover.Selection{ContactIDs: contacts}
}

// table reads a CSV body: the header, then the rows.
func (r *reply) table() [][]string {
	r.t.Helper()
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(r.good().Body, "\ufeff"))).ReadAll()
	if err != nil {
		r.t.Fatal(err)
	}
	return rows
}

// column gives a column by its name.
func column(rows [][]string, name string) (out []string) {
	i := slices.Index(rows[0], name)
	for _, row := range rows[1:] {
		out = append(out, row[i])
	}
	return out
}

func TestWhatIsServed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.live()
		everything := w.newToken(access.ViewStatistics, access.ViewContacts, access.ViewGroups)
		for _, name := range names {
			for _, format := range []string{"csv", "json"} {
				r := w.get(base + name + "." + format)
				r.golden(name + "." + format)
				if want := map[string]string{"csv": "text/csv; charset=utf-8", "json": "application/json; charset=utf-8"}[format]; r.Header.Get("Content-Type") != want {
					t.Errorf("%s.%s is %s", name, format, r.Header.Get("Content-Type"))
				}
				if format == "json" && !json.Valid([]byte(r.Body)) {
					t.Errorf("%s.json is no JSON", name)
				}
				if lines := strings.Count(r.Body, "\n"); format == "csv" && strings.Count(r.Body, "\r\n") != lines {
					t.Errorf("%s.csv has lines that do not end in CRLF", name)
				}
			}
		}
		w.get(base+"transfer_items.csv", "Authorization", "Bearer "+everything).golden("transfer_items.names.csv")
		people := w.get(base + "transfer_daily.csv?lang=zh-CN&headers=label&bom=true&bucket=week&groupBy=leaver,status,reason&from=2026-01-01&to=2026-12-31")
		people.golden("transfer_daily.zh.csv")
		if !strings.HasPrefix(people.Body, "\ufeff日期,") || !strings.HasPrefix(people.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("no byte order mark or no attachment: %.40q", people.Body)
		}
		w.get(base + "transfer_daily.json?lang=zh-CN&headers=label&bucket=none&groupBy=&limit=1").golden("transfer_daily.zh.json")
	})
}

func TestWhoSeesWhat(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.live()
		for _, name := range names {
			path := base + name + ".csv"
			for _, authorization := range []string{"", "Bearer nonsense", "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+w.token))} {
				var headers []string
				if authorization != "" {
					headers = []string{"Authorization", authorization}
				}
				r := w.do("GET", path, headers...)
				r.refused(401, fault.Unauthenticated, "")
				if c := strings.Join(r.Header.Values("WWW-Authenticate"), ", "); !strings.Contains(c, "Basic realm=") || !strings.Contains(c, "Bearer realm=") ||
					strings.Contains(c, "invalid_token") != (authorization != "") {
					t.Errorf("challenge %s", c)
				}
			}
			w.get(path, "Authorization", "Bearer "+w.newToken(access.ViewContacts)).refused(403, fault.Forbidden, "")
			w.as(w.SignedIn(w.zhao, false), path).refused(403, fault.Forbidden, "")
		}
		// Spreadsheets send Basic, here and nowhere else.
		basic := []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("token:"+w.token))}
		if got := w.do("GET", base+"transfer_items.csv", basic...); len(got.table()) != 12 {
			t.Errorf("by Basic there are %d rows", len(got.table()))
		}
		query := "/graphql?query=" + url.QueryEscape("{ viewer { permissions } }")
		if got := w.do("GET", query, basic...); !strings.Contains(got.Body, "UNAUTHENTICATED") && !strings.Contains(got.Body, "PERSISTED_DOCUMENT_REQUIRED") {
			t.Errorf("/graphql takes Basic: %s", got.Body)
		}

		// Scope: who reports on another department sees the head alone; sales sees what comes from or goes to sales.
		nobody, sales := w.Member("nora", w.hr), w.Member("rita", w.hr)
		w.Grant(nobody, access.Reporter.Name, w.hr)
		w.Grant(sales, access.Reporter.Name, w.sales)
		for _, name := range names {
			if got := w.as(w.SignedIn(nobody, false), base+name+".csv").table(); len(got) != 1 {
				t.Errorf("%s shows whom it must not: %v", name, got[1:])
			}
			got := w.as(w.SignedIn(sales, false), base+name+".csv")
			if len(got.table()) < 2 || strings.Contains(got.Body, "fresh") {
				t.Errorf("%s for sales: %s", name, got.Body)
			}
			if strings.Contains(got.Body, "李娜") || strings.Contains(got.Body, "con_") {
				t.Errorf("%s shows contacts to a reporter: %s", name, got.Body)
			}
		}
		if got := column(w.as(w.SignedIn(sales, false), base+"transfer_items.csv").table(), "from_name"); slices.Contains(got, "wang") || len(got) != 8 {
			t.Errorf("sales sees the items of %v", got)
		}
	})
}

func TestCellsAreNoFormulas(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var contacts []nid.ID
		want := map[string]string{"=1+1": "'=1+1", "+86": "'+86", "-1": "'-1", "@x": "'@x", "\uff1d1": "'\uff1d1", "a=1": "a=1", "'=1": "'=1", `q"u,o`: `q"u,o`, " =1": " =1"}
		for title := range want {
			contacts = append(contacts, w.Contact(title, "NORMAL", w.lina))
		}
		lina := w.Member("=cmd|' /C calc'!A0", w.sales)
		w.Contact("any", "NORMAL", lina)
		w.Depart(lina)
		w.Depart(w.lina)
		w.hand("a", w.lina, w.wang, selection(contacts...))
		token := w.newToken(access.ViewStatistics, access.ViewContacts)
		r := w.get(base+"transfer_items.csv", "Authorization", "Bearer "+token)
		cells := column(r.table(), "contact_name")
		for title, cell := range want {
			if !slices.Contains(cells, cell) {
				t.Errorf("%q is no cell for %q: %q", cell, title, cells)
			}
		}
		if got := column(w.get(base+"unassigned_aging.csv").table(), "name"); len(got) != 1 || got[0] != "'=cmd|' /C calc'!A0" {
			t.Errorf("a leaver called %q", got)
		}
		var plain struct{ Rows []map[string]any }
		w.ok(json.Unmarshal([]byte(w.get(base+"transfer_items.json", "Authorization", "Bearer "+token).good().Body), &plain))
		if !slices.ContainsFunc(plain.Rows, func(r map[string]any) bool { return r["contact_name"] == "=1+1" }) {
			t.Error("JSON changes what it need not")
		}
	})
}

func TestADayOfTwentyFiveHours(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.live()
		rows := w.get(base + "transfer_daily.csv?tz=Europe/Berlin&from=2026-10-24&to=2026-10-26&groupBy=").table()
		if got := fmt.Sprint(column(rows, "date"), column(rows, "bucket_start"), column(rows, "assigned")); got !=
			"[2026-10-24 2026-10-25 2026-10-26] [2026-10-23T22:00:00Z 2026-10-24T22:00:00Z 2026-10-25T23:00:00Z] [1 1 1]" {
			t.Error(got)
		}
		for span, want := range map[string]string{
			"from=2026-10-25&to=2026-10-25":                            "[2026-10-25]",
			"from=2026-10-25&until=2026-10-26":                         "[2026-10-25]",
			"from=2026-10-25&until=2026-10-25T23:30:00Z":               "[2026-10-25]",
			"from=2026-10-25T23:30:00%2B01:00":                         "[2026-10-25 2026-10-26]",
			"from=2026-10-24&to=2026-10-24":                            "[2026-10-24]",
			"from=2026-10-26&until=2026-10-27":                         "[2026-10-26]",
			"from=2026-10-25T22:30:00.000001Z&to=2026-10-25T23:30:00Z": "[]",
		} {
			if got := fmt.Sprint(column(w.get(base+"transfer_items.csv?tz=Europe/Berlin&"+span).table(), "assigned_date")); got != want {
				t.Errorf("%s: %s, want %s", span, got, want)
			}
		}
		if got := column(w.get(base+"transfer_items.csv?tz=Asia/Kathmandu&from=2026-10-26&to=2026-10-26").table(), "assigned_date"); fmt.Sprint(got) != "[2026-10-26 2026-10-26]" {
			t.Errorf("Kathmandu: %v", got) // 04:15 and 05:15 there
		}
	})
}
