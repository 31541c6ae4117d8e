package handover

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/rule"
	"github.com/openhandover/openhandover/internal/store"
)

// Item is one contact or group of a plan with the successor it goes to.
type Item struct {
	Kind ItemKind
	// ID is the contact's or group's id.
	ID nid.ID
	// Follow is the leaver's follow of the contact; zero for a group.
	Follow nid.ID
	// Version is the ownership version the plan expects.
	Version    int
	Importance string
	// Key: the contact counts as KEY for approval (contact.CountsAsKey), whatever its
	// importance is, by which statistics go.
	Key      bool
	From, To nid.ID
	// Because says why this successor, as a code; see Because.
	Because string
	// Merged: the successor follows the contact already, so it takes no room.
	Merged bool
	// Busy: a platform is still deciding an earlier transfer of it.
	Busy bool
	// RuleSet and Rule are which rule chose the successor; zero and -1: none did.
	RuleSet nid.ID
	Rule    int
	// RevertOf is the transfer that this one takes back.
	RevertOf nid.ID
	// Problem is what stands in its way, in a preview; nil: nothing does.
	Problem  *Problem
	trouble  Reason
	addWay   *int
	keyUntil *time.Time
}

// count notes whether the item counts as KEY at a moment.
func (it *Item) count(now time.Time) {
	it.Key = it.Kind == Contact && contact.CountsAsKey(it.Importance, it.keyUntil, now)
}

// Why a successor got an item, where no rule decided: the planner named them, or a
// reverse handover gives it back.
const (
	ByHand    = "BY_HAND"
	GoingBack = "GOING_BACK"
)

// Because puts the code in words.
func Because(code string) fault.Text {
	switch code {
	case ByHand:
		return fault.T("chosen by hand", "人工指定")
	case GoingBack:
		return fault.T("goes back to whom it came from", "归还原归属人")
	}
	if t, ok := rule.Because(code); ok {
		return t
	}
	return fault.T("%s", "%s", code)
}

// person is what planning and executing know of a leaver or successor.
type person struct {
	ID         nid.ID
	Status     string
	Enabled    bool
	Limit      int
	Contacts   int // open follows
	Reserved   int // promised by transfers that wait for a platform
	Groups     int
	Department nid.ID // the main one; zero where there is none
	Caretaker  nid.ID // who answers for a leaver; zero at work
	LastDay    *string
	Held       bool // the departure waits for somebody's decision
	OutOfScope bool
	// Promised is what other open plans will bring, and only known where one is planned.
	Promised, PromisedGroups int
}

// room is how many more contacts the person can take now.
func (p *person) room() int { return max(p.Limit-p.Contacts-p.Reserved, 0) }

// department is the main one at the time; zero for nobody.
func (p *person) department() nid.ID {
	if p == nil {
		return nid.ID{}
	}
	return p.Department
}

// answers reports whether the person is at work and can be accountable.
func (p *person) answers() bool { return p.Status == "ACTIVE" || p.Status == "LEAVING" }

// unfit says why the person cannot take over; empty where they can. Of somebody out
// of scope it tells no more than that. Nobody is somebody who has been archived.
func (p *person) unfit() Reason {
	switch {
	case p == nil:
		return SuccessorNotActive
	case p.OutOfScope:
		return SuccessorOutOfScope
	case p.Status != "ACTIVE":
		return SuccessorNotActive
	case !p.Enabled:
		return SuccessorContactDisabled
	}
	return ""
}

// planned is a plan worked out against the database.
type planned struct {
	Input
	StartAt              *time.Time
	RevertOf, FollowUpOf nid.ID
	Items                []Item
	People               map[nid.ID]*person
	Policy               approval.Policy
	Need                 approval.Need
	Digest               string
	Responsible          nid.ID
	notice               *notice // nil: it can be executed at once
	// scope is what the rule set lets successors read, where the input says nothing.
	scope *HistoryScope
	// unreadable: the corp's settings forbid the history that the plan gives.
	unreadable bool
	// historyDays is how long bounded history grants last.
	historyDays int
}

// whoMayPlan are the permissions of which one is needed over the leaver.
var whoMayPlan = []access.Permission{access.PlanHandover}

// people reads members with what they have, the given ones only, in id order.
// lock is the database's word for locking them, or empty.
func people(ctx context.Context, q store.Querier, scope access.Scope, lock string, ids ...nid.ID) (map[nid.ID]*person, error) {
	db := store.EngineOf(q)
	if lock != "" {
		// The counters too: after a wait PostgreSQL reads anew only what is locked.
		lock += " OF m, c"
	}
	rows, err := store.Select(ctx, q, func(p *person) []any {
		return []any{&p.ID, &p.Status, &p.Enabled, &p.Limit, &p.Contacts, &p.Reserved, &p.Groups, &p.Department, &p.Caretaker, &p.LastDay, &p.Held}
	}, `SELECT m.id, m.status, m.customer_contact_enabled, m.contact_limit, c.contacts, c.reserved_contacts, c.groups,
		(SELECT md.department_id FROM member_departments AS md WHERE md.corp_id = m.corp_id AND md.member_id = m.id ORDER BY md.position LIMIT 1), m.caretaker_id,
		m.last_day, m.departure_held_at IS NOT NULL
		FROM members AS m JOIN member_counters AS c ON c.corp_id = m.corp_id AND c.member_id = m.id
		WHERE m.corp_id = $1 AND m.id `+db.In(2)+` AND m.archived_at IS NULL ORDER BY m.id`+lock, access.From(ctx).Corp, db.IDs(ids))
	if err != nil {
		return nil, err
	}
	outside, err := store.OutOfScope(ctx, q, scope, ids...)
	if err != nil {
		return nil, err
	}
	out := map[nid.ID]*person{}
	for i := range rows {
		rows[i].OutOfScope = slices.Contains(outside, rows[i].ID)
		out[rows[i].ID] = &rows[i]
	}
	return out, nil
}

