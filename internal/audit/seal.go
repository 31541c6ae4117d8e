package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/audit/witness"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	// WorkCheckpoints is the kind of work that seals the log.
	WorkCheckpoints = "checkpoints"
	// SealEvery is how long an entry waits for its checkpoint, at most; SealAfter is
	// how many entries do not wait.
	SealEvery = time.Minute
	SealAfter = 1000
	// sealBatch is how many entries one transaction seals.
	sealBatch = 5000
)

// Sealer signs what the log has come to, with a key that the database does not have,
// and keeps a copy outside of it: its superuser can then write no other past.
type Sealer struct {
	DB  *store.DB
	Log *Log
	// Keys sign; none: nothing is sealed.
	Keys checkpoint.Keys
	// Folder is where each corp's checkpoints are kept, one a line; empty: nowhere.
	Folder string
	// Witness and Stamper are shown checkpoints, see Show; nil: nobody is.
	Witness *witness.Witness
	Stamper *witness.Stamper
}

// Work seals the entries of a corp that are not sealed yet and says when to look
// again. It fails where the log is damaged or is not the one that was sealed before,
// and seals nothing then.
func (s *Sealer) Work(ctx context.Context, corp nid.ID) (time.Time, error) {
	next := s.DB.Now().Add(SealEvery)
	if len(s.Keys) == 0 {
		return next, nil
	}
	ctx = store.System(ctx, corp, "seal the audit log")
	if err := s.continues(ctx, corp); err != nil {
		return time.Time{}, err
	}
	if err := s.announce(ctx); err != nil {
		return time.Time{}, err
	}
	for more := true; more; {
		var err error
		if more, err = s.seal(ctx); err != nil {
			return time.Time{}, err
		}
	}
	return next, s.copy(ctx, corp)
}

// ErrForked is a log that is not the continuation of what was signed before: an older
// database was put back, or somebody wrote it anew. A signature would vouch for that.
var ErrForked = errors.New("the audit log is not the one that was signed before; nothing is sealed until the matter is settled, see docs/audit-log.md")

// continues fails with ErrForked unless the log goes on from the last copy outside of
// the database.
func (s *Sealer) continues(ctx context.Context, corp nid.ID) error {
	if s.Folder == "" {
		return nil
	}
	last, err := lastCopy(File(s.Folder, corp))
	if err != nil || last.Size == 0 {
		return err
	}
	signed, err := checkpoint.Read(last.Note, corp)
	if err != nil {
		return fmt.Errorf("%s: the last line: %w", File(s.Folder, corp), err)
	}
	return s.DB.View(ctx, func(ctx context.Context, q *store.Read) error {
		now, err := newest(ctx, q, corp)
		if err != nil {
			return err
		}
		if now.Size < signed.Size {
			return fmt.Errorf("%s: %d entries were signed, and the database knows of %d: %w", corp, signed.Size, now.Size, ErrForked)
		}
		root, err := tlog.TreeHash(signed.Size, hashesOf(ctx, q, corp))
		if err == nil && [32]byte(root) != signed.Root {
			err = fmt.Errorf("%s: its first %d entries have another root: %w", corp, signed.Size, ErrForked)
		}
		return err
	})
}

// announce writes a key that is new into the log. Where the former key is still
// there, it signs the checkpoint over that entry too: who trusted it can trust the new one.
func (s *Sealer) announce(ctx context.Context) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		known, err := announced(ctx, tx, tx.Corp())
		if err != nil || slices.Contains(known, s.Keys.Public(tx.Corp())) {
			return err
		}
		after := map[string]any{"key": s.Keys.Public(tx.Corp())}
		if n := len(known); n > 0 {
			after["former"], after["formerSigns"] = known[n-1], s.Keys.Has(tx.Corp(), known[n-1])
		}
		return s.Log.Append(ctx, tx, Entry{Action: access.CheckpointKey, Subject: tx.Corp(), After: after})
	})
}

// announced are the verifier keys that the log names, oldest first.
func announced(ctx context.Context, q store.Querier, corp nid.ID) ([]string, error) {
	leaves, err := store.Select(ctx, q, func(b *[]byte) []any { return []any{b} },
		`SELECT leaf FROM audit_entries WHERE corp_id = $1 AND action = $2 ORDER BY "index"`, corp, string(access.CheckpointKey))
	var out []string
	for _, l := range leaves {
		var entry struct{ After struct{ Key string } }
		if err := json.Unmarshal(l, &entry); err == nil && entry.After.Key != "" {
			out = append(out, entry.After.Key)
		}
	}
	return out, err
}

