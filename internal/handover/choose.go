package handover

import (
	"context"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/corp"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/rule"
	"github.com/openhandover/openhandover/internal/store"
)

// choose lets a split or preset rules give each item its successor. Package rule
// decides; here is what it has to know.
func (p *planned) choose(ctx context.Context, q store.Querier, actor *access.Actor, field string) error {
	var set rule.Set
	switch c := p.Successors; {
	case c.Split != nil:
		set = rule.Split(c.Split.Method, c.Split.MemberIDs, c.Split.Weights)
	case c.RuleSetID != nil:
		var ok bool
		var err error
		if set, _, ok, err = rule.Load(ctx, q, *c.RuleSetID); err != nil {
			return err
		}
		if !ok {
			return fault.Missing(field + ".successors.ruleSetId")
		}
		if p.scope, err = scopeOf(ctx, q, set.History); err != nil {
			return err
		}
	default:
		return p.promise(ctx, q, p.People)
	}
	return p.chooseBy(ctx, q, actor, set)
}

// scopeOf is what a rule set lets successors read, for a plan made today: in whole days
// of the corp's time zone, so that a preview and the plan stored from it agree.
func scopeOf(ctx context.Context, q store.Querier, h *rule.History) (*HistoryScope, error) {
	if h == nil {
		return nil, nil
	}
	zone, err := corp.Zone(ctx, q)
	if err != nil {
		return nil, err
	}
	tomorrow := dayAfter(store.EngineOf(q).Now(), zone)
	later := func(days int) *time.Time {
		t := tomorrow.In(zone).AddDate(0, 0, days).UTC()
		return &t
	}
	out := &HistoryScope{Mode: h.Mode}
	if h.Mode == "WINDOW" {
		out.From, out.Until = later(-1-h.Days), &tomorrow
	}
	if h.ExpiresAfter > 0 {
		out.ExpiresAt = later(h.ExpiresAfter)
	}
	return out, nil
}

func (p *planned) chooseBy(ctx context.Context, q store.Querier, actor *access.Actor, set rule.Set) error {
	about := rule.Case{Members: map[nid.ID]rule.Member{}}
	var err error
	if about.Departments, about.Managers, err = above(ctx, q, p.LeaverID); err != nil {
		return err
	}
	items := make([]rule.Item, len(p.Items))
	at := make(map[nid.ID]int, len(p.Items))
	for i, it := range p.Items {
		items[i] = rule.Item{Kind: rule.Kind(it.Kind), ID: it.ID, Key: it.Importance == "KEY", AddWay: it.addWay}
		at[it.ID] = i
	}
	candidates := slices.Concat(set.Candidates(), about.Managers)
	uses := func(f func(rule.Rule) bool) bool { return slices.ContainsFunc(set.Rules, f) }
	if uses(func(r rule.Rule) bool { return len(r.Tags) > 0 }) {
		if err := tags(ctx, q, p.LeaverID, func(contact nid.ID, tag string) {
			if i, ok := at[contact]; ok {
				items[i].Tags = append(items[i].Tags, tag)
			}
		}); err != nil {
			return err
		}
	}
	if uses(func(r rule.Rule) bool { return r.Method == rule.EarlierRelationship }) {
		found, err := earlier(ctx, q, p.LeaverID, func(contact, member nid.ID) {
			if i, ok := at[contact]; ok && !slices.Contains(items[i].Earlier, member) {
				items[i].Earlier = append(items[i].Earlier, member)
			}
		})
		if err != nil {
			return err
		}
		candidates = append(candidates, found...)
	}
	candidates = slices.DeleteFunc(sorted(candidates), func(id nid.ID) bool { return id == p.LeaverID })
	if err := followers(ctx, q, p.LeaverID, candidates, func(contact, member nid.ID) {
		if i, ok := at[contact]; ok {
			items[i].FollowedBy = append(items[i].FollowedBy, member)
		}
	}); err != nil {
		return err
	}
	more, err := people(ctx, q, actor.Scope(whoMayPlan...), "", candidates...)
	if err != nil {
		return err
	}
	if err := p.promise(ctx, q, more); err != nil {
		return err
	}
	for id, m := range more {
		p.People[id] = m
		about.Members[id] = rule.Member{ID: id, Contacts: m.load(), Groups: m.groupLoad(), Room: m.free(), Fit: m.unfit() == ""}
	}
	for i, c := range set.Plan(about, items) {
		it := &p.Items[i]
		it.To, it.Because, it.RuleSet, it.Rule = c.To, c.Because, set.ID, c.Rule
	}
	return nil
}

