package mask_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/mask"
)

var all = mask.Policy{Phones: true, IDCards: true, BankCards: true}

func TestNumbersAreHidden(t *testing.T) {
	for text, want := range map[string]string{
		"我的手机13800138000，谢谢":       "我的手机138****8000，谢谢",
		"+86 138-0013-8000":        "+86 138-****-8000",
		"１３８００１３８０００":              "１３８****８０００",
		"身份证 11010519491231002X":   "身份证 110105********002X",
		"11010519491231002x。":      "110105********002x。",
		"卡号 4111 1111 1111 1111 的": "卡号 4111 **** **** 1111 的",
		"6222020000000000000":      "6222***********0000",
		"订单 20260302000117 已发货":    "订单 20260302000117 已发货",
		"价格 12800 元，数量 300":        "价格 12800 元，数量 300",
		"4111 1111 1111 1112":      "4111 1111 1111 1112",
		"11010519491331002X":       "11010519491331002X",
		"客服 400-820-8820":          "客服 400-820-8820",
		"13800138000 13900139000":  "138****8000 139****9000", // a blank apart, and still two
		"":                         "",
	} {
		if got := mask.Text(text, all); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
		if got := mask.Text(text, mask.Policy{}); got != text {
			t.Errorf("without a policy %q became %q", text, got)
		}
	}
	if got := mask.Text("13800138000 11010519491231002X", mask.Policy{IDCards: true}); got != "13800138000 110105********002X" {
		t.Errorf("%q", got)
	}
}

func TestMaskingKeepsItsPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`([0-9０-９xX \-a中]{0,30}(1[3-9][0-9]{9})?){0,4}`).Draw(t, "text")
		got := mask.Text(s, all)
		if utf8.RuneCountInString(got) != utf8.RuneCountInString(s) {
			t.Fatalf("%q became %q", s, got)
		}
		if again := mask.Text(got, all); again != got {
			t.Fatalf("%q became %q, then %q", s, got, again)
		}
		if !strings.ContainsAny(s, "0123456789０１２３４５６７８９") && got != s {
			t.Fatalf("%q became %q", s, got)
		}
		phone := rapid.StringMatching(`1[3-9][0-9]{9}`).Draw(t, "phone")
		if got := mask.Text("电话"+phone+"。", all); strings.Contains(got, phone) || got != "电话"+phone[:3]+"****"+phone[7:]+"。" {
			t.Fatalf("%s became %q", phone, got)
		}
	})
}
