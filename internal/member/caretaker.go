package member

import (
	"context"
	"database/sql"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// person is what deactivating and reinstating know of a member.
type person struct {
	id, caretaker nid.ID
	status        string
	answers       bool
	departedAt    sql.NullTime
	lastDay       sql.NullString
	heldAt        sql.NullTime
	heldBy        nid.ID // who asked for the departure; zero: no member
	suspended     bool
}

// personColumns are what columns takes, of members AS m.
const personColumns = `m.id, m.status, m.answers, m.caretaker_id, m.departed_at, m.last_day, m.departure_held_at, m.departure_by_id, m.suspended`

func (p *person) columns() []any {
	return []any{&p.id, &p.status, &p.answers, &p.caretaker, &p.departedAt, &p.lastDay, &p.heldAt, &p.heldBy, &p.suspended}
}

// care is who could answer for whom, all locked.
type care struct {
	people   map[nid.ID]person
	managers map[nid.ID][]nid.ID // by member: of the main department, then of its ancestors
	wards    []nid.ID            // members whose caretaker is the leaver, in id order
	fallback nid.ID
	leaver   nid.ID
}

// of finds the caretaker of somebody who is or will be away: the one they have if
// that one stays, else the nearest manager at work, else the corp's fallback
// member. Zero: there is nobody.
func (c care) of(p person) nid.ID {
	for _, id := range append(append([]nid.ID{p.caretaker}, c.managers[p.id]...), c.fallback) {
		if id != c.leaver && id != p.id && c.people[id].answers {
			return id
		}
	}
	return nid.ID{}
}

// nobodyAnswers is the CONFLICT where a departure would leave nobody to answer.
func nobodyAnswers() error {
	return fault.Clash("input.memberId", "nobody would answer for what this member leaves; name a fallback member of the corp first",
		"该成员离开后将无人负责,请先指定企业的兜底负责人")
}

// lockCare reads who could take care of what the leaver leaves and of those in the
// leaver's care, and locks them all in id order (semantics.md, lock 3): the managers
// up the tree, the fallback member, those named, and the colleagues who follow the
// same contacts.
func lockCare(ctx context.Context, tx *store.Tx, leaver nid.ID, named ...nid.ID) (care, error) {
	db := tx.DB()
	c := care{people: map[nid.ID]person{}, managers: map[nid.ID][]nid.ID{}, leaver: leaver}
	one := func(id *nid.ID) []any { return []any{id} }
	var err error
	if c.fallback, _, err = store.SelectOne(ctx, tx, one, `SELECT fallback_id FROM corps WHERE corp_id = $1`+db.ForShare(), tx.Corp()); err != nil {
		return c, err
	}
	type row struct{ member, manager nid.ID }
	rows, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.member, &r.manager} }, `
		SELECT m.id, d.manager_id FROM members AS m
		LEFT JOIN member_departments AS md ON md.corp_id = m.corp_id AND md.member_id = m.id AND md.position =
			(SELECT min(p.position) FROM member_departments AS p WHERE p.corp_id = m.corp_id AND p.member_id = m.id)
		LEFT JOIN department_closure AS dc ON dc.corp_id = md.corp_id AND dc.descendant_id = md.department_id
		LEFT JOIN departments AS d ON d.corp_id = dc.corp_id AND d.id = dc.ancestor_id
		WHERE m.corp_id = $1 AND (m.id = $2 OR m.caretaker_id = $2) ORDER BY m.id, dc.depth`, tx.Corp(), leaver)
	if err != nil {
		return c, err
	}
	wanted := append([]nid.ID{leaver, c.fallback}, named...)
	for _, r := range rows {
		wanted = append(wanted, r.member)
		if !r.manager.IsZero() {
			c.managers[r.member] = append(c.managers[r.member], r.manager)
			wanted = append(wanted, r.manager)
		}
	}
	// The list goes by way of the program: a planner that has not yet counted a large
	// import would join follows with itself row by row.
	contacts, err := store.Select(ctx, tx, one, `SELECT contact_id FROM follows WHERE corp_id = $1 AND member_id = $2 AND ended_at IS NULL`, tx.Corp(), leaver)
	if err != nil {
		return c, err
	}
	// Whoever they have now may go on caring for somebody who was only disabled.
	locked, err := store.Select(ctx, tx, (*person).columns, `SELECT `+personColumns+` FROM members AS m WHERE m.corp_id = $1 AND (m.id `+db.In(3)+`
		OR m.id IN (SELECT l.caretaker_id FROM members AS l WHERE l.corp_id = $1 AND l.id = $2)
		OR m.id IN (SELECT f.member_id FROM follows AS f WHERE f.corp_id = $1 AND f.contact_id `+db.In(4)+` AND f.ended_at IS NULL))
		ORDER BY m.id`+db.ForNoKeyUpdate(), tx.Corp(), leaver, db.IDs(wanted), db.IDs(contacts))
	if err != nil {
		return c, err
	}
	for _, p := range locked {
		c.people[p.id] = p
		if p.caretaker == leaver {
			c.wards = append(c.wards, p.id)
		}
	}
	return c, nil
}
