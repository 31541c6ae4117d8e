package detect

import (
	"strings"

	"github.com/openhandover/openhandover/internal/fault"
)

// attachments judges cards and pictures by what is known of them without opening
// them: the kind, the file's name and type, and the words.
func (r *reading) attachments() {
	name := plain(r.m.Attachment)
	t := tags(r.words)
	switch {
	case r.m.Kind == "CARD", r.m.Mime == "text/vcard", r.m.Mime == "text/x-vcard", strings.HasSuffix(name, ".vcf"):
		r.card(name, t)
	case r.m.Kind == "IMAGE", strings.HasPrefix(r.m.Mime, "image/"), picture(name):
		r.picture(name, t)
	case r.m.Kind == "TEXT" || r.m.Kind == "":
		r.scanning()
	}
}

func picture(name string) bool {
	for _, end := range []string{".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".heic"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

func (r *reading) card(name string, t tag) {
	shown := strings.TrimSpace(string(r.text.r))
	if r.names[shown] || r.names[strings.TrimSuffix(name, ".vcf")] || r.Detector.accounts[shown] {
		return
	}
	score, why := 0.7, because("a contact card that is not a colleague's", "发送了不属于公司同事的名片")
	switch {
	case t&(tPrivate|tOwn|tLeave|tLater|tAdd) != 0 && t&tCorp == 0:
		score, why = 0.9, why.and("with words about a private account", "并提到私人账号")
	case t&(tCorp|tThird) != 0 && t&(tPrivate|tLeave) == 0:
		score = 0.4
	}
	r.whole(Card, score, why.text())
}

func (r *reading) picture(name string, t tag) {
	score, why := 0.0, reason{}
	inName := false
	for hint, s := range map[string]float64{"mmqrcode": 0.9, "wechatqr": 0.9, "wechat_qr": 0.9, "wechat-qr": 0.9, "wxqr": 0.9, "wx_qr": 0.9, "我的二维码": 0.9, "微信二维码": 0.9,
		"个人二维码": 0.9, "微信名片": 0.9, "加我微信": 0.9, "加微信": 0.9, "个人微信": 0.9, "qrcode": 0.6, "qr_code": 0.6, "qr-code": 0.6, "二维码": 0.6, "my_qr": 0.8, "myqr": 0.8, "my-qr": 0.8, "qq二维码": 0.9, "私人微信": 0.9, "qr.": 0.55} {
		if s > score && strings.Contains(name, hint) {
			score, why, inName = s, because("a picture whose name says that it is a QR code of an account", "图片文件名显示其为账号二维码"), true
		}
	}
	own := t&(tOwn|tAdd|tPrivate|tReach) != 0
	if t&tScan != 0 && own && score < 0.85 {
		score, why = 0.85, because("a picture with words that ask to scan it and add an account", "图片附言请对方扫码添加")
	}
	for _, harmless := range []string{"收款", "付款", "支付", "payment", "wxacode", "小程序", "公众号", "官网", "签到", "checkin", "ticket", "门票", "invoice", "发票", "official", "product", "产品", "溯源", "客服", "company", "activity", "活动", "设备", "菜单", "会议", "停车", "label", "门禁", "event"} {
		if strings.Contains(name, harmless) {
			score = min(score, 0.3)
		}
	}
	if t&(tCorp|tPay|tNone) != 0 && t&(tPrivate|tOwn|tLeave) == 0 {
		score = min(score, 0.4)
	}
	if score == 0 {
		return
	}
	if t&(tLeave|tLater|tSecret) != 0 {
		score += 0.1
	}
	if !inName || score < Worth {
		r.whole(QR, score, why.text())
		return
	}
	if r.m.FromContact {
		return
	}
	r.add(QR, score, why.text(), InAttachment, Span{0, len(r.m.Attachment)})
}

// scanning finds words that ask to scan somebody's own code, sent beside or before a
// picture.
func (r *reading) scanning() {
	for _, w := range r.words {
		if w.tag&tScan == 0 || w.tag&tNone != 0 {
			continue
		}
		begin, end := r.clause(w.at, w.to, 14)
		ws := r.near(begin, end)
		t := tags(ws)
		if t&(tPay|tNot) != 0 || t&tCorp != 0 && t&(tPrivate|tOwn) == 0 {
			continue
		}
		account := t&(tWeChat|tQQ|tApp|tAccount) != 0
		switch {
		case t&(tAdd) != 0 && (account || t&(tOwn|tPrivate) != 0 || addsMe(r, ws)):
			r.found(QR, 0.8, w.at, w.to, because("words that ask to scan a code and add an account", "请对方扫码添加账号").text())
			return
		case t&(tOwn|tPrivate) != 0 && account:
			r.found(QR, 0.75, w.at, w.to, because("words about the QR code of a private account", "提到私人账号的二维码").text())
			return
		}
	}
}

// addsMe reports words such as 加我 among those that ask to add somebody.
func addsMe(r *reading, ws []word) bool {
	for _, w := range ws {
		if s := string(r.text.r[w.at:w.to]); w.tag&tAdd != 0 && (strings.Contains(s, "我") || strings.Contains(s, "好友") || strings.Contains(s, "me") || strings.Contains(s, "my")) {
			return true
		}
	}
	return false
}

// whole notes a finding that the message as a whole is.
func (r *reading) whole(n Name, score float64, why fault.Text) {
	if r.m.FromContact {
		score *= 0.4
	}
	if score >= Worth {
		r.add(n, score, why, "", Span{})
	}
}
