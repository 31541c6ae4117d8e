package provision

import (
	"context"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/roster"
	"github.com/openhandover/openhandover/internal/store"
)

// place is where somebody is, as far as a change of one department matters.
type place struct {
	id nid.ID
	// gone: departed or disabled, who stay where they were.
	gone, in, atTop bool
	// others are the departments beside this one and the top.
	others int
}

// seat puts people into a department and takes them out, set by set. The entries tell
// of it; there are none where nothing changed.
func (s *Service) seat(ctx context.Context, tx *store.Tx, scope access.Scope, id, root nid.ID, in roster.GroupChange) ([]audit.Entry, error) {
	people, err := places(ctx, tx, scope, id, root, in)
	if err != nil {
		return nil, err
	}
	var come, leave, unplaced, stranded []nid.ID
	for _, p := range people {
		elsewhere := p.others > 0 || p.atTop && id != root
		switch wanted := in.Add[p.id]; {
		case p.gone:
		case wanted && !p.in:
			come = append(come, p.id)
			if p.atTop && p.others == 0 {
				unplaced = append(unplaced, p.id)
			}
		case wanted || !p.in || !in.Reset && !in.Remove[p.id]:
		case elsewhere:
			leave = append(leave, p.id)
		case id != root: // somebody is always somewhere
			leave, stranded = append(leave, p.id), append(stranded, p.id)
		}
	}
	changed := append(slices.Clone(come), leave...)
	if len(changed) == 0 {
		return nil, nil
	}
	db := tx.DB()
	const member = `member_departments`
	del := `DELETE FROM member_departments WHERE corp_id = $1 AND department_id = $3 AND member_id ` + db.In(2) + ` RETURNING member_id`
	ins := `INSERT INTO member_departments (corp_id, member_id, department_id, position)
		SELECT m.corp_id, m.id, $3, coalesce((SELECT max(o.position) + 1 FROM member_departments AS o WHERE o.corp_id = m.corp_id AND o.member_id = m.id), 0)
		FROM members AS m WHERE m.corp_id = $1 AND m.id ` + db.In(2) + ` RETURNING member_id`
	for _, c := range []struct {
		table, query string
		who          []nid.ID
		with         any
	}{
		{"members", `UPDATE members SET version = version + 1, updated_at = $3 WHERE corp_id = $1 AND id ` + db.In(2) + ` RETURNING id`, changed, tx.Now()},
		{member, del, leave, id}, {member, del, unplaced, root}, {member, ins, come, id}, {member, ins, stranded, root},
		{"departments", `UPDATE departments SET version = version + 1, updated_at = $3 WHERE corp_id = $1 AND id ` + db.In(2) + ` RETURNING id`, []nid.ID{id}, tx.Now()},
	} {
		if len(c.who) == 0 {
			continue
		}
		if _, err := tx.Change(ctx, c.table, c.query, tx.Corp(), db.IDs(c.who), c.with); err != nil {
			return nil, err
		}
	}
	return []audit.Entry{{
		Action: access.DepartmentPeople, Subject: id, Covers: changed, After: map[string]any{"added": len(come), "removed": len(leave)},
	}}, nil
}

// places locks everybody whom the change names, or who is in the department where it
// says all, in the order of ids. INVALID for somebody to be put in who is not there for
// the provider; who is to be taken out and is not there is out.
func places(ctx context.Context, tx *store.Tx, scope access.Scope, id, root nid.ID, in roster.GroupChange) ([]place, error) {
	named := sorted(in.Add)
	wanted := len(named)
	named = append(named, sorted(in.Remove)...)
	q := ask(tx.DB(), tx.Corp())
	here := q.arg(id)
	is := func(condition string) string {
		return `(SELECT count(*) FROM member_departments AS o WHERE o.corp_id = m.corp_id AND o.member_id = m.id AND ` + condition + `)`
	}
	top := q.arg(root)
	who := `m.id ` + q.in(named)
	if in.Reset {
		who = `(` + who + ` OR EXISTS (SELECT 1 FROM member_departments AS i WHERE i.corp_id = m.corp_id AND i.member_id = m.id AND i.department_id = ` + here + `))`
	}
	found, err := store.Select(ctx, tx, func(p *place) []any { return []any{&p.id, &p.gone, &p.in, &p.atTop, &p.others} }, `SELECT m.id,
		m.status IN ('DEPARTED', 'DISABLED'), `+is(`o.department_id = `+here)+` > 0, `+is(`o.department_id = `+top)+` > 0,
		`+is(`o.department_id NOT IN (`+here+`, `+top+`)`)+usersFrom+who+` AND `+q.user(scope)+` ORDER BY m.id`+tx.DB().ForNoKeyUpdate("m"), q.args...)
	if err != nil {
		return nil, err
	}
	if wanted == 0 {
		return found, nil
	}
	known := 0
	for _, p := range found {
		if in.Add[p.id] {
			known++
		}
	}
	if known < wanted {
		return nil, fault.Bad("members", "%d of the members to be added do not exist, or you may not see them", "要添加的成员中有 %d 名不存在或您无权查看", wanted-known)
	}
	return found, nil
}
