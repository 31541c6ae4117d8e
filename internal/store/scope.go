package store

import (
	"context"
	"fmt"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
)

// ScopeSQL is the condition that a member is within a scope. member is the SQL of
// the member's id, corp that of the corp's; roots is the number of the argument
// that holds the scope's departments, made by IDs. A scope that is the whole corp
// is no condition, an empty one is never true.
func (db *DB) ScopeSQL(s access.Scope, corp, member string, roots int) string {
	switch {
	case s.All:
		return "1 = 1"
	case s.Empty():
		return "1 = 0"
	}
	return fmt.Sprintf(`EXISTS (SELECT 1 FROM member_departments AS scope_md
		JOIN department_closure AS scope_dc ON scope_dc.corp_id = scope_md.corp_id AND scope_dc.descendant_id = scope_md.department_id
		WHERE scope_md.corp_id = %s AND scope_md.member_id = %s AND scope_dc.ancestor_id %s)`, corp, member, db.In(roots))
}

// OutOfScope gives those of the members that a scope does not reach.
func OutOfScope(ctx context.Context, q Querier, s access.Scope, members ...nid.ID) ([]nid.ID, error) {
	if s.All || len(members) == 0 {
		return nil, nil
	}
	if s.Empty() {
		return members, nil
	}
	db := q.engine()
	in, err := Select(ctx, q, func(id *nid.ID) []any { return []any{id} }, `
		SELECT DISTINCT md.member_id FROM member_departments AS md
		JOIN department_closure AS dc ON dc.corp_id = md.corp_id AND dc.descendant_id = md.department_id
		WHERE md.corp_id = $1 AND md.member_id `+db.In(2)+` AND dc.ancestor_id `+db.In(3),
		access.From(ctx).Corp, db.IDs(members), db.IDs(s.Departments))
	if err != nil {
		return nil, err
	}
	seen := map[nid.ID]bool{}
	for _, id := range in {
		seen[id] = true
	}
	var out []nid.ID
	for _, id := range members {
		if !seen[id] {
			out = append(out, id)
		}
	}
	return out, nil
}
