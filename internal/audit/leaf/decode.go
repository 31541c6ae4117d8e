package leaf

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/canon"
	"github.com/openhandover/openhandover/internal/nid"
)

// Decode reads a leaf. It takes only what Encode writes: every accepted leaf
// encodes to the same bytes again. Personal values come back Sealed; ids and times
// in Before and After come back as text, integers as int64. It fails with ErrNotLeaf.
func Decode(leaf []byte) (Entry, error) {
	if len(leaf) > MaxBytes {
		return Entry{}, fmt.Errorf("%w: too long", ErrNotLeaf)
	}
	v, err := canon.Unmarshal(leaf)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrNotLeaf, err)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return Entry{}, fmt.Errorf("%w: not an object", ErrNotLeaf)
	}
	f := fields{object: object}
	if f.integer("v") != Version {
		f.fail("v")
	}
	e := Entry{
		ID: f.id("id"), Corp: f.id("corp"), Index: f.integer("index"), At: f.time("at"), Actor: f.actor("actor"),
		Action: f.text("action"), Subject: f.id("subject"), Handover: f.id("handover"), Request: f.text("request"),
		Address: f.private("address"), Cause: f.id("cause"), Reason: f.text("reason"),
		Before: f.values("before"), After: f.values("after"), Set: f.set("set"), Prev: f.hash("prev"),
	}
	f.done()
	if f.bad != "" {
		return Entry{}, fmt.Errorf("%w: %s", ErrNotLeaf, f.bad)
	}
	if err := e.check(); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrNotLeaf, err)
	}
	return e, nil
}

// fields takes the members of an object one by one. An absent one is zero; one
// that is there and not as Encode writes it is remembered as bad. What is always
// there needs no rule of its own: zero fails Entry.check, or is bad here.
type fields struct {
	object map[string]any
	taken  int
	bad    string
}

func (f *fields) fail(key string) {
	if f.bad == "" {
		f.bad = key + " is not as it must be"
	}
}

func (f *fields) take(key string) (any, bool) {
	v, ok := f.object[key]
	if ok {
		f.taken++
	}
	return v, ok
}

// done fails if there are members that nobody took.
func (f *fields) done() {
	if f.bad == "" && f.taken != len(f.object) {
		f.bad = "unknown members"
	}
}

func (f *fields) text(key string) string {
	v, ok := f.take(key)
	s, _ := v.(string)
	if ok && s == "" { // empty text is left out, and what is not text reads empty
		f.fail(key)
	}
	return s
}

// integer must be there: unlike other zeros, 0 is written.
func (f *fields) integer(key string) int64 {
	v, _ := f.take(key)
	n, ok := v.(int64)
	if !ok {
		f.fail(key)
	}
	return n
}

func (f *fields) id(key string) nid.ID {
	s := f.text(key)
	if s == "" {
		return nid.ID{}
	}
	id, err := nid.Parse(s)
	if err != nil {
		f.fail(key)
	}
	return id
}

func (f *fields) time(key string) time.Time {
	s := f.text(key)
	t, err := time.Parse(TimeFormat, s)
	var room [len(TimeFormat)]byte
	if err != nil || string(t.AppendFormat(room[:0], TimeFormat)) != s { // Parse takes more spellings than one
		f.fail(key)
	}
	return t
}

// hash must be there.
func (f *fields) hash(key string) (h [32]byte) {
	s := f.text(key)
	if !unhex(&h, s) {
		f.fail(key)
	}
	return h
}

func (f *fields) actor(key string) (a Actor) {
	object, ok := f.inner(key)
	if !ok {
		f.fail(key)
		return a
	}
	g := fields{object: object}
	a = Actor{Kind: access.ActorKind(g.text("kind")), ID: g.id("id"), Label: g.private("label")}
	f.join(key, &g)
	return a
}

func (f *fields) set(key string) *Set {
	object, ok := f.inner(key)
	if !ok {
		return nil
	}
	g := fields{object: object}
	s := &Set{N: g.integer("n"), Digest: g.hash("digest")}
	f.join(key, &g)
	return s
}

func (f *fields) private(key string) Private {
	object, ok := f.inner(key)
	if !ok {
		return nil
	}
	s, ok := unseal(object)
	if !ok {
		f.fail(key)
	}
	return s
}

func (f *fields) values(key string) map[string]any {
	object, ok := f.inner(key)
	if !ok {
		return nil
	}
	if len(object) == 0 || isSealed(object) || !f.unsealAll(object) {
		f.fail(key)
	}
	return object
}

// inner takes a member that is an object, if it is there.
func (f *fields) inner(key string) (map[string]any, bool) {
	v, ok := f.take(key)
	if !ok {
		return nil, false
	}
	object, ok := v.(map[string]any)
	if !ok {
		f.fail(key)
	}
	return object, ok
}

func (f *fields) join(key string, g *fields) {
	if g.done(); g.bad != "" && f.bad == "" {
		f.bad = key + ": " + g.bad
	}
}

// unsealAll turns the objects that are sealed values into Sealed, in place.
func (f *fields) unsealAll(object map[string]any) bool {
	for k, v := range object {
		v, ok := f.unsealed(v)
		if !ok {
			return false
		}
		object[k] = v
	}
	return true
}

func (f *fields) unsealed(v any) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		if isSealed(v) {
			return unseal(v)
		}
		return v, f.unsealAll(v)
	case []any:
		for i := range v {
			inner, ok := f.unsealed(v[i])
			if !ok {
				return nil, false
			}
			v[i] = inner
		}
	}
	return v, true
}

func unseal(object map[string]any) (s Sealed, ok bool) {
	g := fields{object: object}
	s.Commitment, s.Subject = g.hash(commitmentKey), g.id(subjectKey)
	text := g.text(ciphertextKey)
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	s.Ciphertext = b
	g.done()
	// The decoder passes over line breaks, which would be a second spelling.
	return s, err == nil && g.bad == "" && s.wellFormed() && base64.StdEncoding.EncodedLen(len(b)) == len(text)
}

// unhex reads 64 lower-case hex digits.
func unhex(into *[32]byte, s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range into {
		high, low := digit(s[2*i]), digit(s[2*i+1])
		if high|low > 15 {
			return false
		}
		into[i] = high<<4 | low
	}
	return true
}

// digit is the value of a hex digit; 255 for anything else, capitals among it.
func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}
