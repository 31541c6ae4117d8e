package graph

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notice"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// leaverSite is a corp whose boss has given lina, with 115 contacts, a last day.
type leaverSite struct {
	*site
	lina, boss          nid.ID
	asLina, asBoss      string
	contacts            []nid.ID
	notice              *notice.Service
	asAuditor, asAdmins string
}

func eachLeaver(t *testing.T, test func(t *testing.T, s *leaverSite, clock *storetest.Clock)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := &leaverSite{site: newSite(t, db, clock)}
		s.notice = &notice.Service{DB: db, Log: s.Log}
		east := s.Department("east", s.Root)
		s.lina, s.boss = s.Member("lina", east), s.Member("boss", east)
		s.Grant(s.boss, access.Manager.Name, east)
		auditor := s.Member("auditor", s.Root)
		s.Grant(auditor, access.Auditor.Name, nid.ID{})
		s.contacts = s.Contacts(115, s.lina)
		s.asLina, s.asBoss, s.asAuditor, s.asAdmins = s.Bearer(s.lina, true), s.Bearer(s.boss, true), s.Bearer(auditor, false), s.Bearer(s.Admin, true)
		s.good(s.asBoss, fmt.Sprintf(`mutation { scheduleDeparture(input: {memberId: "%s", lastDay: "2026-03-31"}) { member { status } } }`, s.lina), nil, &struct{}{})
		test(t, s, clock)
	})
}

// counted gives what has been counted of lina: "CONTACTS 2 50 0" is two requests, fifty
// contacts, none refused.
func (s *leaverSite) counted() string {
	s.t.Helper()
	return testcorp.Value[string](s.Corp, `SELECT `+s.DB.JSONArray(`kind || ' ' || requests || ' ' || items || ' ' || refused`)+` FROM notice_reads WHERE corp_id = $1 AND member_id = $2`, s.ID, s.lina)
}

func (s *leaverSite) entries(action access.Action) int {
	s.t.Helper()
	return testcorp.Value[int](s.Corp, `SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = $2`, s.ID, string(action))
}

func (s *leaverSite) page(skip int) *answer {
	s.t.Helper()
	return s.ask(s.asLina, fmt.Sprintf(`{ contacts(first: 25, offset: %d) { nodes { id name follows { remark } } } }`, skip), nil)
}

