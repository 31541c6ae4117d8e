// Package roster has the words in which an identity provider says who works for a
// corp: people, departments and what is asked of them. They are those of RFC 7643
// without its JSON. It is pure.
package roster

import (
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
)

const (
	// MaxPage is how many people or departments one page has.
	MaxPage = 200
	// MaxMembers is how many members of departments one answer lists, and one request names.
	MaxMembers = 20_000
)

// Ref is somebody or something by id and name.
type Ref struct {
	ID   nid.ID
	Name string
}

// User is a member as an identity provider sees them.
type User struct {
	ID nid.ID
	// UserName is the member's user id.
	UserName string
	// Name is the member's name, as everybody sees it.
	Name                  string
	GivenName, FamilyName string
	Email, ExternalID     string
	Active                bool  // at work
	Departments           []Ref // the main one first
	Created, Modified     time.Time
	Version               int
}

// UserChange says how a user is to be. nil leaves a part as it is; empty takes it
// away, which userName and name do not allow.
type UserChange struct {
	UserName, Name, GivenName, FamilyName, Email, ExternalID *string
	Active                                                   *bool
	// If is what the caller has seen.
	If Versions
}

// Group is a department as an identity provider sees it.
type Group struct {
	ID         nid.ID
	Name       string
	ExternalID string
	// Members is nil where they were not asked for.
	Members           []Ref
	Created, Modified time.Time
	// Version changes with the department and with who is in it; empty where the members
	// were not asked for.
	Version string
}

// GroupChange says how a department is to be. Nil leaves a part as it is.
type GroupChange struct {
	Name, ExternalID *string
	// Reset takes everybody out who is not in Add.
	Reset bool
	// Add and Remove have nobody in common.
	Add, Remove map[nid.ID]bool
	If          Versions
}

// Include puts people in, after what was said before.
func (c *GroupChange) Include(ids ...nid.ID) {
	if c.Add == nil {
		c.Add = map[nid.ID]bool{}
	}
	for _, id := range ids {
		c.Add[id] = true
		delete(c.Remove, id)
	}
}

// Exclude takes people out, after what was said before.
func (c *GroupChange) Exclude(ids ...nid.ID) {
	if c.Remove == nil {
		c.Remove = map[nid.ID]bool{}
	}
	for _, id := range ids {
		c.Remove[id] = true
		delete(c.Add, id)
	}
}

// Empty takes everybody out, after what was said before.
func (c *GroupChange) Empty() { c.Reset, c.Add, c.Remove = true, nil, nil }

// Versions are those of a resource that a caller takes for current. Nil: any.
type Versions []string

// Fit reports whether the version is one of them.
func (v Versions) Fit(version string) bool { return v == nil || slices.Contains(v, version) }

// Query asks for a page of a list, in the order of ids.
type Query struct {
	// Where is nil for all.
	Where Condition
	// Skip is how many come before the page; Count, at most MaxPage, may be 0.
	Skip, Count int
	// Members: those of departments are wanted.
	Members bool
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T
	Total int
}

// Attribute is what a condition may be about.
type Attribute string

// The attributes. Those of people and of departments overlap.
const (
	ID         Attribute = "id"
	ExternalID Attribute = "externalId"
	UserName   Attribute = "userName"
	Name       Attribute = "displayName"
	GivenName  Attribute = "name.givenName"
	FamilyName Attribute = "name.familyName"
	Email      Attribute = "emails.value"
	Active     Attribute = "active"
	Created    Attribute = "meta.created"
	Modified   Attribute = "meta.lastModified"
	Members    Attribute = "members.value"
)

// Op compares.
type Op string

// The operators of RFC 7644 §3.4.2.2.
const (
	Eq Op = "eq"
	Ne Op = "ne"
	Co Op = "co"
	Sw Op = "sw"
	Ew Op = "ew"
	Pr Op = "pr"
	Gt Op = "gt"
	Ge Op = "ge"
	Lt Op = "lt"
	Le Op = "le"
)

// Condition is And, Or, Not, Compare or Always.
type Condition interface{ condition() }

// And holds where both do.
type And struct{ Left, Right Condition }

// Or holds where one does.
type Or struct{ Left, Right Condition }

// Not holds where another does not.
type Not struct{ Of Condition }

// Always holds everywhere or nowhere.
type Always bool

// Compare holds where an attribute compares so. Of Text, ID, Bool and Time the one is
// set that the attribute has; Pr needs none. ID and Members take Eq, Ne and Pr only,
// Active Eq and Ne.
type Compare struct {
	Attribute Attribute
	Op        Op
	Text      string
	ID        nid.ID
	Bool      bool
	Time      time.Time
}

func (And) condition()     {}
func (Or) condition()      {}
func (Not) condition()     {}
func (Always) condition()  {}
func (Compare) condition() {}
