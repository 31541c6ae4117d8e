package intake

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openhandover/openhandover/internal/fault"
)

const bom = "\ufeff"

// source is an open file that is measured while it is read.
type source struct {
	*bufio.Reader
	file fs.File
	sum  hash.Hash
	size int64
}

// open opens a file of the import and passes over a byte order mark. Where there
// is no such file it gives nil.
func open(fsys fs.FS, name string) (*source, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	s := &source{file: f, sum: sha256.New()}
	s.Reader = bufio.NewReaderSize(io.TeeReader(f, s), 64<<10)
	if b, _ := s.Peek(len(bom)); string(b) == bom {
		_, _ = s.Discard(len(bom))
	}
	return s, nil
}

// Write measures what is read.
func (s *source) Write(b []byte) (int, error) {
	s.size += int64(len(b))
	return s.sum.Write(b)
}

// finish reads to the end, so that the whole file is measured, and closes it.
func (s *source) finish(f *File) error {
	_, err := io.Copy(io.Discard, s.Reader)
	f.Bytes = s.size
	s.sum.Sum(f.SHA256[:0])
	return errors.Join(err, s.file.Close())
}

// record is one row of a CSV file.
type record struct {
	*layout
	file  string
	line  int
	cells []string
	zone  *time.Location
	found *findings
	// quoted says that the file is one of our own, a list of left out rows or an
	// export, in which cells that a spreadsheet would compute have an apostrophe in front.
	quoted bool
	// sheet says that it is a workbook, and from1904 since when that counts days.
	sheet, from1904 bool
}

// table reads a CSV file, or the workbook in its place, and calls each for every row, also for bad ones: what
// refers to a row that is bad for another reason is not bad for that.
func table(fsys fs.FS, name string, zone *time.Location, found *findings, each func(*record)) (*File, error) {
	src, err := open(fsys, name)
	if err != nil {
		return nil, err
	}
	if src == nil {
		return sheet(fsys, name, zone, found, each)
	}
	if _, err := fs.Stat(fsys, workbook(name)); err == nil {
		found.reject(name, 0, fault.T("is here twice, also as %s; take one of them away", "同时存在 %s,请只保留其中一个", workbook(name)))
	}
	f := &File{Name: name, Source: name}
	err = rows(src, f, &record{file: name, zone: zone, found: found}, each)
	if err = errors.Join(err, src.finish(f)); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return f, nil
}

func rows(src *source, f *File, r *record, each func(*record)) error {
	if b, _ := src.Peek(2); bytes.Equal(b, []byte{0xff, 0xfe}) || bytes.Equal(b, []byte{0xfe, 0xff}) {
		r.found.reject(f.Name, 0, fault.T("is UTF-16; save it as “CSV UTF-8”", "文件编码为 UTF-16,请另存为“CSV UTF-8”格式"))
		return nil
	}
	reader := csv.NewReader(src)
	reader.FieldsPerRecord = -1 // we say it in both languages, and go on
	for {
		cells, err := reader.Read()
		if err == io.EOF {
			if r.layout == nil {
				r.found.reject(f.Name, 0, fault.T("is empty: a header is needed", "文件为空:需要表头"))
			}
			return nil
		}
		parse, malformed := errors.AsType[*csv.ParseError](err)
		if err != nil && !malformed {
			return err
		}
		if malformed {
			r.line = parse.StartLine
		} else {
			r.line, _ = reader.FieldPos(0)
		}
		switch {
		case r.layout == nil && malformed:
			r.found.reject(f.Name, r.line, fault.T("the header cannot be read: its quotes do not match", "无法读取表头:引号不配对"))
			return nil
		case r.layout == nil:
			if !r.begin(f, cells) {
				return nil
			}
		case malformed:
			f.Rows++
			r.found.add(f.Name, r.line, "", fault.T("the quotes of this row do not match; a quote inside a cell is written twice, and the cell in quotes", "本行引号不配对;单元格内的引号须写两次,并用引号括住整个单元格"))
			r.cells = pad(cells, len(r.names))
			each(r)
		case strings.TrimSpace(strings.Join(cells, "")) != "":
			f.Rows++
			r.take(cells)
			each(r)
		}
	}
}

