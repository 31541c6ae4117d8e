package detect

import (
	"sort"
	"strings"
)

// host is a domain name in the text, runes [from, to), and what is to know of it.
type host struct {
	name      string
	from, to  int
	disguised bool // 点com, (dot)
	labels    int
}

// addresses finds e-mail addresses and links. Both are built round a domain name, so
// one scan finds the names and looks what stands in front.
func (r *reading) addresses() {
	t := r.text.r
	for i := 0; i < len(t); {
		if !letter(t[i]) && !number(t[i]) {
			i++
			continue
		}
		h := r.hostAt(i)
		if h.labels < 2 {
			i = h.to
			continue
		}
		if at, local, disguised := r.localPart(h.from); at >= 0 {
			r.email(h, at, local, disguised)
		} else {
			r.link(h)
		}
		i = h.to
	}
}

// hostAt reads labels and dots from rune i on. Without a top-level domain that is
// known, labels is 0; to is always behind what was read.
func (r *reading) hostAt(i int) host {
	t := r.text.r
	h := host{from: i}
	var buf [128]rune
	name, length, disguised := buf[:0], 0, false
	for j, labels := i, 0; ; {
		k := j
		for k < len(t) && (letter(t[k]) || number(t[k]) || t[k] == '-' || t[k] == '_') {
			k++
		}
		if k == j {
			break
		}
		if labels++; h.labels == 0 {
			h.to = k
		}
		if labels > 1 {
			name = append(name, t[j:k]...)
			if k-j <= 8 && domains[string(t[j:k])] {
				length, h.to, h.labels, h.disguised = len(name), k, labels, disguised
			}
		}
		n, plainDot := dot(t, k)
		if n == 0 || labels == 8 {
			break
		}
		if labels == 1 {
			name = append(name, t[j:k]...)
		}
		disguised = disguised || !plainDot
		name = append(name, '.')
		j = k + n
	}
	h.name = string(name[:length])
	if h.disguised && !spacedOut[h.name[strings.LastIndexByte(h.name, '.')+1:]] {
		h.labels = 0
	}
	return h
}

// dot gives the length of a dot in any disguise at rune k: . 。 点 (dot) [.] " . ".
func dot(t []rune, k int) (n int, plainDot bool) {
	if k < len(t) && t[k] == '.' && k+1 < len(t) && t[k+1] != ' ' {
		return 1, true
	}
	if k+1 >= len(t) || !strings.ContainsRune(" .([。点·", t[k]) || t[k] == ' ' && !strings.ContainsRune("d.点[(", t[k+1]) {
		return 0, false
	}
	rest := string(t[k:min(k+8, len(t))])
	for _, d := range []string{"(dot)", "[dot]", " [dot] ", " (dot) ", "[.]", " [.] ", "(.)", " dot ", " 点 ", "点", "。", " . ", ". ", " .", "(点)", "[点]", "·"} {
		if after, ok := strings.CutPrefix(rest, d); ok && after != "" && (letter(rune(after[0]))) {
			return len([]rune(d)), false
		}
	}
	return 0, false
}

// localPart looks for an @ in any disguise in front of rune i, and what stands before.
func (r *reading) localPart(i int) (from int, local string, disguised bool) {
	t := r.text.r
	before := string(t[max(0, i-8):i])
	n := 0
	for _, at := range []string{"@", " @ ", "@ ", "(at)", "[at]", " at ", "艾特", " 艾特 ", "(@)", "#@", "[@]", " (at) ", " [at] ", "{at}", "圈a", "小老鼠"} {
		if strings.HasSuffix(before, at) && len([]rune(at)) > n {
			n, disguised = len([]rune(at)), at != "@"
		}
	}
	if n == 0 {
		return -1, "", false
	}
	j := i - n
	for j > 0 && (idRune(t[j-1]) || t[j-1] == '.' || t[j-1] == '+') && i-j < 80 {
		j--
	}
	local = strings.Trim(string(t[j:i-n]), ".")
	if local == "" || strings.HasSuffix(before, " at ") && !strings.ContainsAny(local, "0123456789._-") && len(local) < 6 {
		return -1, "", false
	}
	return j, local, disguised
}

func (r *reading) email(h host, at int, local string, disguised bool) {
	r.taken = append(r.taken, Span{at, h.to})
	if r.own(h.name) || r.Detector.addresses[local+"@"+h.name] {
		return
	}
	begin, end := r.clause(at, h.to, 30)
	left := tags(r.near(begin, at))
	all := left | tags(r.near(h.to, end))
	free := freeMail[h.name]
	score, why := 0.4, because("an e-mail address outside the company", "出现公司以外的邮箱地址")
	if free {
		score, why = 0.75, because("an e-mail address of a free provider", "出现免费邮箱地址")
	}
	switch {
	case roles[local] && !free:
		score = 0.3
	case left&(tYours|tThird|tCorp) != 0 && all&(tOwn|tPrivate|tLeave|tSecret) == 0:
		score = 0.4
		why = why.and("that the words round it give to somebody else", "从上下文看属于他人")
	case all&(tOwn|tPrivate|tLeave|tLater|tSecret|tReach|tAdd) != 0:
		score += 0.2
		why = why.and("with words that ask to use it", "并请对方使用")
	}
	if disguised || h.disguised {
		score = max(score, 0.85)
		why = why.and("written so that programs miss it", "且写法经过伪装")
	}
	r.found(Email, score, at, h.to, why.text())
}

