package intake_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/intake"
)

const (
	departmentHead = "id,name,parent_id,manager_userid\n1,Acme,,wang\n2,华东销售部,1,\n"
	memberHead     = "userid,name,department_ids,status,departed_at,customer_contact,contact_limit,last_day,last_login_at\nwang,王强,1,active,,,,,\nlina,李娜,2,departed,2026-03-01,,,,\n"
	contactHead    = "external_userid,name,type,company,importance,tags,accountable_userid\nwm1,陈晨,,,,,\nwm2,Ann Lee,,,,,wang\n"
	followHead     = "userid,external_userid,since,remark,description,tags,add_way\nlina,wm1,2025-12-31,,,,\n"
	groupHead      = "chat_id,name,owner_userid,member_count,status\nwr1,新品群,lina,25,\n"
)

// TestEveryRule adds rows to a good file and expects the problems they have.
func TestEveryRule(t *testing.T) {
	long := strings.Repeat("名", 129)
	for _, tt := range []struct {
		what, file, rows string
		want             string // line:column of each problem
	}{
		{"id missing", intake.DepartmentsFile, departmentHead + ",n,1,\n", "4:id"},
		{"id with a blank", intake.DepartmentsFile, departmentHead + "a b,n,1,\n", "4:id"},
		{"id with a semicolon", intake.DepartmentsFile, departmentHead + "a；b,n,1,\n", "4:id"},
		{"id too long", intake.DepartmentsFile, departmentHead + strings.Repeat("x", 129) + ",n,1,\n", "4:id"},
		{"id twice", intake.DepartmentsFile, departmentHead + "2,n,1,\n", "4:id"},
		{"no name", intake.DepartmentsFile, departmentHead + "3,,1,\n", "4:name"},
		{"name too long", intake.DepartmentsFile, departmentHead + "3," + long + ",1,\n", "4:name"},
		{"name with NUL", intake.DepartmentsFile, departmentHead + "3,a\x00b,1,\n", "4:name"},
		{"name that turns writing", intake.DepartmentsFile, departmentHead + "3,a\u202eb,1,\n", "4:name"},
		{"second root", intake.DepartmentsFile, departmentHead + "3,n,,\n4,m,0,\n", "4:parent_id 5:parent_id"},
		{"unknown parent", intake.DepartmentsFile, departmentHead + "3,n,9,\n4,n,3,\n", "4:parent_id"},
		{"unknown manager", intake.DepartmentsFile, departmentHead + "3,n,1,nobody\n", "4:manager_userid"},
		{"above itself", intake.DepartmentsFile, departmentHead + "3,n,3,\n", "4:parent_id"},
		{"cycle, and a branch on it", intake.DepartmentsFile, departmentHead + "3,n,5,\n4,n,3,\n5,n,4,\n6,n,5,\n", "4:parent_id 5:parent_id 6:parent_id"},
		{"too deep", intake.DepartmentsFile, departmentHead + chain(3, 31), "32:parent_id"},
		{"deep, given from below", intake.DepartmentsFile, departmentHead + reverse(chain(3, 31)), "4:parent_id"},

		{"userid twice", intake.MembersFile, memberHead + "lina,李娜,2,,,,,,\n", "4:userid"},
		{"no department", intake.MembersFile, memberHead + "a,n, ;;,,,,,,\n", "4:department_ids"},
		{"unknown department", intake.MembersFile, memberHead + "a,n,2;9,,,,,,\n", "4:department_ids"},
		{"too many departments", intake.MembersFile, memberHead + "a,n," + numbers(101) + ",,,,,,\n", "4:department_ids"},
		{"words that are none", intake.MembersFile, memberHead + "a,n,2,fired,,maybe,lots,soon,never\n", "4:customer_contact 4:contact_limit 4:last_login_at 4:status 4:last_day"},
		{"limits", intake.MembersFile, memberHead + "a,n,2,,,,-1,,\nb,n,2,,,,1000001,,\nc,n,2,,,,\"5,000\",,\nd,n,2,,,,0,,\n", "4:contact_limit 5:contact_limit 6:contact_limit"},
		{"departed, but when?", intake.MembersFile, memberHead + "a,n,2,departed,,,,,\n", "4:departed_at"},
		{"departed, but active", intake.MembersFile, memberHead + "a,n,2,active,2026-01-01,,,,\n", "4:departed_at"},
		{"times to come", intake.MembersFile, memberHead + "a,n,2,departed,2026-04-01,,,,2026-04-01\n", "4:departed_at 4:last_login_at"},
		{"a last day to come is fine", intake.MembersFile, memberHead + "a,n,2,leaving,,是,10,2026/4/1,\n", ""},

		{"nobody's contact", intake.ContactsFile, contactHead + "wm3,n,,,,,\n", "4:accountable_userid"},
		{"a leaver cannot answer", intake.ContactsFile, contactHead + "wm3,n,,,,,lina\n", "4:accountable_userid"},
		{"unknown accountable", intake.ContactsFile, contactHead + "wm3,n,,,,,nobody\n", "4:accountable_userid"},
		{"contact twice", intake.ContactsFile, contactHead + "wm1,n,,,,,\n", "4:external_userid"},
		{"contact words", intake.ContactsFile, contactHead + "wm3,n,qq,\u2066x,urgent,,wang\n", "4:type 4:importance 4:company"},
		{"contact tags", intake.ContactsFile, contactHead + "wm3,n,,,,ok;a\tb,wang\nwm4,n,,,," + numbers(101) + ",wang\n", "4:tags 5:tags"},
		{"too few cells", intake.ContactsFile, contactHead + "wm3,n\n", "4:"},
		{"too many cells", intake.ContactsFile, contactHead + "wm3,n,,,,,wang,x\n", "4:"},
		{"empty cells behind", intake.ContactsFile, contactHead + "wm3,n,,,,,wang,,\n", ""},
		{"rows without anything", intake.ContactsFile, contactHead + ",,,,,,\n\n , ,,,,,\n", ""},
		{"not UTF-8", intake.ContactsFile, contactHead + "wm3,\xc0\xee\xc4\xc8,,,,,wang\n", "4:name"},
		{"stray quote, and the next row is read", intake.ContactsFile, contactHead + "wm3,\"n\"x,,,,,wang\nwm4,,,,,,wang\n", "4: 5:name"},
		{"quote without end", intake.ContactsFile, contactHead + "wm3,\"n,,,,,wang\nwm4,,,,,,wang\n", "4:"},

		{"follow without contact", intake.FollowsFile, followHead + "wang,,2026-01-01,,,,\nwang,wm9,2026-01-01,,,,\n", "3:external_userid 4:external_userid"},
		{"follow without member", intake.FollowsFile, followHead + ",wm1,2026-01-01,,,,\nnobody,wm1,2026-01-01,,,,\n", "3:userid 4:userid"},
		{"follow twice", intake.FollowsFile, followHead + "lina,wm1,2026-01-01,,,,\n", "3:external_userid"},
		{"follow of old", intake.FollowsFile, followHead + "wang,wm1,,,,,\n", "3:since"},
		{"remark with a line end", intake.FollowsFile, followHead + "wang,wm1,2026-01-01,\"a\nb\",,,\n", "3:remark"},
		{"long texts", intake.FollowsFile, followHead + "wang,wm1,2026-01-01," + long + "," + strings.Repeat("x", 2001) + "," + long + ",\n", "3:remark 3:description 3:tags"},
		{"add way", intake.FollowsFile, followHead + "wang,wm1,2026-01-01,,,,door\nwang,wm2,2026-01-01,,,,-2\n", "3:add_way 4:add_way"},

		{"group", intake.GroupsFile, groupHead + "wr1,n,lina,,\nwr2,,nobody,many,gone\nwr3,n,,1000001,\n", "3:chat_id 4:member_count 4:status 4:name 4:owner_userid 5:owner_userid 5:member_count"},
	} {
		over := map[string]string{
			intake.DepartmentsFile: departmentHead, intake.MembersFile: memberHead,
			intake.ContactsFile: contactHead, intake.FollowsFile: followHead, intake.GroupsFile: groupHead,
		}
		over[tt.file] = tt.rows
		_, r, err := intake.Read(folder(over), options)
		var want []string
		for f := range strings.FieldsSeq(tt.want) {
			want = append(want, tt.file+":"+f)
		}
		if got := places(r); !slices.Equal(got, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: got %q (%v), want %q", tt.what, got, err, want)
		}
	}
}

