package graph

import (
	"context"
	"encoding/json"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

type openedOf struct{}

// opened gives what an entry says beyond its columns, with the personal values in
// clear that have not been erased.
func (r *Resolver) opened(ctx context.Context, e *ent.AuditEntry) (audit.View, error) {
	found, err := siblings.Load(ctx, e, openedOf{}, func(ctx context.Context, rows []*ent.AuditEntry) (map[nid.ID]audit.View, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		leaves := make([][]byte, len(rows))
		for i, row := range rows {
			leaves[i] = row.Leaf
		}
		views, err := r.Audit.Values(ctx, q, leaves)
		if err != nil {
			return nil, err
		}
		out := make(map[nid.ID]audit.View, len(rows))
		for i, row := range rows {
			out[row.ID] = views[i]
		}
		return out, nil
	})
	return found[e.ID], err
}

// values is one side of an entry's change as JSON.
func (r *Resolver) values(ctx context.Context, e *ent.AuditEntry, side func(audit.View) map[string]any) (json.RawMessage, error) {
	v, err := r.opened(ctx, e)
	if err != nil || side(v) == nil {
		return nil, err
	}
	return json.Marshal(side(v))
}

// actorOf is the member who did it; nil where none did.
func actorOf(ctx context.Context, e *ent.AuditEntry) (*ent.Member, error) {
	return one(ctx, e, "actor", members, func(e *ent.AuditEntry) nid.ID { return e.ActorID })
}

// labelOf says in words who did it.
func (r *Resolver) labelOf(ctx context.Context, e *ent.AuditEntry) (string, error) {
	switch access.ActorKind(e.ActorKind) {
	case access.Person:
		if access.From(ctx).Kind == access.Token { // a program gets no names out of the log
			return e.ActorID.String(), nil
		}
		m, err := actorOf(ctx, e)
		if m == nil {
			return "", err
		}
		return m.Name, err
	case access.Token:
		return tokenName(ctx, e)
	case access.System:
		v, err := r.opened(ctx, e)
		return v.ActorLabel, err
	}
	return "", nil
}

type tokenNames struct{}

// tokenName gives the name of the service token that did it. Who may read the log
// may read that name, whether or not they may manage tokens.
func tokenName(ctx context.Context, e *ent.AuditEntry) (string, error) {
	found, err := siblings.Load(ctx, e, tokenNames{}, func(ctx context.Context, rows []*ent.AuditEntry) (map[nid.ID]string, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		type token struct {
			id   nid.ID
			name string
		}
		all, err := store.Select(ctx, q, func(t *token) []any { return []any{&t.id, &t.name} },
			`SELECT id, name FROM service_tokens WHERE corp_id = $1 AND id `+q.DB().In(2), corpOf(ctx),
			q.DB().IDs(idsOf(rows, func(e *ent.AuditEntry) nid.ID { return e.ActorID })))
		out := make(map[nid.ID]string, len(all))
		for _, t := range all {
			out[t.id] = t.name
		}
		return out, err
	})
	return found[e.ActorID], err
}

type subjectsOf struct{}

// subjectOf is what it was done to, where the viewer may see it.
func subjectOf(ctx context.Context, e *ent.AuditEntry) (siblings.Entity, error) {
	found, err := siblings.Load(ctx, e, subjectsOf{}, func(ctx context.Context, rows []*ent.AuditEntry) (map[nid.ID]siblings.Entity, error) {
		return nodesByID(ctx, idsOf(rows, func(e *ent.AuditEntry) nid.ID { return e.SubjectID }))
	})
	return found[e.SubjectID], err
}

// absent makes a nullable ID of one that may be zero.
func absent(id nid.ID) *nid.ID {
	if id.IsZero() {
		return nil
	}
	return &id
}
