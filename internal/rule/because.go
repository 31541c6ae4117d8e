package rule

import (
	"fmt"
	"strings"

	"github.com/openhandover/openhandover/internal/fault"
)

// Because puts the code of a choice in words; false: it is not one of ours.
func Because(code string) (fault.Text, bool) {
	code, passed, some := strings.Cut(code, passedOver)
	t, ok := because(code, some)
	if !some || !ok {
		return t, ok
	}
	list := strings.ReplaceAll(passed, ",", ", ")
	en := fmt.Sprintf("%s; rule %s is for it too, but found nobody who can take it", t.EN, list)
	if strings.Contains(passed, ",") {
		en = fmt.Sprintf("%s; rules %s are for it too, but found nobody who can take it", t.EN, list)
	}
	return fault.Text{EN: en, ZH: fmt.Sprintf("%s；规则 %s 也适用，但没有找到可接替的成员", t.ZH, strings.ReplaceAll(passed, ",", "、"))}, true
}

// passedOver stands in a code before the numbers of the rules that match the item, come
// before the one that decided, and found nobody.
const passedOver = ";passed:"

func because(code string, passed bool) (fault.Text, bool) {
	if code == "fallback" && passed {
		return fault.T("the fallback of the rules", "规则兜底成员"), true
	}
	if code == "fallback" {
		return fault.T("the fallback of the rules: no rule is for it", "规则兜底成员：没有适用的规则"), true
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
	return fault.Text{EN: "rule " + n + ": " + t.EN, ZH: "规则 " + n + "：" + t.ZH}, ok
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
		return fault.T("of those who can take it, has the least to look after (%s before this)", "可接替的成员中当前负责最少（此前 %s 个）", detail), true
	case Weighted:
		return fault.T("shared by weight (%s among those who can take it)", "在可接替的成员中按权重分配（%s）", detail), true
	case Manager:
		return fault.T("the leaver's nearest manager who can take it", "离职成员最近的、可接替的上级"), true
	case EarlierRelationship:
		if detail == follows {
			return fault.T("follows it too", "同样在跟进该客户的成员"), true
		}
		return fault.T("looked after it before", "此前负责过该对象的成员"), true
	}
	return fault.Text{}, false
}
