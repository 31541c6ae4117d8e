// Package detect finds signs that a member moves customers to private accounts:
// WeChat and QQ ids, phone numbers, e-mail addresses, links, contact cards, QR
// codes, invitations to another account, and exports before leaving. Its helper
// Mask hides numbers that a reader of old chats does not need.
//
// It is pure: no database, no network, no clock. What it says is a hint for a person
// who reviews it, with a score and the reason, never a verdict; how often it is
// right is measured in figures_test.go and written in docs/chat-audit.md.
//
// Text is folded first (fold.go), so that 微 信, Ｖ信, １３８ and 1️⃣ read like plain
// ones; every span is one of the text as it was written. All of it takes time linear
// in the text.
package detect

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
)

// Name says which detector found something.
type Name string

// The detectors. Export is the one that looks at actions instead of messages.
const (
	WeChat Name = "WECHAT"
	QQ     Name = "QQ"
	Phone  Name = "PHONE"
	Email  Name = "EMAIL"
	Link   Name = "LINK"
	Card   Name = "CARD"
	QR     Name = "QR"
	Invite Name = "INVITE"
	Export Name = "EXPORT"
)

// Names lists the detectors in the order in which findings are given.
func Names() []Name {
	return []Name{WeChat, QQ, Phone, Email, Link, Card, QR, Invite, Export}
}

// Kind is the value of the API's LeakKind that the detector's findings have.
func (n Name) Kind() string {
	switch n {
	case Phone:
		return "PHONE_NUMBER"
	case Link:
		return "OUTSIDE_LINK"
	case Card:
		return "CONTACT_CARD"
	case QR:
		return "QR_CODE"
	case Export:
		return "EXPORT_BEFORE_LEAVING"
	}
	return "PERSONAL_ACCOUNT"
}

// Version is raised whenever the rules find other things than before, so that what was
// looked at already is looked at again.
const Version = 1

// Worth is the least score of a finding: what is below is not given.
const Worth = 0.5

// most is how many findings one detector gives for one message.
const most = 20

// Message is what the detectors read of one.
type Message struct {
	// Kind as in the API's MessageKind: TEXT, IMAGE, FILE, CARD, LINK and so on.
	Kind string
	// Text as it was written; of a card or link what it shows. Need not be valid UTF-8.
	Text string
	// Attachment is the file's name, Mime its type; both may be empty.
	Attachment, Mime string
	// FromContact: the customer wrote it. Their own numbers move nobody, so only what
	// speaks of the member's other accounts remains.
	FromContact bool
	SentAt      time.Time
}

// Field is the part of a message that a span counts in.
type Field string

// The fields; a finding by the message's kind alone has none.
const (
	InText       Field = "TEXT"
	InAttachment Field = "ATTACHMENT"
)

// Span is bytes [Start, End) of a field, on borders of characters. It is empty
// where the whole message is meant.
type Span struct{ Start, End int }

// Finding is one sign.
type Finding struct {
	Detector Name
	// Score is from Worth to 1; comparable within a detector only.
	Score float64
	// Why is for people; it never repeats what was found.
	Why   fault.Text
	Field Field
	Span  Span
	// At is when the message was sent, or the day of the exports.
	At time.Time
}

// Own is what belongs to the company and is therefore no finding. How it is
// written does not matter: +86 138-0000-0000 is 13800000000.
type Own struct {
	// Domains hold for what is below them and for addresses there too.
	Domains []string
	// Addresses are single e-mail addresses elsewhere.
	Addresses, Phones []string
	// Accounts are WeChat and QQ ids; Names stand on colleagues' cards.
	Accounts, Names []string
}

// Detector reads messages. It never changes, so many may use it at once.
type Detector struct {
	domains, addresses, phones, accounts, names map[string]bool
}

// New makes a detector for a company.
func New(own Own) *Detector {
	return &Detector{
		domains:   set(own.Domains, func(s string) string { return strings.Trim(plain(s), ". ") }),
		addresses: set(own.Addresses, func(s string) string { return strings.TrimSpace(plain(s)) }),
		phones:    set(own.Phones, func(s string) string { return national(fold(s).allDigits()) }),
		accounts:  set(own.Accounts, func(s string) string { return strings.TrimSpace(plain(s)) }),
		names:     set(own.Names, func(s string) string { return strings.TrimSpace(plain(s)) }),
	}
}

func set(all []string, key func(string) string) map[string]bool {
	m := make(map[string]bool, len(all))
	for _, s := range all {
		if k := key(s); k != "" {
			m[k] = true
		}
	}
	return m
}

// Message gives what is found in one message, by detector and then by place; nil
// for most. A detector stops after 20 findings.
func (d *Detector) Message(m Message) []Finding {
	r := &reading{Detector: d, m: m, text: fold(m.Text), count: map[Name]int{}}
	r.words = lexicon.words(r.text.r)
	r.clauses()
	r.addresses() // first: what is part of one is neither an id nor a phone number
	r.accounts()
	r.phones()
	r.attachments()
	r.invites()
	return r.inOrder()
}

// reading is one message while it is read.
type reading struct {
	*Detector
	m       Message
	text    folded
	words   []word
	breaks  []int32 // where clauses end
	taken   []Span  // addresses; a link or id inside is none of its own
	results []Finding
	count   map[Name]int
}

// found notes runes [from, to) of the folded text.
func (r *reading) found(n Name, score float64, from, to int, why fault.Text) {
	if r.m.FromContact && n != Invite {
		score *= 0.4
	}
	if score < Worth || from >= to {
		return
	}
	r.add(n, score, why, InText, Span{int(r.text.from[from]), int(r.text.to[to-1])})
}

func (r *reading) add(n Name, score float64, why fault.Text, in Field, at Span) {
	if r.full(n) {
		return
	}
	r.count[n]++
	r.results = append(r.results, Finding{Detector: n, Score: min(score, 1), Why: why, Field: in, Span: at, At: r.m.SentAt})
}

// full reports that a detector need not go on.
func (r *reading) full(n Name) bool { return r.count[n] >= most }

// inOrder gives the findings in the order of Names and then of place.
func (r *reading) inOrder() []Finding {
	slices.SortStableFunc(r.results, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank(a.Detector), rank(b.Detector)), cmp.Compare(a.Span.Start, b.Span.Start))
	})
	return r.results
}

func rank(n Name) int { return slices.Index(Names(), n) }
