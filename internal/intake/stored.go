package intake

import (
	"bytes"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// stored is what a corp holds, by external id. Archived rows do not count: their
// external ids are free.
type stored struct {
	units    map[string]*unit
	unitByID map[nid.ID]*unit
	people   map[string]*person
	personBy map[nid.ID]*person
	contacts map[string]nid.ID
	groups   map[string]nid.ID
}

// unit is a department.
type unit struct {
	id, parent, manager nid.ID
	external, name      string
	made                bool // by this load
}

// facts are what a row of members.csv says of a member.
type facts struct {
	name, lastDay       string
	status              Status
	enabled             bool
	room                int
	departedAt, loginAt time.Time
}

// person is a member.
type person struct {
	facts
	id, caretaker nid.ID
	userID        string
	departments   []nid.ID // the first is the main one
	holds         bool
	made          bool // by this load
	held          bool // their departure waits for a person to decide
}

// moments of a database and of a file compare as equal only in one form.
func plain(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// readStored reads everything but the details of contacts and groups. lock follows
// the query of the members, whom it takes in the order of their ids.
func readStored(ctx context.Context, q store.Querier, lock string) (st stored, err error) {
	if err = st.readUnits(ctx, q); err == nil {
		if err = st.readPeople(ctx, q, lock); err == nil {
			err = st.readItems(ctx, q)
		}
	}
	return st, err
}

func (st *stored) readUnits(ctx context.Context, q store.Querier) error {
	rows, err := store.Select(ctx, q, func(u *unit) []any { return []any{&u.id, &u.parent, &u.manager, maybe{&u.external}, &u.name} },
		`SELECT id, parent_id, manager_id, external_id, name FROM departments WHERE corp_id = $1 AND archived_at IS NULL`, access.From(ctx).Corp)
	st.units, st.unitByID = make(map[string]*unit, len(rows)), make(map[nid.ID]*unit, len(rows))
	for i := range rows {
		st.addUnit(&rows[i])
	}
	return err
}

func (st *stored) addUnit(u *unit) {
	st.unitByID[u.id] = u
	if u.external != "" {
		st.units[u.external] = u
	}
}

func (st *stored) readPeople(ctx context.Context, q store.Querier, lock string) error {
	corp := access.From(ctx).Corp
	type row struct {
		person
		departed, login sql.NullTime
	}
	rows, err := store.Select(ctx, q, func(r *row) []any {
		return []any{&r.id, &r.userID, &r.name, &r.status, &r.enabled, &r.room, maybe{&r.lastDay}, &r.departed, &r.login, &r.caretaker, &r.held}
	}, `SELECT id, user_id, name, status, customer_contact_enabled, contact_limit, last_day, departed_at, last_login_at, caretaker_id,
			status = 'LEAVING' AND departure_held_at IS NOT NULL
		FROM members WHERE corp_id = $1 AND archived_at IS NULL ORDER BY id`+lock, corp)
	if err != nil {
		return err
	}
	st.people, st.personBy = make(map[string]*person, len(rows)), make(map[nid.ID]*person, len(rows))
	for i := range rows {
		p := &rows[i].person
		p.departedAt, p.loginAt = plain(rows[i].departed.Time), plain(rows[i].login.Time)
		st.addPerson(p)
	}
	type pair struct{ member, department nid.ID }
	in, err := store.Select(ctx, q, func(p *pair) []any { return []any{&p.member, &p.department} },
		`SELECT member_id, department_id FROM member_departments WHERE corp_id = $1 ORDER BY member_id, position`, corp)
	if err != nil {
		return err
	}
	for _, p := range in {
		if m := st.personBy[p.member]; m != nil {
			m.departments = append(m.departments, p.department)
		}
	}
	holders, err := store.Select(ctx, q, func(id *nid.ID) []any { return []any{id} },
		`SELECT member_id FROM member_counters WHERE corp_id = $1 AND contacts + groups > 0`, corp)
	for _, id := range holders {
		if m := st.personBy[id]; m != nil {
			m.holds = true
		}
	}
	return err
}

func (st *stored) addPerson(p *person) { st.people[p.userID], st.personBy[p.id] = p, p }

func (st *stored) readItems(ctx context.Context, q store.Querier) (err error) {
	if st.contacts, err = byExternalID(ctx, q, `SELECT id, external_user_id FROM contacts WHERE corp_id = $1 AND archived_at IS NULL AND external_user_id IS NOT NULL`); err != nil {
		return err
	}
	st.groups, err = byExternalID(ctx, q, `SELECT id, chat_id FROM groups WHERE corp_id = $1 AND archived_at IS NULL AND chat_id IS NOT NULL`)
	return err
}

func byExternalID(ctx context.Context, q store.Querier, query string) (map[string]nid.ID, error) {
	type row struct {
		id       nid.ID
		external string
	}
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.id, &r.external} }, query, access.From(ctx).Corp)
	out := make(map[string]nid.ID, len(rows))
	for _, r := range rows {
		out[r.external] = r.id
	}
	return out, err
}

