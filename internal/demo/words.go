package demo

import (
	"strings"

	"github.com/openhandover/openhandover/internal/intake"
)

// What contacts and groups are named and described with.
var (
	surnames = strings.Fields("赵 钱 孙 李 周 吴 郑 王 冯 陈 褚 卫 蒋 沈 韩 杨 朱 秦 许 何 吕 施 张 孔 曹 严 华 金 魏 陶 姜 戚 谢 邹 章 苏 潘 葛 范 彭 鲁 马 方 袁 柳 史 唐 薛 雷 贺 倪 汤 罗 郝 安 常 于 傅 康 伍 余 顾 孟 黄 穆 萧 尹 欧阳 司徒 上官")
	given    = strings.Fields("伟 芳 敏 静 磊 洋 艳 勇 军 杰 娟 涛 超 霞 平 刚 玲 桂英 建国 文博 子涵 雨桐 浩然 思远 嘉怡 欣然 晓峰 志强 丽华 美玲 国栋 海燕 春梅 俊杰 佳琪 梓萱 宇航 明哲 雪莹 天佑 若曦 一诺 景行 知夏 书瑶 立新 永康 青松 秋实 凌云 可欣 泽宇 慧敏 长青 予安 云舒 清和 望舒")
	firsts   = strings.Fields("Anna Ben Clara David Elena Felix Greta Hugo Ines Jonas Karin Liam Mira Noah Olga Paul Rosa Simon Tara Victor Yara Zoë Amélie Björn Carlos Dmitri Farah Giulia Hana Ivan Joanna Kenji Lars Maya Nadia Oskar Priya Rafael Søren Tomás Uma Wei-Ling Annette Joann Leanne Dianne")
	lasts    = strings.Fields("Abbott Bauer Costa Dupont Eriksson Fischer García Haas Ivanova Jensen Kowalski Lambert Moreau Nguyen O'Brien Pereira Quinn Rossi Schmidt Tanaka Ueda Vargas Weber Yilmaz Zhang Hannan Brandt Cheng Lindqvist Mannering Okafor Sato Thorne Müller")
	cities   = strings.Fields("上海 杭州 苏州 南京 宁波 无锡 合肥 北京 天津 青岛 济南 深圳 广州 东莞 佛山 厦门 成都 武汉 西安 长沙")
	brands   = strings.Fields("恒川 远禾 锦程 博澜 晨屿 云麓 嘉木 启明星 泰和 众联 汇川源 百川 瑞丰 天工 新汀 海棠 万松 明德 盛景 融通")
	trades   = strings.Fields("物流 仓储 电子 食品 医药 服饰 家居 汽配 包装 冷链 零售 精密制造 供应链 新能源")
	marks    = strings.Fields("Harbour Northfield Bluepeak Silverline Oakridge Meridian Lakeside Granite Redwood Summit Riverbend Clearwater Ironbridge Foxglove")
	lines    = strings.Fields("Logistics Foods Components Textiles Pharma Retail Packaging Motors Instruments Trading")
	forms    = []string{"Ltd", "GmbH", "Inc.", "B.V.", "Pte. Ltd", "AB"}

	contactTagsZH = []string{"老客户", "高意向", "试用中", "已签约", "展会", "转介绍", "待回访", "经销商"}
	contactTagsEN = []string{"Distributor", "Trial", "Renewal", "Trade fair", "Referral"}
	followTagsZH  = []string{"报价已发", "样机已寄", "需回访", "决策人", "采购", "技术对接", "季度拜访"}
	followTagsEN  = []string{"Quote sent", "Decision maker", "Procurement", "Engineer", "Call back"}
	notesZH       = []string{
		"去年的仓库改造由他负责,决定快,但合同必须走集团法务。", "只在下午三点以后方便通话。\n发票抬头以最近一次邮件为准。",
		"对识读速度要求高,验收要带现场测试记录。", "第二供应商是竞品,续约前两个月要主动联系。", "喜欢先看样机,不看演示文稿。",
	}
	notesEN = []string{
		"Signs for the whole group; legal review takes two weeks.", "Prefers calls before ten.\nInvoices go to the Rotterdam office.",
		"Asked for spare parts to be held locally.", "Compares us with one competitor at every renewal.",
	}
	groupNames = []string{"售后服务群", "项目实施群", "新品体验群", "采购对接群", "技术支持群", "经销商交流群"}

	// ways are the platform's numbers for how a contact was added, the usual ones more often.
	ways = []int{1, 1, 1, 1, 2, 3, 3, 4, 4, 6, 9, 16}
)

// pickLanguage chooses by the language of the contact's name.
func pickLanguage[T any](c *intake.Contact, zh, en T) T {
	if latin(c.Name) {
		return en
	}
	return zh
}

func latin(s string) bool { return s != "" && s[0] < 0x80 }

// short is a company's name without city and legal form.
func short(company string) string {
	return strings.TrimSuffix(company, "有限公司")
}

// contact makes up a contact.
func (w *world) contact(id string, isKey bool) intake.Contact {
	c := intake.Contact{ExternalUserID: id, Type: intake.WeChat, Importance: intake.Normal, ChatConsent: intake.Agreed}
	if w.chance(28) {
		c.Name = pick(w.rng, firsts) + " " + pick(w.rng, lasts)
	} else {
		c.Name = pick(w.rng, surnames) + pick(w.rng, given)
	}
	if w.chance(22) {
		c.Type = intake.WeCom
	}
	if c.Type == intake.WeCom || isKey || w.chance(45) { // the platform tells the company of its own users only
		c.Company = pickLanguage(&c,
			pick(w.rng, cities)+pick(w.rng, brands)+pick(w.rng, trades)+"有限公司",
			pick(w.rng, marks)+" "+pick(w.rng, lines)+" "+pick(w.rng, forms))
	}
	if isKey {
		c.Importance = intake.Key
		c.Tags = append(c.Tags, pickLanguage(&c, "重点", "Key account"))
	}
	for range w.rng.IntN(3) {
		t := pick(w.rng, pickLanguage(&c, contactTagsZH, contactTagsEN))
		if len(c.Tags) == 0 || c.Tags[len(c.Tags)-1] != t {
			c.Tags = append(c.Tags, t)
		}
	}
	return c
}

// group makes up a group.
func (w *world) group(id, owner string) {
	g := intake.Group{
		ChatID: id, Owner: owner, MemberCount: 4 + w.rng.IntN(180), Status: intake.GroupNormal,
		Name: pick(w.rng, cities) + pick(w.rng, brands) + pick(w.rng, trades) + pick(w.rng, groupNames),
	}
	if w.chance(15) {
		g.Name = pick(w.rng, marks) + " " + pick(w.rng, lines) + " Support"
	}
	if owner == Lina && w.story {
		g.Status = intake.OwnerLeft
	}
	w.groups = append(w.groups, g)
	w.owned[owner] = append(w.owned[owner], id)
}
