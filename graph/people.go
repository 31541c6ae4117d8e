package graph

import (
	"context"

	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent"
	entmember "github.com/openhandover/openhandover/ent/member"
	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/grant"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

// counter is what a member has, kept with every change.
type counter struct {
	member                               nid.ID
	contacts, key, groups                int
	waitContacts, waitKey, waitingGroups int
}

// seesCounts are the permissions that show how much a member has: to see it all is
// to be able to count it, and counting is what statistics are for.
var seesCounts = []access.Permission{access.ViewContacts, access.ViewStatistics}

type countersOf struct{}

// counters gives what a member has; false outside the viewer's scope.
func counters(ctx context.Context, m *ent.Member) (counter, bool, error) {
	found, err := siblings.Load(ctx, m, countersOf{}, func(ctx context.Context, rows []*ent.Member) (map[nid.ID]counter, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		var w store.Where
		w.And("c.corp_id = ?", corpOf(ctx))
		w.And("c.member_id "+q.DB().InList(), q.DB().IDs(idsOf(rows, members.id)))
		if scope, args := rule.InScope(access.From(ctx), "c.corp_id", "c.member_id", seesCounts...); scope != "" {
			w.And(scope, args...)
		}
		where, args := w.SQL(1)
		all, err := store.Select(ctx, q, func(c *counter) []any {
			return []any{&c.member, &c.contacts, &c.key, &c.groups, &c.waitContacts, &c.waitKey, &c.waitingGroups}
		}, `SELECT c.member_id, c.contacts, c.key_contacts, c.groups, c.waiting_contacts, c.waiting_key_contacts, c.waiting_groups
			FROM member_counters AS c WHERE `+where, args...)
		out := make(map[nid.ID]counter, len(all))
		for _, c := range all {
			out[c.member] = c
		}
		return out, err
	})
	c, ok := found[m.ID]
	return c, ok, err
}

// counted gives one number of a member; null outside the viewer's scope.
func counted(ctx context.Context, m *ent.Member, of func(counter) int) (*int, error) {
	c, ok, err := counters(ctx, m)
	if err != nil || !ok {
		return nil, err
	}
	n := of(c)
	return &n, nil
}

// unassigned is what of a leaver still waits for a successor.
func unassigned(ctx context.Context, m *ent.Member) (*model.Unassigned, error) {
	if m.Status != entmember.StatusDISABLED && m.Status != entmember.StatusDEPARTED {
		return nil, nil
	}
	c, ok, err := counters(ctx, m)
	if err != nil || !ok {
		return nil, err
	}
	u := &model.Unassigned{
		Contacts: c.contacts - c.waitContacts, KeyContacts: c.key - c.waitKey, Groups: c.groups - c.waitingGroups, Since: m.UpdatedAt,
	}
	if u.Contacts+u.Groups == 0 {
		return nil, nil
	}
	if m.DepartedAt != nil {
		// The platform takes assignments for a year after the departure.
		deadline := m.DepartedAt.AddDate(1, 0, 0)
		u.Since, u.Deadline = *m.DepartedAt, &deadline
	}
	u.Caretaker, err = one(ctx, m, "caretaker", members, func(m *ent.Member) nid.ID { return m.CaretakerID })
	return u, err
}

type departmentsOf struct{}

// departmentsIn gives a member's departments, the main one first.
func departmentsIn(ctx context.Context, m *ent.Member) ([]*ent.Department, error) {
	found, err := siblings.Load(ctx, m, departmentsOf{}, func(ctx context.Context, rows []*ent.Member) (map[nid.ID][]*ent.Department, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		db, ids := q.DB(), idsOf(rows, members.id)
		// One statement: each department once for each member who is in it.
		var w store.Where
		w.And("md.member_id "+db.InList(), db.IDs(ids))
		all, err := departments.load(ctx, &w, func(s *sql.Selector) {
			md := sql.Table("member_departments").As("md")
			s.Join(md).OnP(sql.And(sql.ColumnsEQ(s.C("corp_id"), md.C("corp_id")), sql.ColumnsEQ(s.C("id"), md.C("department_id"))))
			s.AppendSelectAs(md.C("member_id"), "of_member").OrderBy(md.C("member_id"), md.C("position"))
		})
		if err != nil {
			return nil, err
		}
		out := make(map[nid.ID][]*ent.Department, len(rows))
		same := map[nid.ID]*ent.Department{}
		for _, d := range all {
			v, err := d.Value("of_member")
			if err != nil {
				return nil, err
			}
			of, err := nid.FromUUID(v)
			if err != nil {
				return nil, err
			}
			if same[d.ID] == nil {
				same[d.ID] = d
			}
			if len(out[of]) < maxDepartments {
				out[of] = append(out[of], same[d.ID])
			}
		}
		return out, nil
	})
	return found[m.ID], err
}

// grantsOf gives a member's grants in force that the viewer may see.
func (r *Resolver) grantsOf(ctx context.Context, m *ent.Member) ([]*ent.Grant, error) {
	return many(ctx, m, "grants", members.id, maxGrants, func(g *ent.Grant) nid.ID { return g.MemberID }, func(ctx context.Context, ids []nid.ID) ([]*ent.Grant, error) {
		n := r.narrow()
		n.grants(nil)
		n.ids("grants.member_id", "", ids)
		return grants.load(ctx, &n.Where, func(s *sql.Selector) { s.OrderBy(s.C("id")) })
	})
}

type pathsOf struct{}

// pathOf gives the names from the root down to a department.
func pathOf(ctx context.Context, d *ent.Department) ([]string, error) {
	found, err := siblings.Load(ctx, d, pathsOf{}, func(ctx context.Context, rows []*ent.Department) (map[nid.ID][]string, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		type step struct {
			of   nid.ID
			name string
		}
		steps, err := store.Select(ctx, q, func(s *step) []any { return []any{&s.of, &s.name} }, `SELECT c.descendant_id, d.name
			FROM department_closure AS c JOIN departments AS d ON d.corp_id = c.corp_id AND d.id = c.ancestor_id
			WHERE c.corp_id = $1 AND c.descendant_id `+q.DB().In(2)+` ORDER BY c.descendant_id, c.depth DESC`, corpOf(ctx), q.DB().IDs(idsOf(rows, departments.id)))
		out := make(map[nid.ID][]string, len(rows))
		for _, s := range steps {
			out[s.of] = append(out[s.of], s.name)
		}
		return out, err
	})
	return found[d.ID], err
}

type headsOf struct{}

// headcount counts the members in a department and below it, as the list of members does.
func headcount(ctx context.Context, d *ent.Department) (int, error) {
	found, err := siblings.Load(ctx, d, headsOf{}, func(ctx context.Context, rows []*ent.Department) (map[nid.ID]int, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		type head struct {
			of nid.ID
			n  int
		}
		heads, err := store.Select(ctx, q, func(h *head) []any { return []any{&h.of, &h.n} }, `SELECT c.ancestor_id, COUNT(DISTINCT m.id)
			FROM department_closure AS c JOIN member_departments AS md ON md.corp_id = c.corp_id AND md.department_id = c.descendant_id
			JOIN members AS m ON m.corp_id = md.corp_id AND m.id = md.member_id AND m.archived_at IS NULL
			WHERE c.corp_id = $1 AND c.ancestor_id `+q.DB().In(2)+` GROUP BY c.ancestor_id`, corpOf(ctx), q.DB().IDs(idsOf(rows, departments.id)))
		out := make(map[nid.ID]int, len(heads))
		for _, h := range heads {
			out[h.of] = h.n
		}
		return out, err
	})
	return found[d.ID], err
}

func listRoles(ctx context.Context, s span) (*model.RoleConnection, error) {
	var w store.Where
	w.And("roles.archived_at IS NULL")
	return page(ctx, roles, &w, byAge[*ent.Role](), s)
}

func roleOf(ctx context.Context, id nid.ID) (*ent.Role, error) {
	return reread(ctx, func(c *ent.Client) (*ent.Role, error) { return c.Role.Get(ctx, id) })
}

// pendingGrants are the grants that wait for a second administrator.
func pendingGrants(ctx context.Context) ([]*model.PendingGrant, error) {
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	found, err := grant.Waiting(ctx, q)
	out := make([]*model.PendingGrant, len(found))
	for i, p := range found {
		out[i] = &model.PendingGrant{Pending: p}
	}
	return siblings.Join(out), err
}

// granted is what grantRole gives: the grant, or what waits for somebody else.
func granted(ctx context.Context, id nid.ID) (*model.GrantRolePayload, error) {
	found, err := grants.byID(ctx, id)
	if err != nil {
		return nil, err
	}
	if g := found[id]; g != nil {
		return &model.GrantRolePayload{Grant: g, GrantEdge: grantEdgeOf(g)}, nil
	}
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	p, ok, err := grant.PendingOf(ctx, q, id)
	if err != nil || !ok {
		return &model.GrantRolePayload{}, err
	}
	rows := siblings.Join([]*model.PendingGrant{{Pending: p}})
	return &model.GrantRolePayload{Pending: rows[0]}, nil
}

// pendingChanges are the changes that wait, of one operation where it is named.
func pendingChanges(ctx context.Context, operation string) ([]*model.PendingChange, error) {
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	found, err := identity.Waiting(ctx, q, operation)
	out := make([]*model.PendingChange, len(found))
	for i, p := range found {
		out[i] = &model.PendingChange{Pending: p}
	}
	return siblings.Join(out), err
}

// pendingChange is one that the viewer has just asked for; nil for none.
func pendingChange(ctx context.Context, id nid.ID) (*model.PendingChange, error) {
	if id.IsZero() {
		return nil, nil
	}
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	p, ok, err := identity.WaitingOf(ctx, q, id)
	if err != nil || !ok {
		return nil, err
	}
	return siblings.Join([]*model.PendingChange{{Pending: p}})[0], nil
}

func departmentOf(ctx context.Context, id nid.ID) (*ent.Department, error) {
	return reread(ctx, func(c *ent.Client) (*ent.Department, error) { return c.Department.Get(ctx, id) })
}
