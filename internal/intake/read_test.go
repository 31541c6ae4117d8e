package intake_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/intake"
)

var (
	shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)
	now      = time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)
)

// small is a whole corp in a few rows; tests put their own files over it.
var small = map[string]string{
	intake.DepartmentsFile: "id,name,parent_id,manager_userid\n1,Acme,,wang\n2,华东销售部,1,\n",
	intake.MembersFile:     "userid,name,department_ids,status,departed_at\nwang,王强,1;2,active,\nlina,李娜,2,departed,2026-03-01 18:00:00\n",
	intake.ContactsFile:    "external_userid,name,type,company,importance,tags,accountable_userid,chat_consent\nwm1,陈晨,wechat,,key,VIP;上海,,agreed\nwm2,Ann Lee,wecom,\"Lee, Ltd\",normal,,wang,\n",
	intake.FollowsFile:     "userid,external_userid,since,remark,description,tags,add_way\nlina,wm1,2025-12-31,老客户,\"first line\nsecond line\",A;B,3\n",
	intake.GroupsFile:      "chat_id,name,owner_userid,member_count,status\nwr1,新品群,lina,25,owner_left\n",
	intake.MessagesFile: `{"msgid":"m1","sent_at":"2026-01-05 09:30:00","author_userid":"lina","to":["wm1"],"kind":"text","text":"您好"}
{"msgid":"m2","sent_at":"2026-01-05T01:31:00Z","author_external_userid":"wm1","to":["lina"],"kind":"file","attachment":{"name":"单.pdf","mimeType":"application/pdf","size":10}}
{"msgid":"m3","sent_at":"2026-01-06 10:00","author_userid":"wang","chat_id":"wr1","text":"hello"}
`,
}

// folder puts files over the small corp; an empty text takes the file away.
func folder(over map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for _, m := range []map[string]string{small, over} {
		for n, text := range m {
			out[n] = &fstest.MapFile{Data: []byte(text)}
			if text == "" {
				delete(out, n)
			}
		}
	}
	return out
}

