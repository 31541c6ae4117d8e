package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Reader opens entries for people.
type Reader struct{ box *secret.Box }

// NewReader makes a reader; box is the secret.ForSubjects box.
func NewReader(box *secret.Box) *Reader { return &Reader{box: box} }

// View is what an entry says beyond its columns. Personal values stand in clear,
// or read leaf.Erased where their subject has been erased.
type View struct {
	Before, After map[string]any
	// Address is empty where none was kept.
	Address string
	// ActorLabel is the system's reason; for people and tokens it is empty, and the
	// name of the actor's id is what to show.
	ActorLabel string
	// Cause is the handover that the system worked for.
	Cause nid.ID
}

// Values opens a page of entries, given by their leaves, in one statement; for a service
// token personal values stay sealed and read as their commitments. Fails
// with FORBIDDEN unless the actor has READ_AUDIT_LOG over the whole corp, and with
// an error that wraps leaf.ErrNotLeaf or leaf.ErrUnreadable for what is damaged.
func (r *Reader) Values(ctx context.Context, q store.Querier, leaves [][]byte) ([]View, error) {
	if access.From(ctx).Kind == access.Token {
		entries, _, err := r.read(ctx, leaves)
		return unopened(entries), err
	}
	entries, keys, err := r.decode(ctx, q, leaves)
	if err != nil {
		return nil, err
	}
	views := make([]View, len(entries))
	for i := range entries {
		if views[i], err = view(&entries[i], keys); err != nil {
			return nil, fmt.Errorf("audit: entry %s: %w", entries[i].ID, err)
		}
	}
	return views, nil
}

// Opening is a personal value of an entry with the salt of its commitment, which proves it.
type Opening struct {
	Commitment [32]byte
	Salt       []byte
	Value      string
}

// Openings are those of the values in Before and After of a page of entries, without what
// has been erased, sorted by their commitments. It fails as Values does.
func (r *Reader) Openings(ctx context.Context, q store.Querier, leaves [][]byte) ([][]Opening, error) {
	entries, keys, err := r.decode(ctx, q, leaves)
	if err != nil {
		return nil, err
	}
	out := make([][]Opening, len(entries))
	for i, e := range entries {
		found := map[[32]byte]leaf.Sealed{}
		for _, v := range []any{e.Before, e.After} {
			each(v, func(s leaf.Sealed) { found[s.Commitment] = s })
		}
		for c, s := range found {
			if keys[s.Subject] == nil {
				continue
			}
			salt, value, err := leaf.Disclose(s, *keys[s.Subject])
			if err != nil {
				return nil, fmt.Errorf("audit: entry %s: %w", e.ID, err)
			}
			out[i] = append(out[i], Opening{c, salt, value})
		}
		slices.SortFunc(out[i], func(a, b Opening) int { return bytes.Compare(a.Commitment[:], b.Commitment[:]) })
	}
	return out, nil
}

// decode reads a page of entries, and the keys of whom their personal values are about.
func (r *Reader) decode(ctx context.Context, q store.Querier, leaves [][]byte) ([]leaf.Entry, map[nid.ID]*leaf.Key, error) {
	entries, subjects, err := r.read(ctx, leaves)
	if err != nil {
		return nil, nil, err
	}
	keys, err := r.keys(ctx, q, access.From(ctx).Corp, subjects)
	return entries, keys, err
}

// read decodes a page of entries, and lists whom their personal values are about.
func (r *Reader) read(ctx context.Context, leaves [][]byte) ([]leaf.Entry, map[nid.ID]bool, error) {
	actor := access.From(ctx)
	if !actor.Scope(access.ReadAuditLog).All {
		return nil, nil, fault.Denied("you may not read the audit log", "您无权查看操作日志")
	}
	entries := make([]leaf.Entry, len(leaves))
	subjects := map[nid.ID]bool{}
	for i, b := range leaves {
		e, err := leaf.Decode(b)
		if err != nil {
			return nil, nil, err
		}
		if e.Corp != actor.Corp {
			return nil, nil, fmt.Errorf("audit: entry %s is of another corp", e.ID)
		}
		entries[i] = e
		for _, v := range []any{e.Address, e.Actor.Label, e.Before, e.After} {
			each(v, func(s leaf.Sealed) { subjects[s.Subject] = true })
		}
	}
	return entries, subjects, nil
}

// unopened are entries for a program: their personal values stay sealed. A program
// compares commitments; people read names.
func unopened(entries []leaf.Entry) []View {
	views := make([]View, len(entries))
	for i, e := range entries {
		v := View{ActorLabel: e.Reason, Cause: e.Cause}
		v.Before, _ = commitments(e.Before).(map[string]any)
		v.After, _ = commitments(e.After).(map[string]any)
		if s, ok := e.Address.(leaf.Sealed); ok {
			v.Address, _ = commitments(s).(string)
		}
		if s, ok := e.Actor.Label.(leaf.Sealed); ok {
			v.ActorLabel, _ = commitments(s).(string)
		}
		views[i] = v
	}
	return views
}

// commitments puts the commitment of each sealed value in its place.
func commitments(v any) any {
	switch v := v.(type) {
	case leaf.Sealed:
		return "sealed " + hex.EncodeToString(v.Commitment[:])
	case map[string]any:
		if v == nil {
			return v
		}
		out := make(map[string]any, len(v))
		for k, inner := range v {
			out[k] = commitments(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = commitments(inner)
		}
		return out
	}
	return v
}

func view(e *leaf.Entry, keys map[nid.ID]*leaf.Key) (v View, err error) {
	key := func(s nid.ID) (*leaf.Key, error) { return keys[s], nil }
	if v.Before, err = leaf.Reveal(e.Before, key); err != nil {
		return v, err
	}
	if v.After, err = leaf.Reveal(e.After, key); err != nil {
		return v, err
	}
	v.ActorLabel, v.Cause = e.Reason, e.Cause
	for _, p := range []struct {
		value leaf.Private
		into  *string
	}{{e.Address, &v.Address}, {e.Actor.Label, &v.ActorLabel}} {
		if s, ok := p.value.(leaf.Sealed); ok {
			if *p.into, err = leaf.Open(s, keys[s.Subject]); err != nil {
				return v, err
			}
		}
	}
	return v, nil
}

// each finds the sealed values in v.
func each(v any, do func(leaf.Sealed)) {
	switch v := v.(type) {
	case leaf.Sealed:
		do(v)
	case map[string]any:
		for _, inner := range v {
			each(inner, do)
		}
	case []any:
		for _, inner := range v {
			each(inner, do)
		}
	}
}

// keys reads the keys that there are; an erased subject has none.
func (r *Reader) keys(ctx context.Context, q store.Querier, corp nid.ID, subjects map[nid.ID]bool) (map[nid.ID]*leaf.Key, error) {
	rows, err := wrappedKeys(ctx, q, corp, subjects)
	if err != nil {
		return nil, err
	}
	keys := make(map[nid.ID]*leaf.Key, len(rows))
	for _, w := range rows {
		if w.wrapped == nil {
			continue
		}
		k, err := unwrap(r.box, w.wrapped, corp, w.subject)
		if err != nil {
			return nil, err
		}
		keys[w.subject] = &k
	}
	return keys, nil
}
