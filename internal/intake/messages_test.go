package intake_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/intake"
)

func TestEveryRuleOfMessages(t *testing.T) {
	const good = `"msgid":"m","sent_at":"2026-01-05","author_userid":"lina","to":["wm1"],"text":"x"`
	group := func(more string) string {
		return `{"msgid":"m","sent_at":"2026-01-05","author_external_userid":"wm1","chat_id":"wr1","text":"x"` + more + `}`
	}
	for _, tt := range []struct{ what, line, want string }{
		{"good", "{" + good + "}", ""},
		{"kinds in lower case", "{" + good + `,"kind":"voice"}`, ""},
		{"a file without text", `{"msgid":"m","sent_at":"2026-01-05","author_userid":"lina","to":["wm1"],"kind":"FILE"}`, ""},
		{"controls and marks are evidence", strings.Replace("{"+good+"}", `"x"`, `"a\u0007\u202e😀\ufffd"`, 1), ""},
		{"in a group", group(""), ""},
		{"in a group, with strangers", group(`,"to":["lina","stranger"]`), ""},
		{"not JSON", "hello", "row"},
		{"a list", "[1]", "row"},
		{"null", "null", "row"},
		{"not UTF-8", "{" + good + `,"x":"` + "\xc0" + `"}`, "row"},
		{"too long", "{" + good + `,"x":"` + strings.Repeat("x", 1<<20) + `"}`, "row"},
		{"types", `{"msgid":1,"sent_at":2,"author_userid":"lina","to":"wm1","kind":[],"text":{},"attachment":"x","chat_id":"wr1"}`, "attachment kind msgid sent_at text to"},
		{"nothing", `{}`, "author_userid msgid sent_at text"},
		{"two authors", "{" + good + `,"author_external_userid":"wm1"}`, "author_userid"},
		{"unknown author", strings.Replace("{"+good+"}", "lina", "nobody", 1), "author_userid"},
		{"unknown contact", strings.Replace("{"+good+"}", "wm1", "wm9", 1), "to"},
		{"unknown contact as author", `{"msgid":"m","sent_at":"2026-01-05","author_external_userid":"wm9","to":["nobody"],"text":"x"}`, "author_external_userid to"},
		{"unknown group", strings.Replace(group(""), "wr1", "wr9", 1), "chat_id"},
		{"bad id among the readers", group(`,"to":["a b"]`), "to"},
		{"too many readers", group(`,"to":["a"` + strings.Repeat(`,"a"`, 2000) + `]`), "to"},
		{"to two", strings.Replace("{"+good+"}", `["wm1"]`, `["wm1","wm2"]`, 1), "to"},
		{"to nobody", strings.Replace("{"+good+"}", `["wm1"]`, `[]`, 1), "to"},
		{"between members", strings.Replace("{"+good+"}", "wm1", "wang", 1), "to"},
		{"time", strings.Replace("{"+good+"}", "2026-01-05", "last week", 1), "sent_at"},
		{"time to come", strings.Replace("{"+good+"}", "2026-01-05", "2027-01-05", 1), "sent_at"},
		{"kind", "{" + good + `,"kind":"smell"}`, "kind"},
		{"no text", strings.Replace("{"+good+"}", `"x"`, `""`, 1), "text"},
		{"NUL", strings.Replace("{"+good+"}", `"x"`, `"a\u0000b"`, 1), "text"},
		{"half a character", strings.Replace("{"+good+"}", `"x"`, `"a\ud83d"`, 1), "text"},
		{"long text", strings.Replace("{"+good+"}", `"x"`, `"`+strings.Repeat("x", 64<<10+1)+`"`, 1), "text"},
		{"attachment", "{" + good + `,"attachment":{"name":"a","size":-1}}`, "attachment"},
		{"attachment's name", "{" + good + `,"attachment":{"name":"a\u202efdp.exe"}}`, "attachment"},
	} {
		// The line stands third: after one with a byte order mark and a blank one.
		first := "\ufeff" + `{"msgid":"m0","sent_at":"2026-01-05","author_userid":"wang","to":["wm2"],"text":"x"}` + "\r\n \r\n"
		last := "\r\n" + `{"msgid":"m9","sent_at":"2026-01-05","author_userid":"wang","to":["wm2"],"text":"x"}`
		left := rejects{}
		c, r, err := intake.Read(folder(map[string]string{intake.MessagesFile: first + tt.line + last}), skipping(left))
		if err != nil {
			t.Fatal(tt.what, err)
		}
		var got []string
		for _, p := range r.Problems {
			if p.File != intake.MessagesFile || p.Line != 3 {
				t.Errorf("%s: stray problem %v", tt.what, p)
			}
			got = append(got, p.Column)
		}
		slices.Sort(got)
		want := strings.Fields(tt.want)
		if tt.want == "row" { // bad as a whole
			want = []string{""}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q: %v", tt.what, got, want, r.Problems)
		}
		n := 3
		if len(want) > 0 {
			n = 2
			if text := left[intake.MessagesFile].String(); strings.Count(text, "reject_line") != 1 || !strings.Contains(text, ",3,") {
				t.Errorf("%s: rejected %.300s", tt.what, text)
			}
		}
		if got := messages(t, c); len(got) != n || got[len(got)-1].MsgID != "m9" || r.Files[5].Rows != 3 {
			t.Errorf("%s: %d messages of %d lines", tt.what, len(got), r.Files[5].Rows)
		}
	}
}

