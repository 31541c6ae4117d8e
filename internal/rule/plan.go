package rule

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/openhandover/openhandover/internal/nid"
)

// Plan gives every item its successor, in the items' order. What nobody can take has
// no successor. A contact goes only to who has room for it, unless they follow it
// already. A rule that finds nobody gives way to the next that matches, and the choice
// says so. The result depends on the items but not on their order.
func (s Set) Plan(c Case, items []Item) []Choice {
	p := s.planning(c)
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
	departments []nid.ID
	people      map[nid.ID]*person
	rules       []deciding
	fallback    *person
	// can is who of a rule can take the item at hand, passed which rules found nobody for
	// it; kept for their memory.
	can, passed []int
}

// person is somebody who may be chosen, with what they have been given so far.
type person struct {
	Member
	id               nid.ID
	contacts, groups int
}

// deciding is a rule while a plan is made by it. Its members are looked up once, not
// for each item.
type deciding struct {
	*Rule
	choice Choice    // what all its choices have in common
	among  []*person // nil: the case knows nothing of them
	shares map[Kind][]int
}

func (s Set) planning(c Case) *planning {
	p := &planning{departments: c.Departments, people: make(map[nid.ID]*person, len(c.Members))}
	for id, m := range c.Members {
		p.people[id] = &person{Member: m, id: id}
	}
	p.fallback = p.people[s.Fallback]
	for i := range s.Rules {
		r := &s.Rules[i]
		d := deciding{Rule: r, choice: Choice{Because: fmt.Sprintf("rule:%d:%s", i+1, r.Method), Rule: i}}
		if s.ID.IsZero() {
			d.choice = Choice{Because: "split:" + string(r.Method), Rule: -1}
		}
		among := r.Members
		if r.Method == Manager {
			among = c.Managers
		}
		for _, id := range among {
			d.among = append(d.among, p.people[id])
		}
		d.shares = map[Kind][]int{Contact: make([]int, len(d.among)), Group: make([]int, len(d.among))}
		p.rules = append(p.rules, d)
	}
	return p
}

func (p *planning) choose(it *Item) Choice {
	p.passed = p.passed[:0]
	for i := range p.rules {
		if d := &p.rules[i]; d.matches(it, p.departments) {
			if to, c := p.by(d, it); to != nil {
				return to.give(it, p.tell(c))
			}
			p.passed = append(p.passed, i+1)
		}
	}
	if p.fallback.takes(it) {
		return p.fallback.give(it, p.tell(Choice{Because: "fallback", Rule: -1}))
	}
	return Choice{Rule: -1}
}

// tell adds to a choice which rules found nobody.
func (p *planning) tell(c Choice) Choice {
	for i, n := range p.passed {
		c.Because += []string{passedOver, ","}[min(i, 1)] + strconv.Itoa(n)
	}
	return c
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

// takes reports whether somebody can take the item.
func (m *person) takes(it *Item) bool {
	return m != nil && m.Fit && (it.Kind == Group || m.Room > 0 || slices.Contains(it.FollowedBy, m.id))
}

// give notes what somebody gets.
func (m *person) give(it *Item, c Choice) Choice {
	c.To = m.id
	if it.Kind == Group {
		m.groups++
		return c
	}
	m.contacts++
	if !slices.Contains(it.FollowedBy, m.id) {
		m.Room--
	}
	return c
}

// given is how many of a kind the plan has given somebody so far.
func (m *person) given(k Kind) int {
	if k == Group {
		return m.groups
	}
	return m.contacts
}

// load is what somebody has to look after, with what the plan has given so far.
func (m *person) load(k Kind) int {
	if k == Group {
		return m.Groups + m.groups
	}
	return m.Contacts + m.contacts
}

// by lets one rule pick. Ties go to who is named first. Nobody: none of the rule's
// members can take the item.
func (p *planning) by(d *deciding, it *Item) (*person, Choice) {
	c := d.choice
	if d.Method == EarlierRelationship {
		to, how := p.related(d, it)
		c.Because += ":" + how
		return to, c
	}
	p.can = p.can[:0]
	for n, m := range d.among {
		if m.takes(it) {
			p.can = append(p.can, n)
		}
	}
	if len(p.can) == 0 {
		return nil, c
	}
	switch d.Method {
	case Even:
		return d.among[p.least(func(n int) int { return d.among[n].given(it.Kind) })], c
	case LeastLoaded:
		to := d.among[p.least(func(n int) int { return d.among[n].load(it.Kind) })]
		c.Because += ":" + strconv.Itoa(to.load(it.Kind))
		return to, c
	case Weighted:
		n := p.due(d.Weights, d.shares[it.Kind])
		d.shares[it.Kind][n]++
		c.Because += fmt.Sprintf(":%d/%d", d.Weights[n], p.total(d.Weights))
		return d.among[n], c
	}
	return d.among[p.can[0]], c // MEMBER and MANAGER: the first who can
}

// How an EARLIER_RELATIONSHIP came about.
const (
	earlier = "earlier"
	follows = "follows"
)

// related finds the newest who looked after the item before; without one, the first
// who follows it too.
func (p *planning) related(d *deciding, it *Item) (to *person, how string) {
	for _, some := range []struct {
		how string
		ids []nid.ID
	}{{earlier, it.Earlier}, {follows, it.FollowedBy}} {
		for _, id := range some.ids {
			if m := p.people[id]; m.takes(it) && (len(d.Members) == 0 || slices.Contains(d.Members, id)) {
				return m, some.how
			}
		}
	}
	return nil, ""
}

// least finds the smallest among those who can take the item.
func (p *planning) least(of func(int) int) int {
	best, least := -1, 0
	for _, n := range p.can {
		if v := of(n); best < 0 || v < least {
			best, least = n, v
		}
	}
	return best
}

// due finds whose turn it is by weight, among those who can take the item: who would
// have the fewest for their weight, of those whom it does not take past their share
// rounded up. This is the quota method of Balinski and Young (1975), which never
// leaves anybody a whole item away from their share; giving to who lags furthest
// behind does. Who cannot take it counts for nothing, so that the others keep their
// proportion.
func (p *planning) due(weights, got []int) int {
	weight, all := 0, 1 // with the item at hand
	for _, n := range p.can {
		weight += weights[n]
		all += got[n]
	}
	best := -1
	for _, n := range p.can {
		if got[n]*weight < weights[n]*all && (best < 0 || (got[n]+1)*weights[best] < (got[best]+1)*weights[n]) {
			best = n
		}
	}
	return best // somebody has less than their share of what all have and one more
}

// total is the weight of those who can take the item.
func (p *planning) total(weights []int) (sum int) {
	for _, n := range p.can {
		sum += weights[n]
	}
	return sum
}