func (r *reading) link(h host) {
	t := r.text.r
	from, to := h.from, h.to
	scheme := false
	if from >= 3 && string(t[from-3:from]) == "://" {
		scheme = true
		for from -= 3; from > 0 && letter(t[from-1]); from-- {
		}
	}
	path := to < len(t) && (t[to] == '/' || t[to] == '?' || t[to] == ':' && to+1 < len(t) && number(t[to+1]))
	for to < len(t) && t[to] > ' ' && t[to] < 0x7F && (path) {
		to++
	}
	r.taken = append(r.taken, Span{from, to})
	if r.full(Link) {
		return
	}
	if r.own(h.name) || !scheme && !path && !bare[h.name[strings.LastIndexByte(h.name, '.')+1:]] && !h.disguised {
		return
	}
	begin, end := r.clause(from, to, 24)
	all := tags(r.near(begin, end))
	address := string(t[h.from:min(to, h.from+80)])
	score, why := 0.55, because("a link to a site that is not the company's", "出现指向公司以外网站的链接")
	switch {
	case channels.have(address):
		score, why = 0.95, because("a link that opens a chat or adds an account elsewhere", "出现用于添加好友或在其他平台聊天的链接")
	case shorteners.have(h.name):
		score, why = 0.7, because("a short link that hides where it leads", "出现隐藏真实去向的短链接")
	case public.have(address):
		score, why = 0.25, because("a link to a well-known site", "出现知名网站的链接")
	}
	if all&(tAdd|tReach|tPrivate|tSecret|tLeave) != 0 && all&tOwn != 0 || all&tSecret != 0 {
		score += 0.15
		why = why.and("with words about a private account or shop", "并提到私人账号或店铺")
	}
	if h.disguised {
		score = max(score, 0.8)
		why = why.and("written so that programs miss it", "且写法经过伪装")
	}
	r.found(Link, score, from, to, why.text())
}

// own reports whether the host is the company's or below one that is.
func (r *reading) own(name string) bool {
	for {
		if r.Detector.domains[name] {
			return true
		}
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			return false
		}
		name = rest
	}
}

// insideTaken reports whether rune i is part of an address.
func (r *reading) insideTaken(i int) bool {
	k := sort.Search(len(r.taken), func(k int) bool { return r.taken[k].End > i })
	return k < len(r.taken) && r.taken[k].Start <= i
}

// sites are hosts, each with the beginnings of paths that are meant; an empty one means all.
type sites map[string][]string

func sitesOf(list string) sites {
	m := sites{}
	for _, l := range strings.Fields(list) {
		h, path, _ := strings.Cut(l, "/")
		m[h] = append(m[h], path)
	}
	return m
}

// have reports whether the address, host or host/path, is one of the sites or below.
func (s sites) have(address string) bool {
	h, rest, _ := strings.Cut(address, "/")
	for {
		for _, path := range s[h] {
			if strings.HasPrefix(rest, path) {
				return true
			}
		}
		_, parent, ok := strings.Cut(h, ".")
		if !ok {
			return false
		}
		h = parent
	}
}

var (
	domains = words(`com cn net org io co cc vip top xyz shop site online store club info me tv app link live fun ltd hk tw biz pro wang ink icu work
		group gov edu example test invalid ai dev page im ly us uk de jp sg fr gg`)
	// bare are those that make a name a link without scheme or path; co, me, io are in texts for other reasons.
	bare = words(`com cn net org cc vip top xyz shop site hk example test invalid`)
	// spacedOut are those after which one may look for a disguised dot.
	spacedOut = words(`com cn net org cc vip top xyz shop me example`)
	freeMail  = words(`gmail.com qq.com 163.com 126.com yeah.net outlook.com hotmail.com live.com msn.com yahoo.com yahoo.com.cn foxmail.com sina.com sina.cn
		sohu.com icloud.com me.com proton.me protonmail.com 139.com 189.cn 21cn.com aliyun.com tom.com vip.qq.com vip.163.com gmx.com mail.com zoho.com`)
	roles    = words(`support sales info service hr admin noreply no-reply invoice invoices billing contact hello office orders order help finance legal press careers kefu`)
	channels = sitesOf(`u.wechat.com weixin.qq.com/r weixin.qq.com/g qm.qq.com jq.qq.com qun.qq.com t.me telegram.me wa.me api.whatsapp.com chat.whatsapp.com whatsapp.com
		line.me lin.ee m.me signal.me signal.group discord.gg discord.com/invite wpa.qq.com v.douyin.com weidian.com k.youshop10.com viber.me join.skype.com instagram.com`)
	shorteners = sitesOf(`t.cn url.cn dwz.cn suo.im bit.ly tinyurl.com is.gd t.co goo.gl dwz.mk mrw.so sourl.cn 985.so w.url.cn rb.gy cutt.ly t.ly ow.ly urlc.cn`)
	public     = sitesOf(`baidu.com mp.weixin.qq.com work.weixin.qq.com docs.qq.com meeting.tencent.com qq.com gov.cn edu.cn zhihu.com bilibili.com weibo.com jd.com taobao.com
		tmall.com alipay.com aliyun.com 12306.cn sf-express.com kuaidi100.com amap.com map.qq.com wikipedia.org google.com github.com microsoft.com apple.com youtube.com
		zoom.us zoom.com linkedin.com 163.com sina.com.cn sina.com sohu.com people.com.cn xinhuanet.com cctv.com ctrip.com meituan.com dianping.com pinduoduo.com feishu.cn
		dingtalk.com kdocs.cn wps.cn yuque.com qcc.com tianyancha.com gov uk gov.uk europa.eu dhl.com fedex.com ups.com maersk.com adobe.com amazon.com iso.org w3.org
		creditchina.gov.cn douban.com csdn.net juejin.cn office.com sharepoint.com dropbox.com docusign.com stripe.com paypal.com un.org who.int`)
)
