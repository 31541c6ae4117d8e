package secret

import (
	_ "embed"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/openhandover/openhandover/internal/fault"
)

const (
	minPassword = 12  // characters
	maxPassword = 256 // characters
	minVariety  = 5   // different characters
)

// commonText lists words that passwords are made of far too often, one a line,
// in lower case.
//
//go:embed common.txt
var commonText string

var common = func() map[string]bool {
	words := map[string]bool{}
	for line := range strings.Lines(commonText) {
		if w := strings.TrimSpace(line); w != "" && w[0] != '#' {
			words[w] = true
		}
	}
	return words
}()

// CheckPassword judges a password somebody wants to have: 12 to 256 characters,
// not the login, not one of the very common ones. It asks for no mix of
// characters (NIST SP 800-63B §5.1.1.2). In demo mode only what cannot be hashed
// and the login itself are refused. INVALID on field.
func CheckPassword(field, login, password string, demo bool) error {
	length := utf8.RuneCountInString(password)
	switch {
	case password == "" || !utf8.ValidString(password):
		return fault.Bad(field, "a password is needed", "请输入密码")
	case length > maxPassword:
		return tooLong(field)
	case strings.EqualFold(normal(password), normal(login)):
		return fault.Bad(field, "the password must not be the login", "密码不能与登录名相同")
	case demo:
		return nil
	case length < minPassword:
		return fault.Bad(field, "the password must have at least %d characters", "密码至少需要 %d 个字符", minPassword)
	case tooCommon(password):
		return fault.Bad(field, "this password is among the first to be guessed; choose another", "该密码过于常见,容易被猜中,请更换")
	}
	return nil
}

// tooCommon looks for the password in the list, as it is and without the digits
// and signs that people put round a word to satisfy a rule.
func tooCommon(password string) bool {
	p := strings.ToLower(normal(password))
	word := strings.TrimFunc(p, func(r rune) bool { return !unicode.IsLetter(r) })
	return variety(p) < minVariety || common[p] || common[word]
}

func tooLong(field string) error {
	return fault.Bad(field, "the password must have at most %d characters", "密码最多 %d 个字符", maxPassword)
}

// normal makes a password the same bytes whichever keyboard and system it is
// typed on: the OpaqueString profile of RFC 8265 §4.2, composed and with one kind
// of space. Case stays.
func normal(password string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Zs, r) {
			return ' '
		}
		return r
	}, norm.NFC.String(password))
}
