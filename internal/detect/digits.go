package detect

import "sort"

// digit is one of a text, however it was written.
type digit struct {
	value  byte // '0' to '9'
	script byte
	gap    byte // how it stands to the one before
	at, to int32
}

// Scripts. A number may change between them, but may also begin or end there:
// 周三13800138000.
const (
	arabic byte = iota
	chinese
	spelled
)

// Gaps between two digits.
const (
	apart   byte = iota
	next         // nothing
	near         // one or two blanks, hyphens, dots, brackets
	distant      // three of them, or a star
)

// chineseDigits are numerals, the formal ones too, and how they are said on the phone.
var chineseDigits = map[rune]byte{
	'零': '0', '〇': '0', '洞': '0', '一': '1', '壹': '1', '幺': '1', '二': '2', '贰': '2', '貳': '2', '两': '2', '三': '3', '叁': '3',
	'四': '4', '肆': '4', '五': '5', '伍': '5', '六': '6', '陆': '6', '陸': '6', '七': '7', '柒': '7', '拐': '7',
	'八': '8', '捌': '8', '九': '9', '玖': '9', '勾': '9',
}

// soundAlikes count only between two digits: 13吧00138000.
var soundAlikes = map[rune]byte{
	'o': '0', '灵': '0', '林': '0', '依': '1', '衣': '1', '伊': '1', 'l': '1', '儿': '2', '尔': '2', '散': '3', '伞': '3', '山': '3', '死': '4', '似': '4',
	'舞': '5', '武': '5', '吾': '5', '溜': '6', '刘': '6', '流': '6', '起': '7', '期': '7', '妻': '7', '吧': '8', '爸': '8', '巴': '8', '发': '8',
	'酒': '9', '久': '9', '就': '9',
}

var spelledDigits = map[string]byte{
	"zero": '0', "one": '1', "two": '2', "three": '3', "four": '4', "five": '5', "six": '6', "seven": '7', "eight": '8', "nine": '9',
}

func (f *folded) findDigits() {
	n := len(f.r)
	for i := 0; i < n; {
		c := f.r[i]
		switch {
		case number(c):
			f.digit(byte(c), arabic, i, i+1) // #nosec G115 -- ASCII
		case letter(c) && (i == 0 || !letter(f.r[i-1])):
			j := i
			for j < n && letter(f.r[j]) {
				j++
			}
			if v := spelledDigits[short(f.r[i:j])]; v != 0 {
				f.digit(v, spelled, i, j)
			} else if j == i+1 {
				f.soundAlike(i)
			}
			i = j
			continue
		case han(c):
			if v := chineseDigits[c]; v != 0 {
				f.digit(v, chinese, i, i+1)
			} else {
				f.soundAlike(i)
			}
		}
		i++
	}
}

func (f *folded) soundAlike(i int) {
	if i > 0 && i+1 < len(f.r) && number(f.r[i-1]) && number(f.r[i+1]) {
		if v := soundAlikes[f.r[i]]; v != 0 {
			f.digit(v, arabic, i, i+1)
		}
	}
}

// short is the word if it may be a digit's.
func short(r []rune) string {
	if len(r) < 3 || len(r) > 5 {
		return ""
	}
	switch r[0] {
	case 'z', 'o', 't', 'f', 's', 'e', 'n':
		return string(r)
	}
	return ""
}

func (f *folded) digit(v, script byte, at, to int) {
	gap := apart
	if n := len(f.digits); n > 0 {
		gap = between(f.r, int(f.digits[n-1].to), at, script == chinese && f.digits[n-1].script == chinese)
	}
	f.digits = append(f.digits, digit{v, script, gap, int32(at), int32(to)}) // #nosec G115 -- see add
}

// between says how digits stand that end at from and begin at to. A comma parts
// thousands, but not in Chinese digits.
func between(r []rune, from, to int, chinese bool) byte {
	if from == to {
		return next
	}
	if to-from > 3 {
		return apart
	}
	gap := near
	if to-from == 3 {
		gap = distant
	}
	for _, c := range r[from:to] {
		switch c {
		case ' ', '-', '.', '_', '·', '(', ')', '\u00a0':
		case '*', '~':
			gap = distant
		case ',', '、':
			if !chinese {
				return apart
			}
			gap = distant
		default:
			return apart
		}
	}
	return gap
}

// begins reports whether a number may begin at digit k: not within one.
func (f *folded) begins(k int) bool {
	d := f.digits[k]
	return k == 0 || d.gap != next || d.script != f.digits[k-1].script
}

// run gives how many digits from k on stand together, at most n, with no gap wider
// than widest.
func (f *folded) run(k, n int, widest byte) int {
	m := 1
	for m < n && k+m < len(f.digits) {
		if g := f.digits[k+m].gap; g == apart || g > widest {
			break
		}
		m++
	}
	return m
}

// ends reports whether a number may end before digit k.
func (f *folded) ends(k int) bool { return k >= len(f.digits) || f.begins(k) }

// value is digits [k, k+n) as ASCII.
func (f *folded) value(k, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = f.digits[k+i].value
	}
	return string(b)
}

// allDigits are those of the whole text.
func (f folded) allDigits() string { return f.value(0, len(f.digits)) }

// groups gives the lengths of what stands without gap, and whether all gaps are
// written alike.
func (f *folded) groups(k, n int) (sizes []int, alike bool) {
	alike = true
	first := ""
	sizes = append(sizes, 1)
	for i := k + 1; i < k+n; i++ {
		if f.digits[i].gap == next || f.digits[i].script == spelled {
			sizes[len(sizes)-1]++
			continue
		}
		g := string(f.r[f.digits[i-1].to:f.digits[i].at])
		if first == "" {
			first = g
		}
		alike = alike && g == first
		sizes = append(sizes, 1)
	}
	return sizes, alike
}

// digitAt is the index of the digit at rune i; -1: there is none.
func (f *folded) digitAt(i int) int {
	k := sort.Search(len(f.digits), func(k int) bool { return int(f.digits[k].at) >= i })
	if k == len(f.digits) || int(f.digits[k].at) != i {
		return -1
	}
	return k
}
