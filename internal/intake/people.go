package intake

import (
	"slices"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
)

// putUnits adds departments without parents and managers, for those may be further
// down or yet to be made.
func (l *loading) putUnits() error {
	var rows []map[string]any
	for i := range l.c.Departments {
		d := &l.c.Departments[i]
		if l.units[d.ID] != nil {
			continue
		}
		u := &unit{id: l.tx.NewID(nid.Department), external: d.ID, name: d.Name, made: true}
		l.addUnit(u)
		rows = append(rows, map[string]any{"id": u.id, "external": u.external, "title": u.name})
	}
	l.tally(DepartmentsFile).Added = len(rows)
	return l.change(DepartmentsFile, "departments", `INSERT INTO departments (id, corp_id, created_at, updated_at, version, external_id, name)
		SELECT id, $2, $3, $3, 1, external, title FROM ROWS WHERE true RETURNING id`, "id uuid, external text, title text", rows, l.tx.Now())
}

// settleUnits gives departments their parents and managers, and works the tree out
// anew where it has changed.
func (l *loading) settleUnits() error {
	var rows []map[string]any
	tree := false
	for i := range l.c.Departments {
		d := &l.c.Departments[i]
		u := l.units[d.ID]
		next := *u
		next.name = d.Name
		if l.c.Has(DepartmentsFile, "parent_id") || u.made {
			next.parent = nid.ID{}
			if d.Parent != "" {
				next.parent = l.units[d.Parent].id
			}
		}
		if l.c.Has(DepartmentsFile, "manager_userid") {
			next.manager = nid.ID{}
			if d.Manager != "" {
				next.manager = l.people[d.Manager].id
			}
		}
		tree = tree || u.made || next.parent != u.parent
		if next == *u {
			continue
		}
		raise := 0
		if !u.made {
			raise = 1
			l.tally(DepartmentsFile).Updated++
		}
		*u = next
		rows = append(rows, map[string]any{"id": u.id, "title": u.name, "parent": u.parent, "manager": u.manager, "raise": raise})
	}
	if err := l.change(DepartmentsFile, "departments", `UPDATE departments SET name = v.title, parent_id = v.parent, manager_id = v.manager,
		version = departments.version + v.raise, updated_at = $3 FROM ROWS WHERE departments.corp_id = $2 AND departments.id = v.id RETURNING departments.id`,
		"id uuid, title text, parent uuid, manager uuid, raise int", rows, l.tx.Now()); err != nil || !tree {
		return err
	}
	for _, query := range []string{
		`DELETE FROM department_closure WHERE corp_id = $1 RETURNING descendant_id`,
		`INSERT INTO department_closure (corp_id, ancestor_id, descendant_id, depth)
		WITH RECURSIVE up (corp_id, ancestor, descendant, depth) AS (
			SELECT corp_id, id, id, 0 FROM departments WHERE corp_id = $1
			UNION ALL
			SELECT up.corp_id, d.parent_id, up.descendant, up.depth + 1
			FROM up JOIN departments AS d ON d.corp_id = up.corp_id AND d.id = up.ancestor WHERE d.parent_id IS NOT NULL)
		SELECT corp_id, ancestor, descendant, depth FROM up WHERE true RETURNING descendant_id`,
	} {
		ids, err := l.tx.Change(l.ctx, "department_closure", query, l.tx.Corp())
		if err != nil {
			return err
		}
		l.covers[DepartmentsFile] = append(l.covers[DepartmentsFile], ids...)
	}
	return nil
}

// facts gives a member's facts as they will be. Somebody whose departure is held back stays
// LEAVING, whatever a file says that calls them at work: a person decides.
func (l *loading) facts(m *Member, was *person) facts {
	f := was.facts
	has := func(column string) bool { return was.made || l.c.Has(MembersFile, column) }
	f.name, f.status = m.Name, m.Status
	if has("customer_contact") {
		f.enabled = m.CustomerContact
	}
	if has("contact_limit") {
		f.room = m.ContactLimit
	}
	if has("last_day") {
		f.lastDay = m.LastDay
	}
	if was.held && f.status.Answers() {
		f.status, f.lastDay = was.status, was.lastDay
	}
	if has("last_login_at") {
		f.loginAt = plain(m.LoginAt)
	}
	switch {
	case f.status != Departed:
		f.departedAt = plain(m.DepartedAt) // nothing: see check.go
	case !m.DepartedAt.IsZero():
		f.departedAt = plain(m.DepartedAt)
	case f.departedAt.IsZero():
		f.departedAt = l.tx.Now()
	}
	return f
}

