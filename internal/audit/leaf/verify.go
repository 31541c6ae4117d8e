package leaf

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"runtime"
	"sync"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
)

// Row is one stored entry: the leaf, and the columns beside it.
type Row struct {
	Columns
	Leaf []byte
}

// Head is what the database says about a corp's whole log.
type Head struct {
	Corp nid.ID
	// Size is the number of entries.
	Size int64
	// Hash is the last leaf's; all zero while there is none.
	Hash [sha256.Size]byte
}

// Why says in what way a log is broken.
type Why string

// The ways, in the order in which a row is checked.
const (
	// Gap: the entry of this index is missing.
	Gap Why = "GAP"
	// Order: an entry stands here that should have come earlier.
	Order Why = "ORDER"
	// HashDiffers: the leaf's bytes are not those the stored hash was made of.
	HashDiffers Why = "HASH_DIFFERS"
	// NotALeaf: the bytes are not canonical, or not in the format of a leaf.
	NotALeaf Why = "NOT_A_LEAF"
	// ColumnDiffers: a stored column says something else than the leaf.
	ColumnDiffers Why = "COLUMN_DIFFERS"
	// PrevDiffers: the entry before is not the one that stood there when this one was written.
	PrevDiffers Why = "PREV_DIFFERS"
	// Truncated: the log ends here, and by its head goes on.
	Truncated Why = "TRUNCATED"
	// BeyondHead: this entry and those after it are not counted by the head.
	BeyondHead Why = "BEYOND_HEAD"
	// HeadDiffers: this is the last entry, but the head has another hash.
	HeadDiffers Why = "HEAD_DIFFERS"
	// TreeDiffers: the stored Merkle tree is not the one over the entries up to this one.
	TreeDiffers Why = "TREE_DIFFERS"
	// NotSigned: the checkpoint up to this entry is not signed by a key that counts.
	NotSigned Why = "NOT_SIGNED"
	// SealDiffers: the checkpoint up to this entry was signed over other entries.
	SealDiffers Why = "SEAL_DIFFERS"
	// Forgotten: a checkpoint was signed over this entry, and it is not there.
	Forgotten Why = "FORGOTTEN"
	// TimeDiffers: the checkpoint up to this entry was signed at another time than is stored.
	TimeDiffers Why = "TIME_DIFFERS"
	// CopyMissing: the checkpoint up to this entry was taken out of the copy outside of the database.
	CopyMissing Why = "COPY_MISSING"
)

// Broken is the first place at which a log does not hold. Everything before Index
// is as it was written, as far as the head can be trusted.
type Broken struct {
	Corp  nid.ID
	Index int64
	Why   Why
	// Column is the database column for ColumnDiffers.
	Column string
	cause  error
}

// Error is the English sentence.
func (b *Broken) Error() string {
	s := b.Text().EN
	if b.cause != nil {
		s += ": " + b.cause.Error()
	}
	return s
}

// Unwrap gives the decoder's error for NotALeaf.
func (b *Broken) Unwrap() error { return b.cause }

// Text says it to people.
func (b *Broken) Text() fault.Text {
	say := func(en, zh string, more ...any) fault.Text {
		return fault.T("audit entry %d of %s: "+en, "操作日志 %[2]s 第 %[1]d 条:"+zh, append([]any{b.Index, b.Corp.String()}, more...)...)
	}
	switch b.Why {
	case Gap:
		return say("missing", "缺失")
	case Order:
		return say("another entry stands in its place", "该位置是其他记录")
	case HashDiffers:
		return say("its content does not match its hash", "内容与哈希值不符")
	case NotALeaf:
		return say("its content is not in the log's format", "内容不符合日志格式")
	case ColumnDiffers:
		return say("column %[3]s differs from its content", "列 %[3]s 与日志内容不一致", b.Column)
	case PrevDiffers:
		return say("the entry before it was changed, or this one does not belong here", "前一条记录被修改,或本条不属于此处")
	case Truncated:
		return say("the log ends before it", "日志在此之前中断")
	case BeyondHead:
		return say("it is not counted by the log's head", "未计入日志头")
	case HeadDiffers:
		return say("it is the last, but the log's head has another hash", "为最后一条,但与日志头的哈希值不符")
	case TreeDiffers:
		return say("the stored tree does not fit the entries up to here", "已存储的默克尔树与截至此处的记录不符")
	case NotSigned:
		return say("the checkpoint up to here is not signed by a known key", "截至此处的检查点未由已知密钥签名")
	case SealDiffers:
		return say("the checkpoint up to here was signed over other entries: the log was written anew", "截至此处的检查点签署的是其他内容:日志已被改写")
	case Forgotten:
		return say("a signed checkpoint covers it, and it is gone: the database is older than its log", "已签署的检查点包含该条记录但其已不存在:数据库早于日志")
	case TimeDiffers:
		return say("the checkpoint up to here was signed at another time than is stored", "截至此处的检查点的签署时间与已存储的时间不符")
	case CopyMissing:
		return say("the checkpoint up to here is missing in the copy outside of the database: somebody removed the line", "截至此处的检查点在数据库之外的副本中缺失：该行已被移除")
	default:
		return say("%[3]s", "%[3]s", string(b.Why))
	}
}