// above gives the leaver's departments with all that they are part of, and the
// managers of the main one and of those above it, nearest first.
func above(ctx context.Context, q store.Querier, leaver nid.ID) (departments, managers []nid.ID, err error) {
	type row struct {
		id, manager     nid.ID
		position, depth int
	}
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.id, &r.manager, &r.position, &r.depth} }, `
		SELECT d.id, d.manager_id, md.position, dc.depth FROM member_departments AS md
		JOIN department_closure AS dc ON dc.corp_id = md.corp_id AND dc.descendant_id = md.department_id
		JOIN departments AS d ON d.corp_id = dc.corp_id AND d.id = dc.ancestor_id
		WHERE md.corp_id = $1 AND md.member_id = $2 ORDER BY md.position, dc.depth, d.id`, corpOf(ctx), leaver)
	for _, r := range rows {
		departments = appendNew(departments, r.id)
		if r.position == rows[0].position && !r.manager.IsZero() && r.manager != leaver {
			managers = appendNew(managers, r.manager)
		}
	}
	return departments, managers, err
}

type contactMember struct{ contact, member nid.ID }

func (c *contactMember) dest() []any { return []any{&c.contact, &c.member} }

// tags tells the tags of the leaver's contacts, the corp's and the leaver's own.
func tags(ctx context.Context, q store.Querier, leaver nid.ID, tell func(contact nid.ID, tag string)) error {
	type row struct {
		contact nid.ID
		tag     string
	}
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.contact, &r.tag} }, `
		SELECT f.contact_id, t.name FROM follows AS f JOIN contact_tags AS ct ON ct.corp_id = f.corp_id AND ct.contact_id = f.contact_id
		JOIN tags AS t ON t.corp_id = ct.corp_id AND t.id = ct.tag_id WHERE f.corp_id = $1 AND f.member_id = $2 AND f.ended_at IS NULL
		UNION SELECT f.contact_id, t.name FROM follows AS f JOIN follow_tags AS ft ON ft.corp_id = f.corp_id AND ft.follow_id = f.id
		JOIN tags AS t ON t.corp_id = ft.corp_id AND t.id = ft.tag_id WHERE f.corp_id = $1 AND f.member_id = $2 AND f.ended_at IS NULL
		ORDER BY 1, 2`, corpOf(ctx), leaver)
	for _, r := range rows {
		tell(r.contact, r.tag)
	}
	return err
}

// earlier tells who looked after the leaver's contacts and groups before, newest first.
func earlier(ctx context.Context, q store.Querier, leaver nid.ID, tell func(item, member nid.ID)) (members []nid.ID, err error) {
	rows, err := store.Select(ctx, q, (*contactMember).dest, `
		SELECT coalesce(o.contact_id, o.group_id), o.member_id FROM ownership_periods AS o
		WHERE o.corp_id = $1 AND o.member_id <> $2 AND (
		  o.contact_id IN (SELECT f.contact_id FROM follows AS f WHERE f.corp_id = $1 AND f.member_id = $2 AND f.ended_at IS NULL)
		  OR o.group_id IN (SELECT g.id FROM groups AS g WHERE g.corp_id = $1 AND g.owner_id = $2))
		ORDER BY o.from_at DESC, o.id DESC`, corpOf(ctx), leaver)
	seen := map[nid.ID]bool{}
	for _, r := range rows {
		tell(r.contact, r.member)
		if !seen[r.member] {
			seen[r.member] = true
			members = append(members, r.member)
		}
	}
	return members, err
}

// followers tells which of the members follow the leaver's contacts too.
func followers(ctx context.Context, q store.Querier, leaver nid.ID, members []nid.ID, tell func(contact, member nid.ID)) error {
	if len(members) == 0 {
		return nil
	}
	rows, err := store.Select(ctx, q, (*contactMember).dest, `
		SELECT o.contact_id, o.member_id FROM follows AS f JOIN follows AS o ON o.corp_id = f.corp_id AND o.contact_id = f.contact_id AND o.ended_at IS NULL
		WHERE f.corp_id = $1 AND f.member_id = $2 AND f.ended_at IS NULL AND o.member_id `+store.EngineOf(q).In(3)+` ORDER BY o.contact_id, o.since, o.id`,
		corpOf(ctx), leaver, store.EngineOf(q).IDs(members))
	for _, r := range rows {
		tell(r.contact, r.member)
	}
	return err
}
