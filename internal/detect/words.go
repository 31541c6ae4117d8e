package detect

import (
	"sort"
	"strings"
)

// tag is what a word of the lexicon speaks of.
type tag uint32

const (
	tWeChat  tag = 1 << iota // WeChat, in all its disguises
	tQQ                      // QQ
	tApp                     // another messenger
	tAccount                 // an account or number, of whatever
	tPhone                   // a telephone
	tMail                    // e-mail
	tScan                    // a QR code, scanning
	tCard                    // a contact card
	tOwn                     // mine
	tPrivate                 // private, new
	tAdd                     // add me
	tReach                   // contact me, find me
	tMove                    // let us talk elsewhere
	tLeave                   // somebody leaves the company
	tLater                   // from now on
	tSecret                  // do not tell
	tCorp                    // the company, a colleague, service
	tYours                   // the customer's
	tThird                   // a third person
	tShip                    // a delivery address
	tSerial                  // numbers of orders, parcels, documents
	tPay                     // money
	tNot                     // do not
	tNone                    // a longer phrase in which a word means nothing
)

// phrases are the lexicon. Blanks are not written: words may be spaced out or joined
// in messages, 微 信 and addme; a phrase in Latin letters begins and ends at a word's
// border. The longest phrase wins, so 微信支付 is not 微信.
var phrases = map[tag]string{
	tWeChat: `微信 微信号 微信id 微信账号 微信帐号 威信 薇信 维信 徽信 魏信 卫星号 微x 薇x 卫星 微 薇 薇❤ 微❤ 绿泡泡 绿色软件 小绿 wxid 个微信 v信 v信号 vx vx号 v❤ v心 v号
		wx wx号 wx名 w信 微信名 weixin weixinhao wechat wechatid wechataccount mywechat wecht 我v 我vx 我wx 威x 围信 溦信 🛰`,
	tWeChat | tAdd:     `加v 加vx 加wx 加w 加薇 加微 +v +vx +wx +微 +薇 ➕v 加个v 加个微 加个vx 加个wx 加下v 加下微 加下vx 加微信 加我微信 加个微信 加下微信 加一下微信 加新微信 加我新微信 加我薇信 加薇信 加威信 加我威信 加我维信 加v信 加我v信 加绿泡泡 加下我微信 加一下我微信 加我v 加我vx 加我wx 加我微 加我薇 +我v +我vx 加一下v 加一下微 加v❤`,
	tWeChat | tPrivate: `私v 私微 个微 私人v 小v`,
	tQQ:                `qq qq号 q号 扣扣 扣扣号 球球 企鹅 企鹅号 我q 我qq 腾讯qq q上 上q q聊 蔻蔻 抠抠 秋秋 qq群 🐧 qq号码 qqnumber myqq`,
	tQQ | tAdd:         `加q 加qq +q +qq 加扣扣 加我qq 加我q 加我扣扣 加下qq 加个qq 加下我qq 加一下qq 加球球 加蔻蔻 addmyqq`,
	tApp: `whatsapp telegram telegarm tg viber skype 电报 纸飞机 飞机号 line号 lineid signal messenger instagram kakaotalk kakao discord 陌陌 钉钉号 抖音号 小红书号 微博号
		imessage whats-app wtsapp`,
	tAccount:                   `账号 帐号 号码 这个号 那个号 新号码 account accounts number 号`,
	tPhone:                     `电话 手机 手机号 手机号码 电话号码 电话号 打电话 拨打 call phone mobile cell tel 📱 ☎ 📞 号码 dial 同号 ☏ 发短信 短信`,
	tPhone | tReach:            `打我 打给我 callme textme ringme ring phoneme callmeon textmeon 打这个`,
	tPhone | tOwn:              `我电话 我手机 我手机号 我的电话 我的手机 我的手机号 我的号码 我号码 mynumber myphone mycell mymobile myphonenumber 我的联系方式 我的联系电话 本人电话 本人手机`,
	tMail:                      `邮箱 邮件 email e-mail mail 电邮 邮箱地址 伊妹儿 inbox`,
	tMail | tOwn:               `我的邮箱 我邮箱 myemail mye-mail mymail myinbox`,
	tScan:                      `二维码 扫码 扫一扫 扫描 长按识别 扫一下 扫我 扫 qrcode qr scan scancode 识别图中 扫下 扫个码 维码 识别二维码 长按 码`,
	tCard:                      `名片 contactcard businesscard 微信名片 vcard mycard mycontact`,
	tOwn:                       `我的 本人 俺的 我自己 我自己的 我本人 自己的 my mine myown 我这边的 咱的`,
	tOwn | tPrivate:            `我私 我个人 我私人 我个人的 我私人的 我另一个 我另外一个 我另外的 我小 我自己另一个 mypersonal myprivate myother mysecond`,
	tOwn | tPrivate | tAccount: `我换号 我换了号 我换了个号 我的新号 我新号 我的小号 我小号 我的私号 我私号 我的生活号 我生活号 我的新号码 我新号码 mynewnumber mynewaccount myotheraccount myothernumber`,
	tOwn | tScan:               `我二维码 我的二维码 我这个二维码 我的码 myqr myqrcode`,
	tYours | tPrivate:          `你私人 你个人 您私人 您个人 你另一个 您另一个 你自己的 您自己的 你小号 你私号 yourpersonal yourprivate yourother yournew`,
	tPrivate: `私人 个人 私号 小号 私信号 另一个 另外一个 另外的 新号 新的 新微信 备用 生活号 大号 换号 换了号 换个号 换新号 personal private other another new second alternate alternative backup
		自己的 私下 单独的 别的号 其他号 个人号 私人号 新加的 其它号 另个 改用 新账号`,
	tAdd:    `加我 加我的 加我下 加下我 加一下我 加一下我的 加下我的 添加我 添加我的 +我 +我的 加个我的 你加我 您加我 加到我 addme add addmy addmeon 存我 存一下我 存一下 存下 记一下我 记下我 记一下 加本人 来加 加一下 加下 互加 加了我 加过我 我加你 我加您 加你 加您 addyou 加个号 加个好友 加好友 addus saveme savemy 留个 搜我 搜索我 推我 推给你 推给您 推你 推您 发你 发给你 发您 发给您`,
	tReach:  `联系我 找我 私聊我 私我 滴滴我 call给我 问我 联系 contactme reachme messageme pingme findme writeme writetome dm dmme emailme getmeat reachmeat reachmeon msgme hitmeup contactmeon searchme lookmeup reach 呼我 聊 戳我`,
	tMove:   `去微信聊 微信上聊 上微信聊 换个地方聊 换个平台 换个软件 加微信聊 私下聊 私下联系 别在这聊 别在这里聊 不在这聊 不在这里聊 转到微信 到微信上 去微信上 换到 换微信聊 moveto switchto talkon chaton offthisapp offhere takethisoff outsidethisapp outsidewecom talkoutside moveour continueon joinmeon joinuson findmeon 不方便说 不方便聊 说话不方便 这里不方便 这边不方便 这里说话不方便 这个号不方便 switchover 不走公司 绕开公司 绕过公司`,
	tLeave:  `离职 要走了 要离开 离开公司 最后一天 换工作 跳槽 换公司 换了公司 换单位 换了单位 去别家 去别的公司 去新公司 辞职 不在公司 不在这家 不干了 离开这家 新公司 自己干 自己单干 单干 出来做 出来单干 自立门户 要离开了 提离职 leaving lastday resign resigned resigning quitting movingto newcompany myown leftthecompany leavingthecompany startingmyown startmyown newfirm 收回 停用 不用了 这个号要 工作号 换东家 交接 注销 要停 停了 deactivated closed closing`,
	tLater:  `以后 今后 后续 往后 之后 下次 fromnowon inthefuture goingforward afterthat nexttime afterfriday afterthisweek later 从现在起`,
	tSecret: `不要告诉 别告诉 别跟公司 别和公司 不要跟公司 别让公司 保密 悄悄 偷偷 别说出去 便宜点 给你便宜 更便宜 不走公司 绕开公司 绕过公司 公司看不到 公司会看 公司监控 有监控 被监控 don'ttell donttell keepitquiet betweenus betweenyouandme secretly cheaper monitored ismonitored readthesechats recorded quietly justbetweenus privately`,
	tCorp:   `公司 我司 官方 客服 售后 企业 企业微信 企微 店铺 门店 团队 同事 接替 接手 我们的 我们 主管 经理 总部 前台 热线 服务号 公众号 订阅号 小程序 视频号 旗舰店 展厅 our official company support hotline colleague team store office customerservice successor takeover switchboard frontdesk helpdesk miniprogram officialaccount 品牌 门店号 商城 总机`,
	tYours:  `您的 你的 贵司 贵公司 您 your yours yourself 客户的 他的 她的 对方`,
	tThird:  `师傅 司机 快递员 骑手 配送员 安装工 物业 房东 派送员 中介 他 她 老公 老婆 财务 收件人 驾驶员 driver courier technician plumber installer landlord electrician his her receptionist`,
	tShip:   `收货 收件 地址 寄到 寄给 邮寄 收货人 省 区 街道 小区 号楼 单元 shipto shipping deliver delivery address recipient consignee`,
	tSerial: `订单 订单号 单号 运单 运单号 快递单 快递单号 快递 物流 物流单号 流水号 编号 发票 发票号 发票号码 合同号 合同编号 合同 账单 序列号 设备号 工单 工单号 批次 批号 型号 货号 税号 统一社会信用代码 身份证 银行卡 卡号 账户 开户 对公 条码 凭证 案号 会员号 验证码 取件码 票号 航班 车次 车牌 报价单 提单 柜号 sn imei orderno order orderid tracking trackingno trackingnumber invoice invoiceno ticket ticketno serial serialnumber po ref reference waybill sku contractno casenumber case awb barcode version code part batch lot iban swift bankaccount accountnumber account-no meetingid meeting 会议号 会议 密码 password 时间戳 timestamp id编号 房号 备案号 工号 mid`,
	tPay:    `元 块 万 块钱 付款码 收款码 rmb usd cny 支付 付款 转账 收款 红包 pay payment 定金 尾款 公里 件 台 吨 kg 平米 个人所得税 股 米`,
	tNot:    `不要加 请勿 勿加 禁止 不得 不能 不许 不允许 严禁 谨防 别加 不可以 诈骗 骗子 冒充 不会 不加 不可 切勿 违规 警惕 无需 从不 没有 不需要 never donot don't dont notallowed prohibited forbidden scam fraud cannot can't mustnot notadd without shouldnot 防骗 不会用 以免 防止`,
	tNone: `微信支付 微信付款 微信转账 微信收款 微信红包 微信付 微信运动 微信读书 微信小程序 微信公众号 微信视频号 微信群 微信客服 微信零钱 微信钱包 微信登录 微信扫码支付 微信朋友圈 微信小店 微信文件 微信版本
		微信电脑版 微信官方 微信开放平台 微信服务号 微信订阅号 微信接龙 微信读书 微信表情 微信步数 微信记录 微信提现 微信账单 微信收款码 微信好友 微信聊天记录 微信通知 微信分期 微信退款 微信到账 微信会员 微信卡包 微信缴费
		微信商城 微信群里 wechatpay wechatpayment wechatwork wechatgroup wechatminiprogram wechatofficial wechatofficialaccount wechatmoments wechatteam wechatsupport wechatstore wechatlogin wechatapi wechatsdk
		qq音乐 qq浏览器 qq糖 qq邮箱 qq空间 qq飞车 qq冰淇淋 qq旋风 qq阅读 奇瑞qq qqmail qqmusic qq弹弹 qq拼音 qq输入法 qq堂 很qq 口感qq qq弹 qq影音 企鹅馆 企鹅岛 企鹅吃 小企鹅 看企鹅 企鹅表演
		微软 微波 微笑 微量 稍微 微小 微型 微博 微创 显微 轻微 微店 微风 微妙 微微 微商 微课 微电影 微调 微信息 微生物 微辣 细微 略微 微米 微观 微服务 微机 微弱 微薄 微针 微整 微缩 微景 微单 采薇 蔷薇 紫薇 微晶 微分 微积分 微处理 微粒 微孔 微利 微表情 微电子 微滴 微量元素
		卫星电视 卫星导航 卫星图 卫星云图 卫星定位 卫星城 北斗卫星 卫星遥感 卫星通信 卫星发射 卫星影像 卫星锅 卫星信号 卫星厅
		v我50 扫码支付 扫码付款 扫码付 扫码签到 扫码入场 扫码点餐 扫码登录 扫码入库 扫码出库 扫码枪 扫码验货 扫码开锁 扫码缴费 扫码购票 扫码领券 扫码查看 扫码报名 扫码打开 付款二维码 付款码 收款二维码 收款码 支付二维码 签到二维码 健康码 小程序码 条形码 验证码 编码 尺码 密码 代码 起码 号码牌 源码 扫地 扫描仪 扫描件 扫描版 扫描一份 扫雷 扫尾 扫货 清扫 打扫 解码 数码 砝码 价码 加码 二维码门禁 二维码标签 扫描合同 电子码 扫码取件 扫码进群开会 扫码乘车 扫描发票 扫描后
		scantopay scanthecontract scannedcopy scandocument scanner barcode scanandsend scanthedocument checkin paymentqr paymentqrcode ticketqr scanthesigned scanof scantopay scanit
		个人所得税 我个人觉得 我个人认为 我个人意见 我个人感觉 我个人建议 我个人信息 加微信群 加个微信群 我小时 我小孩 我小区 我小店 个人意见 个人觉得 个人认为 个人信息 个人感觉 个人原因 个人贷款 个人简历 个人护理 一个人 几个人 每个人 两个人 三个人 个人中心 个人版 私人订制 私人定制 私人银行 私人影院 私人飞机 私人影厅 私人会所 新的一年 新的合同 新的报价 新的方案 新的价格 新的一批 新的订单 新的版本 新号段 加号 符号 信号 括号 型号 账号密码 大号的 大号尺寸 小号的 小号尺寸 大号字 小号字 中号 大号和 小号和 加大号 特大号
		加个班 加个鸡腿 加个价 加个急 加个单 加个塞 加下班 加一下班 加下单 加一下购物车 加下购物车 加个购 加个菜 加下油 加好友数量 加个备注 加个名字 加一下备注 加个字段
		mycontract theother eachother otherwise newversion another, newprice newquote newproduct newmodel newoffer secondhand onesecond secondbatch secondhalf secondround callback callcenter conferencecall callit privatelabel personalized personalization inordertoadd additional addition address addto addtocart addup addon numberof accountmanager accountant accountspayable accountsreceivable accounting newarrivals newyear newoffice newcatalogue newcatalog anotherorder anothercolour anothercolor anotherbatch otherquestions otherproducts othersizes mycolleague inmyopinion myapologies myteam mymanager sizenumber ordernumber partnumber modelnumber flightnumber roomnumber phonecase phoneholder cellphonecase phonestand ringsize hotline telecom inline online offline deadline outline pipeline baseline signalstrength wifisignal trafficsignal signallamp signalcable`,
}

