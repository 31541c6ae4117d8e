package demo

import "strings"

// script is a short conversation. In its texts stand {p} and {P} for a product,
// {n} a quantity, {k} a small number, {d} a day, {m} a month, {y} a price, {c} a
// city, {g} {G} a greeting, {t} {T} thanks.
type script []said

type said struct {
	byMember       bool
	text           string
	kind, mimeType string
}

// The speakers and what they send: c and m are texts of the contact and the
// member, the others name a file.
func c(text string) said { return said{text: text} }
func m(text string) said { return said{byMember: true, text: text} }

func mFile(name string) said {
	return said{byMember: true, text: name, kind: "FILE", mimeType: "application/pdf"}
}

func cImage(name string) said { return said{text: name, kind: "IMAGE", mimeType: "image/jpeg"} }

var (
	productsZH  = strings.Fields("手持扫码枪 标签打印机 称重模块 温湿度传感器 分拣小车 电子货签 工业平板 固定式读码器 体积测量仪 冷链记录仪 通道门 叉车终端")
	productsEN  = strings.Split("handheld scanners,label printers,load cells,humidity sensors,sorting carts,shelf labels,rugged tablets,fixed readers,dimensioners,cold-chain loggers,gate readers,forklift terminals", ",")
	greetings   = strings.Fields("您好 早上好 下午好 你好 打扰一下")
	thanks      = strings.Fields("谢谢 好的,谢谢 收到,感谢 辛苦了 多谢")
	greetingsEN = []string{"Hello", "Good morning", "Hi", "Good afternoon"}
	thanksEN    = []string{"Thank you.", "Great, thanks.", "Perfect.", "Much appreciated."}
)

var scriptsZH = []script{
	{c("{g},想了解一下{p},{n} 台大概什么价?"), m("{g},{n} 台可以按项目价,单价 {y} 百元左右,含税。"), m("我先发一份报价单给您。"), mFile("报价单-{p}-{n}台.pdf"), c("{t},我这边内部过一下。")},
	{m("{g},上次寄的{p}样机测试得怎么样?"), c("现场跑了 {k} 天,识别率比原来的高不少。"), c("就是外壳有点重,仓库的同事提了一下。"), m("有轻量款,{m} 月到货,我给您留两台试用。"), c("{t}。")},
	{c("第二批{p}什么时候能到{c}?"), m("物流显示 {d} 号发出,预计 {k} 天到。"), c("我们 {d} 号要上线,最晚不能晚过那天。"), m("明白,我让仓库改发航空件,费用我们承担。"), c("{t}")},
	{c("发票抬头要改,还是寄{c}这边。"), m("好的,请把新的开票资料发我。"), cImage("开票资料.jpg"), m("收到,今天下班前重开,旧票作废。")},
	{c("有一台{p}开机没反应,序列号尾号 {n}。"), m("先长按电源十秒试试,指示灯是什么颜色?"), c("红灯闪 {k} 下。"), m("那是电池保护,我安排{c}的工程师明天上门换。"), c("{t},麻烦尽快。")},
	{m("{g},年度维保 {m} 月 {d} 日到期,提前跟您确认续签。"), c("今年设备多了 {n} 台,一起算进去吧。"), m("没问题,按阶梯价再优惠 {k} 个点。"), c("合同走线上签。"), m("好的,链接稍后发到您的邮箱。")},
	{c("你们的系统能跟我们的仓储软件对接吗?"), m("可以,标准接口,一般 {k} 个工作日联调完。"), c("那请技术同事周{k}下午来开个会。"), m("我约一下时间,地点还是{c}?"), c("对,{c}总部。")},
	{m("{g},{m} 月 {d} 日我们在{c}有新品体验会,给您留了两个名额。"), c("主要看什么?"), m("新一代{p},还有一套无人值守的方案。"), c("好,我带仓储主管一起来。"), m("{t},请柬我发给您。")},
	{c("这个月的对账单少了一笔 {n} 台的。"), m("我查一下……确实漏了,财务正在补。"), mFile("对账单-{m}月-更正.pdf"), c("{t},这次对上了。")},
	{c("竞品给的{p}比你们低 {k} 个点,还能谈吗?"), m("单价不动的话,可以多送一年延保和 {k} 套备件。"), c("我跟领导汇报一下,周内回复您。"), m("好,有结果随时联系我。")},
	{m("{g},{p}的固件有更新,修了低温下掉线的问题。"), c("需要停机吗?"), m("每台大约 {k} 分钟,可以分批升。"), c("那就安排在 {d} 号夜班之后。")},
	{c("新仓在{c},大概要 {n} 台{p},先帮我做个方案。"), m("请发一下库区平面图和出库量。"), cImage("库区平面图.jpg"), m("收到,{k} 天内给您方案和预算。"), mFile("{c}新仓方案.pdf"), c("方案可以,{t}")},
}

