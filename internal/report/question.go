package report

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"sync"
	"time"
	_ "time/tzdata" // the machine may have no time zones, or old ones

	"github.com/openhandover/openhandover/ent/handover"
	"github.com/openhandover/openhandover/ent/transfer"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/corp"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// question is a checked question.
type question struct {
	mu     sync.Mutex // totals and rows may be asked for at once
	q      store.Querier
	db     *store.DB
	corp   nid.ID
	now    time.Time
	open   bool // no beginning was asked for
	from   time.Time
	until  time.Time
	bucket Bucket
	zone   *time.Location
	by     []Dimension
	where  store.Where // all but the time
	one    any         // the cells of the one handover asked about; nil: all rollups
	asked  []byte      // what makes this question another than others
}

func ask(ctx context.Context, q store.Querier, f Filter, bucket Bucket, timeZone string, by []Dimension) (*question, error) {
	actor := access.From(ctx)
	db := store.EngineOf(q)
	a := &question{q: q, db: db, corp: actor.Corp, now: db.Now(), bucket: bucket, by: by}
	scope, err := mayCount(actor)
	if err != nil {
		return nil, err
	}
	if err := a.check(f); err != nil {
		return nil, err
	}
	if err := a.place(ctx, timeZone); err != nil {
		return nil, err
	}
	if err := a.narrow(ctx, f, scope); err != nil {
		return nil, err
	}
	if a.open = f.From == nil || f.From.IsZero(); !a.open {
		a.from = f.From.UTC()
	}
	if f.Until != nil {
		a.until = f.Until.UTC()
	}
	a.asked, err = json.Marshal([]any{a.corp, f, bucket, a.zone.String(), by})
	return a, err
}

// mayCount is where the actor may see statistics.
func mayCount(actor *access.Actor) (access.Scope, error) {
	scope := actor.Scope(access.ViewStatistics)
	if scope.Empty() {
		return scope, fault.Denied("you may not see statistics", "您无权查看统计")
	}
	return scope, nil
}

// check is what can be said without the database.
func (a *question) check(f Filter) error {
	if !slices.Contains([]Bucket{None, Hour, Day, Week, Month}, a.bucket) {
		return fault.Bad("bucket", "unknown bucket", "未知的时间粒度")
	}
	for i, d := range a.by {
		if columns[d] == "" {
			return fault.Bad("groupBy", "statistics cannot be grouped by that", "统计不支持按此分组")
		}
		if slices.Contains(a.by[:i], d) {
			return fault.Bad("groupBy", "%[1]s is named twice", "%[1]s 重复", string(d))
		}
	}
	return f.check()
}

// check is what is wrong with a filter whatever it is for.
func (f Filter) check() error {
	if f.From != nil && f.Until != nil && !f.From.Before(*f.Until) {
		return fault.Bad("filter.until", "the end must be after the beginning", "结束时间必须晚于开始时间")
	}
	for _, k := range f.Kinds {
		if transfer.KindValidator(k) != nil {
			return fault.Bad("filter.kinds", "unknown kind", "未知的类型")
		}
	}
	for _, k := range f.HandoverKinds {
		if handover.KindValidator(k) != nil {
			return fault.Bad("filter.handoverKinds", "unknown kind", "未知的类型")
		}
	}
	return nil
}

// place finds the time zone.
func (a *question) place(ctx context.Context, name string) (err error) {
	if name == "" {
		a.zone, err = corp.Zone(ctx, a.q)
		return err
	}
	a.zone, err = time.LoadLocation(name)
	if err != nil || name == "Local" { // the machine's zone is nobody's business
		return fault.Bad("timeZone", "unknown time zone; write one like Asia/Shanghai", "未知时区,请写成 Asia/Shanghai 这样的名称")
	}
	return nil
}

