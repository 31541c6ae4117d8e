// Package intake reads the files with which a corp is loaded or brought up to
// date, and says everything that is wrong with them at once.
//
// Reading is pure: it knows no database and changes nothing. What it returns has
// been checked row by row and across the files, and Load stores it in one
// transaction. The steps are
//
//	read.go      one pass over the files, in the order in which they refer to each other
//	table.go     CSV: headers, real line numbers, rows
//	headers.go   every header that is understood, in English and Chinese
//	value.go     single cells: times, statuses, lists, numbers
//	check.go     the rules of rows and of the corp as a whole; also for data made by program
//	messages.go  the archived chat, which is never held in memory
//	rejects.go   the rows left out, so that they can be mended and read again
//
//	load.go      stores a corp, all of it or nothing, and records each file in the log
//	stored.go    what the corp holds already, read and locked
//	people.go    departments, members, and who answers for those who are away
//	contacts.go  tags, contacts, follows
//	groups.go    groups, counters, and the archived chat
package intake

import (
	"iter"
	"slices"
	"time"
)

// The files of an import. All are optional; what they refer to is not.
const (
	DepartmentsFile = "departments.csv"
	MembersFile     = "members.csv"
	ContactsFile    = "contacts.csv"
	FollowsFile     = "follows.csv"
	GroupsFile      = "groups.csv"
	MessagesFile    = "messages.jsonl"
)

// files is the order in which they are read, checked and reported.
var files = []string{DepartmentsFile, MembersFile, ContactsFile, FollowsFile, GroupsFile, MessagesFile}

// Corp is what an import says about one corp. Every reference is an external id.
// All times are UTC in whole microseconds; a zero time was not given.
type Corp struct {
	Departments []Department
	Members     []Member
	Contacts    []Contact
	Follows     []Follow
	Groups      []Group
	// Messages gives the archived chat in the order of the file, one at a time;
	// nil where there is none. It can be ranged over again. An error ends it, and
	// then nothing of the import may be kept.
	Messages iter.Seq2[Message, error]

	// given lists the columns that each file had; nil: all of them.
	given map[string][]string
	// lines gives the line of each row, by file; nil for data made by program.
	lines map[string][]int
}

// Has reports whether the file had the column. An update leaves alone what a
// file says nothing about; a column that is there but empty means empty. Data
// made by program has every column.
func (c *Corp) Has(file, column string) bool {
	return c.given == nil || slices.Contains(c.given[file], column)
}

// Department is a row of departments.csv. Parent is empty for the root.
type Department struct{ ID, Name, Parent, Manager string }

// Status is a member's status, in the words of the API.
type Status string

// The statuses.
const (
	Active   Status = "ACTIVE"
	Leaving  Status = "LEAVING"
	Disabled Status = "DISABLED"
	Departed Status = "DEPARTED"
	Inactive Status = "INACTIVE"
)

// Gone reports whether a member of this status no longer works with contacts, so
// that what the member still follows and owns waits, protected, for a handover.
func (s Status) Gone() bool { return s == Disabled || s == Departed }

// Answers reports whether a member of this status can be accountable.
func (s Status) Answers() bool { return s == Active || s == Leaving }

// DefaultContactLimit is how many contacts a member has room for unless the file says otherwise.
const DefaultContactLimit = 5000

// Member is a row of members.csv.
type Member struct {
	UserID, Name string
	// Departments has at least one; the first is the main department.
	Departments []string
	// Status is never empty: where the file says nothing it is the known one, else ACTIVE.
	Status          Status
	CustomerContact bool
	ContactLimit    int
	// LastDay is YYYY-MM-DD in the corp's time zone, or empty.
	LastDay             string
	DepartedAt, LoginAt time.Time
}

// Contact types and importances, in the words of the API.
const (
	WeChat, WeCom, OtherType = "WECHAT", "WECOM", "OTHER"
	Normal, Key              = "NORMAL", "KEY"
)

// Whether a contact agreed to having chats archived. Nothing of a contact is archived
// that did not.
const (
	ConsentUnknown, Agreed, Refused = "UNKNOWN", "AGREED", "REFUSED"
)

// Contact is a row of contacts.csv.
type Contact struct {
	ExternalUserID, Name, Type, Company, Importance string
	Tags                                            []string
	// Accountable is the userid of who answers for the contact, where the file
	// says so; required where nobody follows it.
	Accountable string
	// ChatConsent is whether the contact agreed to having chats archived; empty: UNKNOWN.
	ChatConsent string
}

// Follow is a row of follows.csv.
type Follow struct {
	UserID, ExternalUserID string
	Since                  time.Time
	Remark, Description    string
	Tags                   []string
	// AddWay is the platform's number for how the contact was added; 0: unknown.
	AddWay int
	// Protected says that the follower is gone, see Corp.Mark.
	Protected bool
}

// Group statuses, in the words of the API.
const (
	GroupNormal, OwnerLeft, Inheriting, Inherited = "NORMAL", "OWNER_LEFT", "INHERITING", "INHERITED"
)

// Group is a row of groups.csv.
type Group struct {
	ChatID, Name, Owner string
	MemberCount         int
	Status              string
	// Protected says that the owner is gone, see Corp.Mark.
	Protected bool
}

// MessageKinds lists the kinds of messages, in the words of the API.
var MessageKinds = []string{"TEXT", "IMAGE", "VOICE", "VIDEO", "FILE", "LINK", "CARD", "LOCATION", "OTHER"}

// Message is a line of messages.jsonl. Exactly one of Author and AuthorContact is
// set. The conversation is ChatID's, else the one between a member and a contact.
type Message struct {
	MsgID  string
	SentAt time.Time
	// Author is a member's userid, AuthorContact a contact's external_userid.
	Author, AuthorContact string
	To                    []string
	ChatID, Kind, Text    string
	Attachment            *Attachment
}

// Attachment says what was sent along. Its content is not part of an import.
type Attachment struct {
	Name     string `json:"name,omitempty"`
	MimeType string `json:"mimeType,omitempty"`
	Size     int64  `json:"size,omitempty"`
}

// Pair gives the member and the contact of a conversation outside groups; both
// are empty for a message in a group.
func (m *Message) Pair() (userID, externalUserID string) {
	switch {
	case m.ChatID != "" || len(m.To) != 1:
		return "", ""
	case m.Author != "":
		return m.Author, m.To[0]
	}
	return m.To[0], m.AuthorContact
}

// Known is what the corp already holds, by external id: what an update may refer
// to without repeating it. Nil stands for a corp without anything.
type Known struct {
	// Departments maps each to its parent, the root to "".
	Departments map[string]string
	Members     map[string]KnownMember
	Contacts    map[string]struct{}
	Groups      map[string]struct{}
}

// KnownMember is what an update must know of a member.
type KnownMember struct {
	Status Status
	// Holds says that the member has open follows or owns groups.
	Holds bool
}

// Mark sets Protected on each follow and group whose member is gone, by the
// member's row or else by what is known. Read has done it already.
func (c *Corp) Mark(known *Known) {
	gone := map[string]bool{}
	if known != nil {
		for id, m := range known.Members {
			if m.Status.Gone() {
				gone[id] = true
			}
		}
	}
	for _, m := range c.Members {
		gone[m.UserID] = m.Status.Gone()
	}
	for i := range c.Follows {
		c.Follows[i].Protected = gone[c.Follows[i].UserID]
	}
	for i := range c.Groups {
		c.Groups[i].Protected = gone[c.Groups[i].Owner]
	}
}
