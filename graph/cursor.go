package graph

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openhandover/openhandover/internal/nid"
)

// A cursor is the sort value and id of a row. It is opaque: a checksum over what
// list and order gave it makes any other list refuse it, rather than begin at a
// place that means nothing there. It holds nothing that the row did not show and
// gives no access, so it needs no secret.
const (
	cursorVersion = 1
	cursorSum     = 8
	maxCursor     = 4096
)

var cursorText = base64.RawURLEncoding

// place is a row's place in an order.
type place struct {
	value string
	id    nid.ID
}

func (p place) sum(order string) []byte {
	h := sha256.New()
	h.Write([]byte(order))
	h.Write([]byte{0, cursorVersion})
	h.Write(p.id[:])
	h.Write([]byte(p.value))
	return h.Sum(nil)[:cursorSum]
}

func (p place) cursor(order string) string {
	b := make([]byte, 0, 1+cursorSum+16+len(p.value))
	b = append(append(append(b, cursorVersion), p.sum(order)...), p.id[:]...)
	return cursorText.EncodeToString(append(b, p.value...))
}

// readCursor gives the place of a cursor; false for what this order did not make.
func readCursor(order, s string) (p place, ok bool) {
	if len(s) > maxCursor {
		return p, false
	}
	b, err := cursorText.DecodeString(s)
	if err != nil || len(b) < 1+cursorSum+16 || b[0] != cursorVersion {
		return p, false
	}
	p.id = nid.ID(b[1+cursorSum : 1+cursorSum+16])
	p.value = string(b[1+cursorSum+16:])
	// The checksum is no secret: text that a database refuses must not get there.
	if !utf8.ValidString(p.value) || strings.ContainsRune(p.value, 0) {
		return p, false
	}
	// The checksum, and one spelling for each place.
	return p, p.cursor(order) == s
}

// key is what a list is sorted by: a column that is never NULL.
type key[T any] struct {
	name   string // in cursors
	column string // with its table; empty: the id alone
	text   func(T) string
	value  func(text string) (any, bool)
}

func textKey[T any](name, column string, of func(T) string) key[T] {
	return key[T]{name, column, of, func(s string) (any, bool) { return s, true }}
}

func timeKey[T any](name, column string, of func(T) time.Time) key[T] {
	return key[T]{name, column,
		func(v T) string { return strconv.FormatInt(of(v).UnixMicro(), 10) },
		func(s string) (any, bool) {
			n, err := strconv.ParseInt(s, 10, 64)
			// Years that a timestamp and its text can hold.
			return time.UnixMicro(n).UTC(), err == nil && n > -1<<55 && n < 1<<57
		},
	}
}

func numberKey[T any](name, column string, of func(T) int64) key[T] {
	return key[T]{name, column,
		func(v T) string { return strconv.FormatInt(of(v), 10) },
		func(s string) (any, bool) { n, err := strconv.ParseInt(s, 10, 64); return n, err == nil },
	}
}

// idKey sorts by id: in the order in which rows were made.
func idKey[T any]() key[T] {
	return key[T]{name: "ID", text: func(T) string { return "" }, value: func(s string) (any, bool) { return nil, s == "" }}
}

// order is a key and a direction. The id breaks ties, in the same direction.
type order[T any] struct {
	key[T]
	desc bool
}

// stamp names the order of a list, for its cursors.
func (o order[T]) stamp(list string) string {
	if o.desc {
		return list + " " + o.name + " DESC"
	}
	return list + " " + o.name + " ASC"
}
