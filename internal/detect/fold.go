package detect

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// folded is a text in the form in which it is searched: compatibility
// decomposition (NFKD, Unicode Standard Annex #15) without marks and invisible
// characters, lower case, look-alike letters as Latin ones. Chinese stays as it is;
// which of its characters are digits is in digits.
type folded struct {
	r []rune
	// from and to are the bytes of the original that each rune stands for.
	from, to []int32
	digits   []digit
}

// longestForm is into how many bytes a rune may be decomposed. Few need more, none that
// matters here, and U+FDFA alone would make a text 18 times as long.
const longestForm = 12

// fold takes time and space linear in s.
func fold(s string) folded {
	n := len(s)
	f := folded{r: make([]rune, 0, n), from: make([]int32, 0, n), to: make([]int32, 0, n)}
	for i := 0; i < len(s); {
		c, w := rune(s[i]), 1
		switch {
		case c < utf8.RuneSelf:
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			f.add(c, i, i+1)
		default:
			c, w = utf8.DecodeRuneInString(s[i:])
			f.other(c, s[i:i+w], i)
		}
		i += w
	}
	f.findDigits()
	return f
}

func (f *folded) add(c rune, from, to int) {
	f.r = append(f.r, c)
	f.from = append(f.from, int32(from)) // #nosec G115 -- a message is far below 2 GiB
	f.to = append(f.to, int32(to))       // #nosec G115 -- same
}

// other folds what is not ASCII.
func (f *folded) other(c rune, s string, at int) {
	to := at + len(s)
	switch {
	case c >= 0x4E00 && c <= 0x9FFF, c == utf8.RuneError:
		f.add(c, at, to)
		return
	case c >= 0xFF01 && c <= 0xFF5E: // full-width ASCII
		f.add(unicode.ToLower(c-0xFEE0), at, to)
		return
	}
	if p, ok := looks[c]; ok {
		f.add(p, at, to)
		return
	}
	if p := enclosed(c); p != 0 {
		f.add(p, at, to)
		return
	}
	if invisible(c) {
		if n := len(f.to); n > 0 {
			f.to[n-1] = int32(to) // #nosec G115 -- see add
		}
		return
	}
	form := norm.NFKD.PropertiesString(s).Decomposition()
	if len(form) == 0 || len(form) > longestForm {
		f.add(unicode.ToLower(c), at, to)
		return
	}
	for len(form) > 0 {
		c, w := utf8.DecodeRune(form)
		form = form[w:]
		if invisible(c) {
			continue
		}
		c = unicode.ToLower(c)
		if p, ok := looks[c]; ok {
			c = p
		}
		f.add(c, at, to)
	}
}

// invisible reports marks and what shows nothing: joiners, zero-width and
// direction characters, variation selectors, fillers.
func invisible(c rune) bool {
	return unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf) ||
		c == 0x115F || c == 0x1160 || c == 0x3164 || c == 0xFFA0 || c == 0x180E
}

// enclosed gives the letter or digit of those in circles, squares and with a full
// stop that Unicode does not decompose to just that; else 0.
func enclosed(c rune) rune {
	switch {
	case c >= 0x2776 && c <= 0x277E: // ❶
		return '1' + c - 0x2776
	case c >= 0x2780 && c <= 0x2788: // ➀
		return '1' + c - 0x2780
	case c >= 0x278A && c <= 0x2792: // ➊
		return '1' + c - 0x278A
	case c >= 0x24F5 && c <= 0x24FD: // ⓵
		return '1' + c - 0x24F5
	case c >= 0x2488 && c <= 0x2490: // ⒈
		return '1' + c - 0x2488
	case c >= 0x2474 && c <= 0x247C: // ⑴
		return '1' + c - 0x2474
	case c >= 0x1F150 && c <= 0x1F169: // 🅐
		return 'a' + c - 0x1F150
	case c >= 0x1F170 && c <= 0x1F189: // 🅰
		return 'a' + c - 0x1F170
	case c >= 0x2010 && c <= 0x2015, c == 0x2212, c == 0x30FC: // dashes
		return '-'
	}
	return 0
}

// looks are letters and signs that look like Latin ones (of Unicode Technical
// Standard #39, those that are to be found in chats).
var looks = map[rune]rune{
	'а': 'a', 'в': 'b', 'с': 'c', 'е': 'e', 'н': 'h', 'і': 'i', 'ј': 'j', 'к': 'k', 'м': 'm', 'о': 'o', 'р': 'p', 'ԛ': 'q',
	'ѕ': 's', 'т': 't', 'ѵ': 'v', 'ԝ': 'w', 'ѡ': 'w', 'х': 'x', 'у': 'y', 'А': 'a', 'В': 'b', 'С': 'c', 'Е': 'e', 'Н': 'h',
	'І': 'i', 'К': 'k', 'М': 'm', 'О': 'o', 'Р': 'p', 'Ѕ': 's', 'Т': 't', 'Ѵ': 'v', 'Ԝ': 'w', 'Х': 'x', 'У': 'y',
	'α': 'a', 'ι': 'i', 'κ': 'k', 'ν': 'v', 'ο': 'o', 'ρ': 'p', 'τ': 't', 'υ': 'u', 'χ': 'x', 'ω': 'w', 'Ν': 'n', 'Χ': 'x',
	'ᴠ': 'v', 'ᴡ': 'w', 'ᴏ': 'o', 'ɡ': 'g', 'ɑ': 'a', 'ı': 'i', 'ⅴ': 'v', 'Ⅴ': 'v', 'ⅹ': 'x', 'Ⅹ': 'x', '∨': 'v',
	'➡': '>', '→': '>', '⇒': '>', '➜': '>', '👉': '>', '☞': '>', '⬇': '>', '↓': '>', '👇': '>', '➕': '+', '✚': '+', '╋': '+', '⊕': '+', '﹢': '+', '丷': 'v', '｡': '。', '•': '·', '・': '·', '⓿': '0', '⓪': '0',
	'【': '[', '】': ']', '「': '[', '」': ']', '『': '[', '』': ']', '《': '[', '》': ']', '“': '"', '”': '"', '‘': '\'', '’': '\'',
}

// plain is the folded text itself, for comparing.
func plain(s string) string { return string(fold(s).r) }

func letter(c rune) bool { return c >= 'a' && c <= 'z' }
func number(c rune) bool { return c >= '0' && c <= '9' }
func han(c rune) bool    { return c >= 0x3400 && c <= 0x9FFF || c == '〇' }