// chain is a branch of departments, one below the other, on level from and down to level to.
func chain(from, to int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&b, "%d,n,%d,\n", i, i-1)
	}
	return b.String()
}

func reverse(rows string) string {
	l := strings.Split(strings.TrimSpace(rows), "\n")
	slices.Reverse(l)
	return strings.Join(l, "\n") + "\n"
}

func numbers(n int) string {
	var l []string
	for i := range n {
		l = append(l, fmt.Sprint(i+1))
	}
	return strings.Join(l, ";")
}

func TestTooManyDepartmentsAreAlsoUnknownOnes(t *testing.T) {
	_, r, _ := intake.Read(folder(map[string]string{intake.MembersFile: memberHead + "a,n," + numbers(101) + ",,,,,,\n"}), options)
	if r.Count() != 1 { // one problem a cell
		t.Fatalf("%q", places(r))
	}
}

func TestAnUpdateMayReferToWhatTheCorpHolds(t *testing.T) {
	known := &intake.Known{
		Departments: map[string]string{"1": "", "2": "1", "3": "2"},
		Members: map[string]intake.KnownMember{
			"wang": {intake.Active, true}, "lina": {intake.Departed, true}, "zhao": {intake.Active, false}, "old": {intake.Departed, false},
		},
		Contacts: map[string]struct{}{"wm1": {}},
		Groups:   map[string]struct{}{"wr1": {}},
	}
	for _, tt := range []struct{ what, file, rows, want string }{
		{"references", intake.FollowsFile, "userid,external_userid,since\nwang,wm1,2026-01-01\nlina,wm1,2026-01-01\n", ""},
		{"unknown ones", intake.FollowsFile, "userid,external_userid,since\nli,wm1,2026-01-01\nwang,wm2,2026-01-01\n", "2:userid 3:external_userid"},
		{"a department under a known one", intake.DepartmentsFile, "id,name,parent_id\n4,n,2\n", ""},
		{"a second root", intake.DepartmentsFile, "id,name,parent_id\n4,n,\n", "2:parent_id"},
		{"another root above the known one", intake.DepartmentsFile, "id,name,parent_id\n4,n,\n1,n,4\n", ""},
		{"a cycle through known ones", intake.DepartmentsFile, "id,name,parent_id\n2,n,3\n", "2:parent_id"},
		{"a known contact needs no follow here", intake.ContactsFile, "external_userid,name\nwm1,n\n", ""},
		{"a new one does", intake.ContactsFile, "external_userid,name\nwm2,n\n", "2:accountable_userid"},
		{"departing a member with follows", intake.MembersFile, "userid,name,department_ids,status,departed_at\nwang,n,1,departed,2026-01-01\n", "2:status"},
		{"disabling one", intake.MembersFile, "userid,name,department_ids,status\nwang,n,1,disabled\n", "2:status"},
		{"departing one without", intake.MembersFile, "userid,name,department_ids,status,departed_at\nzhao,n,1,departed,2026-01-01\n", ""},
		{"a departed one stays so", intake.MembersFile, "userid,name,department_ids,status\nlina,n,1,departed\n", ""},
		{"a departed one without a status", intake.MembersFile, "userid,name,department_ids\nlina,n,1\n", ""},
		{"taking a leaver back", intake.MembersFile, "userid,name,department_ids,status\nlina,n,1,active\n", "2:status"},
		{"taking one back who left nothing", intake.MembersFile, "userid,name,department_ids,status\nold,n,1,active\n", ""},
		{"a message", intake.MessagesFile, `{"msgid":"m","sent_at":"2026-01-01","author_userid":"lina","to":["wm1"],"text":"x"}`, ""},
		{"a message in a group", intake.MessagesFile, `{"msgid":"m","sent_at":"2026-01-01","author_external_userid":"wm1","chat_id":"wr1","text":"x"}`, ""},
	} {
		over := map[string]string{}
		for f := range small {
			over[f] = ""
		}
		over[tt.file] = tt.rows
		o := options
		o.Known = known
		fsys := folder(over)
		c, r, err := intake.Read(fsys, o)
		var want []string
		for f := range strings.FieldsSeq(tt.want) {
			want = append(want, tt.file+":"+f)
		}
		if !slices.Equal(places(r), want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %q", tt.what, r.Problems, want)
		}
		if tt.what == "references" && (c.Follows[0].Protected || !c.Follows[1].Protected) {
			t.Error("the follow of a known leaver is not marked, or another one is")
		}
		if tt.what == "a departed one without a status" && c.Members[0].Status != intake.Departed {
			t.Error("a file without a status changes it")
		}
	}
	// Departing somebody to whom the same import gives a contact.
	_, r, _ := intake.Read(folder(map[string]string{
		intake.DepartmentsFile: "", intake.GroupsFile: "", intake.MessagesFile: "", intake.ContactsFile: "",
		intake.MembersFile: "userid,name,department_ids,status,departed_at\nzhao,n,1,departed,2026-01-01\n",
		intake.FollowsFile: "userid,external_userid,since\nzhao,wm1,2026-01-01\n",
	}), intake.Options{TimeZone: shanghai, Now: now, Known: known})
	if got := places(r); !slices.Equal(got, []string{"members.csv:2:status"}) {
		t.Errorf("got %q", got)
	}
}

