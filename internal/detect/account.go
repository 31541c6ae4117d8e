package detect

import "strings"

// accounts finds WeChat and QQ ids: something that may be one, joined to a word for
// WeChat or QQ by nothing but signs and little words.
func (r *reading) accounts() {
	for i, w := range r.words {
		if w.tag&(tWeChat|tQQ|tPrivate) == 0 {
			continue
		}
		last := 0
		if i > 0 {
			last = r.words[i-1].to
		}
		if !r.full(WeChat) && (w.tag&tWeChat != 0 || w.tag&tPrivate != 0 && r.text.r[w.to-1] == '号') {
			r.wechat(w, last)
		}
		if w.tag&tQQ != 0 && !r.full(QQ) {
			r.qq(w, last)
		}
	}
	r.platformIDs()
}

// reach is how many runes may stand between the word and the id.
const reach = 16

func (r *reading) wechat(w word, last int) {
	t := r.text.r
	from, to, sure := r.idAfter(w)
	if from == to {
		from, to = r.idBefore(w, last)
		sure = false
	}
	if from == to {
		return
	}
	id := compact(t[from:to])
	if r.Detector.accounts[id] || r.ownPhone(id) || r.insideTaken(from) {
		return
	}
	if r.article(w) || from == w.to && letter(t[w.to-1]) && id[0] <= '9' && w.tag&tAdd == 0 && tags(r.near(r.clause(w.at, to, 12)))&(tOwn|tAdd|tReach|tLater|tPrivate) == 0 {
		return // WX13800001 is an article
	}
	if id[0] <= '9' && (w.tag&tWeChat == 0 || len(id) < 6) {
		return // 小号 13800000000 is a phone number, WeChat has no shorter ones
	}
	plainWord := !strings.ContainsAny(id, "0123456789_-")
	if plainWord && (!sure || common[id]) {
		return
	}
	score, why := r.account(0.85, because("a WeChat id behind a word for WeChat", "“微信”一类的字眼与一个微信号相连"), from, to, w)
	if plainWord {
		score -= 0.1
	}
	r.found(WeChat, score, from, to, why.text())
}

// article reports that a word for numbers of goods or orders stands right before: 型号 QQ-30000.
func (r *reading) article(w word) bool {
	begin, _ := r.clause(w.at, w.to, 4)
	return lastOf(r.near(begin, w.at), tSerial|tOwn|tAdd) == tSerial
}

func (r *reading) qq(w word, last int) {
	t := r.text.r
	from, to, _ := r.idAfter(w)
	if from == to || !qqNumber(compact(t[from:to])) {
		from, to = r.idBefore(w, last)
	}
	if from == to {
		return
	}
	id := compact(t[from:to])
	if !qqNumber(id) || r.Detector.accounts[id] || r.insideTaken(from) || r.article(w) {
		return
	}
	score, why := r.account(0.85, because("a QQ number behind a word for QQ", "“QQ”一类的字眼与一个号码相连"), from, to, w)
	r.found(QQ, score, from, to, why.text())
}

// qqNumber: 5 to 11 digits, the first not 0.
func qqNumber(s string) bool {
	return len(s) >= 5 && len(s) <= 11 && s[0] != '0' && strings.Trim(s, "0123456789") == ""
}

// account judges an id by the words round it.
func (r *reading) account(score float64, why reason, from, to int, w word) (float64, reason) {
	begin, end := r.clause(min(from, w.at), max(to, w.to), 16)
	left := tags(r.near(begin, w.to))
	all := left | tags(r.near(begin, end))
	switch {
	case all&(tOwn|tPrivate|tAdd|tReach|tLater|tSecret|tLeave) != 0 && left&tCorp == 0:
		return score + 0.1, why.and("with words that ask to use it", "并请对方添加或联系")
	case left&tCorp != 0 && all&tPrivate == 0:
		return 0.4, why.and("that the words round it give to the company", "从上下文看属于公司")
	case left&tYours != 0 && all&(tOwn|tAdd|tPrivate) == 0:
		return 0.4, why.and("that the words round it give to the customer", "从上下文看属于客户")
	case left&tNot != 0:
		return 0.4, why.and("in a warning", "出现在提醒中")
	}
	return score, why
}

// idAfter finds the id that follows the word; sure where the words between say that
// one does.
func (r *reading) idAfter(w word) (from, to int, sure bool) {
	t := r.text.r
	sure = w.tag&tAdd != 0 || t[w.to-1] == '号' || w.to-w.at >= 2 && t[w.to-1] == 'd' && t[w.to-2] == 'i'
	for i := w.to; i < len(t) && i < w.to+reach; {
		if a, b := r.idAt(i); a != b {
			if skip := linkWord(t, a, b); skip != 0 {
				sure = sure || skip == 2
				i = b
				continue
			}
			return a, b, sure
		}
		switch c := t[i]; {
		case c == ':' || c == '=' || c == '号':
			sure = true
		case c == '是' || c == '为' || c == '搜' || c == '加':
			sure = true
		case !joins(c):
			return 0, 0, false
		}
		i++
	}
	return 0, 0, false
}

