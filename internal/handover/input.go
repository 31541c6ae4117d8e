package handover

import (
	"context"
	"fmt"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/rule"
	"github.com/openhandover/openhandover/internal/store"
)

// Sizes of an input, beyond which it is INVALID.
const (
	maxIDs    = 5000
	maxReason = 1000
)

// check finds what is wrong with the input by itself.
func (in *Input) check(field string) error {
	var l fault.List
	bad := func(f, en, zh string, args ...any) { l = append(l, fault.Bad(field+f, en, zh, args...)) }
	ways := 0
	c := &in.Successors
	for _, given := range []bool{c.MemberID != nil, c.Assignments != nil, c.Split != nil, c.RuleSetID != nil} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		bad(".successors", "choose the successors in exactly one way", "只能选择一种指定接替成员的方式")
	case ways == 0:
		bad(".successors", "say who takes over: memberId, assignments, split or ruleSetId", "请指定接替成员:memberId、assignments、split 或 ruleSetId")
	case c.Assignments != nil && len(c.Assignments) == 0:
		bad(".successors.assignments", "give at least one assignment", "请至少提供一条分配")
	case c.Split != nil:
		c.Split.check(bad)
	}
	ids := 0
	list := func(f string, list []nid.ID) {
		if ids += len(list); len(list) > maxIDs {
			bad(f, "at most %d ids", "最多 %d 个 ID", maxIDs)
		}
	}
	if s := in.Select; s != nil {
		list(".select.contactIds", s.ContactIDs)
		list(".select.groupIds", s.GroupIDs)
		if s.Kinds != nil {
			if (s.ContactIDs != nil || s.Contacts != nil) && !slices.Contains(s.Kinds, Contact) {
				bad(".select.kinds", "contacts are selected, but kinds leaves them out", "已选择客户,但 kinds 未包含 CONTACT")
			}
			if (s.GroupIDs != nil || s.Groups != nil) && !slices.Contains(s.Kinds, Group) {
				bad(".select.kinds", "groups are selected, but kinds leaves them out", "已选择客户群,但 kinds 未包含 GROUP")
			}
		}
	}
	for i, a := range in.Successors.Assignments {
		list(fmt.Sprintf(".successors.assignments.%d.contactIds", i), a.ContactIDs)
		list(fmt.Sprintf(".successors.assignments.%d.groupIds", i), a.GroupIDs)
	}
	if ids > 2*maxIDs {
		bad("", "at most %d ids in one request", "单次请求最多 %d 个 ID", 2*maxIDs)
	}
	if h := in.History; h != nil {
		switch {
		case h.Mode == "WINDOW" && (h.From == nil || h.Until == nil):
			bad(".history", "a WINDOW needs both from and until", "WINDOW 需要同时提供 from 和 until")
		case h.Mode == "WINDOW" && !h.From.Before(*h.Until):
			bad(".history.until", "until must be after from", "until 必须晚于 from")
		case h.Mode != "WINDOW" && (h.From != nil || h.Until != nil):
			bad(".history.mode", "from and until go with WINDOW only", "仅 WINDOW 可以使用 from 和 until")
		}
	}
	if w := words(field+".reason", in.Reason, maxReason); w != nil {
		l = append(l, w)
	}
	if in.Message != nil {
		l = append(l, rule.NoMessage(field+".message"))
	}
	return l.Err()
}

// maxSplit is how many members can share.
const maxSplit = 200

func (sp *Split) check(bad func(field, en, zh string, args ...any)) {
	const f = ".successors.split"
	switch n := len(sp.MemberIDs); {
	case n == 0:
		bad(f+".memberIds", "say who shares", "请指定参与分配的成员")
	case n > maxSplit:
		bad(f+".memberIds", "at most %d members", "最多 %d 名成员", maxSplit)
	case len(sorted(slices.Clone(sp.MemberIDs))) < n:
		bad(f+".memberIds", "a member is named twice", "成员重复")
	case sp.Method == rule.Weighted && len(sp.Weights) != n:
		bad(f+".weights", "WEIGHTED needs one weight for each member", "WEIGHTED 需要为每位成员提供一个权重")
	case sp.Method != rule.Weighted && sp.Weights != nil:
		bad(f+".weights", "weights go with WEIGHTED only", "仅 WEIGHTED 可以使用权重")
	}
	for i, w := range sp.Weights {
		if w < 1 || w > 1000 {
			bad(fmt.Sprintf("%s.weights.%d", f, i), "a weight is from 1 to 1000", "权重范围为 1 到 1000")
		}
	}
}

