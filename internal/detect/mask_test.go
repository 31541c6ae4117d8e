package detect_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/detect"
)

var everything = detect.Policy{Phones: true, IDCards: true, BankCards: true}

func TestMask(t *testing.T) {
	for s, want := range map[string]string{
		"手机13800000678，谢谢":        "手机138****0678，谢谢",
		"+86 138-0000-0678":       "+86 138-****-0678",
		"8613800000678":           "86138****0678",
		"１３８０００００６７８":             "１３８＊＊＊＊０６７８",
		"一三八〇〇〇〇〇六七八":             "一三八＊＊＊＊〇六七八",
		"138\u200b0\u200b0000678": "138\u200b＊****0678",
		"13吧00000678":             "13＊****0678",
		"身份证 11010519491231002X。": "身份证 110105********002X。",
		"11010519491331002X":      "11010519491331002X", // no 33rd of a month 13
		"11010519491231003X":      "11010519491231003X", // another check character
		"4111 1111 1111 1111":     "4111 **** **** 1111",
		"4111 1111 1111 1112":     "4111 1111 1111 1112",
		"call +44 7700 900123":    "call +44 77** **0123",
		"010-5555 0123":           "010-**** 0123",
		"订单 20260309000117 已发":    "订单 20260309000117 已发",
		"13800000678 13900000679": "138****0678 139****0679",
		"价格 12800 元":              "价格 12800 元",
		"":                        "",
	} {
		got, spans := detect.Mask(s, everything)
		if got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
		if (got != s) != (len(spans) > 0) {
			t.Errorf("%q: %v", s, spans)
		}
	}
}

func TestMaskHidesWhatThePolicyNames(t *testing.T) {
	s := "13800000678，11010519491231002X，4111 1111 1111 1111"
	for _, c := range []struct {
		policy detect.Policy
		want   string
	}{
		{detect.Policy{}, s},
		{detect.Policy{Phones: true}, "138****0678，11010519491231002X，4111 1111 1111 1111"},
		{detect.Policy{IDCards: true}, "13800000678，110105********002X，4111 1111 1111 1111"},
		{detect.Policy{BankCards: true}, "13800000678，11010519491231002X，4111 **** **** 1111"},
	} {
		if got, _ := detect.Mask(s, c.policy); got != c.want {
			t.Errorf("%+v: %q", c.policy, got)
		}
	}
}

// TestMaskKeepsNothingOfTheMiddle writes numbers in many ways among other words.
func TestMaskKeepsNothingOfTheMiddle(t *testing.T) {
	ways := []func(string) string{
		func(d string) string { return d },
		func(d string) string { return d[:3] + " " + d[3:7] + "-" + d[7:] },
		func(d string) string { return strings.Join(strings.Split(d, ""), "\u200b") },
		func(d string) string { return strings.Join(strings.Split(d, ""), " ") },
		func(d string) string { return each(d, "０１２３４５６７８９") },
		func(d string) string { return each(d, "零一二三四五六七八九") },
		func(d string) string { return each(d, "⓪①②③④⑤⑥⑦⑧⑨") },
		func(d string) string { return strings.Join(strings.Split(d, ""), "\ufe0f\u20e3") + "\ufe0f\u20e3" },
	}
	around := rapid.SampledFrom([]string{"", "电话", "call ", "是我的，", "\n", " x "})
	rapid.Check(t, func(t *rapid.T) {
		middle := rapid.StringMatching(`[0-9]{4}`).Draw(t, "middle")
		number := "13" + rapid.StringMatching(`[0-9]`).Draw(t, "third") + middle + rapid.StringMatching(`[0-9]{4}`).Draw(t, "tail")
		way := rapid.IntRange(0, len(ways)-1).Draw(t, "way")
		head, tail := around.Draw(t, "head"), around.Draw(t, "end")
		s := head + ways[way](number) + tail
		got, spans := detect.Mask(s, everything)
		if len(spans) != 1 || len(got) != len(s) {
			t.Fatalf("%q: %q %v", s, got, spans)
		}
		if kept := ascii(got); kept != number[:3]+number[7:] {
			t.Fatalf("%q: %q keeps %s", s, got, kept)
		}
		if ascii(got[:spans[0].Start])+ascii(got[spans[0].End:]) != "" || !strings.HasPrefix(got, head) || !strings.HasSuffix(got, tail) {
			t.Fatalf("%q: %q changed beside %v", s, got, spans)
		}
	})
}

// each writes ASCII digits with others.
func each(digits, others string) string {
	o := []rune(others)
	return strings.Map(func(c rune) rune { return o[c-'0'] }, digits)
}

// ascii are the digits that a reader still sees.
func ascii(s string) string {
	var b strings.Builder
	for _, c := range s {
		for _, set := range []string{"0123456789", "０１２３４５６７８９", "零一二三四五六七八九", "⓪①②③④⑤⑥⑦⑧⑨"} {
			if i := strings.IndexRune(set, c); i >= 0 {
				b.WriteByte(byte('0' + len([]rune(set[:i]))))
			}
		}
	}
	return b.String()
}

func TestMaskTwiceIsMaskOnce(t *testing.T) {
	pieces := rapid.SampledFrom([]string{"138", "0000", "0678", "1", "4111", "1111", "11010519491231002", "X", "13800000678", " ", "-", "*", "****", "＊", "+", "0", "010", "吧", "一", "八", "one ", "\u200b", "x", "，", "86", "\n", "6222020000000000000", "(", "."})
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOfN(pieces, 0, 30).Draw(t, "pieces"), "")
		once, spans := detect.Mask(s, everything)
		if twice, more := detect.Mask(once, everything); twice != once || len(more) > 0 {
			t.Fatalf("%q\n%q %v\n%q", s, once, spans, twice)
		}
	})
}

func TestMaskLeavesTextWithoutNumbersAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[a-zA-Z 您好茶叶，。\-*]{0,60}`).Draw(t, "text")
		if got, spans := detect.Mask(s, everything); got != s || spans != nil {
			t.Fatalf("%q: %q %v", s, got, spans)
		}
	})
}
