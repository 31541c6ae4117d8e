package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"math"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// seals holds a log against its checkpoints while it is read, in memory that grows
// with their number only.
type seals struct {
	corp  nid.ID
	keys  []string // whose signatures count
	seals []seal   // by size
	next  int      // the seal that the tree has not reached

	tree      checkpoint.Frontier
	announced []string // the keys that the log has named, up to the tree's size
	trusted   []string // of whoever checks; empty: nothing is known from elsewhere
	first     *leaf.Broken
	hashes    *hashCheck
	sealed    int64        // entries that a checkpoint covers, of the database or a copy
	kept      int64        // entries that one of the database covers
	untimed   int          // checkpoints of the database whose time no signature covers
	behind    int          // checkpoints that the copy does not have, the newest
	removed   *leaf.Broken // the first that it does not have and had
}

// seal is a checkpoint, from the database or from its copy.
type seal struct {
	size int64
	root [32]byte
	note string
	at   time.Time // zero: nobody says when
	file bool
}

// outside is what stands outside of the database: the copies of all checkpoints, and those
// that others were shown.
type outside struct{ copies, shown []copied }

func readSeals(ctx context.Context, r *store.Read, corp nid.ID, trust Trust, have outside) (*seals, error) {
	c := &seals{corp: corp, trusted: trust.Keys, keys: slices.Clone(trust.Keys)}
	rows, err := store.Select(ctx, r, (*Checkpoint).dest, `SELECT `+checkpointColumns+` ORDER BY size`, corp)
	if err != nil {
		return nil, err
	}
	if len(trust.Keys) == 0 {
		if c.keys, err = announced(ctx, r, corp); err != nil {
			return nil, err
		}
	}
	for _, row := range rows {
		s := seal{size: row.Size, note: row.Note, at: row.At}
		if len(row.Root) == 32 {
			s.root = [32]byte(row.Root)
		}
		c.seals = append(c.seals, s)
		c.kept = max(c.kept, row.Size)
	}
	copied := map[int64]bool{}
	last := int64(0)
	for _, copy := range have.copies {
		c.seals = append(c.seals, seal{size: copy.Size, note: copy.Note, at: copy.At, file: true})
		copied[copy.Size], last = true, max(last, copy.Size)
	}
	for _, shown := range have.shown {
		c.seals = append(c.seals, seal{size: shown.Size, note: shown.Note, file: true})
	}
	for _, s := range c.seals {
		c.sealed = max(c.sealed, s.size) // the database may have forgotten what it had already signed
	}
	// Lines are appended in the order of the checkpoints, so none before the last is missing.
	for _, row := range rows {
		switch {
		case trust.Folder == "" || copied[row.Size]:
		case row.Size < last && c.removed == nil:
			c.removed = &leaf.Broken{Corp: corp, Index: max(row.Size-1, 0), Why: leaf.CopyMissing}
		case row.Size > last:
			c.behind++
		}
	}
	slices.SortStableFunc(c.seals, func(a, b seal) int { return int(min(max(a.size-b.size, -1), 1)) })
	c.hashes = &hashCheck{ctx: ctx, q: r, corp: corp}
	return c, nil
}

// broken notes the first thing that is wrong with a seal.
func (c *seals) broken(size int64, why leaf.Why) {
	if c.first == nil {
		c.first = &leaf.Broken{Corp: c.corp, Index: max(size-1, 0), Why: why}
	}
}