// words checks what somebody wrote; nil is fine.
func words(field string, s *string, limit int) *fault.Error {
	if s == nil {
		return nil
	}
	if problem, ok := name.CheckText(*s, limit); !ok {
		return fault.New(fault.Invalid, field, problem)
	}
	return nil
}

// named lists the members whom the input names as successors, each once, in the
// order given, with the field of each.
func (in *Input) named(field string) (ids []nid.ID, fields []string) {
	add := func(id nid.ID, f string, args ...any) {
		if !slices.Contains(ids, id) {
			ids, fields = append(ids, id), append(fields, field+".successors"+fmt.Sprintf(f, args...))
		}
	}
	if in.Successors.MemberID != nil {
		add(*in.Successors.MemberID, ".memberId")
	}
	for i, a := range in.Successors.Assignments {
		add(a.MemberID, ".assignments.%d.memberId", i)
	}
	if sp := in.Successors.Split; sp != nil {
		for i, m := range sp.MemberIDs {
			add(m, ".split.memberIds.%d", i)
		}
	}
	return ids, fields
}

// wanted is what the selection comes to for one kind.
type wanted struct {
	kind  bool
	ids   map[nid.ID]string // nil: not restricted; the value is the id's field
	order []nid.ID
}

func (w *wanted) add(field string, ids []nid.ID) {
	if w.ids == nil {
		w.ids = map[nid.ID]string{}
	}
	for i, id := range ids {
		if _, ok := w.ids[id]; !ok {
			w.ids[id] = fmt.Sprintf("%s.%d", field, i)
			w.order = append(w.order, id)
		}
	}
}

// selection works out kinds and ids (semantics.md "Selection").
func (in *Input) selection(field string) (contacts, groups wanted) {
	s := in.Select
	if s == nil && in.Successors.Assignments != nil {
		for i, a := range in.Successors.Assignments {
			contacts.add(fmt.Sprintf("%s.successors.assignments.%d.contactIds", field, i), a.ContactIDs)
			groups.add(fmt.Sprintf("%s.successors.assignments.%d.groupIds", field, i), a.GroupIDs)
		}
		contacts.kind, groups.kind = len(contacts.ids) > 0, len(groups.ids) > 0
		return contacts, groups
	}
	if s == nil {
		return wanted{kind: true}, wanted{kind: true}
	}
	if s.ContactIDs != nil {
		contacts.add(field+".select.contactIds", s.ContactIDs)
	}
	if s.GroupIDs != nil {
		groups.add(field+".select.groupIds", s.GroupIDs)
	}
	if s.Kinds != nil {
		contacts.kind, groups.kind = slices.Contains(s.Kinds, Contact), slices.Contains(s.Kinds, Group)
		return contacts, groups
	}
	contacts.kind = s.ContactIDs != nil || s.Contacts != nil
	groups.kind = s.GroupIDs != nil || s.Groups != nil
	if !contacts.kind && !groups.kind {
		contacts.kind, groups.kind = true, true
	}
	return contacts, groups
}