func TestWithoutBadRows(t *testing.T) {
	left := rejects{}
	fsys := folder(map[string]string{
		// 3 hangs on nothing, 4 on 3; zhao sits in 4, follows wm3 alone and owns wr2.
		intake.DepartmentsFile: departmentHead + "3,n,9,\n4,n,3,\n",
		intake.MembersFile:     memberHead + "zhao,=1+1,4,,,,,,\n",
		intake.ContactsFile:    contactHead + "wm3,\"'-_-'\",,\"+86 \"\"Co\"\"\",,,\n",
		intake.FollowsFile:     followHead + "zhao,wm3,2026-01-01,,,,\nwang,wm1,yesterday,\"@a\",,,\n",
		intake.GroupsFile:      groupHead + "wr2,n,zhao,1,\n",
		intake.MessagesFile:    small[intake.MessagesFile] + "{\"msgid\":\"m4\",\"sent_at\":\"2026-01-01\",\"author_userid\":\"zhao\",\"chat_id\":\"wr2\",\"text\":\"x\"}\n",
	})
	c, r, err := intake.Read(fsys, skipping(left))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"departments.csv:4:parent_id", "departments.csv:5:parent_id", "members.csv:4:department_ids", "contacts.csv:4:accountable_userid",
		"follows.csv:3:userid", "follows.csv:4:since", "groups.csv:3:owner_userid", "messages.jsonl:4:author_userid", "messages.jsonl:4:chat_id",
	}
	if d := cmp.Diff(want, places(r)); d != "" {
		t.Error(d)
	}
	if len(c.Departments) != 2 || len(c.Members) != 2 || len(c.Contacts) != 2 || len(c.Follows) != 1 || len(c.Groups) != 1 || len(messages(t, c)) != 3 {
		t.Errorf("left: %+v", c)
	}
	for i, want := range []int{2, 1, 1, 2, 1, 1} {
		if r.Files[i].Bad != want {
			t.Errorf("%s: %d bad rows, want %d", r.Files[i].Name, r.Files[i].Bad, want)
		}
	}
	if problems, n, err := intake.Check(c, nil, now); n != 0 || err != nil {
		t.Errorf("what is left is not good: %v, %v", problems, err)
	}
	text := left[intake.ContactsFile].String()
	if want := "\ufeffexternal_userid,name,type,company,importance,tags,accountable_userid,reject_line,reject_column,reject_reason,reject_reason_zh\n" +
		`wm3,''-_-',,"'+86 ""Co""",,,,4,accountable_userid,"nobody follows`; !strings.HasPrefix(text, want) {
		t.Errorf("rejected contacts:\n%s", text)
	}
	if !strings.Contains(left[intake.MembersFile].String(), "\nzhao,'=1+1,4,") || !strings.Contains(left[intake.MessagesFile].String(), "4,author_userid,") {
		t.Errorf("rejected members:\n%smessages:\n%s", left[intake.MembersFile], left[intake.MessagesFile])
	}
	for f, l := range left {
		if !l.closed {
			t.Errorf("the list of %s was not closed", f)
		}
	}
	// Once mended, the lists themselves are what is imported next.
	again, r, err := intake.Read(folder(map[string]string{
		intake.DepartmentsFile: departmentHead + "3,n,1,\n4,n,3,\n",
		intake.MembersFile:     left[intake.MembersFile].String() + "wang,王强,1,active,,,,,,,,,\n",
		intake.ContactsFile:    text,
		intake.FollowsFile:     "userid,external_userid,since\nzhao,wm3,2026-01-01\n",
		intake.GroupsFile:      left[intake.GroupsFile].String(), intake.MessagesFile: "",
	}), options)
	if err != nil {
		t.Fatal(err, r.Problems)
	}
	if x := again.Contacts[0]; x.Name != "'-_-'" || x.Company != `+86 "Co"` || again.Members[0].Name != "=1+1" {
		t.Errorf("read again: %+v, %+v", x, again.Members[0])
	}
	if got := r.Files[2].Ignored; !slices.Equal(got, []string{"reject_line", "reject_column", "reject_reason", "reject_reason_zh"}) {
		t.Errorf("ignored: %q", got)
	}
}

