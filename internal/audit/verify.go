package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Result says what Verify found to hold.
type Result struct {
	Corp nid.ID
	// Entries is how many entries hold, from the first on.
	Entries int64
	// Head is the hash of the last entry, all zero in an empty log. To be kept
	// outside of the database: only it, or a checkpoint, shows that nobody wrote the
	// whole log anew.
	Head [32]byte
	// Sealed is up to where checkpoints cover the log, Checkpoints how many were
	// checked, Copies how many of them stand outside of the database too.
	Sealed              int64
	Checkpoints, Copies int
	// Unsealed is how many of the newest entries no checkpoint vouches for: whoever writes
	// to the database can still change them without being found out.
	Unsealed int64
	// Behind is how many of the newest checkpoints are not in the copy outside of the
	// database: lines were removed, or the whole file, or the copy is an older one.
	Behind int
	// Untimed is how many of the checkpoints were signed without their time, as earlier
	// versions did: that they cover the log is signed, when they did so is not.
	Untimed int
	// Keys are the verifier keys the checkpoints are signed with.
	Keys []string
}

// Trust is what Verify holds the log against beside itself.
type Trust struct {
	// Folder holds copies of checkpoints, as Sealer writes them; empty: none.
	Folder string
	// Keys are verifier keys known from elsewhere. Without any, those that the log
	// itself names are taken, which somebody who wrote the whole log anew could have put there.
	Keys []string
}

// verifyBatch is how many rows one statement reads.
const verifyBatch = 2000

// Verify holds a corp's whole log, in one snapshot, against its leaves: every
// stored column, the links and the head. Memory does not grow with the log.
// progress, which may be nil, is told after each batch how many entries have been
// read of how many the head counts.
//
// The error is *leaf.Broken for the first place that does not hold; Entries is
// then how many do before it. It finds any change that leaves the head as it was
// (see leaf.Verify), and against the checkpoints any change of what they cover.
func Verify(ctx context.Context, db *store.DB, corp nid.ID, trust Trust, progress func(done, total int64)) (result Result, err error) {
	err = db.View(store.System(ctx, corp, "verify the audit log"), func(ctx context.Context, r *store.Read) error {
		result, err = VerifyIn(ctx, r, corp, trust, progress)
		return err
	})
	return result, err
}

// VerifyIn is Verify in a snapshot, or a transaction, that is there already.
func VerifyIn(ctx context.Context, r *store.Read, corp nid.ID, trust Trust, progress func(done, total int64)) (Result, error) {
	result := Result{Corp: corp}
	var have outside
	if trust.Folder != "" {
		for file, into := range map[string]*[]copied{File(trust.Folder, corp): &have.copies, Witnessed(trust.Folder, corp): &have.shown,
			Stamped(trust.Folder, corp): &have.shown} {
			lines, err := copies(file)
			if err != nil {
				return result, fmt.Errorf("%s: %w", file, err)
			}
			*into = append(*into, lines...)
		}
	}
	h, err := storedHead(ctx, r, corp)
	if err != nil {
		return result, err
	}
	c, err := readSeals(ctx, r, corp, trust, have)
	if err != nil {
		return result, err
	}
	err = leaf.Verify(c.follow(stored(ctx, r, corp, func(done int64) {
		if progress != nil {
			progress(done, h.Size)
		}
	})), h)
	if err == nil {
		err = c.check(ctx, r, h.Size)
	}
	if err == nil {
		result.Entries, result.Head = h.Size, h.Hash
		result.Sealed, result.Checkpoints, result.Copies, result.Keys = c.sealed, len(c.seals), len(have.copies)+len(have.shown), c.keys
		result.Unsealed, result.Behind, result.Untimed = h.Size-c.sealed, c.behind, c.untimed
	}
	if b, ok := errors.AsType[*leaf.Broken](err); ok {
		result.Entries = b.Index
	}
	return result, err
}

// storedHead reads the head. A corp without one has an empty log.
func storedHead(ctx context.Context, q store.Querier, corp nid.ID) (leaf.Head, error) {
	h, _, err := store.SelectOne(ctx, q, func(h *head) []any { return []any{&h.size, &h.hash} },
		`SELECT size, hash FROM audit_heads WHERE corp_id = $1`, corp)
	out := leaf.Head{Corp: corp, Size: max(h.size, 0)}
	if len(h.hash) == len(out.Hash) {
		out.Hash = [32]byte(h.hash)
	} else if h.hash != nil {
		out.Hash = [32]byte{0: 0xff} // no leaf's hash
	}
	return out, err
}

