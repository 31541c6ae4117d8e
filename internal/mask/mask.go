// Package mask hides the middle of numbers that a reader of old chats does not need:
// phone, identity-card and bank-card numbers.
package mask

import (
	"strings"
	"unicode"
)

// Policy is what is hidden.
type Policy struct{ Phones, IDCards, BankCards bool }

// Text hides the middle of each number that the policy names; everything else stays
// as it was written. A number may be written with single spaces or hyphens between
// its digits, in full-width digits too. It takes time linear in the text.
//
// A phone number is a mainland mobile number (11 digits from 13… to 19…, with or
// without +86). An identity card has 17 digits and a check character by GB 11643
// (ISO 7064 MOD 11-2). A bank card has 16 to 19 digits that pass Luhn's check
// (ISO/IEC 7812-1).
func Text(s string, p Policy) string {
	if p == (Policy{}) {
		return s
	}
	rs := []rune(s)
	hidden := false
	for i := 0; i < len(rs); {
		d := digits(rs[i:])
		n := len(d)
		for ; n > 0; n-- { // the longest number that begins here
			if n < len(d) && d[n].at == d[n-1].at+1 {
				continue // not in the middle of a run
			}
			if head, tail := p.keeps(d[:n].text()); tail > 0 {
				for _, at := range d[head : n-tail] {
					rs[i+at.at], hidden = '*', true
				}
				break
			}
		}
		switch {
		case n > 0:
			i += d[n-1].at + 1
		case len(d) > 0:
			i += d.run() // the next number may begin behind the next blank
		default:
			i++
		}
	}
	if !hidden {
		return s
	}
	return string(rs)
}

// run is digits that stand together, with at most one blank or hyphen between two.
type run []struct {
	char byte // ASCII; the last may be X
	at   int
}

func (d run) text() string {
	b := make([]byte, len(d))
	for i := range d {
		b[i] = d[i].char
	}
	return string(b)
}

// run is how many runes follow each other without a gap.
func (d run) run() int {
	n := 1
	for n < len(d) && d[n].at == n {
		n++
	}
	return n
}

// longest is more than any number has that is looked for: +86 and a bank card's 19.
const longest = 24

// digits reads those at the beginning. An X counts behind a digit, and ends a run.
func digits(rs []rune) (d run) {
	for i, r := range rs {
		c, ok := digit(r)
		last := ok && c == 'X'
		switch {
		case last && (len(d) == 0 || d[len(d)-1].at != i-1), len(d) > longest:
			return d
		case ok:
			d = append(d, struct {
				char byte
				at   int
			}{c, i})
			if last {
				return d
			}
		case len(d) > 0 && d[len(d)-1].at == i-1 && strings.ContainsRune(" -\u3000－", r):
		default:
			return d
		}
	}
	return d
}

func digit(r rune) (byte, bool) {
	switch {
	case r >= '0' && r <= '9':
		return byte(r), true // #nosec G115 -- ASCII
	case r >= '０' && r <= '９':
		return byte(r-'０') + '0', true // #nosec G115 -- ten digits
	case strings.ContainsRune("xXｘＸ", r):
		return 'X', true
	}
	return 0, false
}

// keeps says how many digits at both ends stay; 0, 0: all do.
func (p Policy) keeps(d string) (head, tail int) {
	switch {
	case p.IDCards && idCard(d):
		return 6, 4
	case p.BankCards && len(d) >= 16 && len(d) <= 19 && luhn(d):
		return 4, 4
	case p.Phones && mobile(strings.TrimPrefix(d, "86")):
		return len(d) - 8, 4
	}
	return 0, 0
}

func mobile(d string) bool { return len(d) == 11 && d[0] == '1' && d[1] >= '3' }

// idCard checks a resident identity number: date of birth and check character.
func idCard(d string) bool {
	if len(d) != 18 || !within(d[10:12], 1, 12) || !within(d[12:14], 1, 31) || !within(d[6:8], 18, 20) {
		return false
	}
	sum := 0
	for i, w := range []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		if !unicode.IsDigit(rune(d[i])) {
			return false
		}
		sum += int(d[i]-'0') * w
	}
	return d[17] == "10X98765432"[sum%11]
}

func within(two string, least, most int) bool {
	n := int(two[0]-'0')*10 + int(two[1]-'0')
	return n >= least && n <= most
}

func luhn(d string) bool {
	sum := 0
	for i := range len(d) {
		n := int(d[len(d)-1-i] - '0')
		if n > 9 {
			return false // an X
		}
		if i%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0 && strings.Trim(d, "0") != ""
}