// Verify reads a corp's whole log in the order of the index and holds it against
// its head: every leaf's hash, form, columns and link to the one before. It keeps a
// few thousand rows at a time and uses all processors; rows runs in the caller's
// goroutine and must not reuse a Leaf's bytes. The answer is nil, *Broken for the
// first place that does not hold, or, if all before holds, the error of rows itself.
//
// It finds any change that leaves the head as it was. Whoever rewrites the head as
// well is found by what lies outside of the database: the checkpoints.
func Verify(rows iter.Seq2[Row, error], head Head) error {
	workers := runtime.GOMAXPROCS(0)
	work := make(chan *batch, workers)
	var running sync.WaitGroup
	defer running.Wait()
	defer close(work)
	for range workers {
		running.Go(func() {
			for b := range work {
				b.examine(head.Corp)
			}
		})
	}
	c := chain{head: head}
	var pending []*batch // handed out, oldest first
	next := newBatch()
	hand := func() (err error) {
		work <- next
		pending, next = append(pending, next), newBatch()
		if len(pending) > 2*workers {
			err, pending = c.link(pending[0]), pending[1:]
		}
		return err
	}
	var failed error
	for row, err := range rows {
		if err != nil {
			failed = err
			break
		}
		if next.rows = append(next.rows, row); len(next.rows) == batchSize {
			if err := hand(); err != nil {
				return err
			}
		}
	}
	if err := hand(); err != nil {
		return err
	}
	for _, b := range pending {
		if err := c.link(b); err != nil {
			return err
		}
	}
	if failed != nil {
		return fmt.Errorf("reading the audit log at %d: %w", c.size, failed)
	}
	return c.end()
}

const batchSize = 256

// batch is a run of rows that are examined together, each by itself.
type batch struct {
	rows     []Row
	findings []finding
	examined chan struct{}
}

// finding is what one row tells without its neighbours.
type finding struct {
	bad  *Broken // nil, or all but Corp and Index
	prev [sha256.Size]byte
}

func newBatch() *batch {
	return &batch{rows: make([]Row, 0, batchSize), examined: make(chan struct{})}
}

func (b *batch) examine(corp nid.ID) {
	b.findings = make([]finding, len(b.rows))
	for i := range b.rows {
		b.findings[i] = b.rows[i].examine(corp)
	}
	close(b.examined)
}

func (r *Row) examine(corp nid.ID) finding {
	if Hash(r.Leaf) != r.Hash {
		return finding{bad: &Broken{Why: HashDiffers}}
	}
	e, err := Decode(r.Leaf)
	if err != nil {
		return finding{bad: &Broken{Why: NotALeaf, cause: err}}
	}
	if column := e.differs(&r.Columns, corp); column != "" {
		return finding{bad: &Broken{Why: ColumnDiffers, Column: column}}
	}
	return finding{prev: e.Prev}
}

// chain is how far the log has been found to hold.
type chain struct {
	head Head
	size int64
	last [sha256.Size]byte
}

func (c *chain) broken(index int64, b *Broken) error {
	b.Corp, b.Index = c.head.Corp, index
	return b
}

// link adds examined rows to the chain, or says which does not belong.
func (c *chain) link(b *batch) error {
	<-b.examined
	for i := range b.rows {
		row, f := &b.rows[i], &b.findings[i]
		switch {
		case row.Index > c.size:
			return c.broken(c.size, &Broken{Why: Gap})
		case row.Index < c.size:
			return c.broken(c.size, &Broken{Why: Order})
		case f.bad != nil:
			return c.broken(c.size, f.bad)
		case f.prev != c.last:
			return c.broken(c.size, &Broken{Why: PrevDiffers})
		case c.size >= c.head.Size:
			return c.broken(c.size, &Broken{Why: BeyondHead})
		}
		c.size++
		c.last = row.Hash
	}
	return nil
}

// end holds the whole chain against the head.
func (c *chain) end() error {
	switch {
	case c.size < c.head.Size:
		return c.broken(c.size, &Broken{Why: Truncated})
	case c.last != c.head.Hash:
		return c.broken(max(c.size-1, 0), &Broken{Why: HeadDiffers})
	}
	return nil
}

// differs names the first stored column that does not say what the entry says;
// the hash has been compared before.
func (e *Entry) differs(c *Columns, corp nid.ID) string {
	switch {
	case c.ID != e.ID:
		return "id"
	case c.Corp != e.Corp || e.Corp != corp:
		return "corp_id"
	case c.Index != e.Index:
		return "index"
	case !c.Created.Equal(e.At):
		return "created_at"
	case !c.At.Equal(e.At):
		return "at"
	case c.ActorKind != e.Actor.Kind:
		return "actor_kind"
	case c.Actor != e.Actor.ID:
		return "actor_id"
	case c.Action != e.Action:
		return "action"
	case c.Subject != e.Subject:
		return "subject_id"
	case c.Handover != e.Handover:
		return "handover_id"
	case c.Request != e.Request:
		return "request_id"
	}
	return ""
}
