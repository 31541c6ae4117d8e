package leaf

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/canon"
	"github.com/openhandover/openhandover/internal/nid"
)

const maxText = 512 // bytes of request, reason and action

// Encode gives the leaf of an entry, its personal values sealed. Sealed values,
// as Decode gives them, are taken as they are, so that encoding a decoded entry
// gives the same bytes. It fails with ErrEntry for an entry that the format does
// not allow, and with what the sealer fails with.
func Encode(e Entry, seal Sealer) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	object, err := e.object(seal)
	if err != nil {
		return nil, err
	}
	b, err := canon.Append(make([]byte, 0, 1024), object)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEntry, err)
	}
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrEntry, len(b), MaxBytes)
	}
	return b, nil
}

// check is what holds for every entry, written or read.
func (e *Entry) check() error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrEntry, what) }
	switch {
	case e.ID.Kind() != nid.Audit:
		return bad("id is not an audit entry's")
	case e.Corp.Kind() != nid.Corp:
		return bad("corp is not a corp's id")
	case e.Index < 0 || e.Index > canon.MaxInt:
		return bad("index out of range")
	case (e.Index == 0) != (e.Prev == [32]byte{}):
		return bad("prev is zero at index 0 and nowhere else")
	case e.At.IsZero() || !timeFits(e.At):
		return bad("at is not whole microseconds of the years 1 to 9999")
	case !actionFits(e.Action):
		return bad("action is not noun.verb")
	case !e.Subject.IsZero() && !known(e.Subject):
		return bad("subject is not an id")
	case !e.Handover.IsZero() && e.Handover.Kind() != nid.Handover:
		return bad("handover is not a handover's id")
	case !e.Cause.IsZero() && e.Cause.Kind() != nid.Handover:
		return bad("cause is not a handover's id")
	case e.Actor.Kind != access.System && (!e.Cause.IsZero() || e.Reason != ""):
		return bad("cause and reason are the system's")
	case len(e.Request) > maxText || len(e.Reason) > maxText:
		return bad("request or reason is too long")
	case e.Set != nil && (e.Set.N < 0 || e.Set.N > canon.MaxInt):
		return bad("set size out of range")
	}
	switch e.Actor.Kind {
	case access.Person:
		if e.Actor.ID.Kind() != nid.Member {
			return bad("the actor's id is not a member's")
		}
	case access.Token:
		if e.Actor.ID.Kind() != nid.Token {
			return bad("the actor's id is not a token's")
		}
	case access.System, access.Anonymous:
		if !e.Actor.ID.IsZero() {
			return bad("this kind of actor has no id")
		}
	default:
		return bad("unknown kind of actor")
	}
	return nil
}

func known(i nid.ID) bool { return i.Kind().Prefix() != "" }

func timeFits(t time.Time) bool {
	u := t.UTC()
	return u.Nanosecond()%1000 == 0 && u.Year() >= 1 && u.Year() <= 9999
}

// actionFits accepts two words of letters, digits and underscores, joined by a dot.
func actionFits(a string) bool {
	first, dot := true, false
	for _, c := range []byte(a) {
		switch {
		case c >= 'a' && c <= 'z':
			first = false
		case !first && (c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'):
		case c == '.' && !first && !dot:
			first, dot = true, true
		default:
			return false
		}
	}
	return dot && !first && len(a) <= maxText
}

func (e *Entry) object(seal Sealer) (map[string]any, error) {
	actor := map[string]any{"kind": string(e.Actor.Kind)}
	object := map[string]any{
		"v": Version, "id": e.ID.String(), "corp": e.Corp.String(), "index": e.Index, "at": e.At.UTC().Format(TimeFormat),
		"actor": actor, "action": e.Action, "prev": hex.EncodeToString(e.Prev[:]),
	}
	put := func(into map[string]any, key, text string) {
		if text != "" {
			into[key] = text
		}
	}
	put(actor, "id", e.Actor.ID.String())
	put(object, "subject", e.Subject.String())
	put(object, "handover", e.Handover.String())
	put(object, "request", e.Request)
	put(object, "cause", e.Cause.String())
	put(object, "reason", e.Reason)
	if e.Set != nil {
		object["set"] = map[string]any{"n": e.Set.N, "digest": hex.EncodeToString(e.Set.Digest[:])}
	}
	for _, p := range []struct {
		into  map[string]any
		key   string
		value Private
	}{{actor, "label", e.Actor.Label}, {object, "address", e.Address}} {
		if p.value == nil {
			continue
		}
		v, err := seal.value(p.value, 0)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.key, err)
		}
		p.into[p.key] = v
	}
	for _, m := range []struct {
		key    string
		values map[string]any
	}{{"before", e.Before}, {"after", e.After}} {
		if len(m.values) == 0 {
			continue
		}
		v, err := seal.value(m.values, 0)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.key, err)
		}
		object[m.key] = v
	}
	return object, nil
}

// value makes of what Entry allows what canon allows.
func (s Sealer) value(v any, depth int) (any, error) {
	if depth > canon.MaxDepth { // a value that contains itself
		return nil, fmt.Errorf("%w: deeper than %d levels", ErrEntry, canon.MaxDepth)
	}
	switch v := v.(type) {
	case Personal:
		sealed, err := s.Seal(v)
		if err != nil {
			return nil, err
		}
		return sealed.object(), nil
	case Sealed:
		if !v.wellFormed() {
			return nil, fmt.Errorf("%w: a sealed value is malformed", ErrEntry)
		}
		return v.object(), nil
	case map[string]any:
		if isSealed(v) {
			return nil, fmt.Errorf("%w: an object with just the keys of a sealed value", ErrEntry)
		}
		out := make(map[string]any, len(v))
		// In order, so that test vectors know which salt is whose.
		for _, k := range slices.Sorted(maps.Keys(v)) {
			inner, err := s.value(v[k], depth+1)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", k, err)
			}
			out[k] = inner
		}
		return out, nil
	case []any:
		return each(v, func(inner any) (any, error) { return s.value(inner, depth+1) })
	case []string:
		return each(v, func(text string) (any, error) { return text, nil })
	case []nid.ID:
		return each(v, func(id nid.ID) (any, error) { return s.value(id, depth+1) })
	case nid.ID:
		if v.IsZero() {
			return nil, nil
		}
		if !known(v) {
			return nil, fmt.Errorf("%w: not an id", ErrEntry)
		}
		return v.String(), nil
	case time.Time:
		if v.IsZero() {
			return nil, nil
		}
		if !timeFits(v) {
			return nil, fmt.Errorf("%w: a time is not whole microseconds", ErrEntry)
		}
		return v.UTC().Format(TimeFormat), nil
	case string:
		if !utf8.ValidString(v) {
			return nil, fmt.Errorf("%w: text is not UTF-8", ErrEntry)
		}
		return v, nil
	default:
		return v, nil // canon takes it or refuses it
	}
}

func each[T any](list []T, f func(T) (any, error)) (any, error) {
	out := make([]any, len(list))
	for i, v := range list {
		var err error
		if out[i], err = f(v); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return out, nil
}
