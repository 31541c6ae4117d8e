package rule_test

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/rule"
)

// witness follows a plan item by item and knows what everybody has by then. It is
// written from the words of the reasons, not from the planner.
type witness struct {
	c    rule.Case
	room map[nid.ID]int
	got  map[nid.ID]map[rule.Kind]int
}

func (w *witness) takes(m nid.ID, it rule.Item) bool {
	one, known := w.c.Members[m]
	return known && one.Fit && (it.Kind == rule.Group || w.room[m] > 0 || slices.Contains(it.FollowedBy, m))
}

// able are those of the members who can take the item.
func (w *witness) able(members []nid.ID, it rule.Item) (out []nid.ID) {
	for _, m := range members {
		if w.takes(m, it) {
			out = append(out, m)
		}
	}
	return out
}

func (w *witness) load(m nid.ID, k rule.Kind) int {
	if k == rule.Group {
		return w.c.Members[m].Groups + w.got[m][k]
	}
	return w.c.Members[m].Contacts + w.got[m][k]
}

// finds are those whom a rule could choose for the item.
func (w *witness) finds(r rule.Rule, it rule.Item) []nid.ID {
	switch r.Method {
	case rule.Manager:
		return w.able(w.c.Managers, it)
	case rule.EarlierRelationship:
		return slices.DeleteFunc(w.able(slices.Concat(it.Earlier, it.FollowedBy), it), func(m nid.ID) bool { return !slices.Contains(r.Members, m) })
	}
	return w.able(r.Members, it)
}

// check holds a choice against its reason.
func (w *witness) check(s rule.Set, it rule.Item, c rule.Choice) error {
	var passed []string
	decided := -1
	for n, r := range s.Rules {
		if !forIt(w.c, r, it) {
			continue
		}
		if len(w.finds(r, it)) > 0 {
			decided = n
			break
		}
		passed = append(passed, strconv.Itoa(n+1))
	}
	if c.Rule != decided {
		return fmt.Errorf("rule %d decided; the first that matches and finds somebody is %d", c.Rule, decided)
	}
	if c.To.IsZero() {
		if c.Because != "" || w.takes(s.Fallback, it) {
			return fmt.Errorf("nobody, because %q, and the fallback can take it: %v", c.Because, w.takes(s.Fallback, it))
		}
		return nil
	}
	code, said, some := strings.Cut(c.Because, ";passed:")
	if said != strings.Join(passed, ",") || some != (len(passed) > 0) {
		return fmt.Errorf("%q, but passed over were %v", c.Because, passed)
	}
	if decided < 0 {
		if code != "fallback" || c.To != s.Fallback || !w.takes(c.To, it) {
			return fmt.Errorf("%q for %s, the fallback is %s", c.Because, c.To, s.Fallback)
		}
		return nil
	}
	r := s.Rules[decided]
	detail, ok := strings.CutPrefix(code, fmt.Sprintf("rule:%d:%s", decided+1, r.Method))
	if !ok {
		return fmt.Errorf("%q for %s of rule %d", c.Because, r.Method, decided+1)
	}
	can := w.finds(r, it)
	least := func(of func(nid.ID) int) bool {
		return slices.Contains(can, c.To) && !slices.ContainsFunc(can, func(m nid.ID) bool { return of(m) < of(c.To) })
	}
	switch r.Method {
	case rule.ToMember, rule.Manager:
		ok = detail == "" && c.To == can[0]
	case rule.Even:
		ok = detail == "" && least(func(m nid.ID) int { return w.got[m][it.Kind] })
	case rule.LeastLoaded:
		ok = detail == fmt.Sprintf(":%d", w.load(c.To, it.Kind)) && least(func(m nid.ID) int { return w.load(m, it.Kind) })
	case rule.Weighted:
		of := 0
		for i, m := range r.Members {
			if w.takes(m, it) {
				of += r.Weights[i]
			}
		}
		ok = slices.Contains(can, c.To) && detail == fmt.Sprintf(":%d/%d", r.Weights[slices.Index(r.Members, c.To)], of)
	case rule.EarlierRelationship:
		before := slices.DeleteFunc(w.able(it.Earlier, it), func(m nid.ID) bool { return !slices.Contains(r.Members, m) })
		if len(before) > 0 {
			ok = detail == ":earlier" && c.To == before[0]
		} else {
			ok = detail == ":follows" && c.To == can[0] && slices.Contains(it.FollowedBy, c.To)
		}
	}
	if !ok {
		return fmt.Errorf("%q for %s, who of %v could take it", c.Because, c.To, can)
	}
	return nil
}