// narrow gathers the conditions of filter and scope.
func (a *question) narrow(ctx context.Context, f Filter, scope access.Scope) error {
	a.where.And("transfer_rollups.corp_id = ? AND transfer_rollups.n <> 0", a.corp)
	err := narrow(ctx, a.q, &a.where, f, scope, stored{"transfer_rollups.to_department_id", "transfer_rollups.from_department_id", "transfer_rollups.kind", "transfer_rollups.handover_kind"})
	if err != nil || f.HandoverID == nil {
		return err
	}
	a.one, err = ofHandover(ctx, a.q, *f.HandoverID)
	return err
}

// stored names the columns that a filter and a scope are about.
type stored struct{ to, from, kind, handoverKind string }

// narrow adds the conditions of a filter, but for its time, and of a scope. What is
// in scope is decided here alone, for counts and for items.
func narrow(ctx context.Context, q store.Querier, w *store.Where, f Filter, scope access.Scope, in stored) error {
	db, corp := store.EngineOf(q), access.From(ctx).Corp
	within(db, w, corp, scope, in.to, in.from)
	if f.DepartmentID != nil {
		_, found, err := store.SelectOne(ctx, q, func(id *nid.ID) []any { return []any{id} },
			`SELECT id FROM departments WHERE corp_id = $1 AND id = $2`, corp, *f.DepartmentID)
		if err != nil {
			return err
		}
		if !found {
			return fault.Missing("filter.departmentId")
		}
		w.And(in.to+" "+below(db), corp, db.IDs([]nid.ID{*f.DepartmentID}))
	}
	if f.HandoverID != nil {
		if err := countable(ctx, q, *f.HandoverID, scope); err != nil {
			return err
		}
	}
	if f.Kinds != nil {
		w.And(in.kind+" "+db.InTexts(), db.Texts(texts(f.Kinds)))
	}
	if f.HandoverKinds != nil {
		w.And(in.handoverKind+" "+db.InTexts(), db.Texts(texts(f.HandoverKinds)))
	}
	return nil
}

// below is the condition that a department is one of a list or below it.
func below(db *store.DB) string {
	return `IN (SELECT descendant_id FROM department_closure WHERE corp_id = ? AND ancestor_id ` + db.InList() + `)`
}

// within adds the condition that the successor's or the leaver's department is in scope.
func within(db *store.DB, w *store.Where, corp nid.ID, scope access.Scope, to, from string) {
	if !scope.All {
		roots := db.IDs(scope.Departments)
		w.And(to+" "+below(db)+" OR "+from+" "+below(db), corp, roots, corp, roots)
	}
}

func texts[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = string(v)
	}
	return out
}

// period fills in where the question leaves its beginning or end open.
func (a *question) period(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.until.IsZero() {
		last, _, err := a.edge(ctx, time.Time{}, "DESC") // another replica's clock may be ahead
		if err != nil {
			return err
		}
		a.until = later(a.now, last).Truncate(quarter).Add(quarter)
	}
	if !a.from.IsZero() {
		return nil
	}
	first, found, err := a.edge(ctx, time.Time{}, "ASC")
	if err != nil {
		return err
	}
	if !found {
		first = a.until
	}
	a.from = earlier(first, a.until)
	return nil
}

// edge finds the first or last quarter-hour from an instant on in which anything
// was assigned.
func (a *question) edge(ctx context.Context, from time.Time, order string) (time.Time, bool, error) {
	where := a.where
	if !from.IsZero() {
		where.And("transfer_rollups.bucket >= ?", from)
	}
	if !a.until.IsZero() {
		where.And("transfer_rollups.bucket < ?", a.until)
	}
	condition, args := where.SQL(1)
	rollups, args := a.rollups(args)
	t, found, err := store.SelectOne(ctx, a.q, func(t *moment) []any { return []any{t} },
		`SELECT bucket FROM `+rollups+` WHERE `+condition+` ORDER BY bucket `+order+` LIMIT 1`, args...)
	return t.Time, found, err
}

// rowID makes a row's id of the question and what the row is about.
func (a *question) rowID(about ...string) nid.ID {
	b, _ := json.Marshal(about) // strings always can be
	sum := sha256.Sum256(append(slices.Clone(a.asked), b...))
	id := nid.ID(sum[:16])
	id[15] = 0 // the kind of nothing: node(id) does not find it
	return id
}
