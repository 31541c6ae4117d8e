package rule

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/openhandover/openhandover/internal/nid"
)

// Plan gives every item its successor, in the items' order. What nobody can take has
// no successor. A contact goes only to who has room for it, unless they follow it
// already. The result depends on the items but not on their order.
func (s Set) Plan(c Case, items []Item) []Choice {
	p := &planning{set: s, about: c, given: map[nid.ID]*gift{}, shares: make([]map[Kind][]int, len(s.Rules))}
	for id, m := range c.Members {
		p.given[id] = &gift{room: m.Room}
	}
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(items[i].Kind, items[j].Kind), bytes.Compare(items[i].ID[:], items[j].ID[:]))
	})
	out := make([]Choice, len(items))
	for _, i := range order {
		out[i] = p.choose(&items[i])
	}
	return out
}

// planning is a plan while it is made.
type planning struct {
	set    Set
	about  Case
	given  map[nid.ID]*gift
	shares []map[Kind][]int // what each member of a rule has got by it
}

// gift is what somebody has been given so far.
type gift struct{ contacts, groups, room int }

func (g *gift) of(k Kind) int {
	if k == Group {
		return g.groups
	}
	return g.contacts
}

func (p *planning) choose(it *Item) Choice {
	for i := range p.set.Rules {
		if r := &p.set.Rules[i]; r.matches(it, p.about.Departments) {
			if c, ok := p.by(i, it); ok {
				return p.give(it, c)
			}
			break // the first that matches decides
		}
	}
	if f := p.set.Fallback; !f.IsZero() && p.takes(f, it) {
		return p.give(it, Choice{To: f, Because: "fallback", Rule: -1})
	}
	return Choice{Rule: -1}
}

func (r *Rule) matches(it *Item, departments []nid.ID) bool {
	switch {
	case len(r.Kinds) > 0 && !slices.Contains(r.Kinds, it.Kind):
		return false
	case r.Importance != "" && (r.Importance == "KEY") != it.Key:
		return false
	case len(r.AddWay) > 0 && (it.AddWay == nil || !slices.Contains(r.AddWay, *it.AddWay)):
		return false
	case len(r.Departments) > 0 && !slices.ContainsFunc(r.Departments, func(d nid.ID) bool { return slices.Contains(departments, d) }):
		return false
	}
	for _, t := range r.Tags {
		if !slices.Contains(it.Tags, t) {
			return false
		}
	}
	return true
}

// takes reports whether a member can take the item.
func (p *planning) takes(id nid.ID, it *Item) bool {
	m, ok := p.about.Members[id]
	return ok && m.Fit && (it.Kind == Group || p.given[id].room > 0 || slices.Contains(it.FollowedBy, id))
}

// give notes what somebody gets.
func (p *planning) give(it *Item, c Choice) Choice {
	g := p.given[c.To]
	if it.Kind == Group {
		g.groups++
		return c
	}
	g.contacts++
	if !slices.Contains(it.FollowedBy, c.To) {
		g.room--
	}
	return c
}

// by lets one rule pick. Ties go to who is named first.
func (p *planning) by(i int, it *Item) (Choice, bool) {
	r := &p.set.Rules[i]
	among := r.Members
	switch r.Method {
	case Manager:
		among = p.about.Managers
	case EarlierRelationship:
		among = it.Earlier
		if len(r.Members) > 0 {
			among = slices.DeleteFunc(slices.Clone(among), func(id nid.ID) bool { return !slices.Contains(r.Members, id) })
		}
	}
	best, least := -1, 0
	for n, id := range among {
		if !p.takes(id, it) {
			continue
		}
		if load := p.load(i, n, id, it.Kind); best < 0 || load < least {
			best, least = n, load
		}
		if r.Method == ToMember || r.Method == Manager || r.Method == EarlierRelationship {
			break // the first who can
		}
	}
	if best < 0 {
		return Choice{}, false
	}
	to := among[best]
	detail := ""
	switch r.Method {
	case LeastLoaded:
		detail = fmt.Sprint(":", least)
	case Weighted:
		p.share(i, it.Kind)[best]++
		detail = fmt.Sprintf(":%d/%d", r.Weights[best], total(r.Weights))
	}
	if p.set.ID.IsZero() {
		return Choice{to, "split:" + string(r.Method) + detail, -1}, true
	}
	return Choice{to, fmt.Sprintf("rule:%d:%s%s", i+1, r.Method, detail), i}, true
}

// load is what a rule compares members by: the smallest gets the item.
func (p *planning) load(i, n int, id nid.ID, k Kind) int {
	r, m, g := &p.set.Rules[i], p.about.Members[id], p.given[id]
	switch r.Method {
	case LeastLoaded:
		if k == Group {
			return m.Groups + g.groups
		}
		return m.Contacts + g.contacts
	case Weighted:
		// Who lags furthest behind their share of what the rule has given, and of this.
		got := p.share(i, k)
		return got[n]*total(r.Weights) - r.Weights[n]*(total(got)+1)
	}
	return g.of(k)
}

// share is what each member of a rule has got by it, of a kind.
func (p *planning) share(i int, k Kind) []int {
	if p.shares[i] == nil {
		p.shares[i] = map[Kind][]int{}
	}
	if p.shares[i][k] == nil {
		p.shares[i][k] = make([]int, len(p.set.Rules[i].Members))
	}
	return p.shares[i][k]
}

func total(ns []int) (sum int) {
	for _, n := range ns {
		sum += n
	}
	return sum
}
