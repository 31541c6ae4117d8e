package intake_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/openhandover/openhandover/internal/intake"
	"github.com/openhandover/openhandover/internal/name"
)

// FuzzCSV reads anything as one of the tables. Whatever it is, rows are kept or
// left out, and what is kept passes every rule.
func FuzzCSV(f *testing.F) {
	for i, n := range tables {
		f.Add(byte(i), small[n])
	}
	f.Add(byte(1), "\ufeff姓名,帐号,部门\r\n\"a\r\nb\",x,1;2\r\n")
	f.Add(byte(2), "external_userid,name\nx,\"a\"\"b\nx,,\n")
	f.Add(byte(0), "id,name,parent_id\n1,a,\n3,b,4\n4,c,3\n5,d,5\n")
	f.Add(byte(3), "userid,external_userid,since\nlina,wm1,2025/1/1 0:00\n\n,,\n'=lina,wm1,\xff\n")
	f.Add(byte(4), "chat_id,name,owner_userid,reject_line\n'=1,''x,wang,\n")
	f.Fuzz(func(t *testing.T, which byte, text string) {
		file := tables[int(which)%len(tables)]
		fsys := folder(map[string]string{file: text})
		fsys[file] = &fstest.MapFile{Data: []byte(text)}
		left := rejects{}
		c, r, err := intake.Read(fsys, skipping(left))
		if err != nil {
			if r == nil || r.Count() == 0 {
				t.Fatalf("%v without a problem", err)
			}
			return
		}
		if problems, n, err := intake.Check(c, nil, now); n > 0 || err != nil {
			t.Fatalf("what was kept is bad: %v, %v", problems, err)
		}
		kept := []int{len(c.Departments), len(c.Members), len(c.Contacts), len(c.Follows), len(c.Groups), len(messages(t, c))}
		for i, f := range r.Files {
			if f.Rows != f.Bad+kept[i] {
				t.Fatalf("%s: %d rows, %d bad, %d kept", f.Name, f.Rows, f.Bad, kept[i])
			}
			if (left[f.Name] != nil) != (f.Bad > 0) {
				t.Fatalf("%s: %d bad rows, list %v", f.Name, f.Bad, left[f.Name])
			}
		}
		for _, x := range c.Contacts {
			if _, ok := name.Check(x.Name); !ok {
				t.Fatalf("took the name %q", x.Name)
			}
		}
		for _, p := range r.Problems {
			if s := p.In("zh") + p.In("en"); !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\x1b\u202e") {
				t.Fatalf("not fit to print: %q", s)
			}
		}
	})
}

var tables = []string{intake.DepartmentsFile, intake.MembersFile, intake.ContactsFile, intake.FollowsFile, intake.GroupsFile}

// FuzzMessages reads anything as an archive.
func FuzzMessages(f *testing.F) {
	f.Add(small[intake.MessagesFile])
	f.Add(`{"msgid":"m","sent_at":"2026/1/2","author_external_userid":"wm1","to":["lina"],"text":"\ud83d\u0000"}`)
	f.Add("{}\n[]\nnull\n\xff\n{\"to\":[1]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		fsys := folder(nil)
		fsys[intake.MessagesFile] = &fstest.MapFile{Data: []byte(text)}
		c, r, err := intake.Read(fsys, skipping(rejects{}))
		if err != nil {
			t.Fatal(err)
		}
		all := messages(t, c)
		if last := r.Files[len(r.Files)-1]; last.Rows != last.Bad+len(all) {
			t.Fatalf("%d lines, %d bad, %d kept", last.Rows, last.Bad, len(all))
		}
		for _, m := range all {
			if !slices.Contains(intake.MessageKinds, m.Kind) || (m.Author == "") == (m.AuthorContact == "") || m.SentAt.After(now) {
				t.Fatalf("kept %+v", m)
			}
		}
		if problems, n, err := intake.Check(c, nil, now); n > 0 || err != nil {
			t.Fatalf("what was kept is bad: %v, %v", problems, err)
		}
	})
}
