package audit

import (
	"context"
	"maps"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// mostNames is how many names one entry holds; further ids stand without.
const mostNames = 50

// named is the entries with the names, sealed, of those whom a handover's steps and outcomes are
// about: the actor and each member, contact and group in Before and After, once for all
// entries. So an evidence package proves how they were called at the time.
func named(ctx context.Context, tx *store.Tx, entries []Entry) ([]Entry, error) {
	in := make([][]nid.ID, len(entries))
	var asked []nid.ID
	seen := map[nid.ID]bool{}
	for i, e := range entries {
		if !e.isStep() && e.Action != access.TransferFinish {
			continue
		}
		take := func(id nid.ID) {
			if !slices.Contains([]nid.Kind{nid.Member, nid.Contact, nid.Group}, id.Kind()) || seen[id] || len(in[i]) == mostNames {
				return
			}
			seen[id] = true
			in[i], asked = append(in[i], id), append(asked, id)
		}
		if actor := access.From(ctx); actor.Kind == access.Person {
			take(actor.ID)
		}
		ids(e.Before, take)
		ids(e.After, take)
	}
	if len(asked) == 0 {
		return entries, nil
	}
	type row struct {
		id   nid.ID
		name string
	}
	among := tx.DB().In(2)
	rows, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.id, &r.name} }, `
		SELECT id, name FROM members WHERE corp_id = $1 AND id `+among+` UNION ALL SELECT id, name FROM contacts WHERE corp_id = $1 AND id `+among+`
		UNION ALL SELECT id, name FROM groups WHERE corp_id = $1 AND id `+among, tx.Corp(), tx.DB().IDs(asked))
	if err != nil {
		return nil, err
	}
	names := map[nid.ID]string{}
	for _, r := range rows {
		if r.name != leaf.Erased {
			names[r.id] = r.name
		}
	}
	out := slices.Clone(entries)
	for i := range out {
		sealed := map[string]any{}
		for _, id := range in[i] {
			if name, ok := names[id]; ok {
				sealed[id.String()] = Personal{Subject: id, Value: name}
			}
		}
		if len(sealed) > 0 {
			out[i].After = with(out[i].After, "names", sealed)
		}
	}
	return out, nil
}

// with is values and one more.
func with(values map[string]any, name string, value any) map[string]any {
	out := maps.Clone(values)
	if out == nil {
		out = map[string]any{}
	}
	out[name] = value
	return out
}

// ids finds the ids in values, in the order of their names.
func ids(v any, take func(nid.ID)) {
	switch v := v.(type) {
	case nid.ID:
		take(v)
	case []nid.ID:
		for _, id := range v {
			take(id)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			ids(v[name], take)
		}
	case []any:
		for _, inner := range v {
			ids(inner, take)
		}
	}
}
