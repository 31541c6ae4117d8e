package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/roster"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	usersFrom  = ` FROM members AS m LEFT JOIN scim_users AS u ON u.corp_id = m.corp_id AND u.member_id = m.id WHERE m.corp_id = $1 AND `
	groupsFrom = ` FROM departments AS d LEFT JOIN scim_groups AS g ON g.corp_id = d.corp_id AND g.department_id = d.id WHERE d.corp_id = $1 AND `
)

// User gives one member. NOT_FOUND on id.
func (s *Service) User(ctx context.Context, id nid.ID) (out roster.User, err error) {
	err = s.read(ctx, func(ctx context.Context, r *store.Read, scope access.Scope) error {
		out, err = firstOf(users(ctx, r, scope, roster.Query{Where: is(id), Count: 1}))
		return err
	})
	return out, err
}

// Users gives a page of members. Three statements, however long it is, and one more where
// a user name is asked for.
func (s *Service) Users(ctx context.Context, in roster.Query) (out roster.Page[roster.User], err error) {
	err = s.read(ctx, func(ctx context.Context, r *store.Read, scope access.Scope) error {
		if in.Where, err = called(ctx, r, in.Where); err != nil {
			return err
		}
		if out.Total, err = count(ctx, r, scope, in.Where, usersFrom, (*query).user, userColumns); err != nil || out.Total <= in.Skip || in.Count == 0 {
			return err
		}
		out.Items, err = users(ctx, r, scope, in)
		return err
	})
	return out, err
}

// called turns the question who has a user name into one for an id where somebody has it
// to the letter, which an index finds: providers ask it of each of their users, again and
// again. Only if nobody has, all are looked through whatever the case.
func called(ctx context.Context, r *store.Read, where roster.Condition) (roster.Condition, error) {
	c, ok := where.(roster.Compare)
	if !ok || c.Attribute != roster.UserName || c.Op != roster.Eq {
		return where, nil
	}
	id, found, err := store.SelectOne(ctx, r, one, `SELECT id FROM members WHERE corp_id = $1 AND user_id = $2 AND archived_at IS NULL`, access.From(ctx).Corp, c.Text)
	if err != nil || !found {
		return where, err
	}
	return is(id), nil
}

// count says how many there are.
func count(ctx context.Context, r *store.Read, scope access.Scope, where roster.Condition, from string, visible func(*query, access.Scope) string, columns map[roster.Attribute]string) (int, error) {
	q := ask(r.DB(), access.From(ctx).Corp)
	seen := visible(q, scope)
	condition, err := q.where(where, columns)
	if err != nil {
		return 0, err
	}
	n, _, err := store.SelectOne(ctx, r, func(n *int) []any { return []any{n} }, `SELECT count(*)`+from+seen+` AND `+condition, q.args...)
	return n, err
}

func users(ctx context.Context, r store.Querier, scope access.Scope, in roster.Query) ([]roster.User, error) {
	q := ask(store.EngineOf(r), access.From(ctx).Corp)
	seen := q.user(scope)
	condition, err := q.where(in.Where, userColumns)
	if err != nil {
		return nil, err
	}
	found, err := store.Select(ctx, r, func(u *roster.User) []any {
		return []any{&u.ID, &u.UserName, &u.Name, &u.Active, &u.GivenName, &u.FamilyName, &u.Email, &u.ExternalID, &u.Created, &u.Modified, &u.Version}
	}, `SELECT m.id, m.user_id, m.name, m.answers, coalesce(u.given_name, ''), coalesce(u.family_name, ''), coalesce(u.email, ''), coalesce(u.external_id, ''),
		m.created_at, m.updated_at, m.version`+usersFrom+seen+` AND `+condition+` ORDER BY m.id LIMIT `+q.arg(in.Count)+` OFFSET `+q.arg(in.Skip), q.args...)
	if err != nil || len(found) == 0 {
		return found, err
	}
	at := map[nid.ID]*roster.User{}
	ids := make([]nid.ID, len(found))
	for i := range found {
		ids[i], at[found[i].ID] = found[i].ID, &found[i]
	}
	type row struct {
		member nid.ID
		of     roster.Ref
	}
	q = ask(q.db, access.From(ctx).Corp)
	rows, err := store.Select(ctx, r, func(r *row) []any { return []any{&r.member, &r.of.ID, &r.of.Name} }, `SELECT md.member_id, d.id, d.name
		FROM member_departments AS md JOIN departments AS d ON d.corp_id = md.corp_id AND d.id = md.department_id
		WHERE md.corp_id = $1 AND md.member_id `+q.in(ids)+` AND `+q.group(scope)+` ORDER BY md.member_id, md.position, d.id`, q.args...)
	for _, r := range rows {
		at[r.member].Departments = append(at[r.member].Departments, r.of)
	}
	return found, err
}

