// Package name is the rule for text that people give things: which names are
// taken, and how two of them are compared when somebody searches. It is pure.
package name

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/openhandover/openhandover/internal/fault"
)

// MaxRunes is the longest name, in Unicode code points.
const MaxRunes = 128

// Check says whether s may be a name. A name is stored exactly as given or not at
// all, so nothing is trimmed or normalised here. Refused are: no visible text,
// text that is not UTF-8, more than MaxRunes code points, control characters
// (NUL and line ends among them) and characters that turn the direction of
// writing, with which one name can be made to look like another. Where ok is
// false the problem says why; it never repeats the name.
func Check(s string) (problem fault.Text, ok bool) {
	if strings.TrimSpace(s) == "" {
		return fault.T("is empty", "不能为空"), false
	}
	return check(s, MaxRunes, "")
}

// CheckText is the rule for longer, optional text such as a description: empty is
// fine, line feeds and tabs are too, and the limit in code points is the
// caller's. Everything else is as in Check.
func CheckText(s string, maxRunes int) (problem fault.Text, ok bool) {
	return check(s, maxRunes, "\n\t")
}

func check(s string, maxRunes int, allowed string) (fault.Text, bool) {
	if !utf8.ValidString(s) {
		return fault.T("is not valid UTF-8", "不是有效的 UTF-8 文本"), false
	}
	n := 0
	for _, r := range s {
		if forbidden(r) && !strings.ContainsRune(allowed, r) {
			return fault.T("contains the character U+%04X, which is not allowed here: control characters and characters that turn the direction of writing are refused",
				"含有不允许的字符 U+%04X:控制字符和改变书写方向的字符会被拒绝", r), false
		}
		n++
	}
	if n > maxRunes {
		return fault.T("has %d characters; %d are allowed", "共 %d 个字符,最多允许 %d 个", n, maxRunes), false
	}
	return fault.Text{}, true
}

// forbidden reports control characters (general category Cc), the line and
// paragraph separators that act like them, the byte order mark, and the
// Bidi_Control characters of Unicode Standard Annex #9. Joiners stay allowed:
// emoji and several scripts are written with them.
func forbidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) ||
		r == '\u2028' || r == '\u2029' || r == '\uFEFF'
}

// Fold gives the key under which a name is searched and sorted: lower case in
// normalization form C, so that Ａ stays apart from A but é is one character
// however it was typed. Folding a key again changes nothing.
func Fold(s string) string {
	for {
		// Lower-casing can bring forth a pair that form C would join, and joining
		// can show a letter that has a lower case; both settle after a round or two.
		next := norm.NFC.String(strings.ToLower(norm.NFC.String(s)))
		if next == s {
			return s
		}
		s = next
	}
}
