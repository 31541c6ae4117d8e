package graph

import (
	"context"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

func (r *Resolver) listTokens(ctx context.Context, f *model.ServiceTokenFilter, s span) (*model.ServiceTokenConnection, error) {
	n := r.narrow()
	if f != nil {
		n.id("service_tokens.created_by_id", f.CreatedByID)
		if f.Active != nil {
			condition := "service_tokens.revoked_at IS NULL AND service_tokens.expires_at > ?"
			if !*f.Active {
				condition = "NOT (" + condition + ")"
			}
			n.And(condition, n.db.Now())
		}
	}
	return list(ctx, n, tokens, byAge[*ent.ServiceToken](), s)
}

type effectiveOf struct{}

// effective is what a service token may do now.
func effective(ctx context.Context, t *ent.ServiceToken) (*identity.ServiceToken, error) {
	found, err := siblings.Load(ctx, t, effectiveOf{}, func(ctx context.Context, rows []*ent.ServiceToken) (map[nid.ID]*identity.ServiceToken, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		return identity.Tokens(ctx, q, q.DB().Now(), "t.id "+q.DB().In(3), q.DB().IDs(idsOf(rows, tokens.id)))
	})
	return found[t.ID], err
}