// items finds what the selection comes to among the leaver's open follows and
// owned groups, and gives each its successor. Sorted by kind and id.
func items(ctx context.Context, q store.Querier, in Input, field string) ([]Item, error) {
	db := store.EngineOf(q)
	contacts, groups := in.selection(field)
	var out []Item
	read := func(kind ItemKind, w wanted, query, column, reserved string, filtered bool, where *store.Where) error {
		if !w.kind {
			return nil
		}
		if w.ids != nil {
			where.And(column+db.InList(), db.IDs(w.order))
		} else {
			// What a platform still decides is not "still there", but can be named.
			where.And(reserved + " IS NULL")
		}
		conditions, args := where.SQL(4)
		found, err := store.Select(ctx, q, func(it *Item) []any {
			return []any{&it.ID, &it.Follow, &it.Version, &it.Importance, &it.Busy, &it.addWay, &it.keyUntil}
		}, query+conditions+" ELSE false END ORDER BY 1 LIMIT $3", append([]any{access.From(ctx).Corp, in.LeaverID, MaxTransfers + 1}, args...)...)
		if err != nil {
			return err
		}
		there := map[nid.ID]bool{}
		for i := range found {
			found[i].Kind, found[i].From, found[i].Rule = kind, in.LeaverID, -1
			found[i].count(db.Now())
			there[found[i].ID] = true
		}
		if len(found) <= MaxTransfers && w.ids != nil {
			if filtered { // a filter may leave out what is the leaver's all the same
				rest, err := store.Select(ctx, q, func(it *Item) []any {
					return []any{&it.ID, &it.Follow, &it.Version, &it.Importance, &it.Busy, &it.addWay, &it.keyUntil}
				}, query+column+db.In(3)+" ELSE false END", access.From(ctx).Corp, in.LeaverID, db.IDs(w.order))
				if err != nil {
					return err
				}
				for _, it := range rest {
					there[it.ID] = true
				}
			}
			for _, id := range w.order {
				if !there[id] {
					return fault.Bad(w.ids[id], "this is not among what the leaver has", "该对象不属于离开的成员")
				}
			}
		}
		out = append(out, found...)
		return nil
	}
	var cw, gw store.Where
	if in.Select != nil {
		in.Select.Contacts.Where(db, &cw)
		in.Select.Groups.Where(db, &gw)
	}
	// CASE keeps PostgreSQL, where it has no statistics yet, from reading all contacts
	// of the corp by another index for each of the leaver's.
	if err := read(Contact, contacts, `SELECT contacts.id, follows.id, follows.owner_version, contacts.importance, follows.reserved_by_id IS NOT NULL,
		follows.add_way, contacts.key_until
		FROM follows JOIN contacts ON contacts.corp_id = follows.corp_id AND contacts.id = follows.contact_id
		WHERE follows.corp_id = $1 AND follows.member_id = $2 AND follows.ended_at IS NULL AND CASE WHEN contacts.archived_at IS NULL THEN `,
		"follows.contact_id ", "follows.reserved_by_id", in.Select != nil && in.Select.Contacts != nil, &cw); err != nil {
		return nil, err
	}
	if err := read(Group, groups, `SELECT groups.id, NULL, groups.owner_version, 'NORMAL', groups.reserved_by_id IS NOT NULL, NULL, NULL
		FROM groups WHERE groups.corp_id = $1 AND groups.owner_id = $2 AND CASE WHEN groups.archived_at IS NULL THEN `,
		"groups.id ", "groups.reserved_by_id", in.Select != nil && in.Select.Groups != nil, &gw); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, fault.Bad(field+".select", "nothing is selected: the leaver has no such contacts or groups", "未选中任何对象:离开的成员没有符合条件的客户或客户群")
	}
	if len(out) > MaxTransfers {
		return nil, fault.New(fault.Limit, field+".select", fault.T(
			"this selects more than %d contacts and groups; hand them over in several goes", "选中的客户和客户群超过 %d 个,请分多次交接", MaxTransfers)).With("limit", MaxTransfers)
	}
	if in.Successors.MemberID == nil && in.Successors.Assignments == nil {
		return out, nil // a split or rules choose; see choose.go
	}
	return out, in.assign(out, field)
}

// assign gives each item its successor.
func (in *Input) assign(items []Item, field string) error {
	if m := in.Successors.MemberID; m != nil {
		for i := range items {
			items[i].To, items[i].Because = *m, ByHand
		}
		return nil
	}
	to := map[nid.ID]nid.ID{}
	for i, a := range in.Successors.Assignments {
		for kind, ids := range map[string][]nid.ID{"contactIds": a.ContactIDs, "groupIds": a.GroupIDs} {
			for j, id := range ids {
				if was, ok := to[id]; ok && was != a.MemberID {
					return fault.Bad(fmt.Sprintf("%s.successors.assignments.%d.%s.%d", field, i, kind, j), "it is assigned twice: %s", "重复分配:%s", id)
				}
				to[id] = a.MemberID
			}
		}
	}
	left := len(to)
	for i := range items {
		m, ok := to[items[i].ID]
		if !ok {
			return fault.Bad(field+".successors.assignments", "a selected item stands in no assignment: %s", "选中的对象没有分配接替成员:%s", items[i].ID)
		}
		items[i].To, items[i].Because = m, ByHand
		left--
	}
	if left > 0 {
		return fault.Bad(field+".successors.assignments", "%d assigned items are not in the selection", "有 %d 个已分配对象不在选择范围内", left)
	}
	return nil
}