// forIt reports whether a rule's conditions hold for an item.
func forIt(c rule.Case, r rule.Rule, it rule.Item) bool {
	r.Method, r.Members = rule.ToMember, []nid.ID{member(99)}
	one := rule.Set{ID: id(nid.RuleSet, 2), Rules: []rule.Rule{r}}
	about := rule.Case{Departments: c.Departments, Members: map[nid.ID]rule.Member{member(99): {Fit: true, Room: 1}}}
	return one.Plan(about, []rule.Item{it})[0].Rule == 0
}

// The first rule decides that matches and finds somebody, and the reason of every
// choice is true: which rules found nobody, who could have taken it, and what the
// method goes by.
func TestReasonsAreTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, items, s := aCase(t)
		plan := s.Plan(c, items)
		order := slices.Collect(numbers(len(items)))
		slices.SortFunc(order, func(i, j int) int {
			return cmp.Or(cmp.Compare(items[i].Kind, items[j].Kind), bytes.Compare(items[i].ID[:], items[j].ID[:]))
		})
		w := &witness{c: c, room: map[nid.ID]int{}, got: map[nid.ID]map[rule.Kind]int{}}
		for id, m := range c.Members {
			w.room[id], w.got[id] = m.Room, map[rule.Kind]int{}
		}
		for _, i := range order {
			it, choice := items[i], plan[i]
			if err := w.check(s, it, choice); err != nil {
				t.Fatal(err)
			}
			if choice.To.IsZero() {
				continue
			}
			w.got[choice.To][it.Kind]++
			if it.Kind == rule.Contact && !slices.Contains(it.FollowedBy, choice.To) {
				w.room[choice.To]--
			}
		}
	})
}

// A rule that finds nobody gives way to the next that matches.
func TestARuleThatFindsNobodyGivesWay(t *testing.T) {
	full, a, b := member(1), member(2), member(3)
	c := rule.Case{Members: map[nid.ID]rule.Member{full: {ID: full, Fit: true}, a: {ID: a, Fit: true, Room: 1}, b: {ID: b, Fit: true, Room: 9}}}
	s := rule.Set{ID: id(nid.RuleSet, 1), Fallback: b, Rules: []rule.Rule{
		{Importance: "KEY", Method: rule.ToMember, Members: []nid.ID{full}},
		{Method: rule.Manager},
		{Method: rule.ToMember, Members: []nid.ID{a}},
	}}
	items := []rule.Item{{Kind: rule.Contact, ID: id(nid.Contact, 1), Key: true}, {Kind: rule.Contact, ID: id(nid.Contact, 2)}}
	plan := s.Plan(c, items)
	for i, want := range []rule.Choice{{To: a, Because: "rule:3:MEMBER;passed:1,2", Rule: 2}, {To: b, Because: "fallback;passed:2,3", Rule: -1}} {
		if plan[i] != want {
			t.Errorf("item %d: %+v, want %+v", i, plan[i], want)
		}
	}
	for code, want := range map[string]string{
		"rule:3:MEMBER;passed:1,2": "rule 3: the member it names; rules 1, 2 are for it too, but found nobody who can take it",
		"fallback;passed:2":        "the fallback of the rules; rule 2 is for it too, but found nobody who can take it",
		"fallback":                 "the fallback of the rules: no rule is for it",
	} {
		if got, ok := rule.Because(code); !ok || got.EN != want || got.ZH == "" {
			t.Errorf("%s: %+v", code, got)
		}
	}
}
