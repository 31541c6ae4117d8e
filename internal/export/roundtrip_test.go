package export_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/xuri/excelize/v2"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/export"
	"github.com/openhandover/openhandover/internal/intake"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// What is exported can be imported: it changes nothing where it came from, and makes
// the same customers where there are none.
func TestExportsCanBeImported(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		load := func(corp string, fsys fstest.MapFS) intake.Result {
			t.Helper()
			in := &intake.Service{DB: db, Log: s.Log}
			current, err := in.Current(context.Background(), corp)
			ok(t, err)
			o := intake.Options{Now: db.Now()}
			if current != nil {
				o.Known = current.Known
			}
			c, report, err := intake.Read(fsys, o)
			if err != nil {
				t.Fatal(err, report.Problems)
			}
			r, err := in.Load(context.Background(), c, intake.LoadOptions{CorpName: corp, TimeZone: "Asia/Shanghai", Report: report})
			if err != nil {
				t.Fatal(err, r.Problems)
			}
			return r
		}
		names := []string{"=1+1", "'quoted", "''twice", "李娜, \"VIP\"", "＝全角", "+86 138", "1E5", "0012"}
		var contacts, groups strings.Builder
		contacts.WriteString("external_userid,name,type,company,importance,tags,accountable_userid,chat_consent\n")
		groups.WriteString("chat_id,name,owner_userid,member_count,status\n")
		follows := "userid,external_userid,since\n"
		for i, n := range names {
			id := fmt.Sprintf("12345678901234567%d", i) // a number, for a spreadsheet
			q := `"` + strings.ReplaceAll(n, `"`, `""`) + `"`
			fmt.Fprintf(&contacts, "%s,%s,wecom,%s,key,老客户;VIP,wang,agreed\n", id, q, q)
			fmt.Fprintf(&groups, "%s,%s,wang,%d,inherited\n", id, q, i)
			follows += "wang," + id + ",2025-01-01\n"
		}
		given := fstest.MapFS{}
		put := func(to fstest.MapFS, file string, b []byte) { to[file] = &fstest.MapFile{Data: b} }
		put(given, "contacts.csv", []byte(contacts.String()))
		put(given, "groups.csv", []byte(groups.String()))
		put(given, "follows.csv", []byte(follows))
		load("acme", given)
		for i, lang := range []string{"en", "zh-CN"} {
			for _, format := range []export.Format{export.CSV, export.XLSX} {
				ending := "." + strings.ToLower(string(format))
				out := fstest.MapFS{}
				for _, subject := range []export.Subject{export.Contacts, export.Groups} {
					ctx := s.Verified(s.Admin)
					a := *access.From(ctx)
					a.Lang = lang
					id := s.ask(access.With(ctx, &a), export.Input{Subject: subject, Format: format})
					s.work()
					put(out, strings.ToLower(string(subject))+ending, s.taken(id))
				}
				for _, f := range load("acme", out).Files {
					if f.Rows != len(names) || f.Added != 0 || f.Updated != 0 || f.Kept != 0 {
						t.Errorf("%s %s changes where it came from: %+v", lang, format, f)
					}
				}
				put(out, "departments.csv", []byte("id,name\n1,root\n"))
				put(out, "members.csv", []byte("userid,name,department_ids\nwang,wang,1\n"))
				put(out, "follows.csv", []byte(follows))
				title := fmt.Sprintf("copy %d %s", i, format)
				for _, f := range load(title, out).Files {
					if strings.HasSuffix(f.File, ending) && f.File != "follows.csv" && f.File != "members.csv" && f.File != "departments.csv" && f.Added != len(names) {
						t.Errorf("%s %s makes %+v", lang, format, f)
					}
				}
				corp, err := db.CorpNamed(context.Background(), title)
				ok(t, err)
				ok(t, db.View(store.System(context.Background(), corp, "test"), func(ctx context.Context, q *store.Read) error {
					for _, table := range []string{"contacts", "groups"} {
						got, err := store.Select(ctx, q, func(n *string) []any { return []any{n} }, `SELECT name FROM `+table+` WHERE corp_id = $1`, corp)
						if err != nil {
							return err
						}
						have := strings.Join(got, "\x00") + "\x00"
						for _, n := range names {
							if !strings.Contains("\x00"+have, "\x00"+n+"\x00") {
								t.Errorf("%s %s: of the %s, %q is lost: %q", lang, format, table, n, got)
							}
						}
					}
					return nil
				}))
			}
		}
	})
}

// A spreadsheet's cell ends at 32,767 UTF-16 units. What is longer is not cut: the
// export ends, and CSV has it whole.
func TestNoCellIsCut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		write := func(chars int) string {
			text := strings.Repeat("长", chars-2-len(`{"x":""}`)) + "😀" // which is two units
			ok(t, db.Tx(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
				return s.Log.Append(ctx, tx, audit.Entry{Action: access.CorpImport, After: map[string]any{"x": text}})
			}))
			return `{"x":"` + text + `"}`
		}
		sheet := func() nid.ID {
			id := s.ask(s.Verified(s.Admin), export.Input{Subject: export.AuditLog, Format: export.XLSX})
			s.work()
			return id
		}
		fits := write(excelize.TotalCellChars)
		x, err := excelize.OpenReader(bytes.NewReader(s.taken(sheet())))
		ok(t, err)
		defer x.Close()
		rows, err := x.GetRows("Data")
		ok(t, err)
		if !slices.ContainsFunc(rows, func(r []string) bool { return slices.Contains(r, fits) }) {
			t.Error("the longest cell is not there as it was")
		}
		long := write(excelize.TotalCellChars + 1)
		if id := sheet(); s.state(id) != "FAILED TOO_LARGE" {
			t.Errorf("with a longer one it is %s", s.state(id))
		}
		if all := column(s.table(s.Verified(s.Admin), export.Input{Subject: export.AuditLog}), "after"); !strings.Contains(all, long) {
			t.Error("CSV does not have it whole")
		}
	})
}
