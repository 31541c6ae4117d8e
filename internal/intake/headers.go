package intake

import (
	"strings"

	"github.com/openhandover/openhandover/internal/name"
)

// column is one column that an import file may have.
type column struct {
	// name is ours, and the one in reports.
	name     string
	required bool
	// also lists other headers that mean the column. Where a file has several of
	// them, ours wins, then the order of this list; the others are ignored and
	// reported. So 添加人账号, an id, comes before 添加人, which may hold a name.
	also []string
}

// headers is the complete table of what is understood, file by file. English
// headers are those of the import format and of the platform's API; Chinese ones
// those of the platform's console, which spells 账号 in some places 帐号.
// Headers are compared without case, blanks, hyphens, underscores and marks of
// required columns.
var headers = map[string][]column{
	DepartmentsFile: {
		{"id", true, []string{"department_id", "部门id", "部门编号"}},
		{"name", true, []string{"department_name", "部门名称", "部门", "名称"}},
		{"parent_id", false, []string{"上级部门id", "父部门id", "上级部门", "父部门"}},
		{"manager_userid", false, []string{"department_leader", "部门负责人账号", "部门负责人帐号", "负责人账号", "负责人帐号", "部门负责人", "负责人"}},
	},
	MembersFile: {
		{"userid", true, []string{"账号", "帐号", "成员账号", "成员帐号", "成员id", "员工账号", "员工帐号"}},
		{"name", true, []string{"姓名", "成员姓名", "成员名称", "成员"}},
		{"department_ids", true, []string{"department", "departments", "department_id", "部门id", "所属部门id", "部门", "所属部门"}},
		{"status", false, []string{"状态", "成员状态", "激活状态", "账号状态", "帐号状态"}},
		{"customer_contact", false, []string{"客户联系", "客户联系功能", "客户联系权限"}},
		{"contact_limit", false, []string{"客户上限", "客户数上限", "客户数量上限"}},
		{"departed_at", false, []string{"离职时间", "退出时间"}},
		{"last_login_at", false, []string{"最后登录时间", "最近登录时间", "上次登录时间", "最后活跃时间"}},
		{"last_day", false, []string{"最后工作日", "最后工作日期", "预计离职日期", "离职日期"}},
	},
	ContactsFile: {
		{"external_userid", true, []string{"客户id", "外部联系人id", "客户账号", "客户帐号"}},
		{"name", true, []string{"客户名称", "客户姓名", "客户昵称", "客户", "外部联系人", "姓名", "名称"}},
		{"type", false, []string{"客户类型", "类型"}},
		{"company", false, []string{"corp_name", "企业", "企业名称", "公司", "公司名称", "客户企业", "所在企业"}},
		{"importance", false, []string{"重要程度", "重要性", "客户级别", "客户等级"}},
		{"tags", false, []string{"标签", "客户标签", "企业标签"}},
		{"accountable_userid", false, []string{"负责人账号", "负责人帐号", "负责人"}},
		{"chat_consent", false, []string{"agree_status", "存档同意", "会话存档同意", "同意会话存档", "同意情况"}},
	},
	FollowsFile: {
		{"userid", true, []string{"添加人账号", "添加人帐号", "跟进人账号", "跟进人帐号", "成员账号", "成员帐号", "账号", "帐号", "添加人", "跟进人", "跟进成员"}},
		{"external_userid", true, []string{"客户id", "外部联系人id", "客户账号", "客户帐号", "客户"}},
		{"since", true, []string{"create_time", "添加时间", "添加日期", "跟进时间"}},
		{"remark", false, []string{"备注", "备注名", "客户备注"}},
		{"description", false, []string{"描述", "客户描述", "备注描述"}},
		{"tags", false, []string{"标签", "客户标签", "企业标签", "个人标签"}},
		{"add_way", false, []string{"来源", "添加方式", "添加渠道", "客户来源"}},
	},
	GroupsFile: {
		{"chat_id", true, []string{"群id", "群聊id", "客户群id"}},
		{"name", true, []string{"群名", "群名称", "群聊名称", "客户群名称"}},
		{"owner_userid", true, []string{"owner", "群主账号", "群主帐号", "群主id", "群主"}},
		{"member_count", false, []string{"群人数", "群成员数", "群成员人数", "总人数", "人数"}},
		{"status", false, []string{"群状态", "状态", "继承状态", "跟进状态"}},
	},
}

// header brings a header to the form in which headers are compared.
func header(s string) string {
	s = name.Fold(strings.TrimSpace(s))
	for _, mark := range []string{"(required)", "(必填)", "（必填）"} {
		s = strings.TrimSuffix(s, mark)
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("*＊_- \t\u3000", r) {
			return -1
		}
		return r
	}, s)
}

// layout is where the columns of one file stand.
type layout struct {
	// at gives the position of each column that the file has, by our name.
	at map[string]int
	// names gives our name for each position, or the header where it means nothing to us.
	names []string
	// ignored lists the headers that mean nothing to us, or the same as a better one.
	ignored []string
	// twice and missing list headers that stand twice and required columns without one.
	twice, missing []string
}

// match finds the columns of a file in its header row.
func match(file string, row []string) layout {
	l := layout{at: map[string]int{}, names: make([]string, len(row))}
	position := make(map[string]int, len(row))
	for i, h := range row {
		l.names[i] = h
		if k := header(h); k != "" {
			if _, ok := position[k]; ok {
				l.twice = append(l.twice, h)
				continue
			}
			position[k] = i
		}
	}
	used := make([]bool, len(row))
	for _, c := range headers[file] {
		for _, h := range append([]string{c.name}, c.also...) {
			if i, ok := position[header(h)]; ok && !used[i] {
				l.at[c.name], l.names[i], used[i] = i, c.name, true
				break
			}
		}
		if _, ok := l.at[c.name]; !ok && c.required {
			l.missing = append(l.missing, c.name)
		}
	}
	for i, h := range row {
		if !used[i] && header(h) != "" {
			l.ignored = append(l.ignored, h)
		}
	}
	return l
}

// Header is a header that an import understands for one of its columns, by our name:
// the one of the language, so that what is exported can be read again.
func Header(file, column, lang string) string {
	if lang == "zh-CN" {
		return usual(file, column)
	}
	return column
}

// usual gives the Chinese header that a message in Chinese names beside ours.
func usual(file, name string) string {
	for _, c := range headers[file] {
		if c.name == name {
			for _, h := range c.also {
				if h[0] >= 0x80 {
					return h
				}
			}
		}
	}
	return name
}