// follow grows the tree along with the rows and checks each seal that it reaches.
// It takes the rows' hashes, which leaf.Verify holds against their leaves.
func (c *seals) follow(rows iter.Seq2[leaf.Row, error]) iter.Seq2[leaf.Row, error] {
	return func(yield func(leaf.Row, error) bool) {
		for row, err := range rows {
			if err == nil {
				if row.Columns.Action == string(access.CheckpointKey) {
					c.announce(row.Leaf)
				}
				done := c.tree.Add(row.Hash)
				if c.sealed >= c.tree.Size && !c.hashes.same(done) {
					c.broken(c.tree.Size, c.lost())
				}
				c.reach()
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// lost is why the stored tree ends before what was signed. Where it ends with the newest
// checkpoint of the database, that is older than the copies; else somebody has changed it.
func (c *seals) lost() leaf.Why {
	if c.kept > 0 && c.tree.Size > c.kept {
		return leaf.Forgotten
	}
	return leaf.TreeDiffers
}

// announce accepts a new key where the one before it still signs: see Sealer.announce.
func (c *seals) announce(bytes []byte) {
	var entry struct{ After struct{ Key string } }
	if json.Unmarshal(bytes, &entry) == nil && entry.After.Key != "" {
		c.announced = append(c.announced, entry.After.Key)
	}
}

// reach checks the seals of the tree's size.
func (c *seals) reach() {
	for ; c.next < len(c.seals) && c.seals[c.next].size <= c.tree.Size; c.next++ {
		s := c.seals[c.next]
		cp, err := checkpoint.Open(s.note, c.corp, c.keys)
		switch {
		case err != nil:
			c.broken(s.size, leaf.NotSigned)
		case cp.Size != s.size, !s.file && cp.Root != s.root, cp.Root != c.tree.Root():
			c.broken(s.size, leaf.SealDiffers)
		case cp.At.IsZero() && !s.file:
			c.untimed++
		case cp.At.IsZero():
		case !s.at.IsZero() && !s.at.Equal(cp.At):
			c.broken(s.size, leaf.TimeDiffers)
		}
		// Who is trusted names the successor: a checkpoint that both sign covers its name.
		if err == nil && len(c.trusted) > 0 {
			for _, k := range c.announced {
				if !slices.Contains(c.keys, k) && signedBy(s.note, c.corp, k) {
					c.keys = append(c.keys, k)
				}
			}
		}
	}
}

func signedBy(note string, corp nid.ID, key string) bool {
	_, err := checkpoint.Open(note, corp, []string{key})
	return err == nil
}

// check says what was found, and what seals cover that is not there any more.
func (c *seals) check(ctx context.Context, r *store.Read, size int64) error {
	if c.next < len(c.seals) {
		c.broken(size+1, leaf.Forgotten)
	}
	if c.first == nil && !c.hashes.ended(c.sealed) {
		c.broken(c.sealed, leaf.TreeDiffers)
	}
	if c.hashes.err != nil {
		return c.hashes.err
	}
	if c.first != nil {
		return c.first
	}
	if c.removed != nil {
		return c.removed
	}
	return nil
}

// hashCheck reads the stored hashes of the tree alongside it.
type hashCheck struct {
	ctx  context.Context
	q    store.Querier
	corp nid.ID
	n    int64 // of the next hash
	rows []hashRow
	err  error
}

type hashRow struct {
	n    int64
	hash []byte
}

func (h *hashCheck) same(done []tlog.Hash) bool {
	for _, want := range done {
		got, there := h.take()
		if !there || !bytes.Equal(got, want[:]) {
			return false
		}
	}
	return true
}

// take gives the next stored hash; false where it is missing.
func (h *hashCheck) take() ([]byte, bool) {
	// Bounded first, for the planner's sake (see stored); then whatever is left.
	for _, upTo := range []int64{h.n + 2*verifyBatch - 1, math.MaxInt64} {
		if len(h.rows) == 0 && h.err == nil {
			h.rows, h.err = store.Select(h.ctx, h.q, func(r *hashRow) []any { return []any{&r.n, &r.hash} },
				`SELECT n, hash FROM audit_hashes WHERE corp_id = $1 AND n >= $2 AND n <= $3 ORDER BY n LIMIT $4`, h.corp, h.n, upTo, 2*verifyBatch)
		}
	}
	if len(h.rows) == 0 || h.rows[0].n != h.n {
		return nil, false
	}
	hash := h.rows[0].hash
	h.rows, h.n = h.rows[1:], h.n+1
	return hash, true
}

// ended reports whether the tree has no hashes beyond its size.
func (h *hashCheck) ended(size int64) bool {
	if h.n != tlog.StoredHashCount(size) {
		return size == 0 && h.n == 0
	}
	_, more := h.take()
	return !more && len(h.rows) == 0
}

// Inclusion proves by a checkpoint that an entry is in the log: the hashes of RFC 6962
// §2.1.1. ok is false where the checkpoint does not cover it.
func Inclusion(ctx context.Context, q store.Querier, size, index int64) (proof [][]byte, ok bool, err error) {
	if index < 0 || index >= size {
		return nil, false, nil
	}
	p, err := tlog.ProveRecord(size, index, hashesOf(ctx, q, access.From(ctx).Corp))
	return plain(p), err == nil, err
}

// Consistency proves by a checkpoint that an earlier one of size from covers the
// beginning of the same log: the hashes of RFC 6962 §2.1.2.
func Consistency(ctx context.Context, q store.Querier, size, from int64) (proof [][]byte, ok bool, err error) {
	if from < 1 || from > size {
		return nil, false, nil
	}
	p, err := tlog.ProveTree(size, from, hashesOf(ctx, q, access.From(ctx).Corp))
	return plain(p), err == nil, err
}

func plain(hashes []tlog.Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}

// Unsealed is for how long the oldest entry that no checkpoint covers has been
// waiting; zero where all are covered.
func Unsealed(ctx context.Context, q store.Querier) (time.Duration, error) {
	corp := access.From(ctx).Corp
	last, err := newest(ctx, q, corp)
	if err != nil {
		return 0, err
	}
	at, waits, err := store.SelectOne(ctx, q, func(t *time.Time) []any { return []any{t} },
		`SELECT at FROM audit_entries WHERE corp_id = $1 AND "index" = $2`, corp, last.Size)
	if err != nil || !waits {
		return 0, err
	}
	return store.EngineOf(q).Now().Sub(at), nil
}

// Covering gives the first checkpoint that covers an entry, and the verifier key, of
// those the log names, that signed it; false where there is none yet.
func Covering(ctx context.Context, q store.Querier, index int64) (c Checkpoint, key string, ok bool, err error) {
	corp := access.From(ctx).Corp
	c, ok, err = store.SelectOne(ctx, q, (*Checkpoint).dest, `SELECT `+checkpointColumns+` AND size > $2 ORDER BY size LIMIT 1`, corp, index)
	if err != nil || !ok {
		return c, "", false, err
	}
	keys, err := announced(ctx, q, corp)
	if err != nil {
		return c, "", false, err
	}
	opened, err := checkpoint.Open(c.Note, corp, keys)
	if err != nil {
		return c, "", false, err
	}
	return c, opened.Keys[0], true, nil
}

// Inclusions is Inclusion for many entries, in one statement. All must be covered.
func Inclusions(ctx context.Context, q store.Querier, size int64, indexes []int64) ([][]tlog.Hash, error) {
	// What a proof reads does not depend on what the hashes are.
	var at []int64
	asked := tlog.HashReaderFunc(func(n []int64) ([]tlog.Hash, error) {
		at = append(at, n...)
		return make([]tlog.Hash, len(n)), nil
	})
	for _, i := range indexes {
		if _, err := tlog.ProveRecord(size, i, asked); err != nil {
			return nil, err
		}
	}
	slices.Sort(at)
	at = slices.Compact(at)
	hashes, err := hashesOf(ctx, q, access.From(ctx).Corp)(at)
	if err != nil {
		return nil, err
	}
	read := tlog.HashReaderFunc(func(n []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(n))
		for i := range n {
			j, _ := slices.BinarySearch(at, n[i])
			out[i] = hashes[j]
		}
		return out, nil
	})
	out := make([][]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if out[i], err = tlog.ProveRecord(size, index, read); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Introduction is an entry that names a new key, under the first checkpoint that covers
// it: the former key signed that too.
type Introduction struct {
	Index int64
	Leaf  []byte
	// Note is the checkpoint, Size how many entries it covers.
	Note string
	Size int64
}

// Introductions are those of the keys that came after another, oldest first, up to a size
// of the log. A key whose former one could not sign any more has none.
func Introductions(ctx context.Context, q store.Querier, size int64) ([]Introduction, error) {
	corp := access.From(ctx).Corp
	rows, err := store.Select(ctx, q, func(i *Introduction) []any { return []any{&i.Index, &i.Leaf} },
		`SELECT "index", leaf FROM audit_entries WHERE corp_id = $1 AND action = $2 AND "index" < $3 ORDER BY "index"`, corp, string(access.CheckpointKey), size)
	if err != nil {
		return nil, err
	}
	var out []Introduction
	for _, i := range rows {
		var entry struct{ After struct{ Key, Former string } }
		if json.Unmarshal(i.Leaf, &entry) != nil || entry.After.Former == "" {
			continue
		}
		c, ok, err := store.SelectOne(ctx, q, (*Checkpoint).dest, `SELECT `+checkpointColumns+` AND size > $2 ORDER BY size LIMIT 1`, corp, i.Index)
		if err != nil {
			return nil, err
		}
		if i.Note, i.Size = c.Note, c.Size; ok && signedBy(c.Note, corp, entry.After.Former) && signedBy(c.Note, corp, entry.After.Key) {
			out = append(out, i)
		}
	}
	return out, nil
}
