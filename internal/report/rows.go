package report

import (
	"cmp"
	"context"
	"slices"

	"github.com/openhandover/openhandover/ent/contact"
	"github.com/openhandover/openhandover/ent/handover"
	"github.com/openhandover/openhandover/ent/transfer"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// none is how the absence of a member or department is stored.
var none = nid.ID{}.UUID()

// rows gives the lines names and puts them into the order of time and names.
func (a *question) rows(ctx context.Context, lines []line) ([]*Row, error) {
	names, err := a.names(ctx, lines)
	if err != nil {
		return nil, err
	}
	shown := func(i int, value string) string {
		table, id, place := a.reference(i, value)
		n := names[nameKey{table, id}].name
		if place > 0 && n != "" {
			return ruleLabel(n, place)
		}
		return cmp.Or(n, value)
	}
	slices.SortStableFunc(lines, func(x, y line) int {
		order := x.from.Compare(y.from)
		for i := 0; order == 0 && i < len(a.by); i++ {
			order = cmp.Or(cmp.Compare(shown(i, x.by[i]), shown(i, y.by[i])), cmp.Compare(x.by[i], y.by[i]))
		}
		return order
	})
	out := make([]*Row, len(lines))
	for n := range lines {
		l, r := &lines[n], &Row{}
		out[n] = r
		about := append([]string{""}, l.by...)
		if !l.start.IsZero() {
			start, label := l.start.UTC(), a.bucket.label(l.start, a.zone)
			r.BucketStart, r.BucketLabel, about[0] = &start, &label, start.Format("2006-01-02T15:04Z")
		}
		r.ID = a.rowID(about...)
		r.fill(&l.cell)
		for i, d := range a.by {
			table, id, place := a.reference(i, l.by[i])
			if err := r.set(d, id, place, names[nameKey{table, id}]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// set puts the value of a dimension into the row; place is a rule's in its set.
func (r *Row) set(d Dimension, value string, place int, n named) error {
	if value == "" || value == none {
		return nil
	}
	switch d {
	case Kind:
		r.Kind = new(transfer.Kind(value))
	case HandoverKind:
		r.HandoverKind = new(handover.Kind(value))
	case Status:
		r.Status = new(transfer.Status(value))
	case Importance:
		r.Importance = new(contact.Importance(value))
	case Reason:
		r.Reason = new(transfer.Reason(value))
	case Rule:
		r.Rule = new(ruleLabel(n.name, place))
	default:
		id, err := nid.FromUUID(value)
		if err != nil {
			return err
		}
		switch d {
		case Department:
			r.DepartmentID, r.Department = &id, &n.name
		case FromDepartment:
			r.FromDepartmentID, r.FromDepartment = &id, &n.name
		case Leaver:
			r.LeaverID, r.Leaver = &id, &n.name
		case Successor:
			r.SuccessorID, r.Successor = &id, &n.name
		}
	}
	return nil
}

// reference is where the name of a dimension's value is: the table, empty for words,
// and the id in it.
func (a *question) reference(i int, value string) (table, id string, place int) {
	switch a.by[i] {
	case Department, FromDepartment:
		return "departments", value, 0
	case Leaver, Successor:
		return "members", value, 0
	case Rule:
		set, place := ruleOf(value)
		return "rule_sets", set, place
	}
	return "", value, 0
}

type nameKey struct{ table, id string }

type named struct{ id, name string }

// names reads the names of all members, departments and rule sets, a statement each.
func (a *question) names(ctx context.Context, lines []line) (map[nameKey]named, error) {
	wanted := map[string]map[string]bool{"departments": {}, "members": {}, "rule_sets": {}}
	for _, l := range lines {
		for i, value := range l.by {
			table, id, _ := a.reference(i, value)
			if ids := wanted[table]; ids != nil && id != none {
				ids[id] = true
			}
		}
	}
	out := map[nameKey]named{}
	for table, set := range wanted {
		if len(set) == 0 {
			continue
		}
		ids := make([]nid.ID, 0, len(set))
		for text := range set {
			id, err := nid.FromUUID(text)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		name, args := "CASE WHEN erased_at IS NULL THEN name ELSE $3 END", []any{a.corp, a.db.IDs(ids), leaf.Erased}
		if table == "rule_sets" { // nobody's name
			name, args = "name", args[:2]
		}
		found, err := store.Select(ctx, a.q, func(n *named) []any { return []any{&n.id, &n.name} },
			`SELECT id, `+name+` FROM `+table+` WHERE corp_id = $1 AND id `+a.db.In(2), args...)
		if err != nil {
			return nil, err
		}
		for _, n := range found {
			out[nameKey{table, n.id}] = n
		}
	}
	return out, nil
}