// stored gives the rows of a corp's log by index, a batch at a time. Rows of one
// index, which the database's own rules forbid, all come.
func stored(ctx context.Context, q store.Querier, corp nid.ID, read func(done int64)) iter.Seq2[leaf.Row, error] {
	return func(yield func(leaf.Row, error) bool) {
		last, lastID, done := int64(math.MinInt64), nid.ID{}.UUID(), int64(0)
		for upTo := int64(math.MaxInt64); ; {
			rows, err := store.Select(ctx, q, (*entryRow).dest, `
				SELECT id, corp_id, created_at, "index", at, actor_id, actor_kind, action, subject_id, handover_id, request_id, leaf, hash
				FROM audit_entries WHERE corp_id = $1 AND ("index", id) > ($2, $3) AND "index" <= $4 ORDER BY "index", id LIMIT $5`, corp, last, lastID, upTo, verifyBatch)
			if err != nil {
				yield(leaf.Row{}, err)
				return
			}
			for i := range rows {
				if !yield(rows[i].row(), nil) {
					return
				}
			}
			if done += int64(len(rows)); len(rows) > 0 || done == 0 {
				read(done)
			}
			if len(rows) > 0 {
				last, lastID = int64(rows[len(rows)-1].index), rows[len(rows)-1].id.text
			}
			// A log in order has its next batch right behind. Said so, a planner without
			// statistics does not sort all that is left for each batch. Whether there is
			// more behind a gap, a query without that bound tells.
			switch {
			case len(rows) == verifyBatch && last < math.MaxInt64-verifyBatch:
				upTo = last + verifyBatch
			case len(rows) < verifyBatch && upTo == math.MaxInt64:
				return
			default:
				upTo = math.MaxInt64
			}
		}
	}
}

// entryRow is a row as it is stored, whatever somebody has put into it: SQLite's
// columns take anything, and what is no id or time must be found at its position
// and not break off the reading.
type entryRow struct {
	id, corp, actor, subject, handover exactID
	created, at                        exactTime
	index                              exactIndex
	kind, action                       access.ActorKind
	request                            exactText
	leaf, hash                         []byte
}

func (r *entryRow) dest() []any {
	return []any{&r.id, &r.corp, &r.created, &r.index, &r.at, &r.actor, &r.kind, &r.action, &r.subject, &r.handover, &r.request, &r.leaf, &r.hash}
}

func (r *entryRow) row() leaf.Row {
	row := leaf.Row{Leaf: r.leaf, Columns: leaf.Columns{
		ID: r.id.id, Corp: r.corp.id, Index: int64(r.index), Created: r.created.Time, At: r.at.Time, ActorKind: r.kind, Actor: r.actor.id,
		Action: string(r.action), Subject: r.subject.id, Handover: r.handover.id, Request: string(r.request),
	}}
	if len(r.hash) == len(row.Hash) {
		row.Hash = [32]byte(r.hash)
	}
	return row
}

// exactID takes an id as the store writes it, NULL for none; anything else reads
// as noID, which no leaf can hold.
type exactID struct {
	id   nid.ID
	text string
}

var noID = nid.ID{15: 0xff}

// Scan never fails.
func (e *exactID) Scan(src any) error {
	*e = exactID{}
	switch v := src.(type) {
	case nil:
		return nil
	case string:
		e.text = v
	case []byte:
		e.text = string(v)
	}
	if err := e.id.Scan(e.text); err != nil || e.id.IsZero() || e.id.UUID() != e.text {
		e.id = noID
	}
	return nil
}

// exactIndex takes a number; anything else reads as one that no entry can have.
type exactIndex int64

// Scan never fails.
func (e *exactIndex) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		n = math.MaxInt64
	}
	*e = exactIndex(n)
	return nil
}

// exactTime takes a time; anything else reads as the zero time, which no leaf holds.
type exactTime struct{ time.Time }

// Scan never fails.
func (e *exactTime) Scan(src any) error {
	e.Time, _ = src.(time.Time)
	return nil
}

// exactText takes text, NULL for none; the empty text, which the store never
// writes, reads as one that no leaf holds.
type exactText string

// Scan never fails.
func (e *exactText) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*e = ""
		return nil
	case string:
		*e = exactText(v)
	case []byte:
		*e = exactText(v)
	}
	if *e == "" {
		*e = "\x00"
	}
	return nil
}
