package demo

import (
	"slices"
	"time"
)

// The kinds and outcomes of past handovers, in the words of the API.
const (
	Resigned  = "RESIGNED"
	OnJob     = "ON_JOB"
	Completed = "COMPLETED"
	Rejected  = "REJECTED"
)

// PastHandover is one handover of the demo's past. Done in the order of the
// list, each at its times, all of them work out exactly as they say.
type PastHandover struct {
	Kind   string
	Leaver string
	// DepartsAt is when the leaver departs, before the plan; zero: the leaver stays.
	DepartsAt time.Time
	// PlannedAt is when it is created and submitted, DecidedAt when it is approved
	// or rejected (zero where nobody has to), ExecutedAt when it is executed (zero
	// where it was rejected).
	PlannedAt, DecidedAt, ExecutedAt time.Time
	// Requester makes the leaver depart, plans and executes, Approver decides; userids. There is an
	// approver exactly where there is a key contact.
	Requester, Approver string
	Reason              string
	Assignments         []Assignment
	// HistoryMode is NONE, ALL or WINDOW; a window begins at HistoryFrom and ends
	// when the leaver departs.
	HistoryMode string
	HistoryFrom time.Time
	// Outcome is the handover's state in the end.
	Outcome string
	// Merged is how many of the contacts the successor follows already.
	Merged int
}

// Assignment is what one successor gets, by external ids.
type Assignment struct {
	Successor        string
	Contacts, Groups []string
}

// Size counts the contacts and groups.
func (p *PastHandover) Size() (contacts, groups int) {
	for _, a := range p.Assignments {
		contacts += len(a.Contacts)
		groups += len(a.Groups)
	}
	return contacts, groups
}

// shared is how many of a leaver's contacts the later successor follows too.
var shared = []struct {
	leaver, successor string
	contacts          int
}{
	{"sunpeng", "hejun", 3},
	{"martin.keller", "sophie.laurent", 2},
	{"hejun", "yaoqian", 2},
}

// departures is how many days before today the leavers of Past departed.
var departures = []struct {
	userID string
	days   int
}{{"sunpeng", 172}, {"martin.keller", 141}, {"luoyan", 110}, {"hejun", 36}}

// leaving gives when a leaver of Past departs: at six in the evening.
func (w *world) leaving(userID string) (time.Time, bool) {
	for _, d := range departures {
		if d.userID == userID {
			return w.today.AddDate(0, 0, -d.days).Add(18 * time.Hour), true
		}
	}
	return time.Time{}, false
}

// past tells what happened before. What a member got in one handover goes on in
// a later one: 何俊 takes over from 孙鹏 and then leaves himself.
func (w *world) past() []PastHandover {
	book := ledger{w: w, contacts: map[string][]string{}, groups: map[string][]string{}}
	for _, a := range w.folk {
		book.contacts[a.userID], book.groups[a.userID] = slices.Clone(w.held[a.userID]), slices.Clone(w.owned[a.userID])
	}
	return []PastHandover{
		book.departed("sunpeng", "zhoujing", "离职:个人发展", "ALL", "hejun"),
		book.departed("martin.keller", "gaojie", "Left the company; Sophie knows both distributors.", "WINDOW", "sophie.laurent"),
		book.departed("luoyan", "gaojie", "离职:返乡,广州组两人分担", "NONE", "huangshan", "zengli"),
		book.moved("xiejun", "panting", 80, 0, 15, 1, Completed),
		book.moved("maolin", "qiuyang", 61, 4, 8, 0, Rejected),
		book.departed("hejun", "zhoujing", "离职:合同到期不续签", "ALL", "yaoqian"),
	}
}

// ledger follows who has what while Past is told.
type ledger struct {
	w                *world
	contacts, groups map[string][]string
}

// departed hands over everything of somebody who departs, in equal parts.
func (l *ledger) departed(leaver, requester, reason, history string, successors ...string) PastHandover {
	at, _ := l.w.leaving(leaver)
	p := PastHandover{
		Kind: Resigned, Leaver: leaver, DepartsAt: at, Requester: requester, Reason: reason, HistoryMode: history, Outcome: Completed,
		PlannedAt: at.AddDate(0, 0, 1).Add(-8*time.Hour + 20*time.Minute),
	}
	if history == "WINDOW" {
		p.HistoryFrom = at.AddDate(0, 0, -180)
	}
	n := len(successors)
	contacts, groups := l.contacts[leaver], l.groups[leaver]
	for i, s := range successors {
		p.Assignments = append(p.Assignments, Assignment{
			Successor: s,
			Contacts:  slices.Clone(contacts[len(contacts)*i/n : len(contacts)*(i+1)/n]),
			Groups:    slices.Clone(groups[len(groups)*i/n : len(groups)*(i+1)/n]),
		})
	}
	l.decide(&p)
	return p
}

// moved hands over some key and some normal contacts and some groups of somebody who stays.
func (l *ledger) moved(leaver, successor string, days, key, normal, groups int, outcome string) PastHandover {
	p := PastHandover{
		Kind: OnJob, Leaver: leaver, Requester: "gaojie", Reason: "区域调整", HistoryMode: "NONE", Outcome: outcome,
		PlannedAt: l.w.today.AddDate(0, 0, -days).Add(10 * time.Hour),
	}
	a := Assignment{Successor: successor, Groups: slices.Clone(l.groups[leaver][:groups])}
	for _, c := range l.contacts[leaver] {
		left := &normal
		if l.w.key[c] {
			left = &key
		}
		if *left > 0 {
			*left--
			a.Contacts = append(a.Contacts, c)
		}
	}
	p.Assignments = []Assignment{a}
	l.decide(&p)
	return p
}

// decide sets approver, times and merges, and moves what is handed over.
func (l *ledger) decide(p *PastHandover) {
	next := p.PlannedAt
	for _, a := range p.Assignments {
		if slices.ContainsFunc(a.Contacts, func(c string) bool { return l.w.key[c] }) {
			next = p.PlannedAt.Add(3*time.Hour + 10*time.Minute)
			p.Approver, p.DecidedAt = "fanghua", next
		}
	}
	for _, a := range p.Assignments {
		for _, c := range a.Contacts {
			if slices.Contains(l.contacts[a.Successor], c) {
				p.Merged++
			}
		}
	}
	if p.Outcome == Rejected {
		return
	}
	p.ExecutedAt = next.Add(15 * time.Minute)
	for _, a := range p.Assignments {
		l.contacts[a.Successor] = union(l.contacts[a.Successor], a.Contacts)
		l.groups[a.Successor] = union(l.groups[a.Successor], a.Groups)
		l.contacts[p.Leaver] = without(l.contacts[p.Leaver], a.Contacts)
		l.groups[p.Leaver] = without(l.groups[p.Leaver], a.Groups)
	}
}

func union(have, more []string) []string {
	return append(without(have, more), more...)
}

func without(have, gone []string) []string {
	return slices.DeleteFunc(slices.Clone(have), func(s string) bool { return slices.Contains(gone, s) })
}
