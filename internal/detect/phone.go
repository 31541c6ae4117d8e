package detect

import (
	"slices"
	"sort"
	"strings"
)

// phoneKind is by which plan a number is one.
type phoneKind byte

const (
	noPhone phoneKind = iota
	mobile            // mainland mobile
	landline
	abroad   // with + or 00
	american // 3-3-4 without a country code; too much like others for Mask
)

// phone says what kind of number digits [k, k+n) are, written s. It looks at digits,
// signs before them and groups, not at words.
func (f *folded) phone(k, n int, s string) phoneKind {
	before := rune(0)
	if at := int(f.digits[k].at); at > 0 {
		before = f.r[at-1]
		if before == '(' && at > 1 {
			before = f.r[at-2]
		}
	}
	if m := national(s); len(m) == 11 && m[0] == '1' && m[1] >= '3' {
		sizes, alike := f.groups(k, n)
		if len(sizes) == 1 || plausible(sizes[len(sizes)-1], sizes, alike) {
			return mobile
		}
	}
	switch {
	case before == '+' && n >= 8 && n <= 15 && s[0] != '0':
		return abroad
	case strings.HasPrefix(s, "00") && n >= 11 && n <= 17 && s[2] >= '1':
		return abroad
	case n >= 10 && n <= 12 && s[0] == '0' && s[1] >= '1':
		sizes, _ := f.groups(k, n)
		if len(sizes) == 2 && (sizes[0] == 3 || sizes[0] == 4) && sizes[1] >= 7 || len(sizes) == 3 && sizes[0] <= 4 && sizes[2] == 4 && sizes[1] >= 3 && sizes[0] >= 3 {
			return landline
		}
	}
	return noPhone
}

// plausible keeps tables and lists of small numbers out: 13 14 15 16 17 8.
func plausible(last int, sizes []int, alike bool) bool {
	if !slices.ContainsFunc(sizes, func(n int) bool { return n > 1 }) {
		return true // each digit by itself
	}
	return len(sizes) <= 5 && last >= 3 || alike && len(sizes) <= 4 && last >= 2
}

// promising looks at two digits only, because most texts with many digits have few
// phone numbers.
func (f *folded) promising(k int) bool {
	if k+7 >= len(f.digits) {
		return false
	}
	if at := f.digits[k].at; at > 0 && (f.r[at-1] == '+' || f.r[at-1] == '(') {
		return true
	}
	switch a, b := f.digits[k].value, f.digits[k+1].value; a {
	case '0':
		return true
	case '1':
		return b >= '3'
	case '8':
		if b == '6' {
			return true
		}
	}
	return f.digits[k+2].gap == next && f.digits[k+3].gap == near
}

func (f *folded) american(k, n int, s string) bool {
	if n != 10 || s[0] < '2' || s[3] < '2' {
		return false
	}
	sizes, _ := f.groups(k, n)
	return slices.Equal(sizes, []int{3, 3, 4})
}

// national is a number without China's country code.
func national(s string) string {
	for _, code := range []string{"0086", "86"} {
		if rest, ok := strings.CutPrefix(s, code); ok && len(rest) == 11 && rest[0] == '1' {
			return rest
		}
	}
	return s
}

func (r *reading) phones() {
	f := &r.text
	for k := 0; k < len(f.digits) && !r.full(Phone); k++ {
		longest := 0
		if f.begins(k) && f.promising(k) {
			longest = f.run(k, 17, distant)
		}
		if longest < 8 {
			continue
		}
		all := f.value(k, longest)
		for n := longest; n >= 8; n-- {
			if !f.ends(k + n) {
				continue
			}
			s := all[:n]
			kind := f.phone(k, n, s)
			if kind == noPhone && f.american(k, n, s) {
				kind = american
			}
			if kind == noPhone {
				continue
			}
			if !r.ownPhone(s) {
				r.phone(k, n, kind)
			}
			k += n - 1
			break
		}
	}
}

// ownPhone reports whether the number is the company's.
func (d *Detector) ownPhone(s string) bool {
	s = national(s)
	return d.phones[s] || d.phones["86"+s]
}