// Somebody who is leaving cannot take all their contacts along in a moment: no large page,
// no many pages in one request, no list of ids; and what they read is counted.
func TestLeaverReadsWithinBounds(t *testing.T) {
	eachLeaver(t, func(t *testing.T, s *leaverSite, clock *storetest.Clock) {
		s.ask(s.asLina, `{ contacts(first: 100) { nodes { id } } }`, nil).refused("INVALID", "first")
		many := "{"
		for i := range 5 {
			many += fmt.Sprintf(" p%d: contacts(first: 25, offset: %d) { nodes { id } }", i, 25*i)
		}
		if a := s.ask(s.asLina, many+" }", nil); len(a.Errors) == 0 || a.Errors[0].Extensions.Code != "LIMIT" || strings.Count(string(a.Data), "con_") > 25 {
			t.Errorf("%+v %s", a.Errors, a.Data)
		}
		ids := make([]string, 26)
		for i := range ids {
			ids[i] = idText(s.contacts[i])
		}
		list, err := json.Marshal(ids)
		if err != nil {
			t.Fatal(err)
		}
		s.ask(s.asLina, `{ nodes(ids: `+string(list)+`) { id } }`, nil).refused("LIMIT", "")
		s.ask(s.asLina, `{ viewer { member { contacts(first: 26) { nodes { id } } } } }`, nil).refused("INVALID", "first")

		before := s.counted()
		for i := range 2 {
			if a := s.page(25 * i); len(a.Errors) > 0 || strings.Count(string(a.Data), "con_") != 25 {
				t.Fatalf("%+v %s", a.Errors, a.Data)
			}
		}
		s.good(s.asLina, `{ viewer { member { contacts(first: 5) { nodes { name } } } } members { nodes { name } } }`, nil, &struct{}{})
		if before == "[]" || !strings.Contains(s.counted(), "CONTACTS ") {
			t.Errorf("counted %s, then %s", before, s.counted())
		}
		items := testcorp.Value[int](s.Corp, `SELECT items FROM notice_reads WHERE member_id = $1 AND kind = 'CONTACTS'`, s.lina)
		s.good(s.asBoss, `{ contacts(first: 100) { nodes { name } } }`, nil, &struct{}{}) // others are not counted
		if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM notice_reads`); n != 1 {
			t.Errorf("%d rows", n)
		}
		// When the day is over there is one entry.
		if n := s.entries(access.NoticeRead); n != 0 {
			t.Errorf("%d entries before the day is over", n)
		}
		clock.Add(24 * time.Hour)
		for range 2 {
			if _, err := s.notice.Work(t.Context(), s.ID); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.entries(access.NoticeRead); n != 1 {
			t.Errorf("%d entries", n)
		}
		raw := testcorp.Value[[]byte](s.Corp, `SELECT leaf FROM audit_entries WHERE action = $1`, string(access.NoticeRead))
		if !strings.Contains(string(raw), fmt.Sprintf(`"items":%d`, items)) || s.counted() != "[]" {
			t.Errorf("%s, counted still %s", raw, s.counted())
		}
	})
}

// Beyond the budget the auditor has a finding, and the corp may refuse.
func TestLeaverHasABudget(t *testing.T) {
	eachLeaver(t, func(t *testing.T, s *leaverSite, clock *storetest.Clock) {
		set := func(version int, more string) {
			t.Helper()
			s.good(s.asAdmins, fmt.Sprintf(`mutation { saveSettings(input: {version: %d, %s}) { settings { noticeReadsPerDay noticeMessagesPerDay noticeReadsRefused } } }`, version, more), nil, &struct{}{})
		}
		set(0, "noticeReadsPerDay: 60, noticeMessagesPerDay: 2")
		findings := func() (kinds []string) {
			t.Helper()
			var got struct {
				LeakFindings struct {
					Nodes []struct {
						Kind, Why string
						Member    struct{ UserID string }
					}
				}
			}
			s.good(s.asAuditor, `{ leakFindings { nodes { kind why member { userId } } } }`, nil, &got)
			for _, f := range got.LeakFindings.Nodes {
				kinds = append(kinds, f.Kind+" "+f.Member.UserID+" "+f.Why)
			}
			return kinds
		}
		s.page(0)
		s.page(25)
		if got := findings(); len(got) != 0 {
			t.Fatal(got)
		}
		for range 3 {
			if a := s.page(50); len(a.Errors) > 0 {
				t.Fatalf("%+v", a.Errors)
			}
		}
		want := "[READING_BEFORE_LEAVING lina 75 contacts read in one day, more than the 60 of the settings]"
		if got := fmt.Sprint(findings()); got != want || s.entries(access.NoticeRead) != 1 {
			t.Errorf("%s, %d entries", got, s.entries(access.NoticeRead))
		}
		// Chats are counted as well, one's own too.
		s.Agree(s.contacts[0])
		for i := range 3 {
			s.Said(s.lina, s.contacts[0], clock.Now().Add(time.Duration(i-9)*time.Minute), "hello")
		}
		s.good(s.asLina, fmt.Sprintf(`{ messages(filter: {contactId: "%s"}) { nodes { text } } }`, s.contacts[0]), nil, &struct{}{})
		if got := fmt.Sprint(findings()); got != strings.TrimSuffix(want, "]")+"; 3 messages read in one day, more than the 2 of the settings]" {
			t.Error(got)
		}
		// Refusing begins with the next request; nothing of a refused one is shown.
		set(1, "noticeReadsRefused: true")
		a := s.page(75)
		a.refused("LIMIT", "")
		if string(a.Data) != "null" && len(a.Data) > 0 {
			t.Errorf("a refused request shows %s", a.Data)
		}
		if got := s.counted(); !strings.Contains(got, "CONTACTS 5 125 1") {
			t.Error(got)
		}
		s.ask(s.asLina, fmt.Sprintf(`mutation { updateContact(input: {id: "%s", version: 1}) { contact { name } } }`, s.contacts[3]), nil).refused("LIMIT", "")
		s.good(s.asLina, `{ viewer { member { name } } }`, nil, &struct{}{})
		clock.Add(24 * time.Hour)
		s.asLina = s.Bearer(s.lina, false)
		if a := s.page(75); len(a.Errors) > 0 {
			t.Errorf("on the next day: %+v", a.Errors)
		}
	})
}

// Whoever is leaving empties nothing; what they change is put back.
func TestLeaverTakesNothingAway(t *testing.T) {
	eachLeaver(t, func(t *testing.T, s *leaverSite, _ *storetest.Clock) {
		var got struct {
			Contacts struct {
				Nodes []struct {
					ID      string
					Follows []struct{ ID, Remark string }
				}
			}
		}
		s.good(s.asLina, `{ contacts(first: 20) { nodes { id follows { id remark } } } }`, nil, &got)
		for _, c := range got.Contacts.Nodes {
			s.ask(s.asLina, `mutation { updateFollow(input: {id: "`+c.Follows[0].ID+`", version: 1, remark: ""}) { follow { id } } }`, nil).refused("FORBIDDEN", "")
			s.good(s.asLina, `mutation { updateFollow(input: {id: "`+c.Follows[0].ID+`", version: 1, remark: "gone"}) { follow { id } } }`, nil, &struct{}{})
		}
		var changes struct {
			NoticeChanges struct {
				TotalCount int
				Nodes      []struct{ Was, Is []string }
			}
		}
		s.good(s.asBoss, fmt.Sprintf(`{ noticeChanges(memberId: "%s", first: 7) { totalCount nodes { was is } } }`, s.lina), nil, &changes)
		if changes.NoticeChanges.TotalCount != 20 || len(changes.NoticeChanges.Nodes) != 7 {
			t.Fatalf("%+v", changes)
		}
		var back struct{ RestoreBaseline struct{ Remaining int } }
		s.good(s.asBoss, fmt.Sprintf(`mutation { restoreBaseline(input: {memberId: "%s"}) { remaining } }`, s.lina), nil, &back)
		if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM follows WHERE corp_id = $1 AND remark = 'gone'`, s.ID); n != 0 || back.RestoreBaseline.Remaining != 0 {
			t.Errorf("%d remarks are still gone, %d remain", n, back.RestoreBaseline.Remaining)
		}
		if n := s.entries(access.NoticeRestore); n != 20 {
			t.Errorf("%d entries", n)
		}
		// A manager who leaves exports nothing either.
		s.Grant(s.lina, access.Administrator.Name, nid.ID{})
		s.ask(s.asLina, `mutation { createExport(input: {subject: CONTACTS, idempotencyKey: "k"}) { export { id } } }`, nil).refused("FORBIDDEN", "")
	})
}

// For everybody else reading costs no statement more.
func TestOnlyLeaversPayForTheCount(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		a := newAPI(t, db, c)
		lina, wang := c.Member("lina", c.Root), c.Member("wang", c.Root)
		c.Contacts(10, lina)
		c.Contacts(10, wang)
		c.Leaving(wang, "2026-03-31")
		const document = `{ contacts(first: 10) { nodes { name follows { remark } } } }`
		a.good(c.SignedIn(lina, false), document, nil, nil).atMost(3)
		if n := len(a.good(c.SignedIn(wang, false), document, nil, nil).statements); n <= 3 {
			t.Errorf("%d statements: nothing is counted", n)
		}
	})
}
