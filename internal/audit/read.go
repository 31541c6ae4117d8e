package audit

import (
	"context"
	"encoding/hex"
	"fmt"

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
	actor := access.From(ctx)
	if !actor.Scope(access.ReadAuditLog).All {
		return nil, fault.Denied("you may not read the audit log", "您无权查看操作日志")
	}
	entries := make([]leaf.Entry, len(leaves))
	subjects := map[nid.ID]bool{}
	for i, b := range leaves {
		e, err := leaf.Decode(b)
		if err != nil {
			return nil, err
		}
		if e.Corp != actor.Corp {
			return nil, fmt.Errorf("audit: entry %s is of another corp", e.ID)
		}
		entries[i] = e
		for _, v := range []any{e.Address, e.Actor.Label, e.Before, e.After} {
			sealedFor(v, subjects)
		}
	}
	if actor.Kind == access.Token {
		return unopened(entries), nil
	}
	keys, err := r.keys(ctx, q, actor.Corp, subjects)
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

// sealedFor finds whose keys open what is in v.
func sealedFor(v any, subjects map[nid.ID]bool) {
	switch v := v.(type) {
	case leaf.Sealed:
		subjects[v.Subject] = true
	case map[string]any:
		for _, inner := range v {
			sealedFor(inner, subjects)
		}
	case []any:
		for _, inner := range v {
			sealedFor(inner, subjects)
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
