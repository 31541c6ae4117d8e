package intake

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/corp"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// chunk is how many rows one statement writes.
const chunk = 1000

// Service stores what was read.
type Service struct {
	DB  *store.DB
	Log *audit.Log
}

// LoadOptions say how a corp is stored.
type LoadOptions struct {
	// CorpName names the corp; it is founded where there is none. Empty is the only
	// corp there is.
	CorpName string
	// TimeZone is that of a corp to be founded; one that is there keeps its own.
	TimeZone string
	// DryRun does everything and keeps nothing.
	DryRun bool
	// Report is what Read said; the log gets the files' digests from it. Nil for
	// data made by program.
	Report *Report
	// Latest is the moment after which nothing can have happened yet; zero is the clock's.
	Latest time.Time
	// Progress is told how many rows of a stage, which is a file's name, are done;
	// a total of 0 is not known. It may be told from the start again. Nil tells nobody.
	Progress func(stage string, done, total int)
}

// Result says what a load did. Kept and Problems quote the files: they are for
// whoever imports, not for logs.
type Result struct {
	Corp    nid.ID
	Created bool
	// Files has one for each file that was there, in their order.
	Files []Loaded
	// Kept lists at most MaxProblems rows, or parts of rows, that were not stored
	// because only a handover may change what they are about. MoreKept counts the others.
	Kept     []Problem
	MoreKept int
	// Problems says why nothing was loaded, where the corp itself is why.
	Problems []Problem
}

// Loaded counts the rows of one file. What is neither added nor updated was there already.
type Loaded struct {
	File                       string
	Rows, Added, Updated, Kept int
}

// errDryRun ends the transaction of a dry run.
var errDryRun = errors.New("dry run")