// known is what the rules need of it.
func (st *stored) known() *Known {
	k := &Known{
		Departments: make(map[string]string, len(st.units)), Members: make(map[string]KnownMember, len(st.people)),
		Contacts: make(map[string]struct{}, len(st.contacts)), Groups: make(map[string]struct{}, len(st.groups)),
	}
	for id, u := range st.units {
		k.Departments[id] = ""
		if p := st.unitByID[u.parent]; p != nil {
			k.Departments[id] = p.external
		}
	}
	for id, p := range st.people {
		k.Members[id] = KnownMember{Status: p.status, Holds: p.holds}
	}
	for id := range st.contacts {
		k.Contacts[id] = struct{}{}
	}
	for id := range st.groups {
		k.Groups[id] = struct{}{}
	}
	return k
}

// readUnits, readPeople and readItems read inside the load. All members are locked
// before anything else (semantics.md, lock 3): whoever hands over, deactivates or
// reinstates waits.
func (l *loading) readUnits() error  { return l.stored.readUnits(l.ctx, l.tx) }
func (l *loading) readPeople() error { return l.stored.readPeople(l.ctx, l.tx, l.db.ForNoKeyUpdate()) }
func (l *loading) readItems() error  { return l.stored.readItems(l.ctx, l.tx) }

// items are the contacts and groups that the files are about, as they are stored.
type items struct {
	contacts map[nid.ID]*customer
	open     map[pair]*tie
	ended    map[pair]time.Time // when the last of them ended
	chats    map[nid.ID]*chat
}

// pair is a member and a contact.
type pair struct{ member, contact nid.ID }

// customer is a contact.
type customer struct {
	id, accountable                          nid.ID
	name, kind, company, importance, consent string
	protected, followed                      bool
	tags                                     map[string]nid.ID
}

// tie is an open follow.
type tie struct {
	id, member, contact nid.ID
	remark, description string
	addWay              int
	protected           bool
	endedAt             sql.NullTime
	tags                map[string]nid.ID
}

// chat is a group.
type chat struct {
	id, owner    nid.ID
	name, status string
	members      int
	protected    bool
}

// lockItems reads and locks the contacts, follows and groups that the files are
// about, in the order in which everybody locks them (semantics.md, lock 4).
func (l *loading) lockItems() error {
	l.items = items{contacts: map[nid.ID]*customer{}, open: map[pair]*tie{}, ended: map[pair]time.Time{}, chats: map[nid.ID]*chat{}}
	var contacts, groups []nid.ID
	for i := range l.c.Contacts {
		contacts = append(contacts, l.contacts[l.c.Contacts[i].ExternalUserID])
	}
	for i := range l.c.Follows {
		contacts = append(contacts, l.contacts[l.c.Follows[i].ExternalUserID])
	}
	for i := range l.c.Groups {
		groups = append(groups, l.groups[l.c.Groups[i].ChatID])
	}
	for _, part := range [](func([]nid.ID) error){l.lockContacts, l.lockFollows} {
		for ids := range slices.Chunk(sortedIDs(contacts), chunk) {
			if err := part(ids); err != nil {
				return err
			}
		}
	}
	for ids := range slices.Chunk(sortedIDs(groups), chunk) {
		if err := l.lockGroups(ids); err != nil {
			return err
		}
	}
	return nil
}

