package reports

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/formula"
)

// sort is what is in a column.
type sort string

const (
	plain   sort = "string"
	whole   sort = "integer"
	number  sort = "number"
	instant sort = "time" // RFC 3339, UTC
	date    sort = "date" // in the time zone asked for
)

// column is one of a report. Names and order stay as they are within /api/v1; new
// ones come at the end.
type column struct {
	name  string
	sort  sort
	label fault.Text
}

// table gathers rows: a value or nil for each column. Values are string, int,
// float64 and time.Time.
type table struct {
	columns []column
	lang    string
	labels  bool
	places  *time.Location
	rows    [][]any
}

func (t *table) add(values ...any) { t.rows = append(t.rows, values) }

// heads are the names of the columns as they were asked for.
func (t *table) heads() []string {
	out := make([]string, len(t.columns))
	for i, c := range t.columns {
		out[i] = c.name
		if t.labels {
			out[i] = c.label.In(t.lang)
		}
	}
	return out
}

// show is a value as both formats write it.
func (t *table) show(c column, v any) any {
	switch v := v.(type) {
	case time.Time:
		if c.sort == date {
			return v.In(t.places).Format(time.DateOnly)
		}
		return v.UTC().Format(time.RFC3339)
	case float64:
		return math.Round(v*1e6) / 1e6
	}
	return v
}

// format is a way to write a table.
type format struct {
	name, mediaType string
	bom             bool
	write           func(a *question, t *table) ([]byte, error)
}

var formats = []format{
	{"csv", "text/csv; charset=utf-8", true, writeCSV},
	{"json", "application/json; charset=utf-8", false, writeJSON},
}

// writeCSV writes RFC 4180, lines ending in CRLF.
func writeCSV(a *question, t *table) ([]byte, error) {
	var b bytes.Buffer
	if a.bom {
		b.WriteString("\ufeff")
	}
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	if err := w.Write(t.heads()); err != nil {
		return nil, err
	}
	cells := make([]string, len(t.columns))
	for _, row := range t.rows {
		for i, c := range t.columns {
			cells[i] = cell(c, t.show(c, row[i]))
		}
		if err := w.Write(cells); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

func cell(c column, v any) string {
	switch v := v.(type) {
	case string:
		if c.sort == plain {
			return formula.Harmless(v) // a customer chooses their own name
		}
		return v
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// writeJSON writes the rows as objects, their keys in the columns' order.
func writeJSON(a *question, t *table) ([]byte, error) {
	type described struct {
		Name  string `json:"name"`
		Type  sort   `json:"type"`
		Label string `json:"label"`
	}
	heads := t.heads()
	columns, keys := make([]described, len(t.columns)), make([][]byte, len(t.columns))
	for i, c := range t.columns {
		columns[i] = described{heads[i], c.sort, c.label.In(t.lang)}
		keys[i] = encoded(heads[i])
	}
	var b bytes.Buffer
	b.WriteString(`{"columns":`)
	b.Write(encoded(columns))
	b.WriteString(`,"rows":[`)
	for n, row := range t.rows {
		if n > 0 {
			b.WriteByte(',')
		}
		for i, c := range t.columns {
			b.WriteByte("{,"[min(i, 1)])
			b.Write(keys[i])
			b.WriteByte(':')
			b.Write(encoded(t.show(c, row[i])))
		}
		b.WriteByte('}')
	}
	b.WriteString(`],"next":`)
	if a.next == "" {
		b.WriteString("null")
	} else {
		b.Write(encoded(a.nextURL()))
	}
	b.WriteString("}\n")
	return b.Bytes(), nil
}

// encoded is JSON without HTML's escapes, which would make links hard to read.
func encoded(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // plain values
	return bytes.TrimRight(b.Bytes(), "\n")
}