// putPeople adds and changes members and says which departments they are in.
func (l *loading) putPeople() error {
	var added, changed, left, in, counters []map[string]any
	for i := range l.c.Members {
		m := &l.c.Members[i]
		var at []nid.ID
		for _, d := range m.Departments {
			if id := l.units[d].id; !slices.Contains(at, id) {
				at = append(at, id)
			}
		}
		p := l.people[m.UserID]
		if p == nil {
			p = &person{id: l.tx.NewID(nid.Member), userID: m.UserID, made: true}
			l.addPerson(p)
			counters = append(counters, map[string]any{"id": p.id})
		}
		next := l.facts(m, p)
		same, moved := next == p.facts, !slices.Equal(at, p.departments)
		if same && !moved {
			continue
		}
		stops := !p.made && p.status.Answers() && !next.status.Answers()
		row := map[string]any{
			"id": p.id, "userid": p.userID, "title": next.name, "fold": name.Fold(next.name), "status": string(next.status), "answers": next.status.Answers(),
			"enabled": next.enabled, "room": next.room, "last_day": orNull(next.lastDay), "departed": orNull(next.departedAt), "login": orNull(next.loginAt), "epoch": 0,
		}
		if stops {
			row["epoch"] = 1
			l.stopped = append(l.stopped, p)
			if p.id == l.fallback {
				l.bad(MembersFile, i, "status", fault.T("the member answers for whatever nobody else does; name another fallback member of the corp first",
					"该成员是企业的兜底负责人,请先指定其他兜底负责人"))
			}
		}
		if p.made {
			added = append(added, row)
		} else {
			changed = append(changed, row)
		}
		p.facts = next
		if moved {
			left = append(left, map[string]any{"id": p.id})
			for position, d := range at {
				in = append(in, map[string]any{"id": p.id, "department": d, "position": position})
			}
			p.departments = at
		}
	}
	if err := l.refuse(); err != nil {
		return err
	}
	l.tally(MembersFile).Added, l.tally(MembersFile).Updated = len(added), len(changed)
	const columns = "id uuid, userid text, title text, fold text, status text, answers bool, enabled bool, room int, last_day text, departed time, login time, epoch int"
	if err := l.change(MembersFile, "members", `INSERT INTO members (id, corp_id, created_at, updated_at, version, user_id, name, name_key, status, answers,
		customer_contact_enabled, contact_limit, last_day, departed_at, last_login_at, epoch)
		SELECT id, $2, $3, $3, 1, userid, title, fold, status, answers, enabled, room, last_day, departed, login, 1 FROM ROWS WHERE true RETURNING id`,
		columns, added, l.tx.Now()); err != nil {
		return err
	}
	if err := l.change(MembersFile, "members", `UPDATE members SET name = v.title, name_key = v.fold, status = v.status, answers = v.answers,
		customer_contact_enabled = v.enabled, contact_limit = v.room, last_day = v.last_day, departed_at = v.departed, last_login_at = v.login,
		departure_held_at = CASE WHEN v.answers THEN members.departure_held_at END, departure_by_id = CASE WHEN v.answers THEN members.departure_by_id END,
		suspended = CASE WHEN v.answers THEN members.suspended ELSE false END, epoch = members.epoch + v.epoch, version = members.version + 1, updated_at = $3
		FROM ROWS WHERE members.corp_id = $2 AND members.id = v.id RETURNING members.id`, columns, changed, l.tx.Now()); err != nil {
		return err
	}
	if err := l.change(MembersFile, "member_departments", `DELETE FROM member_departments WHERE corp_id = $2 AND member_id IN (SELECT id FROM ROWS) RETURNING member_id`,
		"id uuid", left); err != nil {
		return err
	}
	if err := l.change(MembersFile, "member_departments", `INSERT INTO member_departments (corp_id, member_id, department_id, position)
		SELECT $2, id, department, position FROM ROWS WHERE true RETURNING member_id`, "id uuid, department uuid, position int", in); err != nil {
		return err
	}
	l.progress(MembersFile, len(l.c.Members), len(l.c.Members))
	return l.bookkeep("member_counters", `INSERT INTO member_counters (corp_id, member_id) SELECT $2, id FROM ROWS WHERE true`, "id uuid", counters)
}

// settleCare names the corp's fallback member where there is none, and a caretaker
// for everybody who is gone.
func (l *loading) settleCare() error {
	if l.fallback.IsZero() {
		if l.fallback = l.firstAnswering(); !l.fallback.IsZero() {
			ids, err := l.tx.Change(l.ctx, "corps", `UPDATE corps SET fallback_id = $2, version = version + 1, updated_at = $3 WHERE corp_id = $1 RETURNING id`,
				l.tx.Corp(), l.fallback, l.tx.Now())
			if err != nil {
				return err
			}
			l.covers[MembersFile] = append(l.covers[MembersFile], ids...)
		}
	}
	var rows []map[string]any
	for _, p := range l.folk() {
		var care nid.ID
		if p.status.Gone() {
			care = l.caretaker(p) // nobody is fine for who leaves nothing
		}
		if care != p.caretaker {
			p.caretaker = care
			rows = append(rows, map[string]any{"id": p.id, "care": care})
		}
	}
	return l.change(MembersFile, "members", `UPDATE members SET caretaker_id = v.care, updated_at = $3 FROM ROWS
		WHERE members.corp_id = $2 AND members.id = v.id RETURNING members.id`, "id uuid, care uuid", rows, l.tx.Now())
}

