package intake_test

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/xuri/excelize/v2"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/intake"
)

// book is a workbook whose first sheet has the rows; values are as a person typed them.
func book(t *testing.T, rows ...[]any) []byte {
	t.Helper()
	x := excelize.NewFile()
	defer x.Close()
	if _, err := x.NewSheet("Other"); err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		at, _ := excelize.CoordinatesToCellName(1, i+1)
		if err := x.SetSheetRow("Sheet1", at, &r); err != nil {
			t.Fatal(err)
		}
	}
	b, err := x.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// asBook turns a CSV file into a workbook of texts.
func asBook(t *testing.T, text string) []byte {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := make([][]any, len(rows))
	for i, r := range rows {
		for _, c := range r {
			out[i] = append(out[i], c)
		}
	}
	return book(t, out...)
}

func read(t *testing.T, fsys fstest.MapFS) (*intake.Corp, *intake.Report, error) {
	t.Helper()
	return intake.Read(fsys, intake.Options{TimeZone: shanghai, Now: now})
}

func TestAWorkbookSaysTheSameAsCSV(t *testing.T) {
	want, _, err := read(t, folder(nil))
	if err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{intake.MessagesFile: &fstest.MapFile{Data: []byte(small[intake.MessagesFile])}}
	for name, text := range small {
		if stem, ok := strings.CutSuffix(name, ".csv"); ok {
			fsys[stem+".xlsx"] = &fstest.MapFile{Data: asBook(t, text)}
		}
	}
	got, report, err := read(t, fsys)
	if err != nil {
		t.Fatal(err, report.Problems)
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(intake.Corp{}), cmpopts.IgnoreFields(intake.Corp{}, "Messages")); d != "" {
		t.Error(d)
	}
	if len(report.Others) != 0 || report.Files[0].Source != "departments.xlsx" || report.Files[0].Bytes == 0 {
		t.Errorf("%+v", report)
	}
}

// What Excel makes of numbers and dates that somebody types.
func TestWhatASpreadsheetDoesToCells(t *testing.T) {
	over := func(name string, rows ...[]any) fstest.MapFS {
		fsys := folder(map[string]string{name + ".csv": ""})
		fsys[name+".xlsx"] = &fstest.MapFile{Data: book(t, rows...)}
		return fsys
	}
	since := time.Date(2025, 12, 31, 9, 30, 0, 0, time.UTC) // as it is typed, without a zone
	c, report, err := read(t, over("follows", []any{"userid", "external_userid", "since", "remark", "add_way"},
		[]any{"lina", "wm1", since, "=SUM(A1)", 3}, []any{}, []any{"wang", "wm2", 46022.25, 123456789012345678, 3.0}))
	if err != nil {
		t.Fatal(err, report.Problems)
	}
	if f := c.Follows[0]; !f.Since.Equal(time.Date(2025, 12, 31, 9, 30, 0, 0, shanghai)) || f.Remark != "=SUM(A1)" || f.AddWay != 3 {
		t.Errorf("%+v", f)
	}
	if f := c.Follows[1]; !f.Since.Equal(time.Date(2025, 12, 31, 6, 0, 0, 0, shanghai)) || f.Remark != "123456789012345678" || f.AddWay != 3 {
		t.Errorf("%+v", f)
	}
	// A number of seventeen digits keeps them; one that lost some is refused, not guessed.
	fsys := over("members", []any{"userid", "name", "department_ids", "contact_limit"},
		[]any{"wang", "王强", 2, 100.0}, []any{"lina", "李娜", "1;2", "1E3"}, []any{12345678901234567, "数字", "2", nil})
	if c, report, err = read(t, fsys); err != nil {
		t.Fatal(err, report.Problems)
	}
	if m := c.Members[2]; m.UserID != "12345678901234567" || c.Members[0].Departments[0] != "2" || c.Members[1].ContactLimit != 1000 || c.Members[0].ContactLimit != 100 {
		t.Errorf("%+v", c.Members)
	}
	_, report, err = read(t, over("members", []any{"userid", "name", "department_ids"}, []any{"wang", "王强", 2}, []any{"lina", "李娜", 2}, []any{"1.23456789012346E+17", "数字", "2"}))
	if fault.CodeOf(err) != fault.Invalid || len(report.Problems) != 1 || report.Problems[0].File != "members.xlsx" || report.Problems[0].Line != 4 || report.Problems[0].Column != "userid" {
		t.Errorf("%v %+v", err, report.Problems)
	}
	if got := report.Problems[0].In("zh-CN"); !strings.Contains(got, "账号") || !strings.Contains(got, "members.xlsx 第 4 行") {
		t.Error(got)
	}
}

