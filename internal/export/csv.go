package export

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"github.com/openhandover/openhandover/internal/formula"
)

// mark says in every file who took it, and when.
type mark struct {
	export, by, at string
}

// markColumns stand behind the columns of CSV and JSONL, in every row: a comment would
// not be CSV any more, and a line of its own is lost with the first sorting.
var markColumns = []column{own("exported_by", "导出人"), own("exported_at", "导出时间"), own("export_id", "导出编号")}

func (m mark) values() []any { return []any{m.by, m.at, m.export} }

// sink writes rows in one format.
type sink interface {
	row(values []any) error
	// close ends the file. rows is how many there were.
	close(rows int) error
}

// csvSink writes RFC 4180, UTF-8 with a byte order mark, without which Excel takes
// Chinese for the local code page. Nothing in it runs in a spreadsheet, and an import
// takes the apostrophes away again: it knows the file by its column export_id.
type csvSink struct {
	w     *csv.Writer
	mark  []any
	cells []string
}

func newCSV(w io.Writer, columns []column, lang string, m mark) (sink, error) {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return nil, err
	}
	s := &csvSink{w: csv.NewWriter(w), mark: m.values()}
	s.w.UseCRLF = true
	return s, s.w.Write(each(append(columns[:len(columns):len(columns)], markColumns...), func(c column) string { return c.in(lang) }))
}

func (s *csvSink) row(values []any) error {
	s.cells = s.cells[:0]
	for _, part := range [][]any{values, s.mark} {
		for _, v := range part {
			c := cell(v)
			if text, ok := c.(string); ok {
				s.cells = append(s.cells, formula.Quote(text))
			} else {
				s.cells = append(s.cells, number(c))
			}
		}
	}
	return s.w.Write(s.cells)
}

func (s *csvSink) close(int) error {
	s.w.Flush()
	return s.w.Error()
}

// cell is a value as a table shows it: a text or a whole number.
func cell(v any) any {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		return strconv.FormatBool(v)
	case []string:
		return strings.Join(v, ";")
	case json.RawMessage:
		return string(v)
	}
	return v
}

func number(v any) string {
	switch v := v.(type) {
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return ""
}