// word is one phrase found, runes [at, to).
type word struct {
	tag    tag
	at, to int
}

type node struct {
	children map[rune]*node
	tag      tag
	end      bool
}

type trie struct {
	root  *node
	first [1 << 16]bool // quick: may a phrase begin with this?
}

var lexicon = build()

func build() *trie {
	t := &trie{root: &node{}}
	for tag, list := range phrases {
		for _, p := range strings.Fields(list) {
			n := t.root
			for i, c := range fold(p).r {
				if i == 0 {
					t.first[c&0xFFFF] = true
				}
				if n.children == nil {
					n.children = map[rune]*node{}
				}
				if n.children[c] == nil {
					n.children[c] = &node{}
				}
				n = n.children[c]
			}
			n.tag, n.end = n.tag|tag, true
		}
	}
	return t
}

// words finds phrases from left to right, the longest at each place, none inside
// another.
func (t *trie) words(r []rune) []word {
	var out []word
	for i := 0; i < len(r); {
		if !t.first[r[i]&0xFFFF] || letter(r[i]) && i > 0 && letter(r[i-1]) {
			i++
			continue
		}
		if w, ok := t.longest(r, i); ok {
			out = append(out, w)
			i = w.to
			continue
		}
		i++
	}
	return out
}

func (t *trie) longest(r []rune, at int) (w word, ok bool) {
	n := t.root
	for j, skipped := at, 0; j < len(r); j++ {
		c := r[j]
		next := n.children[c]
		if next == nil {
			// 微.信 and add  me; two such signs at most, and none before the first rune.
			if j == at || skipped == 2 || !filler(c) {
				break
			}
			skipped++
			continue
		}
		n, skipped = next, 0
		if n.end && (!letter(c) || j+1 == len(r) || !letter(r[j+1])) {
			w, ok = word{n.tag, at, j + 1}, true
		}
		if len(n.children) == 0 {
			break
		}
	}
	return w, ok
}