// sortedIDs gives each id once, without the zero id, which stands for what is new.
func sortedIDs(ids []nid.ID) []nid.ID {
	ids = slices.DeleteFunc(ids, nid.ID.IsZero)
	slices.SortFunc(ids, func(a, b nid.ID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

func (l *loading) lockContacts(ids []nid.ID) error {
	rows, err := store.Select(l.ctx, l.tx, func(c *customer) []any {
		return []any{&c.id, &c.name, &c.kind, maybe{&c.company}, &c.importance, &c.accountable, &c.protected, &c.consent}
	}, `SELECT id, name, type, company, importance, accountable_id, protected, chat_consent FROM contacts WHERE corp_id = $1 AND id `+l.db.In(2)+` ORDER BY id`+l.db.ForUpdate(),
		l.tx.Corp(), l.db.IDs(ids))
	if err != nil {
		return err
	}
	for i := range rows {
		rows[i].tags = map[string]nid.ID{}
		l.items.contacts[rows[i].id] = &rows[i]
	}
	return l.readTags("contact_tags", "contact_id", ids, func(id nid.ID) map[string]nid.ID { return l.items.contacts[id].tags })
}

func (l *loading) lockFollows(ids []nid.ID) error {
	rows, err := store.Select(l.ctx, l.tx, func(t *tie) []any {
		return []any{&t.id, &t.member, &t.contact, maybe{&t.remark}, maybe{&t.description}, maybeNumber{&t.addWay}, &t.protected, &t.endedAt}
	}, `SELECT id, member_id, contact_id, remark, description, add_way, protected, ended_at FROM follows WHERE corp_id = $1 AND contact_id `+l.db.In(2)+`
		ORDER BY contact_id, id`+l.db.ForUpdate(), l.tx.Corp(), l.db.IDs(ids))
	if err != nil {
		return err
	}
	var open []nid.ID
	byID := map[nid.ID]*tie{}
	for i := range rows {
		t := &rows[i]
		p := pair{t.member, t.contact}
		if t.endedAt.Valid {
			if at := plain(t.endedAt.Time); at.After(l.items.ended[p]) {
				l.items.ended[p] = at
			}
			continue
		}
		t.tags = map[string]nid.ID{}
		l.items.open[p], byID[t.id] = t, t
		l.items.contacts[t.contact].followed = true
		open = append(open, t.id)
	}
	for part := range slices.Chunk(open, chunk) {
		if err := l.readTags("follow_tags", "follow_id", part, func(id nid.ID) map[string]nid.ID { return byID[id].tags }); err != nil {
			return err
		}
	}
	return nil
}

func (l *loading) readTags(table, column string, ids []nid.ID, of func(nid.ID) map[string]nid.ID) error {
	type row struct {
		of, tag nid.ID
		name    string
	}
	rows, err := store.Select(l.ctx, l.tx, func(r *row) []any { return []any{&r.of, &r.tag, &r.name} },
		`SELECT j.`+column+`, t.id, t.name FROM `+table+` AS j JOIN tags AS t ON t.corp_id = j.corp_id AND t.id = j.tag_id
		WHERE j.corp_id = $1 AND j.`+column+` `+l.db.In(2), l.tx.Corp(), l.db.IDs(ids))
	for _, r := range rows {
		of(r.of)[r.name] = r.tag
	}
	return err
}

func (l *loading) lockGroups(ids []nid.ID) error {
	rows, err := store.Select(l.ctx, l.tx, func(g *chat) []any {
		return []any{&g.id, &g.owner, &g.name, &g.status, &g.members, &g.protected}
	}, `SELECT id, owner_id, name, status, member_count, protected FROM groups WHERE corp_id = $1 AND id `+l.db.In(2)+` ORDER BY id`+l.db.ForUpdate(),
		l.tx.Corp(), l.db.IDs(ids))
	for i := range rows {
		l.items.chats[rows[i].id] = &rows[i]
	}
	return err
}

// maybe and maybeNumber scan columns that may be NULL, which is nothing.
type maybe struct{ s *string }

func (t maybe) Scan(v any) error {
	var n sql.NullString
	err := n.Scan(v)
	*t.s = n.String
	return err
}

type maybeNumber struct{ n *int }

func (t maybeNumber) Scan(v any) error {
	var n sql.NullInt64
	err := n.Scan(v)
	*t.n = int(n.Int64)
	return err
}

// orNull is how nothing is stored in such columns.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}