// work makes the plan: checks the input, finds the items, gives each its
// successor, and computes approvals and digest. It writes nothing. It fails with
// INVALID naming the field, NOT_FOUND for an unknown leaver or successor,
// FORBIDDEN where the leaver is outside the actor's scope, LIMIT beyond
// MaxTransfers. lock is as for people.
func work(ctx context.Context, q store.Querier, actor *access.Actor, in Input, field, lock string) (*planned, error) {
	if err := in.check(field); err != nil {
		return nil, err
	}
	p := &planned{Input: in}
	successors, fields := in.named(field)
	var err error
	ids := append([]nid.ID{in.LeaverID}, successors...)
	if lock != "" {
		ids = append(ids, actor.ID) // what one person hands over at the same time adds up
	}
	if p.People, err = people(ctx, q, actor.Scope(whoMayPlan...), lock, sorted(ids)...); err != nil {
		return nil, err
	}
	leaver := p.People[in.LeaverID]
	if leaver == nil {
		return nil, fault.Missing(field + ".leaverId")
	}
	if leaver.OutOfScope {
		return nil, fault.Denied("you may not plan handovers of this member", "您无权为该成员规划交接")
	}
	if err := in.Kind.fits(leaver.Status, field, false); err != nil {
		return nil, err
	}
	for i, s := range successors {
		if s == in.LeaverID {
			return nil, fault.Bad(fields[i], "the leaver cannot take over from themselves", "离开的成员不能接替自己")
		}
		if p.People[s] == nil {
			return nil, fault.Missing(fields[i])
		}
	}
	if p.Items, err = items(ctx, q, in, field); err != nil {
		return nil, err
	}
	if p.notice, err = noticeOf(ctx, q, in.Kind, leaver); err != nil {
		return nil, err
	}
	if err := p.choose(ctx, q, actor, field); err != nil {
		return nil, err
	}
	if err := p.mergers(ctx, q); err != nil {
		return nil, err
	}
	if err := p.allowsHistory(ctx, q, p.history()); err != nil {
		return nil, err
	}
	if p.Policy, err = approval.Load(ctx, q); err != nil {
		return nil, err
	}
	if p.Responsible, err = eyes.Responsible(ctx, q, actor); err != nil {
		return nil, err
	}
	if p.Need, err = needed(ctx, q, p.Policy, some(p.Responsible), nid.ID{}, len(p.Items), keyContacts(p.Items), p.historyReasons(p.Responsible)...); err != nil {
		return nil, err
	}
	p.Digest = digest(access.From(ctx).Corp, p)
	return p, nil
}

// fits checks that a leaver of this status can have a handover of this kind
// (semantics.md "Kind and status").
func (k Kind) fits(status, field string, executing bool) error {
	ok := false
	switch k {
	case Resigned:
		ok = status == "DISABLED" || status == "DEPARTED" || status == "LEAVING" && !executing
	case OnJob:
		ok = status == "ACTIVE" || status == "LEAVING"
	}
	if ok {
		return nil
	}
	en, zh := "a %s handover does not fit a member who is %s", "%s 类型的交接不适用于状态为 %s 的成员"
	if executing {
		return fault.New(fault.Conflict, field, fault.T(en, zh, k, status)).With("leaverStatus", status)
	}
	return fault.Bad(field+".kind", en, zh, k, status)
}

func keyContacts(items []Item) (n int) {
	for _, it := range items {
		if it.Key {
			n++
		}
	}
	return n
}

// mergers marks the contacts that their successor follows already.
func (p *planned) mergers(ctx context.Context, q store.Querier) error {
	db := store.EngineOf(q)
	type pair struct{ contact, member nid.ID }
	var contacts []nid.ID
	for _, it := range p.Items {
		if it.Kind == Contact {
			contacts = append(contacts, it.ID)
		}
	}
	if len(contacts) == 0 {
		return nil
	}
	found, err := store.Select(ctx, q, func(r *pair) []any { return []any{&r.contact, &r.member} },
		`SELECT contact_id, member_id FROM follows WHERE corp_id = $1 AND ended_at IS NULL AND contact_id `+db.In(2)+` AND member_id `+db.In(3),
		access.From(ctx).Corp, db.IDs(contacts), db.IDs(p.successors()))
	if err != nil {
		return err
	}
	already := map[pair]bool{}
	for _, f := range found {
		already[f] = true
	}
	for i := range p.Items {
		it := &p.Items[i]
		it.Merged = it.Kind == Contact && already[pair{it.ID, it.To}]
	}
	return nil
}

// successors lists who gets something, or was named to, in the order given or of ids.
func (p *planned) successors() []nid.ID {
	out, _ := p.named("")
	seen := map[nid.ID]bool{{}: true}
	for _, id := range out {
		seen[id] = true
	}
	n := len(out)
	for _, it := range p.Items {
		if !seen[it.To] {
			seen[it.To] = true
			out = append(out, it.To)
		}
	}
	sorted(out[n:])
	return out
}

// stamp writes a time as it stands in digests and plans; nil stays nil.
func stamp(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UTC().Truncate(time.Microsecond).Format("2006-01-02T15:04:05.000000Z")
}

func nullTime(t *time.Time) sql.NullTime {
	if t == nil {
		return sql.NullTime{}
	}
	return sql.NullTime{Time: t.UTC().Truncate(time.Microsecond), Valid: true}
}