func TestCheckTakesWhatAProgramMade(t *testing.T) {
	c := &intake.Corp{
		Departments: []intake.Department{{ID: "1", Name: "Acme"}},
		Members:     []intake.Member{{UserID: "a", Name: "A", Departments: []string{"1"}, Status: "GONE", LastDay: "2026-2-1"}},
		Contacts:    []intake.Contact{{ExternalUserID: "x", Name: "X", Type: "QQ", Importance: "HIGH"}},
		Follows:     []intake.Follow{{UserID: "a", ExternalUserID: "x", Since: now, AddWay: -1}},
		Groups:      []intake.Group{{ChatID: "g", Name: "G", Owner: "a", Status: "OPEN"}},
		Messages: func(yield func(intake.Message, error) bool) {
			_ = yield(intake.Message{MsgID: "m", SentAt: now, Author: "a", To: []string{"x"}, Kind: "text", Text: "\xff"}, nil)
		},
	}
	problems, n, err := intake.Check(c, nil, now)
	got := places(&intake.Report{Problems: problems})
	want := []string{"members.csv:2:last_day", "members.csv:2:status", "contacts.csv:2:type", "contacts.csv:2:importance", "follows.csv:2:add_way", "groups.csv:2:status", "messages.jsonl:1:kind", "messages.jsonl:1:text"}
	if d := cmp.Diff(want, got); d != "" || n != len(want) || err != nil {
		t.Error(d, n, err)
	}
	c.Messages = func(yield func(intake.Message, error) bool) { yield(intake.Message{}, errBroken) }
	if _, _, err := intake.Check(c, nil, now); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

func TestRejectsThatCannotBeWrittenStopTheImport(t *testing.T) {
	o := options
	o.SkipBad = true
	c, _, err := intake.Read(folder(map[string]string{intake.GroupsFile: "chat_id,name,owner_userid\nwr1,,wang\n", intake.MessagesFile: ""}), o)
	if err != nil || len(c.Groups) != 0 {
		t.Fatalf("without a list: %v", err)
	}
	o.Rejects = (&noSpace{}).create
	if _, _, err := intake.Read(folder(map[string]string{intake.GroupsFile: "chat_id,name,owner_userid\nwr1,,wang\n", intake.MessagesFile: ""}), o); !errors.Is(err, errBroken) || fault.CodeOf(err) != fault.Internal {
		t.Fatalf("got %v", err)
	}
}
