package intake

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
)

// The words of cells, lower case: those of the import format, those of the
// platform's console and the numbers of its API.
var (
	booleans = map[string]bool{
		"true": true, "1": true, "yes": true, "y": true, "on": true, "是": true, "有": true, "开启": true, "已开启": true, "启用": true, "已启用": true,
		"false": false, "0": false, "no": false, "n": false, "off": false, "否": false, "无": false, "关闭": false, "已关闭": false, "停用": false, "未启用": false, "未开启": false,
	}
	statuses = map[string]Status{
		"active": Active, "1": Active, "在职": Active, "已激活": Active, "正常": Active, "启用": Active,
		"leaving": Leaving, "离职中": Leaving, "待离职": Leaving, "即将离职": Leaving,
		"disabled": Disabled, "2": Disabled, "已禁用": Disabled, "禁用": Disabled, "停用": Disabled, "已停用": Disabled,
		"departed": Departed, "5": Departed, "已离职": Departed, "离职": Departed, "退出企业": Departed, "已退出": Departed,
		"inactive": Inactive, "4": Inactive, "未激活": Inactive,
	}
	contactTypes = map[string]string{
		"wechat": WeChat, "1": WeChat, "微信": WeChat, "微信用户": WeChat, "微信客户": WeChat,
		"wecom": WeCom, "2": WeCom, "企业微信": WeCom, "企业微信用户": WeCom, "企业微信客户": WeCom,
		"other": OtherType, "其他": OtherType, "其它": OtherType,
	}
	importances = map[string]string{
		"normal": Normal, "普通": Normal, "普通客户": Normal, "一般": Normal,
		"key": Key, "重要": Key, "重要客户": Key, "重点": Key, "重点客户": Key, "vip": Key,
	}
	consents = map[string]string{
		"unknown": ConsentUnknown, "未知": ConsentUnknown, "未确认": ConsentUnknown,
		"agreed": Agreed, "agree": Agreed, "default_agree": Agreed, "同意": Agreed, "已同意": Agreed, "默认同意": Agreed,
		"refused": Refused, "disagree": Refused, "不同意": Refused, "拒绝": Refused, "已拒绝": Refused,
	}
	groupStatuses = map[string]string{
		"normal": GroupNormal, "0": GroupNormal, "正常": GroupNormal, "跟进人正常": GroupNormal,
		"owner_left": OwnerLeft, "1": OwnerLeft, "跟进人离职": OwnerLeft, "群主离职": OwnerLeft, "群主已离职": OwnerLeft,
		"inheriting": Inheriting, "2": Inheriting, "离职继承中": Inheriting, "继承中": Inheriting,
		"inherited": Inherited, "3": Inherited, "离职继承完成": Inherited, "继承完成": Inherited,
	}
	// addWays are the console's words for the API's numbers, which are accepted too.
	addWays = map[string]int{
		"未知来源": 0, "扫描二维码": 1, "扫描名片二维码": 1, "搜索手机号": 2, "名片分享": 3, "群聊": 4, "手机通讯录": 5, "微信联系人": 6, "微信好友": 6,
		"安装第三方应用时自动添加的客服人员": 8, "搜索邮箱": 9, "视频号添加": 10, "视频号": 10, "通过日程参与人添加": 11, "通过会议参与人添加": 12,
		"添加微信好友对应的企业微信": 13, "通过智慧硬件专属客服添加": 14, "通过上门服务客服添加": 15, "通过获客链接添加": 16, "获客助手": 16,
		"通过定制开发添加": 17, "通过需求回复添加": 18, "内部成员共享": 201, "管理员/负责人分配": 202, "管理员分配": 202,
	}
)

// timeForms are the spellings of a moment that bear no zone. The first two of
// each kind are ours, the ones with slashes those of spreadsheets.
var timeForms = []string{
	"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", "2006-01-02T15:04:05",
	"2006/1/2 15:04", "2006/1/2 15:04:05", "2006/1/2",
}

// earliest is before anything the platform or any system it replaced recorded. A
// date below it is a spreadsheet's number or a zero, not a date.
var earliest = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)

// moment reads a time: RFC 3339, or one of timeForms in the given zone.
func moment(s string, zone *time.Location) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	for i := 0; err != nil && i < len(timeForms); i++ {
		t, err = time.ParseInLocation(timeForms[i], s, zone)
	}
	t = t.UTC().Truncate(time.Microsecond)
	return t, err == nil && !t.Before(earliest) && t.Year() <= 9999
}

// day reads a date and gives it as YYYY-MM-DD.
func day(s string) (string, bool) {
	for _, form := range []string{time.DateOnly, "2006/1/2"} {
		if t, err := time.Parse(form, s); err == nil {
			return t.Format(time.DateOnly), !t.Before(earliest)
		}
	}
	return "", false
}

// number reads a whole number from 0.
func number(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil
}

// list splits at semicolons, of either width, and drops blanks and repetitions.
func list(s string) []string {
	var out []string
	for p := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ';' || r == '；' }) {
		if p = strings.TrimSpace(p); p != "" && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// maxID is the longest external id in bytes. The platform's have 64 at most.
const maxID = 128

// checkID says whether s may be an external id: a name without blanks and
// semicolons, which would not survive a list.
func checkID(s string) (fault.Text, bool) {
	switch {
	case s == "":
		return fault.T("is missing", "缺失"), false
	case len(s) > maxID:
		return fault.T("has %d bytes; %d are allowed", "共 %d 字节,最多允许 %d 字节", len(s), maxID), false
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == ';' || r == '；' }):
		return fault.T("contains a blank or a semicolon, which an id cannot", "含有空格或分号,标识中不允许"), false
	}
	return name.Check(s)
}

// show quotes a cell for a message: short, and with nothing in it that a terminal obeys.
func show(s string) string {
	const most = 40
	n := 0
	for i := range s {
		if n++; n > most {
			return strconv.Quote(s[:i]) + "…"
		}
	}
	return strconv.Quote(s)
}
