package model

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"
)

// Errors of reading a scalar. The presenter shows them as INVALID with the path
// of the argument.
var (
	errTime   = errors.New("a time is RFC 3339 with an offset, such as 2026-03-02T09:00:00Z")
	errDate   = errors.New("a date is YYYY-MM-DD")
	errCursor = errors.New("a cursor is the text that a list gave")
	errInt    = errors.New("an Int has 32 bits")
)

// MarshalTime writes a time as RFC 3339 in UTC.
func MarshalTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = w.Write(t.UTC().AppendFormat(make([]byte, 0, 32), `"`+time.RFC3339Nano+`"`))
	})
}

// UnmarshalTime reads RFC 3339 with an offset. What the database cannot hold,
// beyond microseconds, is cut off.
func UnmarshalTime(v any) (time.Time, error) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, errTime
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, errTime
	}
	return t.UTC().Truncate(time.Microsecond), nil
}

// MarshalDate writes a day.
func MarshalDate(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalDate reads a day that exists.
func UnmarshalDate(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", errDate
	}
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return "", errDate
	}
	return s, nil
}

// MarshalCursor writes a cursor.
func MarshalCursor(s string) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = io.WriteString(w, `"`+s+`"`) }) // base64url needs no escape
}

// UnmarshalCursor reads a cursor's text; the list checks what is in it.
func UnmarshalCursor(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", errCursor
	}
	return s, nil
}

// MarshalJSON writes stored JSON as it is.
func MarshalJSON(b json.RawMessage) graphql.Marshaler {
	if len(b) == 0 {
		return graphql.Null
	}
	return graphql.WriterFunc(func(w io.Writer) { _, _ = w.Write(b) })
}

// UnmarshalJSON takes any value.
func UnmarshalJSON(v any) (json.RawMessage, error) { return json.Marshal(v) }

// MarshalInt writes an Int.
func MarshalInt(i int) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = io.WriteString(w, strconv.Itoa(i)) })
}

// UnmarshalInt reads an Int, which has 32 bits (GraphQL specification §3.5.1).
func UnmarshalInt(v any) (int, error) {
	i, err := graphql.UnmarshalInt(v)
	if err != nil || i > math.MaxInt32 || i < math.MinInt32 {
		return 0, errInt
	}
	return i, nil
}