func TestAMessageIDTwice(t *testing.T) {
	text := small[intake.MessagesFile]
	_, r, err := intake.Read(folder(map[string]string{intake.MessagesFile: text + text[:strings.Index(text, "\n")]}), options)
	if got := places(r); err == nil || !slices.Equal(got, []string{"messages.jsonl:4:msgid"}) {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestKeysOfMessagesThatMeanNothingAreReported(t *testing.T) {
	_, r, err := intake.Read(folder(map[string]string{
		intake.MessagesFile: `{"msgid":"m","sent_at":"2026-01-05","author_userid":"lina","to":["wm1"],"text":"x","roomid":"","Text":"y"}`,
	}), options)
	if got := r.Files[5].Ignored; err != nil || !slices.Equal(got, []string{"Text", "roomid"}) {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestAnArchiveThatChangesAfterItWasCheckedIsRefused(t *testing.T) {
	for what, change := range map[string]func(fstest.MapFS){
		"a text": func(f fstest.MapFS) {
			f[intake.MessagesFile].Data = []byte(strings.Replace(small[intake.MessagesFile], "hello", "adieu", 1))
		},
		"not JSON any more": func(f fstest.MapFS) { f[intake.MessagesFile].Data = []byte("{") },
		"away":              func(f fstest.MapFS) { delete(f, intake.MessagesFile) },
	} {
		fsys := folder(nil)
		c, _, err := intake.Read(fsys, options)
		if err != nil {
			t.Fatal(err)
		}
		change(fsys)
		var last error
		for _, last = range c.Messages {
		}
		if last == nil || what != "away" && fault.CodeOf(last) != fault.Conflict {
			t.Errorf("%s: got %v", what, last)
		}
	}
}

func TestReadingMessagesCanStopAnywhere(t *testing.T) {
	c, _, err := intake.Read(folder(nil), options)
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range c.Messages {
		if err != nil || m.MsgID != "m1" {
			t.Fatal(m, err)
		}
		break
	}
	if n := len(messages(t, c)); n != 3 {
		t.Fatalf("%d messages after a reading that stopped", n)
	}
}

// corpFiles is a corp of n contacts as files, with every column filled.
func corpFiles(n int) fstest.MapFS {
	var contacts, follows, chat strings.Builder
	contacts.WriteString("external_userid,name,type,company,importance,tags\n")
	follows.WriteString("userid,external_userid,since,remark,description,tags,add_way\n")
	for i := range n {
		fmt.Fprintf(&contacts, "wm%06d,客户%d,wechat,\"公司 %d, Ltd\",normal,VIP;华东;%d\n", i, i, i, i%10)
		fmt.Fprintf(&follows, "wang,wm%06d,2025-11-%02d 10:00:00,备注%d,\"long\ntext\",A;B,%d\n", i, i%28+1, i, i%5)
		fmt.Fprintf(&chat, `{"msgid":"m%d","sent_at":"2025-12-01T00:00:00Z","author_userid":"wang","to":["wm%06d"],"text":"您好,报价单已更新"}`+"\n", i, i)
	}
	return folder(map[string]string{intake.ContactsFile: contacts.String(), intake.FollowsFile: follows.String(), intake.GroupsFile: "", intake.MessagesFile: chat.String()})
}

func BenchmarkRead3000Contacts(b *testing.B) {
	fsys := corpFiles(3000)
	b.ReportAllocs()
	for b.Loop() {
		c, r, err := intake.Read(fsys, options)
		if err != nil || len(c.Contacts) != 3000 {
			b.Fatal(err, r.Problems[:min(len(r.Problems), 3)])
		}
	}
}