// ours are headers that only our own CSV files have, as they are compared.
var ours = []string{header(rejectColumns[0]), header("export_id"), header("导出编号")}

// begin reads the header.
func (r *record) begin(f *File, cells []string) bool {
	if !utf8.ValidString(strings.Join(cells, "")) {
		r.found.reject(f.Name, r.line, fault.T("is not UTF-8 (perhaps GBK); save it as “CSV UTF-8”", "文件编码不是 UTF-8(可能是 GBK),请另存为“CSV UTF-8”格式"))
		return false
	}
	l := match(f.Name, cells)
	r.layout, f.Ignored = &l, l.ignored
	r.quoted = !r.sheet && slices.ContainsFunc(l.ignored, func(h string) bool { return slices.Contains(ours, header(h)) })
	for _, h := range l.twice {
		r.found.reject(f.Name, r.line, fault.T("the header %s stands twice", "表头 %s 重复", show(h)))
	}
	for _, m := range l.missing {
		// One sentence for each is worth more than a list: add keeps one problem a
		// cell, so each names its column.
		r.found.broken = true
		r.found.add(f.Name, r.line, m, fault.T("this column is required and has no header", "缺少必需的列"))
	}
	return len(l.twice)+len(l.missing) == 0
}

// take takes a row whose cells could be told apart.
func (r *record) take(cells []string) {
	for len(cells) > len(r.names) && cells[len(cells)-1] == "" {
		cells = cells[:len(cells)-1]
	}
	if len(cells) != len(r.names) {
		r.found.add(r.file, r.line, "", fault.T("has %d cells, the header has %d", "本行有 %d 个单元格,表头有 %d 个", len(cells), len(r.names)))
	}
	r.cells = pad(cells, len(r.names))
	for i, c := range r.cells {
		if !utf8.ValidString(c) {
			r.found.add(r.file, r.line, r.names[i], fault.T("is not UTF-8; was the file made with another encoding, such as GBK?", "不是 UTF-8 文本;文件是否使用了 GBK 等其他编码?"))
		}
	}
}

func pad(cells []string, n int) []string {
	if len(cells) > n {
		return cells[:n]
	}
	return append(cells, make([]string, n-len(cells))...)
}

func (r *record) bad(column string, text fault.Text) { r.found.add(r.file, r.line, column, text) }

// exact gives a cell as it stands, empty where the file has no such column.
func (r *record) exact(column string) string {
	i, ok := r.at[column]
	if !ok {
		return ""
	}
	if r.quoted {
		return strings.TrimPrefix(r.cells[i], "'")
	}
	return r.cells[i]
}

// cell gives a cell without blanks round it: for ids and words.
func (r *record) cell(column string) string { return strings.TrimSpace(r.exact(column)) }

// text gives an optional text as it stands; nothing but blanks is nothing.
func (r *record) text(column string) string {
	if r.cell(column) == "" {
		return ""
	}
	return r.exact(column)
}

func (r *record) list(column string) []string { return list(r.exact(column)) }

// moment gives a time, zero for an empty cell.
func (r *record) moment(column string) (t time.Time) {
	s := r.cell(column)
	if s == "" {
		return t
	}
	t, ok := moment(s, r.zone)
	if !ok {
		r.bad(column, fault.T("%s is not a time: write 2006-01-02 15:04:05 or RFC 3339", "%s 不是有效的时间:请写成 2006-01-02 15:04:05 或 RFC 3339 格式", show(s)))
		return time.Time{}
	}
	return t
}

// number gives a whole number, def for an empty cell.
func (r *record) number(column string, def int) int {
	s := r.cell(column)
	if s == "" {
		return def
	}
	n, ok := number(s)
	if !ok {
		r.bad(column, fault.T("%s is not a whole number", "%s 不是整数", show(s)))
	}
	return n
}

// word looks a cell up in one of the tables of words, def for an empty cell.
func word[T any](r *record, column string, words map[string]T, def T, choices string) T {
	s := r.cell(column)
	if s == "" {
		return def
	}
	v, ok := words[strings.ToLower(s)]
	if !ok {
		r.bad(column, fault.T("%s is none of: %s", "%s 不是允许的值:%s", show(s), choices))
		return def
	}
	return v
}
