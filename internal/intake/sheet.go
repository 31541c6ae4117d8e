package intake

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/openhandover/openhandover/internal/fault"
)

// The sizes of a workbook. What does not fit comes as CSV.
const (
	maxWorkbook = 64 << 20  // the file
	maxUnpacked = 512 << 20 // all its parts
	maxTexts    = 64 << 20  // of these the shared texts, of which an index is held in memory
	maxParts    = 16 << 20  // of these what is no sheet and no text, held in memory
	maxCells    = 1000      // of a row
)

// workbook is the name under which a CSV file may lie as a workbook instead.
func workbook(file string) string { return strings.TrimSuffix(file, ".csv") + ".xlsx" }

// sheet reads the first sheet of a workbook as table reads CSV, row by row. Nil: there
// is no workbook.
func sheet(fsys fs.FS, name string, zone *time.Location, found *findings, each func(*record)) (_ *File, err error) {
	b, err := content(fsys, workbook(name))
	if b == nil || err != nil {
		return nil, err
	}
	f := &File{Name: name, Source: workbook(name), Bytes: int64(len(b)), SHA256: sha256.Sum256(b)}
	if len(b) > maxWorkbook {
		found.reject(name, 0, fault.T("has more than %d MB; bring it as CSV", "文件超过 %d MB,请改用 CSV 格式", maxWorkbook>>20))
		return f, nil
	}
	if problem, ok := sound(b); !ok {
		found.reject(name, 0, problem)
		return f, nil
	}
	r := &record{file: name, zone: zone, found: found, sheet: true}
	if err := r.sheetRows(b, f, each); err != nil {
		found.reject(name, r.line, unreadable)
	}
	return f, nil
}

var unreadable = fault.T("cannot be read as a workbook; save it as “Excel workbook (.xlsx)” without a password", "无法作为工作簿读取,请另存为“Excel 工作簿(.xlsx)”,且不要设置密码")

// content gives a file, or its beginning where it is too long; nil: it is not there.
func content(fsys fs.FS, name string) (b []byte, err error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b, err = io.ReadAll(io.LimitReader(f, maxWorkbook+1))
	if err == nil && b == nil {
		b = []byte{}
	}
	return b, err
}

// sound looks at the sizes that a workbook's parts claim, before any is unpacked. The
// archive's reader fails for one that is larger than it claims.
func sound(b []byte) (problem fault.Text, ok bool) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return unreadable, false
	}
	var all, texts, parts uint64
	for _, f := range z.File {
		size := min(f.UncompressedSize64, maxUnpacked+1) // no sum of these overflows
		all += size
		switch name := strings.ToLower(strings.ReplaceAll(f.Name, `\`, "/")); {
		case name == "xl/sharedstrings.xml":
			texts += size
		case !strings.HasPrefix(name, "xl/worksheets/sheet"):
			parts += size
		}
	}
	if all > maxUnpacked || texts > maxTexts || parts > maxParts || len(z.File) > 10_000 {
		return fault.T("unpacks to more than a workbook may have; bring it as CSV", "解压后超过工作簿允许的大小,请改用 CSV 格式"), false
	}
	return fault.Text{}, true
}

func (r *record) sheetRows(b []byte, f *File, each func(*record)) (err error) {
	defer func() { // a workbook that somebody made to break its reader breaks only this import
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	book, err := excelize.OpenReader(bytes.NewReader(b), excelize.Options{RawCellValue: true, UnzipSizeLimit: maxUnpacked, UnzipXMLSizeLimit: maxParts})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	if p, err := book.GetWorkbookProps(); err == nil && p.Date1904 != nil {
		r.from1904 = *p.Date1904
	}
	rows, err := book.Rows(book.GetSheetName(0))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		r.line++
		cells, err := rows.Columns()
		if err != nil {
			return err
		}
		if len(cells) > maxCells {
			return errors.New("a row has too many cells")
		}
		switch blank := strings.TrimSpace(strings.Join(cells, "")) == ""; {
		case blank:
		case r.layout == nil:
			if !r.begin(f, cells) {
				return nil
			}
		default:
			f.Rows++
			// Cells at the end that are empty are not there.
			r.take(pad(cells, max(len(cells), len(r.names))))
			r.mend()
			each(r)
		}
	}
	if r.layout == nil {
		r.found.reject(f.Name, 0, fault.T("is empty: a header is needed", "文件为空:需要表头"))
	}
	return rows.Error()
}

// What a spreadsheet may have made of a cell.
var (
	moments = []string{"since", "departed_at", "last_login_at"}
	keys    = []string{"external_userid", "userid", "chat_id", "owner_userid", "accountable_userid", "manager_userid", "id", "parent_id", "department_ids"}
	counts  = []string{"contact_limit", "member_count", "add_way"}
	rounded = regexp.MustCompile(`^-?\d(\.\d+)?[eE][+-]\d+$`)
	serial  = regexp.MustCompile(`^\d{5,7}(\.\d+)?$`)
)

// mend undoes what a spreadsheet does to what is typed into it: times become the
// number of days, large numbers lose digits. Lost digits cannot be mended.
func (r *record) mend() {
	for name, i := range r.at {
		c := strings.TrimSpace(r.cells[i])
		switch {
		case slices.Contains(keys, name) && rounded.MatchString(c):
			r.bad(name, fault.T("%s is a number of which the spreadsheet has lost digits; format the column as text and enter the id again", "%s 是被表格软件舍去位数的数字;请将该列设为文本格式后重新填写", show(c)))
		case slices.Contains(counts, name):
			if n, err := strconv.ParseFloat(c, 64); err == nil && n == math.Trunc(n) && n >= 0 && n <= math.MaxInt32 {
				r.cells[i] = strconv.FormatInt(int64(n), 10)
			}
		case serial.MatchString(c) && slices.Contains(moments, name):
			r.cells[i] = r.date(c, "2006-01-02 15:04:05")
		case serial.MatchString(c) && name == "last_day":
			r.cells[i] = r.date(c, time.DateOnly)
		}
	}
}

// date is a spreadsheet's number as it is written; itself where it is none.
func (r *record) date(c, form string) string {
	days, err := strconv.ParseFloat(c, 64)
	if err != nil {
		return c
	}
	t, err := excelize.ExcelDateToTime(days, r.from1904)
	if err != nil {
		return c
	}
	return t.Round(time.Second).Format(form)
}
