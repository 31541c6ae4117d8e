// Package canon writes and reads canonical JSON (RFC 8785, JCS), so that equal
// values are equal bytes and can be hashed: audit leaves and plan digests.
//
// It knows the part of JSON the product uses: objects, arrays, strings, integers,
// booleans and null. Fractions are refused, because their text depends on more
// than their value; money, ratios and times travel as integers or strings.
package canon

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// MaxInt is the largest magnitude of an integer, 2^53-1: beyond it a reader that
// keeps numbers as IEEE doubles would see another value (RFC 8785 appendix B, note 1).
const MaxInt = 1<<53 - 1

// MaxDepth is how deep objects and arrays may stand in one another. It also
// stops a value that contains itself.
const MaxDepth = 32

// ErrUnsupported is wrapped by every error of Marshal: the value has no canonical form here.
var ErrUnsupported = errors.New("no canonical JSON")

// Marshal gives the canonical bytes of map[string]any, []any, string, int, int64,
// bool and nil, and of nothing else. Integers lie within ±MaxInt; text is valid
// UTF-8. The error names the place of the offending value, never the value.
func Marshal(v any) ([]byte, error) { return Append(nil, v) }

// Append is Marshal onto the end of b. On an error what it returns is of no use.
func Append(b []byte, v any) ([]byte, error) { return appendValue(b, v, MaxDepth) }

func appendValue(b []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return appendInt(b, int64(v))
	case int64:
		return appendInt(b, v)
	case string:
		return appendString(b, v)
	case []any:
		return appendArray(b, v, depth)
	case map[string]any:
		return appendObject(b, v, depth)
	default:
		return nil, fmt.Errorf("%w for type %T", ErrUnsupported, v)
	}
}

func appendInt(b []byte, n int64) ([]byte, error) {
	if n > MaxInt || n < -MaxInt {
		return nil, fmt.Errorf("%w for an integer beyond 2^53-1", ErrUnsupported)
	}
	return strconv.AppendInt(b, n, 10), nil
}

func appendArray(b []byte, list []any, depth int) ([]byte, error) {
	if depth == 0 {
		return nil, fmt.Errorf("%w deeper than %d levels", ErrUnsupported, MaxDepth)
	}
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, v, depth-1); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return append(b, ']'), nil
}

func appendObject(b []byte, object map[string]any, depth int) ([]byte, error) {
	if depth == 0 {
		return nil, fmt.Errorf("%w deeper than %d levels", ErrUnsupported, MaxDepth)
	}
	var room [24]string // most objects are small; their keys need no allocation
	keys := room[:0]
	for k := range object {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareKeys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendString(b, k); err != nil {
			return nil, fmt.Errorf("a key: %w", err)
		}
		b = append(b, ':')
		if b, err = appendValue(b, object[k], depth-1); err != nil {
			return nil, fmt.Errorf("%q: %w", k, err)
		}
	}
	return append(b, '}'), nil
}

const hex = "0123456789abcdef"

// short holds the characters that have an escape of two characters.
var short = [256]byte{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r', '"': '"', '\\': '\\'}

// appendString escapes as RFC 8785 §3.2.2.2 wants it: as little as possible.
func appendString(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("%w for text that is not UTF-8", ErrUnsupported)
	}
	b = append(b, '"')
	done := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[done:i]...)
		done = i + 1
		if e := short[c]; e != 0 {
			b = append(b, '\\', e)
		} else {
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[done:]...), '"'), nil
}

// compareKeys orders valid UTF-8 as its UTF-16 code units would be (RFC 8785
// §3.2.3). That is the order of the bytes but for one case: characters beyond
// U+FFFF, which start with F0 to F4, become surrogates and so come before
// U+E000 to U+FFFF, which start with EE and EF.
func compareKeys(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return int(rank(a[i])) - int(rank(b[i]))
		}
	}
	return len(a) - len(b)
}

func rank(c byte) byte {
	if c == 0xEE || c == 0xEF {
		return c + 0x10
	}
	return c
}
