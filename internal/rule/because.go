package rule

import (
	"strings"

	"github.com/openhandover/openhandover/internal/fault"
)

// Because puts the code of a choice in words; false: it is not one of ours.
func Because(code string) (fault.Text, bool) {
	if code == "fallback" {
		return fault.T("the fallback of the rules: no rule found anybody who can take it", "规则兜底:没有规则找到可接替的成员"), true
	}
	if rest, ok := strings.CutPrefix(code, "split:"); ok {
		return how(rest)
	}
	rest, ok := strings.CutPrefix(code, "rule:")
	if !ok {
		return fault.Text{}, false
	}
	n, rest, _ := strings.Cut(rest, ":")
	t, ok := how(rest)
	return fault.Text{EN: "rule " + n + ": " + t.EN, ZH: "规则 " + n + ":" + t.ZH}, ok
}

// how puts a method with its detail in words.
func how(code string) (fault.Text, bool) {
	method, detail, _ := strings.Cut(code, ":")
	switch Method(method) {
	case ToMember:
		return fault.T("the member it names", "指定成员"), true
	case Even:
		return fault.T("shared evenly", "平均分配"), true
	case LeastLoaded:
		return fault.T("who has the least to look after (%s before this)", "分配给当前负责最少的成员(此前 %s 个)", detail), true
	case Weighted:
		return fault.T("shared by weight (%s)", "按权重分配(%s)", detail), true
	case Manager:
		return fault.T("the leaver's manager", "离开成员的上级"), true
	case EarlierRelationship:
		return fault.T("looked after it before, or follows it too", "此前负责过或同样在跟进该对象的成员"), true
	}
	return fault.Text{}, false
}
