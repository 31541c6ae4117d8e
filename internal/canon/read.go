package canon

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrNotCanonical is wrapped by every error of Unmarshal.
var ErrNotCanonical = errors.New("not canonical JSON")

// Unmarshal reads canonical JSON and nothing else: it succeeds exactly on the
// bytes that Marshal writes for what it returns. White space, keys out of order or
// twice, another escape, "-0", fractions and text that is not UTF-8 are refused.
// Integers become int64, objects map[string]any, arrays []any.
func Unmarshal(b []byte) (any, error) {
	r := reader{b: string(b)} // all text in the answer is cut from this one copy
	if !utf8.ValidString(r.b) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrNotCanonical)
	}
	v := r.value(MaxDepth)
	if r.why == "" && r.at != len(r.b) {
		r.fail("more after the end")
	}
	if r.why != "" {
		return nil, fmt.Errorf("%w: %s at byte %d", ErrNotCanonical, r.why, r.at)
	}
	return v, nil
}

// reader walks the bytes. After the first failure at stays where it is, at the
// place the error names, and every step does nothing.
type reader struct {
	b   string
	at  int
	why string
}

func (r *reader) fail(why string) {
	if r.why == "" {
		r.why = why
	}
}

// peek is the next byte; 0, which no token starts with, at the end and after a failure.
func (r *reader) peek() byte {
	if r.why != "" || r.at >= len(r.b) {
		return 0
	}
	return r.b[r.at]
}

// take steps over c if it is next.
func (r *reader) take(c byte) bool {
	if r.peek() != c {
		return false
	}
	r.at++
	return true
}

func (r *reader) value(depth int) any {
	switch c := r.peek(); {
	case c == '"':
		return r.text()
	case c == '{':
		return r.object(depth)
	case c == '[':
		return r.array(depth)
	case c == '-' || c >= '0' && c <= '9':
		return r.integer()
	case c == 't':
		return r.word("true", true)
	case c == 'f':
		return r.word("false", false)
	case c == 'n':
		return r.word("null", nil)
	default:
		r.fail("no value")
		return nil
	}
}

func (r *reader) word(w string, v any) any {
	if !strings.HasPrefix(r.b[r.at:], w) {
		r.fail("no value")
		return nil
	}
	r.at += len(w)
	return v
}

func (r *reader) integer() any {
	negative := r.take('-')
	start := r.at
	var n int64
	for c := r.peek(); c >= '0' && c <= '9'; c = r.peek() {
		if n = n*10 + int64(c-'0'); n > MaxInt {
			r.fail("integer beyond 2^53-1")
			return nil
		}
		r.at++
	}
	switch digits := r.at - start; {
	case digits == 0:
		r.fail("no digits")
	case r.b[start] == '0' && (digits > 1 || negative):
		r.fail("integer not in its shortest form")
	}
	if negative {
		n = -n
	}
	return n
}

func (r *reader) array(depth int) any {
	if depth == 0 {
		r.fail("too deep")
		return nil
	}
	r.take('[')
	list := []any{}
	if r.take(']') {
		return list
	}
	for {
		list = append(list, r.value(depth-1))
		if r.take(']') {
			return list
		}
		if !r.take(',') {
			r.fail("comma or ] expected")
			return nil
		}
	}
}

func (r *reader) object(depth int) any {
	if depth == 0 {
		r.fail("too deep")
		return nil
	}
	r.take('{')
	object := map[string]any{}
	if r.take('}') {
		return object
	}
	for last := ""; ; {
		key := r.text()
		if len(object) > 0 && r.why == "" && compareKeys(last, key) >= 0 {
			r.fail("keys out of order")
		}
		if !r.take(':') {
			r.fail("colon expected")
			return nil
		}
		object[key] = r.value(depth - 1)
		last = key
		if r.take('}') {
			return object
		}
		if !r.take(',') {
			r.fail("comma or } expected")
			return nil
		}
	}
}

func (r *reader) text() string {
	if !r.take('"') {
		r.fail("text expected")
		return ""
	}
	// Nearly all text has no escape and is a plain piece of the input.
	rest := r.b[r.at:]
	n := 0
	for n < len(rest) && rest[n] != '"' && rest[n] != '\\' && rest[n] >= ' ' {
		n++
	}
	s := rest[:n]
	if r.at += n; r.peek() == '\\' {
		s = r.escaped(s)
	}
	if !r.take('"') {
		r.fail("text without an end")
		return ""
	}
	return s
}

// escaped reads on in a text that has escapes and so far is start.
func (r *reader) escaped(start string) string {
	s := []byte(start)
	for r.at < len(r.b) {
		switch c := r.b[r.at]; {
		case c == '"' || c < ' ':
			return string(s)
		case c != '\\':
			s = append(s, c)
			r.at++
		default:
			c, n := unescape(r.b[r.at+1:])
			if n == 0 {
				r.fail("an escape that is not needed")
				return ""
			}
			s = append(s, c)
			r.at += 1 + n
		}
	}
	return string(s)
}

// unescape reads what follows a backslash, and how long it is; 0 if Marshal would
// not have written it.
func unescape(b string) (byte, int) {
	if len(b) == 0 {
		return 0, 0
	}
	switch b[0] {
	case '"', '\\':
		return b[0], 1
	case 'b':
		return '\b', 1
	case 't':
		return '\t', 1
	case 'n':
		return '\n', 1
	case 'f':
		return '\f', 1
	case 'r':
		return '\r', 1
	}
	if len(b) < 5 || b[:3] != "u00" || b[3] != '0' && b[3] != '1' {
		return 0, 0
	}
	for c := (b[3] - '0') << 4; c < (b[3]-'0')<<4+16; c++ {
		if hex[c&15] == b[4] && short[c] == 0 {
			return c, 5
		}
	}
	return 0, 0
}