// Load founds the corp or brings it up to date, in one transaction: all of it takes
// effect, or nothing does. Rows are matched by their external ids; what stands in
// no file stays as it is. Loading the same again changes nothing.
//
// It checks everything once more against the corp as it then is. It never changes
// the owner of a follow or group that is there, nor anything that is protected:
// those rows are in Result.Kept. It fails with INVALID for what Check finds, for an
// unknown time zone and where it takes a name to tell which corp is meant, with
// CONFLICT where nobody would answer for a contact or group, and as store.Tx does.
func (s *Service) Load(ctx context.Context, c *Corp, opt LoadOptions) (res Result, err error) {
	id, err := s.find(ctx, opt.CorpName)
	if err != nil {
		return res, err
	}
	created := id.IsZero()
	if created {
		id = nid.New(nid.Corp)
	}
	err = s.DB.Tx(store.System(ctx, id, "import"), func(ctx context.Context, tx *store.Tx) error {
		l := &loading{ctx: ctx, tx: tx, db: tx.DB(), log: s.Log, c: c, opt: opt, covers: map[string][]nid.ID{}, counts: map[string]*Loaded{}, deltas: map[nid.ID]*delta{}}
		l.res.Corp, l.res.Created = id, created
		defer func() { res = l.result() }()
		for _, step := range []func() error{
			l.lockCorp, l.readUnits, l.readPeople, l.readItems, l.check,
			l.putUnits, l.putPeople, l.settleUnits, l.settleCare, l.closeDoors,
			l.lockItems, l.putTags, l.putContacts, l.putFollows, l.notice, l.putGroups, l.count, l.reassign,
			l.putMessages,
		} {
			if err := step(); err != nil {
				return err
			}
		}
		if opt.DryRun {
			return errDryRun
		}
		return s.Log.Append(ctx, tx, l.entries()...)
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	if created && (opt.DryRun || err != nil) {
		res.Corp = nid.ID{}
	}
	return res, err
}

// Current is a corp as it is: what Read needs to know of it.
type Current struct {
	ID             nid.ID
	Name, TimeZone string
	Known          *Known
}

// Current looks a corp up; an empty name is the only corp there is. Nil where there
// is none of the name.
func (s *Service) Current(ctx context.Context, corpName string) (*Current, error) {
	id, err := s.find(ctx, corpName)
	if err != nil || id.IsZero() {
		return nil, err
	}
	cur := &Current{ID: id}
	err = s.DB.View(store.System(ctx, id, "import"), func(ctx context.Context, r *store.Read) error {
		type row struct{ name, zone string }
		v, _, err := store.SelectOne(ctx, r, func(v *row) []any { return []any{&v.name, &v.zone} }, `SELECT name, time_zone FROM corps WHERE corp_id = $1`, id)
		if err != nil {
			return err
		}
		cur.Name, cur.TimeZone = v.name, v.zone
		st, err := readStored(ctx, r, "")
		cur.Known = st.known()
		return err
	})
	return cur, err
}

// find gives the corp's id, or the zero id where it is to be founded.
func (s *Service) find(ctx context.Context, corpName string) (nid.ID, error) {
	id, err := s.DB.CorpNamed(ctx, corpName)
	if err == nil && id.IsZero() && corpName == "" {
		err = fault.Bad("corp", "say which corp: there is not exactly one", "请指定企业:当前并非只有一个企业")
	}
	return id, err
}

// loading is one Load under way.
type loading struct {
	ctx context.Context
	tx  *store.Tx
	db  *store.DB
	log *audit.Log
	c   *Corp
	opt LoadOptions
	res Result

	stored
	checker  *checker
	found    *findings
	fallback nid.ID
	stopped  []*person // answered before, and do not any more
	items    items
	tags     map[string]nid.ID
	deltas   map[nid.ID]*delta // of members' counters
	covers   map[string][]nid.ID
	counts   map[string]*Loaded
}

// lockCorp founds the corp, or locks it so that one import waits for another.
func (l *loading) lockCorp() error {
	if l.res.Created {
		_, err := corp.Found(l.ctx, l.tx, l.log, l.opt.CorpName, l.opt.TimeZone)
		return err
	}
	var err error
	l.fallback, _, err = store.SelectOne(l.ctx, l.tx, func(id *nid.ID) []any { return []any{id} },
		`SELECT fallback_id FROM corps WHERE corp_id = $1`+l.db.ForNoKeyUpdate(), l.tx.Corp())
	return err
}

// check applies every rule against the corp as it is now, locked: it may have
// changed since the files were read.
func (l *loading) check() error {
	latest := l.opt.Latest
	if latest.IsZero() {
		latest = l.tx.Now()
	}
	l.found = newFindings()
	l.checker = check(l.c, l.known(), latest, l.found, l.c.line)
	for file, rows := range map[string]int{
		DepartmentsFile: len(l.c.Departments), MembersFile: len(l.c.Members), ContactsFile: len(l.c.Contacts),
		FollowsFile: len(l.c.Follows), GroupsFile: len(l.c.Groups),
	} {
		l.tally(file).Rows = rows
	}
	return l.refuse()
}

// refuse ends the load where something was found.
func (l *loading) refuse() error {
	if len(l.found.list) == 0 {
		return nil
	}
	l.res.Problems = l.found.sorted()
	first := l.res.Problems[0]
	return fault.Bad("", "nothing was loaded; problems: %d; the first is in %s, line %d", "未导入任何数据;问题数:%d;首个问题位于 %s 第 %d 行",
		len(l.found.list)+l.found.more, first.File, first.Line)
}

// bad notes what is wrong with a row, which refuse then answers with.
func (l *loading) bad(file string, row int, column string, text fault.Text) {
	l.found.add(file, l.c.line(file, row), column, text)
}

// keep notes a row that is not stored, or not all of it.
func (l *loading) keep(file string, row int, column string, text fault.Text) {
	l.tally(file).Kept++
	if len(l.res.Kept) < MaxProblems {
		l.res.Kept = append(l.res.Kept, Problem{file, l.c.line(file, row), column, text})
	} else {
		l.res.MoreKept++
	}
}

func (l *loading) tally(file string) *Loaded {
	if l.counts[file] == nil {
		l.counts[file] = &Loaded{File: file}
	}
	return l.counts[file]
}

// change runs a statement for every thousand rows, which it finds as ROWS with the
// alias v; $2 is the corp, further arguments follow. The file's entry covers them.
func (l *loading) change(file, table, query, columns string, rows []map[string]any, args ...any) error {
	query = strings.Replace(query, "ROWS", l.db.Rows(1, "v", strings.Split(columns, ", ")...), 1)
	for part := range slices.Chunk(rows, chunk) {
		ids, err := l.tx.Change(l.ctx, table, query, append([]any{l.db.Batch(part), l.tx.Corp()}, args...)...)
		if err != nil {
			return err
		}
		l.covers[file] = append(l.covers[file], ids...)
	}
	return nil
}

// bookkeep is change for an unrecorded table.
func (l *loading) bookkeep(table, query, columns string, rows []map[string]any) error {
	query = strings.Replace(query, "ROWS", l.db.Rows(1, "v", strings.Split(columns, ", ")...), 1)
	for part := range slices.Chunk(rows, chunk) {
		if _, err := l.tx.Keep(l.ctx, table, query, l.db.Batch(part), l.tx.Corp()); err != nil {
			return err
		}
	}
	return nil
}

func (l *loading) progress(file string, done, total int) {
	if l.opt.Progress != nil {
		l.opt.Progress(file, done, total)
	}
}

// given is what the report says of a file.
func (l *loading) given(file string) (File, bool) {
	if l.opt.Report == nil {
		return File{}, false
	}
	i := slices.IndexFunc(l.opt.Report.Files, func(f File) bool { return f.Name == file })
	if i < 0 {
		return File{}, false
	}
	return l.opt.Report.Files[i], true
}

func (l *loading) result() Result {
	for _, file := range files {
		n := l.counts[file]
		if f, ok := l.given(file); n != nil && (ok || n.Rows > 0) {
			n.File = cmp.Or(f.Source, file)
			l.res.Files = append(l.res.Files, *n)
		}
	}
	for _, list := range [][]Problem{l.res.Problems, l.res.Kept} {
		for i := range list {
			f, _ := l.given(list[i].File)
			list[i].File = cmp.Or(f.Source, list[i].File)
		}
	}
	return l.res
}

// entries makes one audit entry for each file: what it was, what it changed.
func (l *loading) entries() (out []audit.Entry) {
	for _, file := range files {
		f, ok := l.given(file)
		n, covers := l.tally(file), l.covers[file]
		if !ok && n.Rows == 0 && len(covers) == 0 {
			continue
		}
		after := map[string]any{"file": cmp.Or(f.Source, file), "rows": n.Rows, "added": n.Added, "updated": n.Updated, "kept": n.Kept}
		if ok {
			after["sha256"], after["bytes"] = hex.EncodeToString(f.SHA256[:]), int(f.Bytes)
		}
		out = append(out, audit.Entry{Action: access.CorpImport, Subject: l.tx.Corp(), Covers: covers, After: after})
	}
	return out
}

// line gives the line of a file's row: the file's own, or as if each row of data
// made by program were one line below a header.
func (c *Corp) line(file string, row int) int {
	if lines := c.lines[file]; row < len(lines) {
		return lines[row]
	}
	return row + 2
}
