package identity

import (
	"context"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Lacking gives those of the permissions that the actor does not hold over a whole
// department subtree until the given time; the zero department is the whole corp,
// the zero time is for ever. Nobody passes on what they lack, nor for longer than
// they have it.
func Lacking(ctx context.Context, q store.Querier, a *access.Actor, department nid.ID, until time.Time, permissions ...access.Permission) ([]access.Permission, error) {
	if a.Kind == access.System {
		return nil, nil
	}
	var above []nid.ID
	if !department.IsZero() {
		var err error
		if above, err = store.Select(ctx, q, func(id *nid.ID) []any { return []any{id} },
			`SELECT ancestor_id FROM department_closure WHERE corp_id = $1 AND descendant_id = $2`, a.Corp, department); err != nil {
			return nil, err
		}
	}
	held := func(p access.Permission) bool {
		return slices.ContainsFunc(a.Grants, func(g access.Grant) bool {
			longEnough := g.ExpiresAt.IsZero() || !until.IsZero() && !until.After(g.ExpiresAt)
			return longEnough && slices.Contains(g.Permissions, p) && (g.Department.IsZero() || slices.Contains(above, g.Department))
		})
	}
	return slices.DeleteFunc(slices.Clone(permissions), held), nil
}