var options = intake.Options{TimeZone: shanghai, Now: now}

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func messages(t *testing.T, c *intake.Corp) (out []intake.Message) {
	t.Helper()
	for m, err := range c.Messages {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// places writes problems as file:line:column.
func places(r *intake.Report) (out []string) {
	for _, p := range r.Problems {
		out = append(out, fmt.Sprintf("%s:%d:%s", p.File, p.Line, p.Column))
		if p.Text.EN == "" || p.Text.ZH == "" || p.Text.EN == p.Text.ZH {
			out = append(out, "not in both languages")
		}
	}
	return out
}

func TestReadGivesTheWholeCorp(t *testing.T) {
	c, r, err := intake.Read(folder(nil), options)
	if err != nil {
		t.Fatal(err, r.Problems)
	}
	want := &intake.Corp{
		Departments: []intake.Department{{"1", "Acme", "", "wang"}, {"2", "华东销售部", "1", ""}},
		Members: []intake.Member{
			{UserID: "wang", Name: "王强", Departments: []string{"1", "2"}, Status: intake.Active, CustomerContact: true, ContactLimit: 5000},
			{UserID: "lina", Name: "李娜", Departments: []string{"2"}, Status: intake.Departed, CustomerContact: true, ContactLimit: 5000, DepartedAt: at("2026-03-01T10:00:00Z")},
		},
		Contacts: []intake.Contact{
			{ExternalUserID: "wm1", Name: "陈晨", Type: intake.WeChat, Importance: intake.Key, Tags: []string{"VIP", "上海"}, ChatConsent: intake.Agreed},
			{ExternalUserID: "wm2", Name: "Ann Lee", Type: intake.WeCom, Company: "Lee, Ltd", Importance: intake.Normal, Accountable: "wang", ChatConsent: intake.ConsentUnknown},
		},
		Follows: []intake.Follow{{
			UserID: "lina", ExternalUserID: "wm1", Since: at("2025-12-30T16:00:00Z"), Remark: "老客户",
			Description: "first line\nsecond line", Tags: []string{"A", "B"}, AddWay: 3, Protected: true,
		}},
		Groups: []intake.Group{{ChatID: "wr1", Name: "新品群", Owner: "lina", MemberCount: 25, Status: intake.OwnerLeft, Protected: true}},
	}
	if d := cmp.Diff(want, c, cmpopts.IgnoreUnexported(intake.Corp{}), cmpopts.IgnoreFields(intake.Corp{}, "Messages")); d != "" {
		t.Error(d)
	}
	wantMessages := []intake.Message{
		{MsgID: "m1", SentAt: at("2026-01-05T01:30:00Z"), Author: "lina", To: []string{"wm1"}, Kind: "TEXT", Text: "您好"},
		{MsgID: "m2", SentAt: at("2026-01-05T01:31:00Z"), AuthorContact: "wm1", To: []string{"lina"}, Kind: "FILE", Attachment: &intake.Attachment{Name: "单.pdf", MimeType: "application/pdf", Size: 10}},
		{MsgID: "m3", SentAt: at("2026-01-06T02:00:00Z"), Author: "wang", ChatID: "wr1", Kind: "TEXT", Text: "hello"},
	}
	for range 2 { // it can be ranged over again
		if d := cmp.Diff(wantMessages, messages(t, c)); d != "" {
			t.Error(d)
		}
	}
	for i, want := range [][2]string{{"lina", "wm1"}, {"lina", "wm1"}, {"", ""}} {
		if m, x := wantMessages[i].Pair(); m != want[0] || x != want[1] {
			t.Errorf("%s is between %q and %q", wantMessages[i].MsgID, m, x)
		}
	}
	for i, want := range []int{2, 2, 2, 1, 1, 3} {
		f := r.Files[i]
		if text := small[f.Name]; f.Rows != want || f.Bad != 0 || f.Bytes != int64(len(text)) || f.SHA256 != sha256.Sum256([]byte(text)) {
			t.Errorf("reported %+v", f)
		}
	}
}

func TestChineseHeadersAndWordsMeanTheSame(t *testing.T) {
	english, _, err := intake.Read(folder(nil), options)
	if err != nil {
		t.Fatal(err)
	}
	chinese, r, err := intake.Read(folder(map[string]string{
		intake.DepartmentsFile: "\ufeff部门负责人账号,部门ID,部门名称,上级部门ID\r\nwang,1,Acme,0\r\n,2,华东销售部,1\r\n",
		intake.MembersFile:     "\ufeff姓名 *,帐号（必填）,手机,所属部门,离职时间,状态\r\n王强,wang,13800000000,1；2,,已激活\r\n李娜,lina,,2,2026/3/1 18:00,退出企业\r\n",
		intake.ContactsFile:    "客户名称,客户ID,标签,企业,重要程度,负责人账号,客户类型,会话存档同意\n陈晨,wm1,VIP；上海;VIP,,重要,,微信,同意\nAnn Lee,wm2,,\"Lee, Ltd\",普通,wang,企业微信,\n",
		intake.FollowsFile:     "添加人,添加人账号,客户ID,客户,添加时间,来源,备注,描述,标签\n李娜,lina,wm1,陈晨,2025/12/31,名片分享,老客户,\"first line\nsecond line\",A;B\n",
		intake.GroupsFile:      "群名,群主,群ID,群人数,群状态\n新品群,lina,wr1,25,跟进人离职\n",
	}), options)
	if err != nil {
		t.Fatal(err, r.Problems)
	}
	if d := cmp.Diff(english, chinese, cmpopts.IgnoreUnexported(intake.Corp{}), cmpopts.IgnoreFields(intake.Corp{}, "Messages")); d != "" {
		t.Error(d)
	}
	if got := r.Files[1].Ignored; !slices.Equal(got, []string{"手机"}) {
		t.Errorf("ignored of members: %q", got)
	}
	if got := r.Files[3].Ignored; !slices.Equal(got, []string{"添加人", "客户"}) {
		t.Errorf("ignored of follows: %q", got)
	}
	if chinese.Has(intake.MembersFile, "contact_limit") || !chinese.Has(intake.MembersFile, "status") || !(&intake.Corp{}).Has(intake.MembersFile, "status") {
		t.Error("Has does not tell which columns the file had")
	}
}

func TestProblemsAreNamedByLineAndColumn(t *testing.T) {
	c, r, err := intake.Read(folder(map[string]string{
		intake.FollowsFile: "userid,external_userid,since,description\nlina,wm1,2025-12-31,\"one\ntwo\nthree\"\n\nnobody,wm1,31.12.2025,\"four\nfive\"\nlina,wm1,2025-12-31,\n",
		"old-follows.xlsx": "x", ".DS_Store": "x",
	}), options)
	if c != nil || fault.CodeOf(err) != fault.Invalid {
		t.Fatalf("got %v, %v", c, err)
	}
	want := []string{"follows.csv:6:since", "follows.csv:6:userid", "follows.csv:8:external_userid"}
	if d := cmp.Diff(want, places(r)); d != "" {
		t.Error(d)
	}
	if f := r.Files[3]; f.Rows != 3 || f.Bad != 2 || r.Count() != 3 {
		t.Errorf("%d rows, %d bad, %d problems", f.Rows, f.Bad, r.Count())
	}
	if !slices.Equal(r.Others, []string{"old-follows.xlsx"}) {
		t.Errorf("others: %q", r.Others)
	}
	p := r.Problems[0]
	if got, want := p.In("en"), `follows.csv, line 6, column since: "31.12.2025" is not a time: write 2006-01-02 15:04:05 or RFC 3339`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := p.In("zh-CN"), `follows.csv 第 6 行,列 since(添加时间): "31.12.2025" 不是有效的时间:请写成 2006-01-02 15:04:05 或 RFC 3339 格式`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestOnlySoManyProblemsAreListed(t *testing.T) {
	var b strings.Builder
	b.WriteString("external_userid,name,importance\n")
	for i := range intake.MaxProblems + 234 {
		fmt.Fprintf(&b, "wx%d,n,key\n", i)
	}
	_, r, err := intake.Read(folder(map[string]string{intake.ContactsFile: b.String() + "wm1,n,key\n"}), options)
	if err == nil || len(r.Problems) != intake.MaxProblems || r.More != 234 || r.Files[2].Bad != intake.MaxProblems+234 {
		t.Fatalf("%d listed, %d more, %d bad rows, %v", len(r.Problems), r.More, r.Files[2].Bad, err)
	}
}

func TestFilesThatCannotBeUsedAtAll(t *testing.T) {
	for what, tt := range map[string]struct{ text, want string }{
		"UTF-16":            {"\xff\xfeu\x00", "members.csv:0:"},
		"GBK header":        {"\xd0\xd5\xc3\xfb,\xd5\xca\xba\xc5\n", "members.csv:1:"},
		"empty":             {" ", "members.csv:1:userid"},
		"nothing":           {"\n\n", "members.csv:0:"},
		"header twice":      {"userid,name,department_ids,UserID\nwang,n,1,x\n", "members.csv:1:"},
		"column missing":    {"userid,name\nwang,n\n", "members.csv:1:department_ids"},
		"quotes in header":  {"userid,\"name\"x,department_ids\n", "members.csv:1:"},
		"header down below": {"\n\nuserid,department_ids\n", "members.csv:3:name"},
	} {
		skip := options
		skip.SkipBad = true
		c, r, err := intake.Read(folder(map[string]string{intake.MembersFile: tt.text}), skip)
		if c != nil || fault.CodeOf(err) != fault.Invalid || !slices.Contains(places(r), tt.want) {
			t.Errorf("%s: %v, %q", what, err, places(r))
		}
	}
	if _, _, err := intake.Read(fstest.MapFS{"members.xlsx": {}}, options); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("an empty folder gives %v", err)
	}
	if _, _, err := intake.Read(broken{folder(nil)}, options); !errors.Is(err, errBroken) {
		t.Errorf("a broken disk gives %v", err)
	}
}

func TestTimes(t *testing.T) {
	for in, want := range map[string]string{
		"2025-07-01T08:00:00+08:00":        "2025-07-01T00:00:00Z",
		"2025-07-01T00:00:00.1234567Z":     "2025-07-01T00:00:00.123456Z",
		"2025-07-01 08:00:00":              "2025-07-01T00:00:00Z",
		"2025-07-01 08:00":                 "2025-07-01T00:00:00Z",
		"2025-07-01T08:00:00":              "2025-07-01T00:00:00Z",
		" 2025-07-01 ":                     "2025-06-30T16:00:00Z",
		"2025/7/1 8:05":                    "2025-07-01T00:05:00Z",
		"2025/7/1 8:05:06":                 "2025-07-01T00:05:06Z",
		"2025/07/01":                       "2025-06-30T16:00:00Z",
		"":                                 "needed",
		"2025-02-30":                       "bad",
		"01/07/2025":                       "bad",
		"45839":                            "bad",
		"0001-01-01":                       "bad",
		"1899-12-30 00:00:00":              "bad",
		"2025-07-01 24:00:00":              "bad",
		"yesterday\x1b[31m":                "bad",
		now.Format(time.RFC3339):           now.Format(time.RFC3339),
		"2026-03-02 12:00:01":              "bad", // one second after now, in the corp's zone
		"2026-03-02T04:00:01Z":             "bad",
		"9999999-01-01T00:00:00Z":          "bad",
		"2025-07-01T08:00:00 Asia/Beijing": "bad",
	} {
		c, r, err := intake.Read(folder(map[string]string{
			intake.FollowsFile: "userid,external_userid,since\nlina,wm1,\"" + in + "\"\n",
		}), options)
		switch {
		case want == "bad" || want == "needed":
			if err == nil || !slices.Equal(places(r), []string{"follows.csv:2:since"}) || strings.Contains(r.Problems[0].In("en"), "\x1b") {
				t.Errorf("%q: %v, %v", in, err, r.Problems)
			}
		case err != nil:
			t.Errorf("%q: %v", in, r.Problems)
		default:
			if got := c.Follows[0].Since; !got.Equal(at(want)) || got.Location() != time.UTC {
				t.Errorf("%q is %s, want %s", in, got, want)
			}
		}
	}
}