// seal adds the next entries to the tree and signs its head, in one transaction. Nobody
// reads the checkpoint before it and all that it covers are on the disk: see Tx.Durable.
func (s *Sealer) seal(ctx context.Context) (more bool, err error) {
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		more = false
		if err := tx.Durable(ctx); err != nil {
			return err
		}
		h, err := storedHead(ctx, tx, tx.Corp())
		if err != nil {
			return err
		}
		last, err := newest(ctx, tx, tx.Corp())
		if err != nil || last.Size >= h.Size {
			return err
		}
		rows, err := store.Select(ctx, tx, func(r *sealable) []any { return []any{&r.index, &r.leaf, &r.hash, &r.action} },
			`SELECT "index", leaf, hash, action FROM audit_entries WHERE corp_id = $1 AND "index" >= $2 AND "index" < $3 ORDER BY "index"`,
			tx.Corp(), last.Size, min(last.Size+sealBatch, h.Size))
		if err != nil {
			return err
		}
		f, err := checkpoint.Resume(last.Size, hashesOf(ctx, tx, tx.Corp()))
		if err != nil {
			return err
		}
		n, announces := tlog.StoredHashCount(last.Size), false
		var stored []map[string]any
		for i, r := range rows {
			hash := leaf.Hash(r.leaf)
			if r.index != last.Size+int64(i) || !bytes.Equal(hash[:], r.hash) {
				return fmt.Errorf("audit: entry %d of the log of %s is damaged; nothing is sealed until `handover audit verify` holds", last.Size+int64(i), tx.Corp())
			}
			for _, h := range f.Add(hash) {
				stored = append(stored, map[string]any{"n": n, "hash": h[:]})
				n++
			}
			announces = announces || r.action == string(access.CheckpointKey)
		}
		if f.Size != min(last.Size+sealBatch, h.Size) {
			return fmt.Errorf("audit: entry %d of the log of %s is missing; nothing is sealed until `handover audit verify` holds", f.Size, tx.Corp())
		}
		root := f.Root()
		text, err := s.Keys.Sign(tx.Corp(), f.Size, root, tx.Now(), announces)
		if err != nil {
			return err
		}
		// Two may seal the same at once; both say the same.
		if _, err := tx.Keep(ctx, "audit_hashes", `INSERT INTO audit_hashes (corp_id, n, hash) SELECT $2, n, hash FROM `+
			tx.DB().Rows(1, "h", "n int", "hash hex")+` WHERE true ON CONFLICT DO NOTHING`, tx.DB().Batch(stored), tx.Corp()); err != nil {
			return err
		}
		_, err = tx.Keep(ctx, "checkpoints", `INSERT INTO checkpoints (corp_id, size, root, note, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			tx.Corp(), f.Size, root[:], text, tx.Now())
		more = f.Size < h.Size
		if err == nil && s.shows() {
			err = tx.Wake(ctx, WorkWitnesses, tx.Now())
		}
		return err
	})
	return more, err
}

type sealable struct {
	index      int64
	leaf, hash []byte
	action     string
}

// Checkpoint is a signed head of a corp's log.
type Checkpoint struct {
	Size int64
	Root []byte
	// Note is the signed text, as others can check it.
	Note string
	At   time.Time
}

func (c *Checkpoint) dest() []any { return []any{&c.Size, &c.Root, &c.Note, &c.At} }

const checkpointColumns = `size, root, note, at FROM checkpoints WHERE corp_id = $1`

func newest(ctx context.Context, q store.Querier, corp nid.ID) (Checkpoint, error) {
	c, _, err := store.SelectOne(ctx, q, (*Checkpoint).dest, `SELECT `+checkpointColumns+` ORDER BY size DESC LIMIT 1`, corp)
	return c, err
}

// Newest gives the actor's corp's newest checkpoint; false where there is none.
func Newest(ctx context.Context, q store.Querier) (Checkpoint, bool, error) {
	c, err := newest(ctx, q, access.From(ctx).Corp)
	c.At = c.At.UTC()
	return c, c.Size > 0, err
}

// hashesOf reads stored hashes for tlog.
func hashesOf(ctx context.Context, q store.Querier, corp nid.ID) tlog.HashReaderFunc {
	return func(at []int64) ([]tlog.Hash, error) {
		type row struct {
			n    int64
			hash []byte
		}
		found := map[int64]tlog.Hash{}
		for part := range slices.Chunk(at, 500) {
			wanted := make([]map[string]any, len(part))
			for i, n := range part {
				wanted[i] = map[string]any{"n": n}
			}
			db := store.EngineOf(q)
			rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.n, &r.hash} },
				`SELECT h.n, h.hash FROM audit_hashes AS h JOIN `+db.Rows(1, "w", "n int")+` ON w.n = h.n WHERE h.corp_id = $2`, db.Batch(wanted), corp)
			if err != nil {
				return nil, err
			}
			for _, r := range rows {
				if len(r.hash) == tlog.HashSize {
					found[r.n] = tlog.Hash(r.hash)
				}
			}
		}
		out := make([]tlog.Hash, len(at))
		for i, n := range at {
			h, ok := found[n]
			if !ok {
				return nil, fmt.Errorf("audit: hash %d of the log's tree is missing", n)
			}
			out[i] = h
		}
		return out, nil
	}
}