// phone judges one number by the words round it.
func (r *reading) phone(k, n int, kind phoneKind) {
	f := &r.text
	at, to := int(f.digits[k].at), int(f.digits[k+n-1].to)
	if r.insideTaken(at) || r.glued(at) || measured(f.r, to) {
		return
	}
	begin, end := r.clause(at, to, 28)
	left, right := r.near(begin, at), r.near(to, min(end, to+12))
	all := tags(left) | tags(right)
	if last := lastOf(left, tSerial|tPay|tPhone|tOwn|tAdd|tReach|tWeChat|tQQ|tApp|tPrivate); last&(tSerial|tPay) != 0 {
		return
	}
	score := map[phoneKind]float64{mobile: 0.7, abroad: 0.75, american: 0.55, landline: 0.4}[kind]
	why := because("a mobile number", "出现手机号码")
	switch kind {
	case abroad, american:
		why = because("a phone number of another country or region", "出现境外电话号码")
	case landline:
		why = because("a landline number", "出现固定电话号码")
	}
	mine := tOwn | tAdd | tReach | tPrivate | tWeChat | tApp | tLater | tLeave | tSecret
	switch {
	case all&(tThird|tShip|tYours) != 0 && tags(left)&(tAdd|tOwn|tPrivate|tReach|tWeChat|tApp|tSecret) == 0,
		tags(left)&tCorp != 0 && all&(mine&^tReach) == 0:
		score = min(score, 0.4)
		why = why.and("that the words round it give to somebody else", "从上下文看属于他人")
	case all&(tPrivate|tLeave|tSecret|tLater) != 0 && all&(tOwn|tAdd|tReach|tPhone|tWeChat|tAccount|tApp) != 0:
		score += 0.25
		why = why.and("with words about a private or new number", "并提到私人或新号码")
	case all&mine != 0:
		score += 0.2
		why = why.and("with words that ask to use it", "并请对方使用该号码")
	case all&tPhone != 0:
		score += 0.1
		why = why.and("named as a phone number", "并注明是电话")
	}
	if f.disguised(k, n) && all&(tShip|tThird) == 0 {
		score = max(score+0.1, 0.8)
		why = why.and("written so that programs miss it", "且写法经过伪装")
	}
	r.found(Phone, score, at, to, why.text())
}

// glued reports letters right before, as in SF13800138000, except those of words for
// accounts.
func (r *reading) glued(at int) bool {
	if at == 0 || !letter(r.text.r[at-1]) && r.text.r[at-1] != '#' && r.text.r[at-1] != '$' && r.text.r[at-1] != '¥' {
		return false
	}
	i := sort.Search(len(r.words), func(i int) bool { return r.words[i].to >= at })
	return i == len(r.words) || r.words[i].to != at || r.words[i].tag&(tWeChat|tQQ|tPhone|tApp|tMove) == 0
}

// measured reports a unit, currency or letters right behind a number.
func measured(r []rune, to int) bool {
	if to >= len(r) {
		return false
	}
	switch r[to] {
	case '元', '块', '件', '台', '个', '%', '吨', '米', '万':
		return true
	}
	return letter(r[to]) && r[to] != 'v' && r[to] != 'w' && r[to] != 'q'
}

// disguised reports Chinese, spelled, enclosed or sound-alike digits, stars, or each
// digit by itself.
func (f *folded) disguised(k, n int) bool {
	apart := 0
	for i := k; i < k+n; i++ {
		d := f.digits[i]
		if d.script != arabic || !number(f.r[d.at]) || i > k && d.gap == distant {
			return true
		}
		if w := f.to[d.at] - f.from[d.at]; w != 1 && w != 3 {
			return true // 1️⃣, or with invisible characters
		}
		if i > k && d.gap == near {
			apart++
		}
	}
	return apart > 4
}

// lastOf gives the last word's tag that is among those wanted.
func lastOf(ws []word, wanted tag) tag {
	for i := len(ws) - 1; i >= 0; i-- {
		if t := ws[i].tag & wanted; t != 0 {
			return t
		}
	}
	return 0
}
