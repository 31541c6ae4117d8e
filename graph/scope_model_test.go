package graph

import (
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
)

// scopeModel says who may do what where, from what happened: a second opinion that
// shares nothing with the service's closure table, rules and SQL. It climbs from
// department to parent, and looks at the clock itself.
type scopeModel struct {
	parents map[nid.ID]nid.ID   // of each department; the root has none
	homes   map[nid.ID][]nid.ID // departments of each member
	gone    map[nid.ID]bool     // members who have departed
	roles   map[nid.ID]*modelRole
	grants  map[nid.ID]*modelGrant
	follows map[nid.ID][]nid.ID // contact to its followers
	owners  map[nid.ID]nid.ID   // group to its owner
	cases   map[nid.ID]*modelCase
}

// modelCase is a handover: each successor gets some of the leaver's contacts.
type modelCase struct {
	leaver, requester, voter nid.ID         // zero: nobody
	to                       map[nid.ID]int // successor to how many contacts
}

type modelRole struct {
	permissions []string
	version     int
}

type modelGrant struct {
	member, role, department nid.ID // no department: the whole corp
	until                    time.Time
	revoked                  bool
}

func newScopeModel(root nid.ID) *scopeModel {
	return &scopeModel{
		parents: map[nid.ID]nid.ID{root: {}}, homes: map[nid.ID][]nid.ID{}, gone: map[nid.ID]bool{}, roles: map[nid.ID]*modelRole{},
		grants: map[nid.ID]*modelGrant{}, follows: map[nid.ID][]nid.ID{}, owners: map[nid.ID]nid.ID{},
		cases: map[nid.ID]*modelCase{},
	}
}

// below reports whether a department is another or lies below it.
func (m *scopeModel) below(department, top nid.ID) bool {
	for d := department; !d.IsZero(); d = m.parents[d] {
		if d == top {
			return true
		}
	}
	return false
}

// depth is how far a department lies below the root.
func (m *scopeModel) depth(department nid.ID) (n int) {
	for d := m.parents[department]; !d.IsZero(); d = m.parents[d] {
		n++
	}
	return n
}

// height is how many departments lie below one another under a department.
func (m *scopeModel) height(top nid.ID) (n int) {
	for d := range m.parents {
		if m.below(d, top) {
			n = max(n, m.depth(d)-m.depth(top))
		}
	}
	return n
}

// holds reports whether a grant is in force.
func (m *scopeModel) holds(g *modelGrant, now time.Time) bool {
	return !g.revoked && !m.gone[g.member] && (g.until.IsZero() || now.Before(g.until))
}

// reaches reports whether the actor has one of the permissions over the member.
func (m *scopeModel) reaches(actor, member nid.ID, now time.Time, any ...string) bool {
	for _, g := range m.grants {
		if g.member != actor || !m.holds(g, now) || !slices.ContainsFunc(any, func(p string) bool { return slices.Contains(m.roles[g.role].permissions, p) }) {
			continue
		}
		if g.department.IsZero() || slices.ContainsFunc(m.homes[member], func(d nid.ID) bool { return m.below(d, g.department) }) {
			return true
		}
	}
	return false
}

func (m *scopeModel) seesContact(actor, contact nid.ID, now time.Time) bool {
	return slices.ContainsFunc(m.follows[contact], func(f nid.ID) bool { return f == actor || m.reaches(actor, f, now, "VIEW_CONTACTS") })
}

func (m *scopeModel) changesContact(actor, contact nid.ID, now time.Time) bool {
	return m.seesContact(actor, contact, now) &&
		slices.ContainsFunc(m.follows[contact], func(f nid.ID) bool { return f == actor || m.reaches(actor, f, now, "MANAGE_CONTACTS") })
}

func (m *scopeModel) seesGroup(actor, group nid.ID, now time.Time) bool {
	return m.owners[group] == actor || m.reaches(actor, m.owners[group], now, "VIEW_GROUPS")
}

func (m *scopeModel) counts(actor, member nid.ID, now time.Time) bool {
	return member == actor || m.reaches(actor, member, now, "VIEW_CONTACTS", "VIEW_STATISTICS")
}

func (m *scopeModel) seesGrant(actor nid.ID, g *modelGrant, now time.Time) bool {
	return m.holds(g, now) && (g.member == actor || m.reaches(actor, g.member, now, "MANAGE_ROLES", "REVIEW_ACCESS", "READ_AUDIT_LOG"))
}

func (m *scopeModel) plans(actor, leaver nid.ID, now time.Time) bool {
	return m.reaches(actor, leaver, now, "PLAN_HANDOVER")
}

// deals: the actor may deal with handovers of the member.
func (m *scopeModel) deals(actor, member nid.ID, now time.Time) bool {
	return m.reaches(actor, member, now, "PLAN_HANDOVER", "APPROVE_HANDOVER", "READ_AUDIT_LOG")
}

// seesMoves gives how many of the case's transfers to a successor the actor sees.
func (m *scopeModel) seesMoves(actor nid.ID, h *modelCase, successor nid.ID, now time.Time) int {
	if actor == h.requester || actor == successor || m.deals(actor, h.leaver, now) || m.deals(actor, successor, now) {
		return h.to[successor]
	}
	return 0
}

func (m *scopeModel) seesAllMoves(actor nid.ID, h *modelCase, now time.Time) (n int) {
	for successor := range h.to {
		n += m.seesMoves(actor, h, successor, now)
	}
	return n
}

func (m *scopeModel) seesCase(actor nid.ID, h *modelCase, now time.Time) bool {
	return actor == h.requester || m.deals(actor, h.leaver, now) || m.seesAllMoves(actor, h, now) > 0
}

// reasons: the actor sees what is said of a case, beside that it is there.
func (m *scopeModel) reasons(actor nid.ID, h *modelCase, now time.Time) bool {
	return m.seesCase(actor, h, now) && (actor == h.requester || actor == h.voter || m.deals(actor, h.leaver, now))
}