// idBefore finds the id in front of the word: abc_123 是我微信.
func (r *reading) idBefore(w word, last int) (from, to int) {
	t := r.text.r
	i := w.at
	for i > 0 && i > w.at-10 && !idRune(t[i-1]) {
		if c := t[i-1]; c != '私' && c != '人' && c != '是' && c != '就' && c != '我' && c != '的' && c != '这' && c != '(' && c != ' ' && c != '个' && c != ',' && c != '[' {
			return 0, 0
		}
		i--
	}
	// A plain blank joins too little: "see wx5 微信" or "ok abc123 wechat".
	if i == w.at || strings.TrimSpace(string(t[i:w.at])) == "" {
		return 0, 0
	}
	j := i
	for j > 0 && i-j < 21 && idRune(t[j-1]) {
		j--
	}
	if j < last && w.at > last && i > last {
		j = last
	}
	if n := i - j; n < 5 || n > 20 || !r.mayBeID(j, i) {
		return 0, 0
	}
	return j, i
}

func joins(c rune) bool {
	return strings.ContainsRune(` :=->[]("'*~,|/+的我是在就也名叫为id账帐号码搜索加换成改下面哦呀哈吧这个新了一统都同上聊`, c)
}

// linkWord reports a Latin word that joins only: "my wechat id is …" gives 1, 2 if it
// says that an id follows.
func linkWord(t []rune, from, to int) int {
	if to-from > 8 {
		return 0
	}
	switch string(t[from:to]) {
	case "is", "my", "me", "at", "on", "it's", "its", "name", "account", "number", "to", "under", "new", "personal", "by", "with", "as", "search", "instead", "the", "there":
		return 1
	case "id", "no", "hao", "handle", "username":
		return 2
	}
	return 0
}

func idRune(c rune) bool { return letter(c) || number(c) || c == '_' || c == '-' }

// idAt gives what may be an id, or a little word, at i: letters, digits, _ and -, or
// such runes each by itself: l i n 8 8.
func (r *reading) idAt(i int) (from, to int) {
	t := r.text.r
	if !letter(t[i]) && r.text.digitAt(i) < 0 {
		return i, i
	}
	j := i
	for j < len(t) && idRune(t[j]) {
		j++
	}
	if j == i+1 {
		k, n := j, 1
		for k+1 < len(t) && (t[k] == ' ' || t[k] == '.') && idRune(t[k+1]) && (k+2 == len(t) || !idRune(t[k+2])) {
			k, n = k+2, n+1
		}
		if n >= 6 {
			return i, k
		}
	}
	if !letter(t[i]) { // digits may be in groups
		if k := r.numberAt(i); k > j {
			j = k
		}
	}
	for j > i && (t[j-1] == '-' || t[j-1] == '_' && j-i > 20) {
		j--
	}
	if linkWord(t, i, j) != 0 || r.mayBeID(i, j) {
		return i, j
	}
	return i, i
}

// mayBeID: WeChat's rule is 6 to 20 letters, digits, _ and -, first a letter; or a
// number with which the account was opened.
func (r *reading) mayBeID(from, to int) bool {
	t := r.text.r
	if to < len(t) && (t[to] == '@' || t[to] == '.' && to+1 < len(t) && idRune(t[to+1])) || measured(t, to) && number(t[to-1]) {
		return false
	}
	id := compact(t[from:to])
	if letter(rune(id[0])) {
		return len(id) >= 6 && len(id) <= 20
	}
	return qqNumber(id) && (from == 0 || t[from-1] != '$' && t[from-1] != '¥')
}

// numberAt gives the end of the digits that begin at rune i, in groups or not.
func (r *reading) numberAt(i int) int {
	f := &r.text
	k := f.digitAt(i)
	if k < 0 {
		return i
	}
	n := f.run(k, 11, near)
	for n > 1 && !f.ends(k+n) {
		n--
	}
	return int(f.digits[k+n-1].to)
}

// compact is an id without blanks, digits as ASCII; of a number without hyphens too.
// It is never empty.
func compact(t []rune) string {
	b := make([]byte, 0, len(t))
	for _, c := range t {
		if v := chineseDigits[c]; v != 0 {
			b = append(b, v)
		} else if idRune(c) && (letter(c) || number(c) || len(b) > 0 && letter(rune(b[0]))) {
			b = append(b, byte(c)) // #nosec G115 -- ASCII
		}
	}
	if len(b) == 0 {
		return " "
	}
	return string(b)
}

// platformIDs finds ids that WeChat itself gave: wxid_…, whatever stands round them.
func (r *reading) platformIDs() {
	t := r.text.r
	for i := 0; i+9 < len(t) && !r.full(WeChat); i++ {
		if t[i] != 'w' || string(t[i:i+5]) != "wxid_" || i > 0 && idRune(t[i-1]) {
			continue
		}
		j := i
		for j < len(t) && idRune(t[j]) {
			j++
		}
		if !r.Detector.accounts[string(t[i:j])] && j-i >= 10 {
			r.found(WeChat, 0.85, i, j, because("an id as WeChat gives it to a new account", "出现微信系统生成的微信号").text())
		}
		i = j
	}
}

// common are words that follow a word for WeChat without being an id.
var common = words(`iphone android windows macbook version please thanks thank official account payment support message messages group moments
	business customer service because another already together before online update updated working broken number personal private friend friends
	contact invite article channel program miniprogram video picture photos should cannot through company office notice system desktop
	client mobile install instead either really though anyway tomorrow tonight morning available download history backup excel powerpoint`)

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}