func nobodyAnswers() error {
	return fault.Clash("", "nobody would answer for what those who are away leave; the root department needs a manager or member at work",
		"离开的成员所留下的客户将无人负责:根部门需要有在职的负责人或成员")
}

// folk lists the members in the order of their ids.
func (l *loading) folk() []*person {
	ids := make([]nid.ID, 0, len(l.personBy))
	for id := range l.personBy {
		ids = append(ids, id)
	}
	out := make([]*person, len(ids))
	for i, id := range sortedIDs(ids) {
		out[i] = l.personBy[id]
	}
	return out
}

// firstAnswering finds a fallback member: the root department's manager, else its
// first member at work.
func (l *loading) firstAnswering() nid.ID {
	for _, u := range l.unitByID {
		if !u.parent.IsZero() {
			continue
		}
		if m := l.personBy[u.manager]; m != nil && m.status.Answers() {
			return m.id
		}
		for _, p := range l.folk() {
			if p.status.Answers() && slices.Contains(p.departments, u.id) {
				return p.id
			}
		}
	}
	return nid.ID{}
}

// caretaker finds who answers for what somebody who is away leaves: the caretaker
// there is, else the manager of the main department or the nearest above it, else
// the fallback member (semantics.md). Zero: nobody.
func (l *loading) caretaker(p *person) nid.ID {
	fits := func(id nid.ID) bool {
		m := l.personBy[id]
		return m != nil && m != p && m.status.Answers()
	}
	if fits(p.caretaker) {
		return p.caretaker
	}
	if len(p.departments) > 0 {
		for u := l.unitByID[p.departments[0]]; u != nil; u = l.unitByID[u.parent] {
			if fits(u.manager) {
				return u.manager
			}
		}
	}
	if fits(l.fallback) {
		return l.fallback
	}
	return nid.ID{}
}

// closeDoors takes the access of members whom the files make gone. They hold
// nothing, or check would have asked for a deactivation.
func (l *loading) closeDoors() error {
	var gone []nid.ID
	for _, p := range l.stopped {
		if p.status.Gone() {
			gone = append(gone, p.id)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if _, err := l.tx.Keep(l.ctx, "sessions", `DELETE FROM sessions WHERE corp_id = $1 AND member_id `+l.db.In(2), l.tx.Corp(), l.db.IDs(gone)); err != nil {
		return err
	}
	for _, t := range []struct{ name, of, end string }{
		{"grants", "member_id", "revoked_at"}, {"service_tokens", "created_by_id", "revoked_at"}, {"history_grants", "successor_id", "ended_at"},
	} {
		ids, err := l.tx.Change(l.ctx, t.name, `UPDATE `+t.name+` SET `+t.end+` = $3 WHERE corp_id = $1 AND `+t.of+` `+l.db.In(2)+` AND `+t.end+` IS NULL RETURNING id`,
			l.tx.Corp(), l.db.IDs(gone), l.tx.Now())
		if err != nil {
			return err
		}
		l.covers[MembersFile] = append(l.covers[MembersFile], ids...)
	}
	return nil
}

// reassign finds who answers now for what members answered for who do not any
// more: the oldest follower at work, the caretaker of who has followed it longest,
// else the caretaker of who answered; for a group its owner or the owner's caretaker.
func (l *loading) reassign() error {
	var rows []map[string]any
	for _, p := range l.stopped {
		care := l.caretaker(p)
		if care.IsZero() {
			return nobodyAnswers()
		}
		rows = append(rows, map[string]any{"id": p.id, "care": care})
	}
	const follower = `FROM follows AS f JOIN members AS m ON m.corp_id = f.corp_id AND m.id = f.member_id
		WHERE f.corp_id = contacts.corp_id AND f.contact_id = contacts.id AND f.ended_at IS NULL`
	if err := l.change(MembersFile, "contacts", `UPDATE contacts SET updated_at = $3, accountable_id = coalesce(
			(SELECT f.member_id `+follower+` AND m.answers ORDER BY f.since, f.id LIMIT 1),
			(SELECT m.caretaker_id `+follower+` AND m.caretaker_id IS NOT NULL ORDER BY f.since, f.id LIMIT 1), v.care)
		FROM ROWS WHERE contacts.corp_id = $2 AND contacts.accountable_id = v.id RETURNING contacts.id`, "id uuid, care uuid", rows, l.tx.Now()); err != nil {
		return err
	}
	return l.change(MembersFile, "groups", `UPDATE groups SET updated_at = $3, accountable_id = coalesce(
			(SELECT CASE WHEN m.answers THEN m.id ELSE m.caretaker_id END FROM members AS m WHERE m.corp_id = groups.corp_id AND m.id = groups.owner_id), v.care)
		FROM ROWS WHERE groups.corp_id = $2 AND groups.accountable_id = v.id RETURNING groups.id`, "id uuid, care uuid", rows, l.tx.Now())
}