// Group gives one department; its members only where they are wanted. NOT_FOUND on id,
// LIMIT for more members than one answer lists.
func (s *Service) Group(ctx context.Context, id nid.ID, members bool) (out roster.Group, err error) {
	err = s.read(ctx, func(ctx context.Context, r *store.Read, scope access.Scope) error {
		out, err = firstOf(groups(ctx, r, scope, roster.Query{Where: is(id), Count: 1, Members: members}))
		return err
	})
	return out, err
}

// Groups gives a page of departments, in two statements, and one for all their members.
func (s *Service) Groups(ctx context.Context, in roster.Query) (out roster.Page[roster.Group], err error) {
	err = s.read(ctx, func(ctx context.Context, r *store.Read, scope access.Scope) error {
		if out.Total, err = count(ctx, r, scope, in.Where, groupsFrom, (*query).group, groupColumns); err != nil || out.Total <= in.Skip || in.Count == 0 {
			return err
		}
		out.Items, err = groups(ctx, r, scope, in)
		return err
	})
	return out, err
}

func groups(ctx context.Context, r store.Querier, scope access.Scope, in roster.Query) ([]roster.Group, error) {
	q := ask(store.EngineOf(r), access.From(ctx).Corp)
	seen := q.group(scope)
	condition, err := q.where(in.Where, groupColumns)
	if err != nil {
		return nil, err
	}
	found, err := store.Select(ctx, r, func(g *roster.Group) []any {
		return []any{&g.ID, &g.Name, &g.ExternalID, &g.Created, &g.Modified, &g.Version}
	}, `SELECT d.id, d.name, coalesce(g.external_id, ''), d.created_at, d.updated_at, CAST(d.version AS text)`+groupsFrom+seen+` AND `+condition+
		` ORDER BY d.id LIMIT `+q.arg(in.Count)+` OFFSET `+q.arg(in.Skip), q.args...)
	if err != nil || len(found) == 0 {
		return found, err
	}
	at := map[nid.ID]*roster.Group{}
	ids := make([]nid.ID, len(found))
	for i := range found {
		ids[i], at[found[i].ID] = found[i].ID, &found[i]
	}
	if !in.Members {
		for i := range found {
			found[i].Version = ""
		}
		return found, nil
	}
	people, err := inside(ctx, r, scope, ids, roster.MaxMembers+1)
	if err != nil {
		return nil, err
	}
	if len(people) > roster.MaxMembers {
		return nil, fault.New(fault.Limit, "members", fault.T("these departments have more than %d members; ask with excludedAttributes=members", "这些部门的成员超过 %d 名,请使用 excludedAttributes=members 查询", roster.MaxMembers))
	}
	for i := range found {
		found[i].Members = []roster.Ref{}
	}
	for _, p := range people {
		at[p.department].Members = append(at[p.department].Members, p.Ref)
	}
	for i := range found {
		found[i].Version = version(found[i].Version, found[i].Members)
	}
	return found, nil
}

// seat is somebody in a department.
type seat struct {
	department nid.ID
	roster.Ref
}

// inside lists who is in departments, as far as the provider sees them.
func inside(ctx context.Context, r store.Querier, scope access.Scope, departments []nid.ID, most int) ([]seat, error) {
	q := ask(store.EngineOf(r), access.From(ctx).Corp)
	return store.Select(ctx, r, func(s *seat) []any { return []any{&s.department, &s.ID, &s.Name} }, `SELECT md.department_id, m.id, m.name
		FROM member_departments AS md JOIN members AS m ON m.corp_id = md.corp_id AND m.id = md.member_id
		LEFT JOIN scim_users AS u ON u.corp_id = m.corp_id AND u.member_id = m.id
		WHERE md.corp_id = $1 AND md.department_id `+q.in(departments)+` AND `+q.user(scope)+` ORDER BY md.department_id, m.id LIMIT `+q.arg(most), q.args...)
}

// version is a department's, with who is in it: an import puts people in without
// touching the department's row.
func version(row string, members []roster.Ref) string {
	h := sha256.New()
	for _, m := range members {
		_, _ = h.Write(m.ID[:])
		_, _ = h.Write([]byte(m.Name + "\x00"))
	}
	return row + "-" + hex.EncodeToString(h.Sum(nil)[:8])
}

// UserVersion is how a member's version is written.
func UserVersion(n int) string { return strconv.Itoa(n) }
