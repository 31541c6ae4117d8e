package demo

import (
	"slices"

	"github.com/openhandover/openhandover/internal/intake"
)

var departments = []intake.Department{
	{ID: "1", Name: "云岫智能设备", Manager: "gaojie"},
	{ID: "10", Name: "总经办", Parent: "1", Manager: "gaojie"},
	{ID: East, Name: "华东销售部", Parent: "1", Manager: "zhoujing"},
	{ID: "21", Name: "上海组", Parent: East, Manager: "yaoqian"},
	{ID: "22", Name: "杭州组", Parent: East},
	{ID: "23", Name: "南京组", Parent: East},
	{ID: "30", Name: "华北销售部", Parent: "1", Manager: "weidong"},
	{ID: "31", Name: "北京组", Parent: "30"},
	{ID: "32", Name: "天津组", Parent: "30"},
	{ID: "40", Name: "华南销售部", Parent: "1", Manager: "liangyi"},
	{ID: "41", Name: "深圳组", Parent: "40"},
	{ID: "42", Name: "广州组", Parent: "40"},
	{ID: "50", Name: "客户成功部", Parent: "1", Manager: "emma.clarke"},
	{ID: "51", Name: "重点客户组", Parent: "50"},
	{ID: "52", Name: "International Accounts", Parent: "50", Manager: "emma.clarke"},
	{ID: "60", Name: "合规与审计部", Parent: "1", Manager: "fanghua"},
}

// person is a row of people: who, and in which department.
type person struct{ userID, name, department string }

var people = []person{
	{"gaojie", "高洁", "10"}, {"dengkai", "邓凯", "10"}, {"grace.turner", "Grace Turner", "10"},

	{"zhoujing", "周静", East}, {"linxiao", "林晓", East},
	{Lina, "李娜", "21"}, {"sunpeng", "孙鹏", "21"}, {"hejun", "何俊", "21"}, {"yaoqian", "姚倩", "21"}, {"jinlei", "金磊", "21"}, {"shenmo", "沈墨", "21"}, {"wuyue", "吴悦", "21"},
	{Chenwei, "陈伟", "22"}, {"luheng", "陆衡", "22"}, {"qianyi", "钱怡", "22"}, {"zhuting", "朱汀", "22"}, {"leo.hartmann", "Leo Hartmann", "22"}, {"xufan", "徐凡", "22"},
	{"hanxue", "韩雪", "23"}, {"caohui", "曹辉", "23"}, {"dingyi", "丁一", "23"}, {"jiangnan", "江楠", "23"}, {"pengfei", "彭飞", "23"},

	{"weidong", "魏东", "30"}, {"xiejun", "谢军", "31"}, {"panting", "潘婷", "31"}, {"dongxu", "董旭", "31"}, {"nina.petrova", "Nina Petrova", "31"}, {"yuanye", "袁野", "31"},
	{"duanrui", "段睿", "32"}, {"houbin", "侯斌", "32"}, {"mengqi", "孟琪", "32"}, {"baiyu", "白宇", "32"},

	{"liangyi", "梁毅", "40"}, {"maolin", "毛琳", "41"}, {"qiuyang", "邱洋", "41"}, {"tanwei", "谭薇", "41"}, {"kevin.osei", "Kevin Osei", "41"}, {"fuxin", "傅欣", "41"}, {"guochen", "郭晨", "41"},
	{"luoyan", "罗燕", "42"}, {"huangshan", "黄杉", "42"}, {"zengli", "曾立", "42"}, {"xiaohe", "萧禾", "42"}, {"lijun", "黎钧", "42"},

	{"emma.clarke", "Emma Clarke", "50"}, {"songning", "宋宁", "51"}, {"taoran", "陶然", "51"}, {"renjie", "任杰", "51"}, {"kongwei", "孔维", "51"},
	{"martin.keller", "Martin Keller", "52"}, {"sophie.laurent", "Sophie Laurent", "52"}, {"daniel.ito", "Daniel Ito", "52"}, {"aisha.rahman", "Aisha Rahman", "52"}, {"pavel.novak", "Pavel Novák", "52"},

	{"fanghua", "方华", "60"}, {"xueming", "薛明", "60"}, {"tangyu", "唐瑜", "60"}, {"yinhao", "尹浩", "60"}, {"lucy.bennett", "Lucy Bennett", "60"},
}

var otherDepartments = []intake.Department{
	{ID: "1", Name: "禾木医疗器械", Manager: "shaoning"},
	{ID: "2", Name: "销售部", Parent: "1", Manager: "shaoning"},
	{ID: "3", Name: "服务部", Parent: "1"},
}

var otherPeople = []person{
	{"shaoning", "邵宁", "1"}, {Lina, "李娜", "2"}, {"yuhao", "俞浩", "2"}, {"oscar.lind", "Oscar Lind", "2"}, {"peiyi", "裴怡", "2"},
	{"mengjia", "孟佳", "2"}, {"jiangtao", "姜涛", "3"}, {"fenglei", "冯蕾", "3"}, {"olivia.hughes", "Olivia Hughes", "3"}, {"yanbo", "严博", "3"},
}

// newcomer has not yet activated the account and follows nobody.
const newcomer = "pengfei"

// allotment is what a member who plays a part in the story has, exactly.
type allotment struct {
	userID                string
	contacts, key, groups int
	// days is for how long the newest contact has been followed.
	days int
}

// old is how many days before today everything that Past moves had begun.
const old = 240

var fixed = []allotment{
	{Lina, LinaContacts, LinaKeyContacts, LinaGroups, 20},
	{Chenwei, ChenweiContacts, 31, 22, 3},
	{"sunpeng", 24, 0, 3, old},
	{"martin.keller", 36, 5, 2, old},
	{"luoyan", 48, 0, 4, old},
	{"xiejun", 40, 0, 3, old},
	{"maolin", 38, 4, 3, old},
	{"hejun", 32, 2, 2, old},
}

// deskDepartments have nothing to do with contacts.
var deskDepartments = []string{"10", "60"}

// ordinary lists who shares the contacts that are not allotted.
func ordinary() (out []string) {
	for _, p := range people {
		allotted := slices.ContainsFunc(fixed, func(a allotment) bool { return a.userID == p.userID })
		if !allotted && p.userID != newcomer && !slices.Contains(deskDepartments, p.department) {
			out = append(out, p.userID)
		}
	}
	return out
}