func filler(c rune) bool {
	switch c {
	case ' ', '.', '-', '_', '*', '·', '~', '\'', '/', '|', '^':
		return true
	}
	return false
}

// clauses notes where sentences end, so that words of one do not speak of another.
func (r *reading) clauses() {
	for i, c := range r.text.r {
		switch c {
		case '\n', '。', '!', '?', ';':
			r.breaks = append(r.breaks, int32(i)) // #nosec G115 -- see add
		}
	}
}

// near gives the words that lie wholly within [from, to).
func (r *reading) near(from, to int) []word {
	i := sort.Search(len(r.words), func(i int) bool { return r.words[i].at >= from })
	j := i
	for j < len(r.words) && r.words[j].to <= to {
		j++
	}
	return r.words[i:j]
}

// clause gives the borders of the sentence round [from, to), at most n runes away.
func (r *reading) clause(from, to, n int) (begin, end int) {
	begin, end = max(0, from-n), min(len(r.text.r), to+n)
	i := sort.Search(len(r.breaks), func(i int) bool { return int(r.breaks[i]) >= from })
	if i > 0 {
		begin = max(begin, int(r.breaks[i-1])+1)
	}
	j := sort.Search(len(r.breaks), func(i int) bool { return int(r.breaks[i]) >= to })
	if j < len(r.breaks) {
		end = min(end, int(r.breaks[j]))
	}
	return begin, end
}

func tags(ws []word) (t tag) {
	for _, w := range ws {
		t |= w.tag
	}
	return t
}
