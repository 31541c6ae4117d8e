package intake

import (
	"github.com/openhandover/openhandover/internal/fault"
)

// department reads a row of departments.csv. Like the readers below it reports
// only what cannot be converted; the rules are in check.go, for they hold
// wherever a value comes from.
func (r *record) department() Department {
	d := Department{ID: r.cell("id"), Name: r.exact("name"), Parent: r.cell("parent_id"), Manager: r.cell("manager_userid")}
	if d.Parent == "0" {
		d.Parent = "" // the platform writes 0 above the root
	}
	return d
}

// member reads a row of members.csv.
func (r *record) member(known *Known) Member {
	m := Member{
		UserID: r.cell("userid"), Name: r.exact("name"), Departments: r.list("department_ids"),
		CustomerContact: word(r, "customer_contact", booleans, true, "true, false, 是, 否"),
		ContactLimit:    r.number("contact_limit", DefaultContactLimit),
		DepartedAt:      r.moment("departed_at"),
		LoginAt:         r.moment("last_login_at"),
	}
	now := Active
	if known != nil && known.Members[m.UserID].Status != "" {
		now = known.Members[m.UserID].Status
	}
	m.Status = word(r, "status", statuses, now, "active, leaving, disabled, departed, inactive, 在职, 离职中, 已禁用, 已离职, 未激活")
	if s := r.cell("last_day"); s != "" {
		var ok bool
		if m.LastDay, ok = day(s); !ok {
			r.bad("last_day", fault.T("%s is not a date: write 2006-01-02", "%s 不是有效的日期:请写成 2006-01-02", show(s)))
		}
	}
	return m
}

// contact reads a row of contacts.csv.
func (r *record) contact() Contact {
	return Contact{
		ExternalUserID: r.cell("external_userid"), Name: r.exact("name"), Company: r.text("company"),
		Type:       word(r, "type", contactTypes, WeChat, "wechat, wecom, other, 微信, 企业微信, 其他"),
		Importance: word(r, "importance", importances, Normal, "normal, key, 普通, 重要"),
		Tags:       r.list("tags"), Accountable: r.cell("accountable_userid"),
		ChatConsent: word(r, "chat_consent", consents, ConsentUnknown, "agreed, refused, unknown, 同意, 不同意, 未知"),
	}
}

// follow reads a row of follows.csv.
func (r *record) follow() Follow {
	f := Follow{
		UserID: r.cell("userid"), ExternalUserID: r.cell("external_userid"), Since: r.moment("since"),
		Remark: r.text("remark"), Description: r.text("description"), Tags: r.list("tags"),
	}
	if s := r.cell("add_way"); s != "" {
		n, ok := addWays[s]
		if !ok {
			n, ok = number(s)
		}
		if f.AddWay = n; !ok {
			r.bad("add_way", fault.T("%s is neither a number of the platform nor a source its console names", "%s 既不是平台的来源编号,也不是后台使用的来源名称", show(s)))
		}
	}
	return f
}

// group reads a row of groups.csv.
func (r *record) group() Group {
	return Group{
		ChatID: r.cell("chat_id"), Name: r.exact("name"), Owner: r.cell("owner_userid"), MemberCount: r.number("member_count", 0),
		Status: word(r, "status", groupStatuses, GroupNormal, "normal, owner_left, inheriting, inherited, 正常, 跟进人离职, 离职继承中, 离职继承完成"),
	}
}