func TestWorkbooksThatAreNone(t *testing.T) {
	bomb := func(name string, size int, times int) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for i := range times {
			w, err := z.Create(fmt.Sprintf(name, i))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(w, zeros{}, int64(size)); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	good := asBook(t, small[intake.ContactsFile])
	wide := make([]any, 1500)
	for i := range wide {
		wide[i] = fmt.Sprint("c", i)
	}
	for name, b := range map[string][]byte{
		"nothing":             {},
		"text":                []byte("external_userid,name\n"),
		"an old workbook":     append([]byte{0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1}, make([]byte, 600)...),
		"cut off":             good[:len(good)/2],
		"another archive":     bomb("file%d", 10, 1),
		"an empty sheet":      book(t),
		"a wide sheet":        book(t, wide),
		"a bomb of styles":    bomb("xl/styles%d.xml", 17<<20, 1),
		"a bomb of sheets":    bomb("xl/worksheets/sheet%d.xml", 60<<20, 9),
		"a bomb of texts":     bomb("xl/sharedStrings.xml%.0d", 65<<20, 1),
		"a bomb of files":     bomb("f%d", 0, 10_001),
		"too long a file":     append(bytes.Clone(good), make([]byte, 65<<20)...),
		"flipped in a sheet":  flipped(good),
		"a required column":   book(t, []any{"name"}, []any{"x"}),
		"a header that twice": book(t, []any{"external_userid", "name", "name"}),
	} {
		t.Run(name, func(t *testing.T) {
			fsys := folder(map[string]string{intake.ContactsFile: ""})
			fsys["contacts.xlsx"] = &fstest.MapFile{Data: b}
			c, report, err := read(t, fsys)
			if fault.CodeOf(err) != fault.Invalid || c != nil || len(report.Problems) == 0 || report.Problems[0].File != "contacts.xlsx" {
				t.Errorf("%v, %v", err, report)
			}
		})
	}
	// Nobody can tell which of two is meant.
	fsys := folder(nil)
	fsys["contacts.xlsx"] = &fstest.MapFile{Data: good}
	_, report, err := read(t, fsys)
	if fault.CodeOf(err) != fault.Invalid || !strings.Contains(report.Problems[0].In("en"), "contacts.csv: is here twice, also as contacts.xlsx") {
		t.Errorf("%v, %+v", err, report.Problems)
	}
	if _, _, err := intake.Read(fsys, intake.Options{TimeZone: shanghai, Now: now, SkipBad: true}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("skipping bad rows takes one of two files: %v", err)
	}
}

func TestRejectedRowsOfAWorkbook(t *testing.T) {
	fsys := folder(map[string]string{intake.ContactsFile: "", intake.FollowsFile: "", intake.MessagesFile: ""})
	fsys["contacts.xlsx"] = &fstest.MapFile{Data: book(t, []any{"external_userid", "name", "accountable_userid"}, []any{"wm1", "good", "wang"}, []any{"wm2", "=bad()", "nobody"})}
	var out bytes.Buffer
	c, _, err := intake.Read(fsys, intake.Options{TimeZone: shanghai, Now: now, SkipBad: true, Rejects: func(string) (io.WriteCloser, error) { return closer{&out}, nil }})
	if err != nil || len(c.Contacts) != 1 {
		t.Fatalf("%v, %+v", err, c)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(out.String(), "\ufeff"))).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][1] != "'=bad()" || rows[1][3] != "3" {
		t.Errorf("%v, %v", rows, err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

type closer struct{ io.Writer }

func (closer) Close() error { return nil }

// flipped changes a byte in the sheet's packed bytes.
func flipped(b []byte) []byte {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		panic(err)
	}
	out := bytes.Clone(b)
	for _, f := range z.File {
		if f.Name == "xl/worksheets/sheet1.xml" {
			at, err := f.DataOffset()
			if err != nil {
				panic(errors.Join(err))
			}
			out[at+int64(f.CompressedSize64)/2] ^= 0x55
		}
	}
	return out
}
