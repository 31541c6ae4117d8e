package detect_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/openhandover/openhandover/internal/detect"
)

func text(s string) detect.Message { return detect.Message{Kind: "TEXT", Text: s} }

func TestSpansAreOfTheTextAsWritten(t *testing.T) {
	d := detect.New(own)
	for _, c := range []struct {
		text string
		by   detect.Name
		span string
	}{
		{"我的wx：huang_demo_88。", detect.WeChat, "huang_demo_88"},
		{"ｖｘ：ｂａｉｙｕｎ＿００７！", detect.WeChat, "ｂａｉｙｕｎ＿００７"},
		{"QQ:壹贰叁肆伍陆柒，", detect.QQ, "壹贰叁肆伍陆柒"},
		{"打1️⃣3️⃣9️⃣0️⃣0️⃣0️⃣0️⃣0️⃣5️⃣5️⃣5️⃣吧", detect.Phone, "1️⃣3️⃣9️⃣0️⃣0️⃣0️⃣0️⃣0️⃣5️⃣5️⃣5️⃣"},
		{"13\u200b900000666 call me", detect.Phone, "13\u200b900000666"},
		{"周三13900000666打我", detect.Phone, "13900000666"},
		{"see +44 7700 900123 now", detect.Phone, "44 7700 900123"},
		{"mail madeup_zhao_88 艾特 163 点 com ok", detect.Email, "madeup_zhao_88 艾特 163 点 com"},
		{"店 https://shop.example.org/a?b=1 看", detect.Link, "https://shop.example.org/a?b=1"},
	} {
		found := false
		for _, f := range d.Message(text(c.text)) {
			if f.Detector == c.by && f.Field == detect.InText {
				found = true
				if got := c.text[f.Span.Start:f.Span.End]; got != c.span {
					t.Errorf("%s in %q: %q", c.by, c.text, got)
				}
			}
		}
		if !found {
			t.Errorf("%s: nothing found in %q", c.by, c.text)
		}
	}
}

func TestTheCompanysOwnIsNoFinding(t *testing.T) {
	d := detect.New(detect.Own{
		Domains: []string{"Qingshan.example"}, Addresses: []string{"Boss.Demo@gmail.com"},
		Phones: []string{"+86 138-0000-0001", "010-5555 0123"}, Accounts: []string{"QingShan_kefu"}, Names: []string{"王接班"},
	})
	for _, m := range []detect.Message{
		text("打我电话13800000001"), text("我的手机 +86 138 0000 0001"), text("一三八零零零零零零零一"),
		text("我的邮箱 boss.demo@gmail.com"), text("my mail x@cn.qingshan.example"), text("https://shop.qingshan.example/a"),
		text("微信：qingshan_kefu"), {Kind: "CARD", Text: "王接班"}, {Kind: "FILE", Attachment: "王接班.vcf"},
	} {
		if got := d.Message(m); len(got) > 0 {
			t.Errorf("%+v: %+v", m, got)
		}
	}
	if len(d.Message(text("https://qingshan.example.evil.example.net/a"))) == 0 {
		t.Error("a domain that only begins like the company's counts as its own")
	}
}

func TestAReasonNeverRepeatsWhatWasFound(t *testing.T) {
	d := detect.New(detect.Own{})
	lines(t, "testdata/messages.jsonl", func(m labelled, _ bool) {
		at := time.Unix(1_770_000_000, 0).UTC()
		for _, f := range d.Message(detect.Message{Kind: m.Kind, Text: m.Text, Attachment: m.Attachment, Mime: m.Mime, FromContact: m.FromContact, SentAt: at}) {
			if f.Why.EN == "" || f.Why.ZH == "" || strings.Contains(f.Why.EN, "%!") || !f.At.Equal(at) {
				t.Errorf("%+v", f)
			}
			if f.Detector == detect.Invite || f.Detector == detect.QR || f.Field != detect.InText {
				continue
			}
			if s := m.Text[f.Span.Start:f.Span.End]; strings.Contains(f.Why.EN, s) || strings.Contains(f.Why.ZH, s) {
				t.Errorf("%q is in the reason %q", s, f.Why.EN)
			}
		}
	})
}

func TestKindsAreThoseOfTheAPI(t *testing.T) {
	kinds := []string{"PERSONAL_ACCOUNT", "CONTACT_CARD", "PHONE_NUMBER", "QR_CODE", "OUTSIDE_LINK", "EXPORT_BEFORE_LEAVING"}
	seen := map[string]bool{}
	for _, n := range detect.Names() {
		seen[n.Kind()] = true
		if !slices.Contains(kinds, n.Kind()) {
			t.Errorf("%s is shown as %s", n, n.Kind())
		}
	}
	if len(seen) != len(kinds) {
		t.Errorf("no detector for one of %v: %v", kinds, seen)
	}
}

