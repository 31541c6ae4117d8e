package intake

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/openhandover/openhandover/internal/formula"
)

// rejectColumns stand behind a rejected row's own columns. Read ignores them, so
// the list can be mended and imported as it is.
var rejectColumns = []string{"reject_line", "reject_column", "reject_reason", "reject_reason_zh"}

// reject writes the bad rows of one file as CSV, each with its first problem. The
// file is read again for it, so that a good import keeps no rows for this.
func reject(fsys fs.FS, file string, bad map[int]Problem, create func(string) (io.WriteCloser, error)) error {
	w, err := create(file)
	if err != nil {
		return fmt.Errorf("rejected rows of %s: %w", file, err)
	}
	// Spreadsheets take a file without the mark for one in the local code page.
	_, err = io.WriteString(w, bom)
	out := csv.NewWriter(w)
	if file == MessagesFile {
		err = errors.Join(err, rejectLines(fsys, bad, out))
	} else {
		err = errors.Join(err, rejectRows(fsys, file, bad, out))
	}
	out.Flush()
	if err = errors.Join(err, out.Error(), w.Close()); err != nil {
		return fmt.Errorf("rejected rows of %s: %w", file, err)
	}
	return nil
}

func rejectRows(fsys fs.FS, file string, bad map[int]Problem, out *csv.Writer) error {
	var own []int // the positions of the file's own columns
	_, err := table(fsys, file, time.UTC, newFindings(), func(r *record) {
		if own == nil {
			var head []string
			for i, n := range r.names {
				if !slices.Contains(rejectColumns, n) {
					own, head = append(own, i), append(head, n)
				}
			}
			_ = out.Write(append(head, rejectColumns...))
		}
		p, ok := bad[r.line]
		if !ok {
			return
		}
		row := make([]string, 0, len(own)+len(rejectColumns))
		for _, i := range own {
			c := r.cells[i]
			if !r.quoted { // else it is as we quoted it the last time
				c = formula.Quote(c)
			}
			row = append(row, c)
		}
		_ = out.Write(append(row, reasons(p)...))
	})
	return err
}

func rejectLines(fsys fs.FS, bad map[int]Problem, out *csv.Writer) error {
	src, err := open(fsys, MessagesFile)
	if src == nil {
		return err
	}
	_ = out.Write(append([]string{"json"}, rejectColumns...))
	for n, l := range lines(src) {
		if err = l.err; err != nil {
			break
		}
		if p, ok := bad[n]; ok {
			_ = out.Write(append([]string{formula.Quote(string(l.bytes))}, reasons(p)...))
		}
	}
	return errors.Join(err, src.file.Close())
}

func reasons(p Problem) []string {
	return []string{strconv.Itoa(p.Line), p.Column, p.Text.EN, p.Text.ZH}
}