var scriptsEN = []script{
	{c("{G}, could you quote {n} {P}, delivered to Rotterdam?"), m("{G}! For {n} pieces it is {y} euro each, duty paid."), mFile("Quote-{n}.pdf"), c("{T} I will take it to our buyer.")},
	{m("{G}, how did the trial of the {P} go?"), c("Better than expected, only the mounting took us {k} hours."), m("There is a quick mount now. I can add {k} to your order."), c("{T} Please do.")},
	{c("The {P} that came on the {d}th do not pair with the gateway."), m("Which firmware do they show?"), cImage("screen.jpg"), m("That one is known. The update takes {k} minutes a piece, I will send the steps."), c("{T}")},
	{m("{G}, your support contract ends in {k} weeks."), c("We are {n} devices more than last year."), m("Then you reach the next tier, which saves you {k} percent."), c("Send it over, I sign on Friday.")},
	{c("Could you join the call with our warehouse lead on the {d}th?"), m("Yes, and I will bring an engineer for the {P}."), c("{T} I will send the invitation.")},
	{c("Finance says invoice {n} was paid twice."), m("Let me check. Yes, you will have the refund within {k} days."), c("{T}")},
	{m("{G}, we show the new {P} in {c} this month. Shall I keep two seats?"), c("Only if there is something on cold storage."), m("Half of the afternoon is about it."), c("Two seats, then. {T}")},
	{c("A competitor offers the {P} {k} percent below you."), m("I can answer with a longer warranty and {k} spare sets."), c("Put it in writing and I will see.")},
}

var groupScripts = []script{
	{m("各位好,{m} 月 {d} 日 22:00 到次日 2:00 系统维护,期间{p}只能离线使用。"), c("收到,夜班已通知。"), m("{t},完成后在群里告知。")},
	{c("今天{c}仓 {k} 号线读码偏慢,哪位看一下?"), m("工程师已远程接入,先清理了镜头。"), c("恢复了,{t}。")},
	{m("本周到货{p} {n} 台,请各仓核对。"), c("{c}仓少 {k} 台。"), m("差的在途,明天补齐。")},
	{m("《{p}操作要点》更新了,请新同事先看。"), mFile("{p}操作要点.pdf"), c("{t}")},
	{c("What is the spare part number for the {P}?"), m("It is on page {k} of the sheet I shared; I will pin it here."), c("{T}")},
	{c("下周盘点,需要借 {k} 台{p}。"), m("可以,{d} 号送到{c}。"), c("{t}")},
}

// leaks are what somebody says who means to take customers along. The number
// and the account are placeholders.
var leaks = []script{
	{m("跟您说一声,我下周就不在公司了。"), m("后面的事您加我私人微信吧:lina_private_demo,价格还能再谈。"), c("啊?那之前的订单怎么办?"), m("都可以转到我这边来做。")},
	{m("这是我自己的号码 13800000000,以后直接打这个,别走公司的号了。"), c("好,我记一下。")},
	{m("我把新公司的联系人推给您。"), {byMember: true, text: "个人名片", kind: "CARD"}, c("收到。")},
	{m("方便加一下我另一个微信吗?扫这个码。"), {byMember: true, text: "二维码.png", kind: "IMAGE", mimeType: "image/png"}, c("稍等,我看看。")},
}
