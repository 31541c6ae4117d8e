package intake

import (
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
)

// Options say how an import is read.
type Options struct {
	// TimeZone is the corp's, for times that name none; nil is UTC.
	TimeZone *time.Location
	// Known is what the corp already holds; nil for a new corp.
	Known *Known
	// Now is the moment after which nothing can have happened yet; zero is the clock's.
	Now time.Time
	// SkipBad leaves bad rows out, and with them the rows that refer to nothing
	// without them, instead of refusing the import.
	SkipBad bool
	// Rejects opens where the rows left out of a file are written, as CSV; it is
	// called once for each file that has any. Nil: they are only reported.
	Rejects func(file string) (io.WriteCloser, error)
}

// Read reads the import files in fsys and checks them. The report is there
// whenever files could be read, with every problem found. Where there is one, and
// SkipBad does not say to do without the bad rows, there is no corp and the error
// is INVALID; a header that cannot be used is never skipped. Other errors are those of fsys.
func Read(fsys fs.FS, opt Options) (*Corp, *Report, error) {
	if opt.TimeZone == nil {
		opt.TimeZone = time.UTC
	}
	if opt.Now.IsZero() {
		opt.Now = time.Now()
	}
	l := &loader{fsys: fsys, opt: opt, found: newFindings(), c: &Corp{given: map[string][]string{}}, lines: map[string][]int{}}
	if err := l.tables(); err != nil {
		return nil, nil, err
	}
	k := l.check()
	f, messages, err := k.messages(fsys, opt.TimeZone, l.found)
	if err != nil {
		return nil, nil, err
	}
	if f != nil {
		l.report.Files = append(l.report.Files, *f)
		l.c.Messages = messages
	}
	if err := l.finish(); err != nil {
		return nil, &l.report, err
	}
	l.c.Mark(opt.Known)
	l.c.lines = l.lines
	return l.c, &l.report, nil
}

// loader holds what Read has got so far.
type loader struct {
	fsys   fs.FS
	opt    Options
	found  *findings
	report Report
	c      *Corp
	// lines gives the line of each row in the corp's slices, by file.
	lines map[string][]int
}

func (l *loader) tables() error {
	c := l.c
	for _, t := range []struct {
		file string
		row  func(*record)
	}{
		{DepartmentsFile, func(r *record) { c.Departments = append(c.Departments, r.department()) }},
		{MembersFile, func(r *record) { c.Members = append(c.Members, r.member(l.opt.Known)) }},
		{ContactsFile, func(r *record) { c.Contacts = append(c.Contacts, r.contact()) }},
		{FollowsFile, func(r *record) { c.Follows = append(c.Follows, r.follow()) }},
		{GroupsFile, func(r *record) { c.Groups = append(c.Groups, r.group()) }},
	} {
		f, err := table(l.fsys, t.file, l.opt.TimeZone, l.found, func(r *record) {
			if c.given[t.file] == nil {
				for name := range r.at {
					c.given[t.file] = append(c.given[t.file], name)
				}
			}
			t.row(r)
			l.lines[t.file] = append(l.lines[t.file], r.line)
		})
		if err != nil {
			return err
		}
		if f != nil {
			l.report.Files = append(l.report.Files, *f)
		}
	}
	return nil
}

// check applies the rules. Where bad rows are to be left out, it goes on until
// what is left refers to nothing that was: every further round has left out at
// least one row, and a chain of references is as long as the department tree is deep.
func (l *loader) check() *checker {
	for {
		k := check(l.c, l.opt.Known, l.opt.Now, l.found, func(file string, row int) int { return l.lines[file][row] })
		if !l.opt.SkipBad || !l.keepGood() {
			return k
		}
	}
}

// keepGood takes the bad rows out of the corp and reports whether there were any.
func (l *loader) keepGood() bool {
	before := l.rows()
	l.c.Departments = good(l, DepartmentsFile, l.c.Departments)
	l.c.Members = good(l, MembersFile, l.c.Members)
	l.c.Contacts = good(l, ContactsFile, l.c.Contacts)
	l.c.Follows = good(l, FollowsFile, l.c.Follows)
	l.c.Groups = good(l, GroupsFile, l.c.Groups)
	return l.rows() < before
}

func (l *loader) rows() (n int) {
	for _, lines := range l.lines {
		n += len(lines)
	}
	return n
}

func good[T any](l *loader, file string, rows []T) []T {
	bad, lines := l.found.bad[file], l.lines[file]
	if len(bad) == 0 {
		return rows
	}
	n := 0
	for i := range rows {
		if _, ok := bad[lines[i]]; !ok {
			rows[n], lines[n] = rows[i], lines[i]
			n++
		}
	}
	l.lines[file] = lines[:n]
	clear(rows[n:])
	return rows[:n]
}

// finish completes the report, writes what is left out and says whether the import can go on.
func (l *loader) finish() error {
	if len(l.report.Files) == 0 {
		return fault.Bad("", "there is none of the import files here: %s", "此处没有任何导入文件:%s", strings.Join(files, ", "))
	}
	for i := range l.report.Files {
		f := &l.report.Files[i]
		f.Bad = l.found.rows(f.Name)
	}
	l.report.Problems, l.report.More = l.found.sorted(), l.found.more
	for i := range l.report.Problems {
		p := &l.report.Problems[i]
		p.File = l.report.source(p.File)
	}
	if entries, err := fs.ReadDir(l.fsys, "."); err == nil {
		for _, e := range entries {
			if n := e.Name(); !slices.Contains(files, n) && !l.report.read(n) && !strings.HasPrefix(n, ".") {
				l.report.Others = append(l.report.Others, n)
			}
		}
	}
	n := l.found.rows()
	switch {
	case n == 0:
		return nil
	case l.found.broken:
		return fault.Bad("", "nothing was loaded: a file cannot be used as it is; see the report", "未导入任何数据:有文件无法使用,详见报告")
	case !l.opt.SkipBad:
		return fault.Bad("", "nothing was loaded; bad rows: %d; see the report", "未导入任何数据;有误的行:%d;详见报告", n)
	case l.opt.Rejects == nil:
		return nil
	}
	for _, file := range files {
		if bad := l.found.bad[file]; len(bad) > 0 {
			if err := reject(l.fsys, file, bad, l.opt.Rejects); err != nil {
				return err
			}
		}
	}
	return nil
}
