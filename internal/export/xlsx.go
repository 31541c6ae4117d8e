package export

import (
	"archive/zip"
	"errors"
	"io"
	"strings"
	"unicode/utf16"

	"github.com/xuri/excelize/v2"

	"github.com/openhandover/openhandover/internal/fault"
)

// errTooLarge is more than an XLSX file holds: rows, or the text of one cell.
var errTooLarge = errors.New("export: too many rows, or too long a text, for XLSX")

// xlsxSink writes one sheet of rows and one that says who took the file. Rows go to a
// temporary file as they come, and from there into the archive: memory does not grow
// with them. A text stays a text, whatever it looks like, so nothing runs and no id
// becomes a number.
type xlsxSink struct {
	w      io.Writer
	file   *excelize.File
	stream *excelize.StreamWriter
	mark   mark
	lang   string
	text   int // the style of cells that hold texts
	cells  []any
	n      int
}

var sheets = struct{ data, about fault.Text }{fault.Text{EN: "Data", ZH: "数据"}, fault.Text{EN: "About", ZH: "导出说明"}}

// newXLSX begins a file; temporary is the folder for what does not fit into memory.
func newXLSX(w io.Writer, temporary string, columns []column, lang string, m mark) (_ *xlsxSink, err error) {
	s := &xlsxSink{w: w, file: excelize.NewFile(excelize.Options{TmpDir: temporary}), mark: m, lang: lang}
	defer func() {
		if err != nil {
			s.discard()
		}
	}()
	data := sheets.data.In(lang)
	words := fault.T("Exported by %s, %s, %s", "导出人：%s，%s，%s", m.by, m.at, m.export)
	if s.text, err = s.file.NewStyle(&excelize.Style{NumFmt: 49}); err != nil { // "@": also what is typed there later stays a text
		return nil, err
	}
	for _, step := range []func() error{
		func() error { return s.file.SetSheetName("Sheet1", data) },
		func() error {
			// In a header, & begins a code; && is the character. 255 is the format's limit.
			return s.file.SetHeaderFooter(data, &excelize.HeaderFooterOptions{OddFooter: short("&L"+strings.ReplaceAll(words.In(lang), "&", "&&"), 250)})
		},
		func() error {
			return s.file.SetDocProps(&excelize.DocProperties{Creator: "OpenHandover", LastModifiedBy: short(m.by, 250), Identifier: m.export, Created: m.at, Modified: m.at, Description: words.In(lang)})
		},
		func() (err error) { s.stream, err = s.file.NewStreamWriter(data); return err },
		func() error { return s.stream.SetColWidth(1, len(columns), 20) },
		func() error {
			return s.stream.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"})
		},
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return s, s.put(each(columns, func(c column) any { return c.in(lang) }))
}

func (s *xlsxSink) row(values []any) error {
	if s.n > MaxSheetRows {
		return errTooLarge
	}
	s.cells = s.cells[:0]
	for _, v := range values {
		c := cell(v)
		switch text, ok := c.(string); {
		case ok && text == "":
			c = nil
		case ok && tooLong(text): // excelize would cut it without a word
			return errTooLarge
		case ok:
			c = excelize.Cell{StyleID: s.text, Value: text}
		}
		s.cells = append(s.cells, c)
	}
	return s.put(s.cells)
}

// tooLong counts as spreadsheets do, in UTF-16 units.
func tooLong(cell string) bool {
	if len(cell) <= excelize.TotalCellChars {
		return false
	}
	n := 0
	for _, r := range cell {
		n += utf16.RuneLen(r)
	}
	return n > excelize.TotalCellChars
}

func (s *xlsxSink) put(cells []any) error {
	s.n++
	at, err := excelize.CoordinatesToCellName(1, s.n)
	if err != nil {
		return err
	}
	return s.stream.SetRow(at, cells)
}

func (s *xlsxSink) close(rows int) error {
	defer s.discard()
	if err := s.stream.Flush(); err != nil {
		return err
	}
	about := sheets.about.In(s.lang)
	if _, err := s.file.NewSheet(about); err != nil {
		return err
	}
	for i, line := range [][2]any{
		{fault.Text{EN: "Exported by", ZH: "导出人"}.In(s.lang), s.mark.by}, {fault.Text{EN: "Exported at", ZH: "导出时间"}.In(s.lang), s.mark.at},
		{fault.Text{EN: "Export", ZH: "导出编号"}.In(s.lang), s.mark.export}, {fault.Text{EN: "Rows", ZH: "行数"}.In(s.lang), rows},
	} {
		at, err := excelize.CoordinatesToCellName(1, i+1)
		if err != nil {
			return err
		}
		if err := s.file.SetSheetRow(about, at, &[]any{line[0], line[1]}); err != nil {
			return err
		}
	}
	// Straight into the file: excelize would gather the archive in memory first.
	s.file.SetZipWriter(func(io.Writer) excelize.ZipWriter { return zip.NewWriter(s.w) })
	return s.file.Write(io.Discard)
}

// discard deletes the temporary files.
func (s *xlsxSink) discard() { _ = s.file.Close() }

func short(s string, most int) string {
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i]
		}
	}
	return s
}
