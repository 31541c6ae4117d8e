package detect

import (
	"maps"
	"slices"
	"strings"
)

// Policy is which numbers Mask hides.
type Policy struct{ Phones, IDCards, BankCards bool }

// window is more digits than any number has that Mask knows: 0086 and a mobile, a
// bank card's 19.
const window = 24

// Mask hides the middle of each number that the policy names: 138****5678. It
// returns the text and where in it the numbers stand. The text keeps its length in
// bytes, so that spans of the original are spans of it (＊ stands for what took three
// bytes). Masking a masked text changes nothing. Time is linear in the text.
//
// Numbers are read as the detectors read them: with blanks, hyphens and dots, in
// full-width, Chinese and enclosed digits, with invisible characters between.
//
// A phone number is a mainland mobile or landline number with its area code, or an
// international one with + or 00 (E.164). An identity card has a date of birth and
// the check character of GB 11643 (ISO 7064 MOD 11-2). A bank card has 16 to 19
// digits that pass Luhn's check (ISO/IEC 7812-1).
func Mask(text string, p Policy) (string, []Span) {
	if p == (Policy{}) {
		return text, nil
	}
	f := fold(text)
	hidden := make([]bool, len(f.digits))
	spans := map[int]int{} // first byte to end
	any := false
	for k := 0; k < len(f.digits); k++ {
		n, head, tail, check := p.longest(&f, k, hidden)
		if n == 0 {
			continue
		}
		any = true
		for i := k + head; i < k+n-tail; i++ {
			hidden[i] = true
		}
		for i := k; i < k+n; i++ { // 13吧: read as a digit between digits only, so not to be left beside a star
			if d := f.digits[i]; d.script == arabic && !number(f.r[d.at]) {
				hidden[i] = true
			}
		}
		last := f.digits[k+n-1].to - 1
		if check {
			last++
		}
		spans[int(f.from[f.digits[k].at])] = int(f.to[last])
		// What is left of this number may end or begin another, and then a second masking
		// would hide more. Each return costs hidden digits, so time stays linear.
		k = max(-1, k-window)
	}
	if !any {
		return text, nil
	}
	b := []byte(text)
	for i, h := range hidden {
		if h {
			stars(b[f.from[f.digits[i].at]:f.to[f.digits[i].to-1]])
		}
	}
	return string(b), inOrder(spans)
}

// stars fills b, three bytes by a full-width star, so that its length stays.
func stars(b []byte) {
	for len(b) >= 3 {
		b = b[copy(b, "＊"):]
	}
	copy(b, "**")
}

func inOrder(m map[int]int) []Span {
	out := make([]Span, 0, len(m))
	for _, from := range slices.Sorted(maps.Keys(m)) {
		out = append(out, Span{from, m[from]})
	}
	return out
}

// longest is the longest number of the policy that begins at digit k: how many
// digits it has, how many of them stay at both ends, and whether an X belongs to it.
func (p Policy) longest(f *folded, k int, hidden []bool) (n, head, tail int, check bool) {
	if hidden[k] || !f.begins(k) && !hidden[k-1] {
		return 0, 0, 0, false
	}
	most := 1
	for m := f.run(k, window, near); most < m && !hidden[k+most]; {
		most++
	}
	all := f.value(k, most)
	for n = most; n >= 7; n-- {
		if !f.ends(k+n) && !hidden[k+n] {
			continue
		}
		s := all[:n]
		x := n == 17 && f.checkX(k+n-1)
		switch {
		case p.IDCards && n == 18 && idCard(s), p.IDCards && x && idCard(s+"x"):
			if x {
				return n, 6, 3, true
			}
			return n, 6, 4, false
		case p.BankCards && n >= 16 && n <= 19 && luhn(s):
			return n, 4, 4, false
		case p.Phones && f.phone(k, n, s) != noPhone:
			if n < 9 {
				return n, 1, 2, false
			}
			return n, max(3, n-8), 4, false
		}
	}
	return 0, 0, 0, false
}

// checkX reports whether an X stands right behind digit k, and no letter or digit then.
func (f *folded) checkX(k int) bool {
	i := int(f.digits[k].to)
	return i < len(f.r) && f.r[i] == 'x' && (i+1 == len(f.r) || !letter(f.r[i+1]) && !number(f.r[i+1]))
}

// idCard checks a resident identity number: date of birth and check character.
func idCard(s string) bool {
	century, month, day := s[6:8], s[10:12], s[12:14]
	if century < "18" || century > "20" || month < "01" || month > "12" || day < "01" || day > "31" {
		return false
	}
	sum := 0
	for i, w := range []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += int(s[i]-'0') * w
	}
	return s[17] == "10x98765432"[sum%11]
}

func luhn(s string) bool {
	sum := 0
	for i := range len(s) {
		n := int(s[len(s)-1-i] - '0')
		if i%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0 && strings.Trim(s, "0") != ""
}
