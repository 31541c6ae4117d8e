// Package rule chooses successors: by a split among some members, or by preset rules
// of which the first decides that matches and finds somebody. Planning is pure: the same
// case and items give the same plan, whatever their order, and every choice says why it
// was made.
package rule

import (
	"slices"

	"github.com/openhandover/openhandover/internal/nid"
)

// Method is how a rule picks among its members. The names are the API's.
type Method string

// The methods.
const (
	ToMember            Method = "MEMBER"
	Even                Method = "EVEN"
	LeastLoaded         Method = "LEAST_LOADED"
	Weighted            Method = "WEIGHTED"
	Manager             Method = "MANAGER"
	EarlierRelationship Method = "EARLIER_RELATIONSHIP"
)

// Methods lists all of them.
var Methods = []Method{ToMember, Even, LeastLoaded, Weighted, Manager, EarlierRelationship}

// Kind is what moves.
type Kind string

// The kinds.
const (
	Contact Kind = "CONTACT"
	Group   Kind = "GROUP"
)

// Rule is one rule, as stored in a rule set. Its conditions must all hold; an empty
// one always does.
type Rule struct {
	Tags        []string `json:"tags,omitzero"`       // all of them
	Importance  string   `json:"importance,omitzero"` // NORMAL or KEY
	Departments []nid.ID `json:"departments,omitzero"`
	Kinds       []Kind   `json:"kinds,omitzero"`
	AddWay      []int    `json:"addWay,omitzero"` // one of them
	Method      Method   `json:"method"`
	Members     []nid.ID `json:"members,omitzero"`
	Weights     []int    `json:"weights,omitzero"`
}

// Set is rules in the order in which they are tried, and who takes what none decides.
type Set struct {
	ID       nid.ID // zero: a split made for one plan
	Rules    []Rule
	Fallback nid.ID   // zero: nobody
	History  *History // nil: nothing of the chats
}

// History is what of the leaver's chats the successors may read, in a plan that says
// nothing else. Days count from the one on which the plan is made.
type History struct {
	Mode string `json:"mode"` // NONE, ALL or WINDOW
	// Days is how far back a WINDOW reaches; 0 with the others.
	Days int `json:"days,omitzero"`
	// ExpiresAfter is how many days the successors may read it; 0: no end.
	ExpiresAfter int `json:"expiresAfter,omitzero"`
}

// Split is a set that shares everything among some members.
func Split(m Method, members []nid.ID, weights []int) Set {
	return Set{Rules: []Rule{{Method: m, Members: members, Weights: weights}}}
}

// Candidates lists the members that the set names, each once.
func (s Set) Candidates() (out []nid.ID) {
	seen := map[nid.ID]bool{{}: true}
	for _, r := range append(slices.Clone(s.Rules), Rule{Members: []nid.ID{s.Fallback}}) {
		for _, m := range r.Members {
			if !seen[m] {
				seen[m] = true
				out = append(out, m)
			}
		}
	}
	return out
}

// Item is one contact or group to find a successor for.
type Item struct {
	Kind   Kind
	ID     nid.ID
	Key    bool
	Tags   []string
	AddWay *int
	// FollowedBy are the members who follow the contact already: it takes none of
	// their room.
	FollowedBy []nid.ID
	// Earlier are those who looked after it before, newest first.
	Earlier []nid.ID
}

// Member is what planning knows of somebody who may take over.
type Member struct {
	ID               nid.ID
	Contacts, Groups int  // what they have
	Room             int  // how many more contacts they can take
	Fit              bool // whether they may take over at all
}

// Case is what a plan is made for.
type Case struct {
	// Departments are the leaver's, with all that they are part of.
	Departments []nid.ID
	// Managers are those of the leaver's main department and of those above, nearest first.
	Managers []nid.ID
	// Members are all who may be chosen.
	Members map[nid.ID]Member
}

// Choice is who gets an item.
type Choice struct {
	To nid.ID // zero: nobody can take it
	// Because says why, as a code; see the function Because.
	Because string
	// Rule is the place of the rule that decided; -1: the fallback, or none.
	Rule int
}
