package evidence

import (
	"context"
	"encoding/hex"
	"io"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

func shown(id nid.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func hexes(hashes []tlog.Hash) []string {
	out := make([]string, len(hashes))
	for i, h := range hashes {
		out[i] = hex.EncodeToString(h[:])
	}
	return out
}

func (c *theCase) transfers(ctx context.Context, q *store.Read, w io.Writer) error {
	type row struct {
		offline.Transfer
		position                     int
		id, contact, group, from, to nid.ID
		reason                       *string
	}
	for from := 0; ; {
		rows, err := store.Select(ctx, q, func(r *row) []any {
			return []any{&r.position, &r.id, &r.Kind, &r.contact, &r.group, &r.from, &r.to, &r.Status, &r.reason, &r.Merged, &r.Version, &r.Finished}
		}, `SELECT position, id, kind, contact_id, group_id, from_id, to_id, status, reason, merged, expected_version, finished_at
			FROM transfers WHERE corp_id = $1 AND handover_id = $2 AND position >= $3 ORDER BY position LIMIT $4`, access.From(ctx).Corp, c.id, from, batch)
		if err != nil {
			return err
		}
		for _, r := range rows {
			t := r.Transfer
			t.ID, t.Item, t.From, t.To, t.Finished = r.id.String(), shown(r.contact)+shown(r.group), r.from.String(), r.to.String(), utc(t.Finished)
			if r.reason != nil {
				t.Reason = *r.reason
			}
			c.report.Transfer(t)
			if err := offline.Line(w, &t); err != nil {
				return err
			}
		}
		if len(rows) < batch {
			return nil
		}
		from = rows[len(rows)-1].position + 1
	}
}

// before is less than any id; the zero id is NULL in the database, and less than nothing.
var before = nid.ID{15: 1}

// grants writes what of the leaver's chats the successors may read.
func (c *theCase) grants(ctx context.Context, q *store.Read, w io.Writer) error {
	type row struct {
		offline.Grant
		id, successor, contact, group, transfer nid.ID
	}
	for after := before; ; {
		rows, err := store.Select(ctx, q, func(r *row) []any {
			return []any{&r.id, &r.successor, &r.contact, &r.group, &r.transfer, &r.From, &r.Until, &r.Expires}
		}, `SELECT id, successor_id, contact_id, group_id, transfer_id, from_at, until_at, expires_at FROM history_grants
			WHERE corp_id = $1 AND handover_id = $2 AND id > $3 ORDER BY id LIMIT $4`, access.From(ctx).Corp, c.id, after, batch)
		if err != nil {
			return err
		}
		for _, r := range rows {
			c.report.Grant()
			if err := offline.Line(w, &offline.Grant{ID: r.id.String(), Successor: r.successor.String(), Item: shown(r.contact) + shown(r.group),
				Transfer: r.transfer.String(), From: utc(r.From), Until: utc(r.Until), Expires: utc(r.Expires)}); err != nil {
				return err
			}
		}
		if len(rows) < batch {
			return nil
		}
		after = rows[len(rows)-1].id
	}
}

// keys writes how the keys that signed the log before introduced each other.
func (c *theCase) keys(ctx context.Context, q *store.Read, w io.Writer) error {
	all, err := audit.Introductions(ctx, q, c.size)
	for _, i := range all {
		proofs, err := audit.Inclusions(ctx, q, i.Size, []int64{i.Index})
		if err != nil {
			return err
		}
		if err := offline.Line(w, &offline.KeyEntry{Entry: offline.Entry{Index: i.Index, Leaf: string(i.Leaf), Proof: hexes(proofs[0])},
			Checkpoint: i.Note}); err != nil {
			return err
		}
	}
	return err
}

// row is an entry.
type row struct {
	index int64
	leaf  []byte
}

// entries writes the leaves as they were hashed, each with its proof.
func (c *theCase) entries(ctx context.Context, q *store.Read, w io.Writer) error {
	return c.eachEntry(ctx, q, func(rows []row) error {
		at := make([]int64, len(rows))
		for i, r := range rows {
			at[i] = r.index
		}
		proofs, err := audit.Inclusions(ctx, q, c.size, at)
		if err != nil {
			return err
		}
		for i, r := range rows {
			if err := offline.Line(w, &offline.Entry{Index: r.index, Leaf: string(r.leaf), Proof: hexes(proofs[i])}); err != nil {
				return err
			}
		}
		return nil
	})
}

// openings writes the personal values in the entries, and lets the report have them.
func (c *theCase) openings(ctx context.Context, q *store.Read, reader *audit.Reader, w io.Writer) error {
	return c.eachEntry(ctx, q, func(rows []row) error {
		leaves := make([][]byte, len(rows))
		for i, r := range rows {
			leaves[i] = r.leaf
		}
		all, err := reader.Openings(ctx, q, leaves)
		if err != nil {
			return err
		}
		for i, r := range rows {
			var open []offline.Opening
			for _, o := range all[i] {
				open = append(open, offline.Opening{Entry: r.index, Commitment: hex.EncodeToString(o.Commitment[:]), Salt: hex.EncodeToString(o.Salt), Value: o.Value})
			}
			for _, o := range open {
				if err := offline.Line(w, &o); err != nil {
					return err
				}
			}
			if err := c.report.Entry(r.leaf, open); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *theCase) eachEntry(ctx context.Context, q *store.Read, do func([]row) error) error {
	for from := int64(0); ; {
		rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.index, &r.leaf} },
			`SELECT "index", leaf FROM audit_entries WHERE corp_id = $1 AND handover_id = $2 AND "index" >= $3 ORDER BY "index" LIMIT $4`,
			access.From(ctx).Corp, c.id, from, batch)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			if err := do(rows); err != nil {
				return err
			}
			from = rows[len(rows)-1].index + 1
		}
		if len(rows) < batch {
			return nil
		}
	}
}