func TestBeforeLeaving(t *testing.T) {
	quiet := make([]detect.Day, 30)
	for i := range quiet {
		quiet[i] = detect.Day{Exports: 1, Rows: 100, Reads: 50}
	}
	busy := slices.Clone(quiet)
	busy[3], busy[9] = detect.Day{Rows: 5000}, detect.Day{Rows: 4000}
	odd := slices.Clone(quiet)
	odd[3] = detect.Day{Rows: 100_000} // one odd day is no custom
	for _, c := range []struct {
		name   string
		day    detect.Day
		before []detect.Day
		least  float64 // 0: no finding
	}{
		{"nothing done", detect.Day{}, quiet, 0},
		{"what anybody may", detect.Day{Exports: 2, Rows: 200, Reads: 400}, quiet, 0},
		{"three times", detect.Day{Rows: 600}, quiet, 0.75},
		{"ten times", detect.Day{Rows: 2000}, quiet, 0.92},
		{"as much as was usual", detect.Day{Rows: 5000}, busy, 0},
		{"after one odd day", detect.Day{Rows: 5000}, odd, 0.9},
		{"somebody new, a little", detect.Day{Rows: 700}, quiet[:3], 0},
		{"somebody new, much", detect.Day{Rows: 9000}, quiet[:3], 0.7},
	} {
		f, ok := detect.BeforeLeaving(c.day, c.before)
		if ok != (c.least > 0) || f.Score < c.least || f.Score > 1 {
			t.Errorf("%s: %v %v", c.name, ok, f)
		}
		if ok && (f.Detector != detect.Export || f.Why.EN == "" || f.Why.ZH == "") {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}

// hostile are texts in which a careless scan would look at much for each character.
var hostile = map[string]string{
	"plain Chinese": "您好今天茶叶已经到仓库了明天发货", "plain English": "the parcel ships tomorrow morning, thank you ",
	"digits": "1", "digits apart": "1 ", "mobiles": "13800000123 ", "luhn": "4111 1111 1111 1111 ", "wechat": "微信", "letters": "加", "adds": "加我微信 ", "skipped": "微.", "v": "加 v ",
	"ids": "wx:a_1234567 ", "one id": "a_", "hosts": "a.com.", "ats": "a@", "at words": "a at ", "links": "https://a.example/x ", "wxid": "wxid_abcdef12 ", "spelled": "one ",
	"Chinese digits": "一", "sound-alikes": "1吧", "scan": "扫码加我", "private": "我私人微信号", "stars": "1*", "zero width": "1\u200b", "expanding": "\ufdfa", "marks": "a\u0301\u0301\u0301",
	"keycaps": "1️⃣", "invalid": "\xff\xfe1", "full": "１３８", "dots": "a点", "clauses": "加我。", "leave": "离职加我微信", "qq": "qq 12345 ", "before": "abc_123是我微信", "cyrillic": "ѵх：",
}

// TestTimeIsLinear compares the processor time of a text with that of one eight times as
// long; what grew with the square would take 64 times as long, and the limit lies between.
func TestTimeIsLinear(t *testing.T) {
	d := detect.New(own)
	for name, s := range hostile {
		short := strings.Repeat(s, max(1, 32<<10/len(s)))
		long := strings.Repeat(short, 8)
		a, b := fastest(d, short), fastest(d, long)
		if b > 30*a+2*time.Millisecond {
			t.Errorf("%s: %v for %d bytes, %v for %d", name, a, len(short), b, len(long))
		}
	}
}

func fastest(d *detect.Detector, s string) time.Duration {
	best := time.Hour
	for range 4 {
		at := spent()
		d.Message(text(s))
		detect.Mask(s, everything)
		best = min(best, spent()-at)
	}
	return best
}

func BenchmarkMessage64KB(b *testing.B) {
	d := detect.New(own)
	texts := maps.Clone(hostile)
	lines(b, "testdata/messages.jsonl", func(m labelled, _ bool) { texts["the labelled"] += m.Text + "\n" })
	for name, s := range texts {
		s = strings.Repeat(s, max(1, 64<<10/len(s)))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(s)))
			for b.Loop() {
				d.Message(text(s))
			}
		})
	}
}

func FuzzMessage(f *testing.F) {
	for _, s := range hostile {
		f.Add("TEXT", s+s+s, "", false)
	}
	lines(f, "testdata/messages.jsonl", func(m labelled, _ bool) { f.Add(m.Kind, m.Text, m.Attachment, m.FromContact) })
	d := detect.New(own)
	f.Fuzz(func(t *testing.T, kind, s, attachment string, contact bool) {
		n := map[detect.Name]int{}
		for _, found := range d.Message(detect.Message{Kind: kind, Text: s, Attachment: attachment, FromContact: contact}) {
			n[found.Detector]++
			if found.Score < detect.Worth || found.Score > 1 || n[found.Detector] > 20 {
				t.Errorf("%+v, number %d", found, n[found.Detector])
			}
			of := map[detect.Field]string{detect.InText: s, detect.InAttachment: attachment}[found.Field]
			valid(t, found.Span, of, found.Field == "")
		}
		masked, spans := detect.Mask(s, everything)
		if len(masked) != len(s) {
			t.Errorf("%q became %q", s, masked)
		}
		for _, span := range spans {
			valid(t, span, s, false)
		}
		if again, _ := detect.Mask(masked, everything); again != masked {
			t.Errorf("%q, masked %q, again %q", s, masked, again)
		}
	})
}

// valid: within the text, not empty, and not through a character.
func valid(t *testing.T, s detect.Span, of string, whole bool) {
	t.Helper()
	if whole && s == (detect.Span{}) {
		return
	}
	if s.Start < 0 || s.End <= s.Start || s.End > len(of) || !utf8.RuneStart(of[s.Start]) && utf8.ValidString(of) || s.End < len(of) && !utf8.RuneStart(of[s.End]) && utf8.ValidString(of) {
		t.Errorf("%v in %q", s, of)
	}
}
