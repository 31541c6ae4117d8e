package intake

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/openhandover/openhandover/internal/fault"
)

// MaxProblems is how many problems a report lists; the others are only counted.
const MaxProblems = 1000

// Problem is one thing wrong in a file.
type Problem struct {
	File string
	// Line is where the row begins, from 1; rows with line ends inside quotes make
	// it differ from the row's number. 0 for what concerns the file.
	Line int
	// Column is our name of the column; empty for what concerns the row.
	Column string
	Text   fault.Text
}

// In writes the problem as one line in the language.
func (p Problem) In(lang string) string {
	place := p.File
	zh := fault.Text{EN: "en", ZH: "zh"}.In(lang) == "zh"
	switch {
	case p.Line == 0:
	case zh:
		place += fmt.Sprintf(" 第 %d 行", p.Line)
	default:
		place += fmt.Sprintf(", line %d", p.Line)
	}
	switch {
	case p.Column == "":
	case zh:
		place += ",列 " + p.Column
		file := p.File
		if sheet, ok := strings.CutSuffix(file, ".xlsx"); ok {
			file = sheet + ".csv"
		}
		if h := usual(file, p.Column); h != p.Column {
			place += "(" + h + ")"
		}
	default:
		place += ", column " + p.Column
	}
	return place + ": " + p.Text.In(lang)
}

// File is what a report says of one file.
type File struct {
	Name string
	// Source is the file that was read: the same, or a workbook in its place.
	Source string
	// SHA256 is of the bytes as they were read, Bytes their number.
	SHA256 [32]byte
	Bytes  int64
	// Rows are all rows but the header and blank ones; Bad are those with a problem.
	Rows, Bad int
	// Ignored lists the headers that were not understood or stood beside a better
	// one for the same column; of messages the first 100 keys not understood.
	Ignored []string
}

// Report says what was read. It holds personal data where a problem quotes it: it
// is for whoever imports, not for logs.
type Report struct {
	// Files lists the files that were there, in the order in which they are read.
	Files []File
	// Others names what else lies in the folder; it was not looked at.
	Others []string
	// Problems lists at most MaxProblems, file by file and line by line. More
	// counts the others.
	Problems []Problem
	More     int
}

// Count gives the number of problems, listed or not.
func (r *Report) Count() int { return len(r.Problems) + r.More }

// findings gathers problems. Of one cell only the first counts, and of a row
// that is malformed as a whole only that it is.
type findings struct {
	list []Problem
	more int
	seen map[place]struct{}
	// bad holds the first problem of every bad row, listed or not.
	bad map[string]map[int]Problem
	// broken is set by a problem that leaving out rows cannot mend.
	broken bool
}

type place struct {
	file   string
	line   int
	column string
}

func newFindings() *findings {
	return &findings{seen: map[place]struct{}{}, bad: map[string]map[int]Problem{}}
}

// add notes a problem; a line of 0 is the file itself.
func (f *findings) add(file string, line int, column string, text fault.Text) {
	if _, whole := f.seen[place{file, line, ""}]; whole {
		return
	}
	at := place{file, line, column}
	if _, again := f.seen[at]; again {
		return
	}
	f.seen[at] = struct{}{}
	p := Problem{file, line, column, text}
	if f.bad[file] == nil {
		f.bad[file] = map[int]Problem{}
	}
	if _, ok := f.bad[file][line]; !ok {
		f.bad[file][line] = p
	}
	if len(f.list) < MaxProblems {
		f.list = append(f.list, p)
	} else {
		f.more++
	}
}

// reject notes a problem of a whole file, which no skipping of rows mends.
func (f *findings) reject(file string, line int, text fault.Text) {
	f.broken = true
	f.add(file, line, "", text)
}

// rows counts the bad rows, of all files or of the one given.
func (f *findings) rows(of ...string) (n int) {
	for file, lines := range f.bad {
		if len(of) == 0 || file == of[0] {
			n += len(lines)
		}
	}
	return n
}

// sorted gives the list in the order of the files and lines.
func (f *findings) sorted() []Problem {
	slices.SortStableFunc(f.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)), cmp.Compare(a.Line, b.Line))
	})
	return f.list
}

// source names the file that was read for one of the import's.
func (r *Report) source(file string) string {
	for _, f := range r.Files {
		if f.Name == file && f.Source != "" {
			return f.Source
		}
	}
	return file
}

func (r *Report) read(source string) bool {
	return slices.ContainsFunc(r.Files, func(f File) bool { return f.Source == source })
}
