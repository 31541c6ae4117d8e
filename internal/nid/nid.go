// Package nid is the one identifier type of the product.
//
// An ID is 16 bytes in the layout of UUIDv7 (RFC 9562 §5.7), so ids of one
// process sort by the time they were made; its last byte names the kind of thing
// it identifies, so that node(id) needs no look-up table. In the database it is a
// native uuid; to clients it is text: a prefix, "_" and 26 characters of
// lower-case Crockford base32, e.g. "con_06dq…". Prefix and kind byte must agree,
// else the text is not an id of ours.
package nid

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/google/uuid"
)

// Kind is the last byte of an ID. The numbers are stored for ever: only add.
type Kind byte

// The kinds of things that have an id.
const (
	Corp Kind = 1 + iota
	Department
	Member
	Contact
	Follow
	Group
	Handover
	Transfer
	Approval
	RuleSet
	Role
	Grant
	Review
	ReviewItem
	Token
	Export
	Policy
	Message
	HistoryGrant
	LeakFinding
	Audit
	Webhook
	Tag
	Period
	Session
	Passkey
	Provider
	Change
)

// prefixes is indexed by Kind. They are part of the public contract.
var prefixes = [...]string{
	Corp: "crp", Department: "dep", Member: "mbr", Contact: "con", Follow: "flw", Group: "grp",
	Handover: "hov", Transfer: "trf", Approval: "apr", RuleSet: "rls", Role: "rol", Grant: "grt",
	Review: "rev", ReviewItem: "rvi", Token: "tok", Export: "exp", Policy: "pol", Message: "msg",
	HistoryGrant: "hgr", LeakFinding: "lkf", Audit: "aud", Webhook: "whk", Tag: "tag", Period: "own",
	Session: "ses", Passkey: "psk", Provider: "idp", Change: "chg",
}

// Prefix is the text before the underscore, empty for an unknown kind.
func (k Kind) Prefix() string {
	if int(k) < len(prefixes) {
		return prefixes[k]
	}
	return ""
}

// ID identifies one thing. The zero ID identifies nothing.
type ID [16]byte

// ErrMalformed is returned for text that is not an id of ours. Callers answer it
// exactly as they answer an unknown id.
var ErrMalformed = errors.New("malformed id")

// New makes an id of the given kind from the wall clock and 66 random bits.
func New(k Kind) ID {
	u := uuid.Must(uuid.NewV7())
	u[15] = byte(k)
	return ID(u)
}

// Kind says what the id identifies.
func (i ID) Kind() Kind { return Kind(i[15]) }

// IsZero reports whether the id is absent.
func (i ID) IsZero() bool { return i == ID{} }

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// String is the public text of the id; empty for the zero ID.
func (i ID) String() string {
	if i.IsZero() {
		return ""
	}
	p := i.Kind().Prefix()
	b := make([]byte, 0, len(p)+27)
	b = append(append(b, p...), '_')
	// 128 bits in 26 digits: the first digit carries 3 bits, the rest 5.
	var acc uint32
	bits := 2 // two leading zero bits make 130 = 26 × 5
	for _, c := range i {
		acc = acc<<8 | uint32(c)
		for bits += 8; bits >= 5; {
			bits -= 5
			b = append(b, alphabet[acc>>bits&31])
		}
	}
	return string(b)
}

// digits maps a character to its value; 255 marks what is not in the alphabet.
var digits = func() (d [256]byte) {
	for i := range d {
		d[i] = 255
	}
	for i := range alphabet {
		d[alphabet[i]] = byte(i)
	}
	return d
}()

// Parse reads the public text of an id. It fails with ErrMalformed on anything
// that String would not have written: there is one spelling for each id.
func Parse(s string) (ID, error) {
	var i ID
	if len(s) != 30 || s[3] != '_' {
		return ID{}, ErrMalformed
	}
	var acc uint32
	bits, n := 0, 0
	for p := 4; p < 30; p++ {
		d := digits[s[p]]
		if d == 255 || p == 4 && d > 7 {
			return ID{}, ErrMalformed
		}
		acc = acc<<5 | uint32(d)
		if bits += 5; p == 4 {
			bits = 3
		}
		if bits >= 8 {
			bits -= 8
			i[n] = byte(acc >> bits)
			n++
		}
	}
	if p := i.Kind().Prefix(); p == "" || p != s[:3] {
		return ID{}, ErrMalformed
	}
	return i, nil
}

// UUID is the text the databases use.
func (i ID) UUID() string { return uuid.UUID(i).String() }

// Value stores the id as a uuid; the zero ID is NULL.
func (i ID) Value() (driver.Value, error) {
	if i.IsZero() {
		return nil, nil
	}
	return i.UUID(), nil
}

// Scan reads a uuid column; NULL becomes the zero ID.
func (i *ID) Scan(src any) error {
	if src == nil {
		*i = ID{}
		return nil
	}
	return (*uuid.UUID)(i).Scan(src)
}

// MarshalText writes the public text, so that JSON and logs show what clients see.
func (i ID) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText reads the public text; empty text is the zero ID.
func (i *ID) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*i = ID{}
		return nil
	}
	*i, err = Parse(string(b))
	return err
}

// MarshalGQL writes the id as a GraphQL ID.
func (i ID) MarshalGQL(w io.Writer) { _, _ = io.WriteString(w, strconv.Quote(i.String())) }

// UnmarshalGQL reads a GraphQL ID. Malformed text yields the zero ID, not an
// error: it must be answered like an unknown id, by whoever looks it up.
func (i *ID) UnmarshalGQL(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("an id is a string, not %T", v)
	}
	*i, _ = Parse(s)
	return nil
}

// FromUUID reads a uuid's text, as databases give it.
func FromUUID(v any) (id ID, err error) {
	if i, ok := v.(ID); ok {
		return i, nil
	}
	err = id.Scan(v)
	return id, err
}
