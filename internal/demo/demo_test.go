package demo_test

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/demo"
	"github.com/openhandover/openhandover/internal/intake"
)

var now = time.Date(2026, 3, 2, 7, 30, 0, 0, time.UTC)

func all(t *testing.T, d *demo.Data) (out []intake.Message) {
	t.Helper()
	for m, err := range d.Messages {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func memberOf(t *testing.T, c *intake.Corp, userID string) intake.Member {
	t.Helper()
	i := slices.IndexFunc(c.Members, func(m intake.Member) bool { return m.UserID == userID })
	if i < 0 {
		t.Fatalf("there is no %s", userID)
	}
	return c.Members[i]
}

// held counts a member's contacts, key contacts and groups.
func held(c *intake.Corp, userID string) (contacts, key, groups int) {
	importance := map[string]string{}
	for _, x := range c.Contacts {
		importance[x.ExternalUserID] = x.Importance
	}
	for _, f := range c.Follows {
		if f.UserID == userID {
			contacts++
			if importance[f.ExternalUserID] == intake.Key {
				key++
			}
		}
	}
	for _, g := range c.Groups {
		if g.Owner == userID {
			groups++
		}
	}
	return contacts, key, groups
}

// under reports whether a department lies in another's subtree.
func under(c *intake.Corp, id, root string) bool {
	for id != root && id != "" {
		i := slices.IndexFunc(c.Departments, func(d intake.Department) bool { return d.ID == id })
		id = c.Departments[i].Parent
	}
	return id == root
}

func TestTheCorpsAreGood(t *testing.T) {
	// Around midnight in the corps' zone and in UTC, and on a leap day.
	for _, at := range []time.Time{now, now.Add(8*time.Hour + 29*time.Minute), now.Add(9 * time.Hour), now.Add(17 * time.Hour), time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC)} {
		for _, d := range []*demo.Data{demo.New(at), demo.NewOther(at)} {
			problems, n, err := intake.Check(d.Corp, nil, at)
			if n > 0 || err != nil {
				t.Fatalf("%s at %s: %d problems, %v: %v", d.Name, at, n, err, problems[:min(n, 5)])
			}
		}
	}
}

func TestThereIsExactlySoMuch(t *testing.T) {
	d := demo.New(now)
	if len(d.Members) != 60 || len(d.Contacts) != 3000 || len(d.Groups) != 120 || len(all(t, d)) != 20000 || len(d.Past) != 6 {
		t.Errorf("%d members, %d contacts, %d groups, %d messages, %d handovers", len(d.Members), len(d.Contacts), len(d.Groups), len(all(t, d)), len(d.Past))
	}
	depth := 0
	for _, x := range d.Departments {
		n := 1
		for p := x.Parent; p != ""; n++ {
			p = d.Departments[slices.IndexFunc(d.Departments, func(y intake.Department) bool { return y.ID == p })].Parent
		}
		depth = max(depth, n)
	}
	if depth != 3 {
		t.Errorf("%d levels of departments", depth)
	}
	o := demo.NewOther(now)
	if len(o.Members) != 10 || len(o.Contacts) != 50 || len(o.Groups) != 4 || len(all(t, o)) != 200 {
		t.Errorf("other corp: %d members, %d contacts, %d groups, %d messages", len(o.Members), len(o.Contacts), len(o.Groups), len(all(t, o)))
	}
	if lina := memberOf(t, o.Corp, demo.Lina); lina.Name != "李娜" || lina.Status != intake.Active {
		t.Errorf("the other corp's namesake is %+v", lina)
	}
}

func TestTheTwoOfTheTour(t *testing.T) {
	c := demo.New(now).Corp
	lina := memberOf(t, c, demo.Lina)
	if n, key, groups := held(c, demo.Lina); n != 186 || key != 9 || groups != 14 {
		t.Errorf("李娜 has %d contacts, %d of them key, and %d groups", n, key, groups)
	}
	if ago := now.Sub(lina.DepartedAt); lina.Name != "李娜" || lina.Status != intake.Departed || ago <= 0 || ago > 48*time.Hour || !under(c, lina.Departments[0], demo.East) || lina.Departments[0] == demo.East {
		t.Errorf("李娜 is %+v", lina)
	}
	chenwei := memberOf(t, c, demo.Chenwei)
	if n, _, _ := held(c, demo.Chenwei); n != 640 || chenwei.Name != "陈伟" || chenwei.Status != intake.Leaving || chenwei.LastDay != "2026-03-16" {
		t.Errorf("陈伟 has %d contacts and is %+v", n, chenwei)
	}
	for _, f := range c.Follows {
		if f.Protected != (f.UserID == demo.Lina) {
			t.Fatalf("protected: %+v", f)
		}
	}
	for _, g := range c.Groups {
		if g.Protected != (g.Owner == demo.Lina) || (g.Status == intake.OwnerLeft) != g.Protected {
			t.Fatalf("protected: %+v", g)
		}
	}
	for _, m := range c.Members {
		if m.Status.Gone() && m.UserID != demo.Lina {
			t.Errorf("%s is gone as well", m.UserID)
		}
	}
}

func TestAccountsBelongToActiveMembers(t *testing.T) {
	corps := map[string]*intake.Corp{demo.Main: demo.New(now).Corp, demo.Other: demo.NewOther(now).Corp}
	var logins []string
	for _, a := range demo.Accounts {
		logins = append(logins, a.Corp+"/"+a.Login+"/"+a.Role+"/"+a.Department)
		if m := memberOf(t, corps[a.Corp], a.UserID); m.Status != intake.Active {
			t.Errorf("%s is %s", a.Login, m.Status)
		}
		if !slices.ContainsFunc(access.BuiltInRoles, func(r access.BuiltIn) bool { return r.Name == a.Role }) {
			t.Errorf("%s has the unknown role %s", a.Login, a.Role)
		}
		if a.Department != "" && !slices.ContainsFunc(corps[a.Corp].Departments, func(d intake.Department) bool { return d.ID == a.Department }) {
			t.Errorf("%s reaches the unknown department %s", a.Login, a.Department)
		}
	}
	want := []string{
		"demo/admin/administrator/", "demo/manager/manager/20", "demo/approver/approver/", "demo/auditor/auditor/",
		"demo/reporter/reporter/", "demo/member/member/", "demo-other/other-admin/administrator/",
	}
	if d := cmp.Diff(want, logins); d != "" {
		t.Error(d)
	}
	c := corps[demo.Main]
	i := slices.IndexFunc(c.Departments, func(d intake.Department) bool { return d.ID == demo.East })
	if e := c.Departments[i]; e.Name != "华东销售部" || e.Manager != "zhoujing" || memberOf(t, c, "zhoujing").Departments[0] != demo.East {
		t.Errorf("the manager's department is %+v", e)
	}
	if children := slices.DeleteFunc(slices.Clone(c.Departments), func(d intake.Department) bool { return d.Parent != demo.East }); len(children) < 2 {
		t.Errorf("华东销售部 has %d teams", len(children))
	}
	if n, _, _ := held(c, "linxiao"); n == 0 || !under(c, memberOf(t, c, "linxiao").Departments[0], demo.East) {
		t.Error("the ordinary sales member has no contacts or sits elsewhere")
	}
	for name, d := range map[string]*demo.Data{demo.Main: demo.New(now), demo.Other: demo.NewOther(now)} {
		if d.Name != name || !memberOf(t, d.Corp, d.Fallback).Status.Answers() {
			t.Errorf("%s is called %s, fallback %s", name, d.Name, d.Fallback)
		}
	}
}

func TestThereIsSomethingOfEverything(t *testing.T) {
	c := demo.New(now).Corp
	var latin, chinese, wecom, tagged, company, key int
	ways := map[int]bool{}
	followers := map[string]int{}
	count := map[string]int{}
	for _, x := range c.Contacts {
		if x.Name[0] < 0x80 {
			latin++
		} else {
			chinese++
		}
		wecom += truth(x.Type == intake.WeCom)
		tagged += truth(len(x.Tags) > 0)
		company += truth(x.Company != "")
		key += truth(x.Importance == intake.Key)
	}
	for _, f := range c.Follows {
		followers[f.ExternalUserID]++
		count[f.UserID]++
		ways[f.AddWay] = true
	}
	two, three := 0, 0
	for _, n := range followers {
		two += truth(n == 2)
		three += truth(n > 2)
	}
	for what, n := range map[string]int{
		"Latin names": latin, "Chinese names": chinese, "WeCom contacts": wecom, "with tags": tagged, "with a company": company,
		"key contacts": key, "followed by two": two,
	} {
		if n < 100 || n > 2900 {
			t.Errorf("%s: %d", what, n)
		}
	}
	if three == 0 || len(ways) < 6 {
		t.Errorf("%d contacts followed by three, %d ways to add", three, len(ways))
	}
	for _, search := range []string{"李", "ann"} {
		if !slices.ContainsFunc(c.Contacts, func(x intake.Contact) bool { return strings.Contains(strings.ToLower(x.Name), search) }) {
			t.Errorf("no contact is found by %s", search)
		}
	}
	room := map[int]int{}
	for _, m := range c.Members {
		if left := m.ContactLimit - count[m.UserID]; m.Status == intake.Active && m.CustomerContact {
			room[min(left, 100)]++
			if left < 0 {
				t.Errorf("%s has %d contacts more than room", m.UserID, -left)
			}
		}
	}
	if room[5] != 1 || room[1] != 1 || room[0] != 1 || room[100] < 30 {
		t.Errorf("members by room: %v", room)
	}
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// print is a digest of everything there is in a corp.
func print(t *testing.T, d *demo.Data) [32]byte {
	t.Helper()
	b, err := json.Marshal([]any{d.Departments, d.Members, d.Contacts, d.Follows, d.Groups, all(t, d), d.Past})
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

func TestTheSameDayGivesTheSameData(t *testing.T) {
	first := print(t, demo.New(now))
	if print(t, demo.New(now)) != first || print(t, demo.New(now.Add(time.Hour))) != first {
		t.Error("the same day gives other data")
	}
	if print(t, demo.New(now.AddDate(0, 0, 1))) == first {
		t.Error("the next day gives the same dates")
	}
	if print(t, demo.NewOther(now)) == first {
		t.Error("both corps are one")
	}
}
