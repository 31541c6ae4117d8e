package intake_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/intake"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

func TestLoadingANewCorp(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ *storetest.Clock) {
		d := newDesk(t, db)
		res := d.load(acme())
		if !res.Created || len(res.Kept) > 0 || fmt.Sprint(res.Files) != "[{departments.csv 3 3 0 0} {members.csv 5 5 0 0} {contacts.csv 5 5 0 0} {follows.csv 6 6 0 0} {groups.csv 2 2 0 0} {messages.jsonl 3 3 0 0}]" {
			t.Errorf("%+v", res)
		}
		d.want("members", members, "amy ACTIVE answers -", "ben ACTIVE answers -", "cat LEAVING answers -", "dan DEPARTED away ben", "eve INACTIVE away -")
		d.want("closure", closure, "1>1 0", "1>2 1", "1>21 2", "21>21 0", "2>2 0", "2>21 1")
		d.want("contacts", contacts, "x1 Mr x1 KEY ben", "x2 Mr x2 NORMAL cat protected", "x3 Mr x3 NORMAL ben protected", "x4 Mr x4 KEY ben", "x5 Mr x5 NORMAL ben")
		d.want("follows", follows, "x1 ben ben's", "x1 cat cat's", "x2 cat cat's", "x2 dan dan's protected", "x3 dan dan's protected", "x4 eve eve's")
		d.want("groups", groups, "g1 one NORMAL cat cat", "g2 two OWNER_LEFT dan ben protected")
		d.want("periods", periods, "ben x1", "cat g1", "cat x1", "cat x2", "dan g2", "dan x2", "dan x3", "eve x4")
		d.want("tags of contacts", contactTags, "x1 north", "x1 vip", "x2 vip")
		d.want("tags of follows", followTags, "cat warm")
		d.want("wrong counters", off)
		d.want("fallback", `SELECT m.user_id FROM corps AS c JOIN members AS m ON m.id = c.fallback_id WHERE c.corp_id = $1`, "amy")
		d.want("members of groups", `SELECT m.user_id FROM group_members AS g JOIN members AS m ON m.id = g.member_id WHERE g.corp_id = $1 ORDER BY 1`, "cat", "dan")
		d.want("chat", `SELECT s.external_id || ' ' || s.kind || ' ' || coalesce(m.user_id, '-') || ' ' || coalesce(c.external_user_id, '-') || ' ' || coalesce(g.chat_id, '-') || ' ' ||
				CASE WHEN s.from_contact THEN 'customer' ELSE coalesce(a.user_id, '?') END || ' ' || coalesce(s.text, '-') || CASE WHEN s.attachment IS NULL THEN '' ELSE ' +' END
			FROM messages AS s LEFT JOIN members AS m ON m.id = s.member_id LEFT JOIN contacts AS c ON c.id = s.contact_id
			LEFT JOIN groups AS g ON g.id = s.group_id LEFT JOIN members AS a ON a.id = s.author_id WHERE s.corp_id = $1 ORDER BY 1`,
			"m1 TEXT cat x1 - cat hello", "m2 FILE cat x1 - customer - +", "m3 TEXT - - g2 dan bye")
		d.want("log", `SELECT action FROM audit_entries WHERE corp_id = $1 ORDER BY "index"`,
			"corp.create", "corp.import", "corp.import", "corp.import", "corp.import", "corp.import", "corp.import")
	})
}

func TestLoadingTheSameAgainChangesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		d := newDesk(t, db)
		d.load(acme())
		before := d.all()
		clock.Add(time.Hour)
		res := d.load(acme())
		for _, f := range res.Files {
			if f.Added+f.Updated+f.Kept > 0 {
				t.Errorf("%+v", f)
			}
		}
		if diff := cmp.Diff(before, d.all()); diff != "" || res.Created {
			t.Error(diff)
		}
	})
}

func TestUpdating(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ *storetest.Clock) {
		d := newDesk(t, db)
		d.load(acme())
		c := &intake.Corp{
			Departments: []intake.Department{{ID: "21", Name: "squad", Parent: "1", Manager: "cat"}, {ID: "3", Name: "service", Parent: "2"}},
			Members:     []intake.Member{person("cat", "3", intake.Active), person("fay", "3", intake.Active)},
			Contacts:    []intake.Contact{customer("x1", intake.Normal, "north", "new"), {ExternalUserID: "x5", Name: "Madam", Type: intake.WeCom, Importance: intake.Key, Accountable: "amy"}, customer("x6", intake.Key)},
			Follows:     []intake.Follow{follow("cat", "x1", 10, "cold"), follow("fay", "x6", 2), follow("fay", "x3", 1), follow("dan", "x5", 40)},
			Groups:      []intake.Group{{ChatID: "g1", Name: "uno", Owner: "cat", MemberCount: 9, Status: intake.GroupNormal}, {ChatID: "g3", Name: "three", Owner: "fay", Status: intake.GroupNormal}},
			Messages:    chat(intake.Message{MsgID: "m1", SentAt: since(9), Author: "cat", To: []string{"x1"}, Kind: "TEXT", Text: "other"}, intake.Message{MsgID: "m4", SentAt: since(1), Author: "fay", To: []string{"x6"}, Kind: "TEXT", Text: "new"}),
		}
		c.Follows[0].Remark = "renamed"
		res := d.load(c)
		if len(res.Kept) > 0 || fmt.Sprint(res.Files) != "[{departments.csv 2 1 1 0} {members.csv 2 1 1 0} {contacts.csv 3 1 2 0} {follows.csv 4 3 1 0} {groups.csv 2 1 1 0} {messages.jsonl 2 1 0 0}]" {
			t.Errorf("%+v", res)
		}
		d.want("closure", closure, "1>1 0", "1>2 1", "1>21 1", "1>3 2", "21>21 0", "2>2 0", "2>3 1", "3>3 0")
		d.want("contacts", contacts, "x1 Mr x1 NORMAL ben", "x2 Mr x2 NORMAL cat protected", "x3 Mr x3 NORMAL ben protected", "x4 Mr x4 KEY ben", "x5 Madam KEY amy protected", "x6 Mr x6 KEY fay")
		d.want("follows", follows, "x1 ben ben's", "x1 cat renamed", "x2 cat cat's", "x2 dan dan's protected", "x3 dan dan's protected", "x3 fay fay's", "x4 eve eve's", "x5 dan dan's protected", "x6 fay fay's")
		d.want("groups", groups, "g1 uno NORMAL cat cat", "g2 two OWNER_LEFT dan ben protected", "g3 three NORMAL fay fay")
		d.want("tags of contacts", contactTags, "x1 new", "x1 north", "x2 vip")
		d.want("tags of follows", followTags, "cat cold")
		d.want("wrong counters", off)
		d.want("departments of cat", `SELECT d.name FROM member_departments AS j JOIN members AS m ON m.id = j.member_id JOIN departments AS d ON d.id = j.department_id WHERE j.corp_id = $1 AND m.user_id = 'cat'`, "service")
		d.want("messages", `SELECT external_id || coalesce(text, '') FROM messages WHERE corp_id = $1 ORDER BY 1`, "m1hello", "m2", "m3bye", "m4new")
	})
}

func TestWhatNeedsAHandoverIsKept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ *storetest.Clock) {
		d := newDesk(t, db)
		d.load(acme())
		before := d.all()
		c := &intake.Corp{
			Contacts: []intake.Contact{customer("x2", intake.Key), {ExternalUserID: "x1", Name: "Mr x1", Type: intake.WeChat, Importance: intake.Key, Tags: []string{"vip", "north"}, Accountable: "amy", ChatConsent: intake.Agreed}},
			Follows:  []intake.Follow{follow("dan", "x3", 30)},
			Groups:   []intake.Group{{ChatID: "g1", Name: "one", Owner: "ben", MemberCount: 5, Status: intake.GroupNormal}, {ChatID: "g2", Name: "zwei", Owner: "dan", Status: intake.OwnerLeft}},
		}
		c.Follows[0].Description = "new"
		res := d.load(c)
		var kept []string
		for _, p := range res.Kept {
			kept = append(kept, fmt.Sprintf("%s %d %s", p.File, p.Line, p.Column))
			if !strings.Contains(p.Text.EN, "use a handover") || !strings.Contains(p.Text.ZH, "请使用交接") {
				t.Error(p.Text)
			}
		}
		if diff := cmp.Diff([]string{"contacts.csv 2 ", "contacts.csv 3 accountable_userid", "follows.csv 2 ", "groups.csv 2 owner_userid", "groups.csv 3 "}, kept); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(before, d.all()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestWhatWasHandedOverStaysSo loads the files of before once more.
func TestWhatWasHandedOverStaysSo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ *storetest.Clock) {
		d := newDesk(t, db)
		d.load(acme())
		d.change(`UPDATE follows SET ended_at = $2, protected = false WHERE corp_id = $1 AND member_id IN (SELECT id FROM members WHERE user_id = 'dan') RETURNING id`,
			`UPDATE ownership_periods SET until_at = $2 WHERE corp_id = $1 AND member_id IN (SELECT id FROM members WHERE user_id = 'dan') AND contact_id IS NOT NULL RETURNING id`)
		if err := db.Tx(store.System(context.Background(), d.id, "test"), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Keep(ctx, "member_counters", `UPDATE member_counters SET contacts = 0, key_contacts = 0 WHERE corp_id = $1 AND member_id IN (SELECT id FROM members WHERE user_id = 'dan')`, d.id)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		before := d.rows(follows)
		res := d.load(acme())
		if len(res.Kept) != 2 || res.Kept[0].File != intake.FollowsFile || res.Kept[0].Line != 4 || res.Kept[1].Line != 6 {
			t.Errorf("%+v", res.Kept)
		}
		if diff := cmp.Diff(before, d.rows(follows)); diff != "" {
			t.Error(diff)
		}
		d.want("wrong counters", off)
	})
}

func TestADryRunKeepsNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ *storetest.Clock) {
		d := newDesk(t, db)
		opt := zoned
		opt.DryRun = true
		res, err := d.svc.Load(context.Background(), acme(), opt)
		if err != nil || !res.Created || !res.Corp.IsZero() || len(res.Files) != 6 || res.Files[2].Added != 5 {
			t.Fatalf("%+v %v", res, err)
		}
		if corps, err := db.Corps(context.Background()); err != nil || len(corps) > 0 {
			t.Fatal(corps, err)
		}
		d.load(acme())
		before, entries := d.all(), len(d.rows(`SELECT action FROM audit_entries WHERE corp_id = $1`))
		c := acme()
		c.Contacts[0].Name = "Mrs x1"
		if res, err = d.svc.Load(context.Background(), c, opt); err != nil || res.Files[2].Updated != 1 || res.Corp != d.id {
			t.Fatalf("%+v %v", res, err)
		}
		if diff := cmp.Diff(before, d.all()); diff != "" || len(d.rows(`SELECT action FROM audit_entries WHERE corp_id = $1`)) != entries {
			t.Error(diff)
		}
	})
}

func TestAllOrNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ *storetest.Clock) {
		d := newDesk(t, db)
		d.load(acme())
		before := d.all()
		broken := errors.New("the disk is broken")
		for what, c := range map[string]func(*intake.Corp){
			"a row that the rules refuse": func(c *intake.Corp) { c.Groups[1].Owner = "nobody" },
			"the last of the messages": func(c *intake.Corp) {
				c.Messages = late(intake.Message{MsgID: "m9", SentAt: since(1), Author: "nobody", To: []string{"x1"}, Kind: "TEXT", Text: "?"}, nil)
			},
			"a file that breaks at its end":  func(c *intake.Corp) { c.Messages = late(intake.Message{}, broken) },
			"a member with contacts leaving": func(c *intake.Corp) { c.Members[2].Status, c.Members[2].DepartedAt = intake.Departed, since(1) },
			"nobody left to answer":          func(c *intake.Corp) { c.Members[0].Status = intake.Inactive },
		} {
			x := acme()
			x.Contacts[0].Name = "Mrs x1"
			x.Members = append(x.Members, person("gus", "1", intake.Active))
			c(x)
			res, err := d.svc.Load(context.Background(), x, zoned)
			if err == nil || !errors.Is(err, broken) && (fault.CodeOf(err) != fault.Invalid || len(res.Problems) == 0) {
				t.Errorf("%s: %+v %v", what, res, err)
			}
			if diff := cmp.Diff(before, d.all()); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
		}
	})
}

// TestARowThatTheDatabaseRefuses: a period was left open, and so the second one of
// the same member and contact cannot begin. No rule of ours looks at that.
func TestARowThatTheDatabaseRefuses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ *storetest.Clock) {
		d := newDesk(t, db)
		d.load(acme())
		d.change(`UPDATE follows SET ended_at = $2 WHERE corp_id = $1 AND member_id IN (SELECT id FROM members WHERE user_id = 'cat') RETURNING id`)
		before := d.all()
		c := acme()
		c.Departments[0].Name, c.Members[0].Name, c.Contacts[0].Name = "squad", "Amy", "Mrs x1"
		c.Follows[0].Since = since(4)
		if res, err := d.svc.Load(context.Background(), c, zoned); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("%+v %v", res, err)
		}
		if diff := cmp.Diff(before, d.all()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestALoadThatIsBrokenOff(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ *storetest.Clock) {
		d := newDesk(t, db)
		ctx, cancel := context.WithCancel(context.Background())
		opt := zoned
		opt.Progress = func(stage string, _, _ int) {
			if stage == intake.GroupsFile {
				cancel()
			}
		}
		if res, err := d.svc.Load(ctx, acme(), opt); err == nil || !res.Corp.IsZero() {
			t.Errorf("%+v %v", res, err)
		}
		if corps, err := db.Corps(context.Background()); err != nil || len(corps) > 0 {
			t.Error(corps, err)
		}
		opt.TimeZone, opt.Progress = "Nowhere/Land", nil
		if _, err := d.svc.Load(context.Background(), acme(), opt); fault.CodeOf(err) != fault.Invalid {
			t.Error(err)
		}
		if _, err := d.svc.Load(context.Background(), acme(), intake.LoadOptions{}); fault.CodeOf(err) != fault.Invalid {
			t.Error("a corp without a name:", err)
		}
	})
}

func TestSomebodyWhoHoldsNothingMayLeaveByFile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		d := newDesk(t, db)
		c := acme()
		c.Follows = slices.DeleteFunc(c.Follows, func(f intake.Follow) bool { return f.UserID == "ben" })
		d.load(c)
		// ben is dan's caretaker, answers for x3, x4, x5 and g2, and holds nothing himself.
		now := db.Now()
		grant, session := nid.New(nid.Grant), []byte("0123456789abcdef0123456789abcdef")
		err := db.Tx(store.System(context.Background(), d.id, "test"), func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Change(ctx, "grants", `INSERT INTO grants (id, corp_id, created_at, member_id, role_id) SELECT $2, m.corp_id, $3, m.id, r.id
				FROM members AS m JOIN roles AS r ON r.corp_id = m.corp_id WHERE m.corp_id = $1 AND m.user_id = 'ben' AND r.name = 'manager' RETURNING id`, d.id, grant, now)
			if err != nil {
				return err
			}
			tx.Cover(ids...)
			_, err = tx.Keep(ctx, "sessions", `INSERT INTO sessions (secret_hash, corp_id, id, member_id, epoch, method, created_at, expires_at, last_seen_at)
				SELECT $2, corp_id, id, id, epoch, 'PASSWORD', $3, $4, $3 FROM members WHERE corp_id = $1 AND user_id = 'ben'`, d.id, session, now, now.Add(time.Hour))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		clock.Add(time.Hour)
		ben := person("ben", "2", intake.Departed)
		d.load(&intake.Corp{Members: []intake.Member{ben}})
		d.want("members", members, "amy ACTIVE answers -", "ben DEPARTED away amy", "cat LEAVING answers -", "dan DEPARTED away amy", "eve INACTIVE away -")
		d.want("contacts", contacts, "x1 Mr x1 KEY cat", "x2 Mr x2 NORMAL cat protected", "x3 Mr x3 NORMAL amy protected", "x4 Mr x4 KEY amy", "x5 Mr x5 NORMAL amy")
		d.want("groups", groups, "g1 one NORMAL cat cat", "g2 two OWNER_LEFT dan amy protected")
		d.want("grants", `SELECT 'open' FROM grants WHERE corp_id = $1 AND revoked_at IS NULL`)
		d.want("sessions", `SELECT 'open' FROM sessions WHERE corp_id = $1`)
		d.want("epoch", `SELECT epoch || '' FROM members WHERE corp_id = $1 AND user_id = 'ben'`, "2")
	})
}

// TestFromFilesToTheDatabaseAndBack goes the way of the command.
func TestFromFilesToTheDatabaseAndBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ *storetest.Clock) {
		d := newDesk(t, db)
		ctx := context.Background()
		if cur, err := d.svc.Current(ctx, "acme"); err != nil || cur != nil {
			t.Fatal(cur, err)
		}
		d.load(acme())
		cur, err := d.svc.Current(ctx, "") // the only one
		if err != nil || cur == nil || cur.Name != "acme" || cur.TimeZone != "Asia/Shanghai" || cur.ID != d.id {
			t.Fatal(cur, err)
		}
		want := &intake.Known{
			Departments: map[string]string{"1": "", "2": "1", "21": "2"},
			Members: map[string]intake.KnownMember{
				"amy": {Status: intake.Active}, "ben": {Status: intake.Active, Holds: true}, "cat": {Status: intake.Leaving, Holds: true},
				"dan": {Status: intake.Departed, Holds: true}, "eve": {Status: intake.Inactive, Holds: true},
			},
			Contacts: map[string]struct{}{"x1": {}, "x2": {}, "x3": {}, "x4": {}, "x5": {}}, Groups: map[string]struct{}{"g1": {}, "g2": {}},
		}
		if diff := cmp.Diff(want, cur.Known); diff != "" {
			t.Fatal(diff)
		}
		fsys := fstest.MapFS{
			// No column for tags, importance or remark: they stay.
			intake.ContactsFile: {Data: []byte("external_userid,name,company\nx1,Herr x1,新公司\nx2,Frau x2,\n")},
			intake.FollowsFile:  {Data: []byte("userid,external_userid,since\ncat,x3,2026-02-03 10:00\n")},
			intake.MembersFile:  {Data: []byte("userid,name,department_ids\neve,Eva,21\n")},
		}
		c, report, err := intake.Read(fsys, intake.Options{Known: cur.Known, Now: db.Now()})
		if err != nil {
			t.Fatal(err, report)
		}
		var stages []string
		res, err := d.svc.Load(ctx, c, intake.LoadOptions{Report: report, Progress: func(stage string, done, total int) { stages = append(stages, fmt.Sprint(stage, done, "/", total)) }})
		if err != nil {
			t.Fatal(err, res)
		}
		if fmt.Sprint(res.Files) != "[{members.csv 1 0 1 0} {contacts.csv 2 0 1 1} {follows.csv 1 1 0 0}]" || len(res.Kept) != 1 || res.Kept[0].Line != 3 {
			t.Errorf("%+v", res)
		}
		if !slices.Contains(stages, "contacts.csv2/2") {
			t.Error(stages)
		}
		d.want("contacts", contacts, "x1 Herr x1 KEY ben", "x2 Mr x2 NORMAL cat protected", "x3 Mr x3 NORMAL ben protected", "x4 Mr x4 KEY ben", "x5 Mr x5 NORMAL ben")
		d.want("tags", contactTags, "x1 north", "x1 vip", "x2 vip")
		logged := d.rows(`SELECT leaf FROM audit_entries WHERE corp_id = $1 AND action = 'corp.import' ORDER BY "index" DESC LIMIT 3`)
		for i, f := range []intake.File{report.Files[2], report.Files[1], report.Files[0]} {
			if sum := hex.EncodeToString(f.SHA256[:]); !strings.Contains(logged[i], sum) || !strings.Contains(logged[i], f.Name) {
				t.Errorf("the log does not say that %s was %s: %s", f.Name, sum, logged[i])
			}
		}
		d.want("eve", `SELECT name || contact_limit || status FROM members WHERE corp_id = $1 AND user_id = 'eve'`, "Eva100INACTIVE")
		// A file that takes the key mark off leaves the date, as a person does.
		c, report, err = intake.Read(fstest.MapFS{intake.ContactsFile: {Data: []byte("external_userid,name,importance\nx1,Herr x1,normal\nx5,Mr x5,key\n")}},
			intake.Options{Known: cur.Known, Now: db.Now()})
		if err != nil {
			t.Fatal(err, report)
		}
		if res, err := d.svc.Load(ctx, c, intake.LoadOptions{Report: report}); err != nil {
			t.Fatal(err, res)
		}
		d.want("marks taken off", `SELECT external_user_id FROM contacts WHERE corp_id = $1 AND key_until = updated_at AND key_changed_by_id IS NULL`, "x1")
		d.want("wrong counters", off)
	})
}

// Who is LEAVING in a file has a baseline of what the files say; later files' changes differ
// from it; who is ACTIVE again has none.
func TestAnImportBeginsAndEndsNotices(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ *storetest.Clock) {
		d := newDesk(t, db)
		d.load(acme())
		const kept = `SELECT m.user_id || ' ' || c.external_user_id || ' ' || b.remark || ' ' || b.importance || CASE WHEN b.tags = '' THEN '' ELSE ' tagged' END
			FROM notice_baselines AS b JOIN members AS m ON m.id = b.member_id JOIN contacts AS c ON c.id = b.contact_id WHERE b.corp_id = $1 ORDER BY 1`
		d.want("baselines", kept, "cat x1 cat's KEY tagged", "cat x2 cat's NORMAL")
		c := acme()
		for i := range c.Follows {
			c.Follows[i].Remark += " friend"
		}
		c.Follows = append(c.Follows, follow("cat", "x4", 3))
		d.load(c)
		d.want("baselines after a change", kept, "cat x1 cat's KEY tagged", "cat x2 cat's NORMAL", "cat x4 cat's KEY")
		for i := range c.Members {
			if c.Members[i].UserID == "cat" {
				c.Members[i].Status, c.Members[i].LastDay = intake.Active, ""
			}
		}
		d.load(c)
		d.want("baselines of who stays", kept)
	})
}

// A file that calls somebody at work whose departure is held back does not decide it.
func TestAnImportDoesNotDecideDepartures(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ *storetest.Clock) {
		d := newDesk(t, db)
		corp := d.load(acme()).Corp
		if err := db.Tx(store.System(t.Context(), corp, "test"), func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Change(ctx, "members", `UPDATE members SET departure_held_at = $2, suspended = true WHERE corp_id = $1 AND user_id = 'cat' RETURNING id`, corp, tx.Now())
			tx.Cover(ids...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		const cat = `SELECT status || CASE WHEN suspended THEN ' without access' ELSE '' END FROM members WHERE corp_id = $1 AND user_id = 'cat'`
		for status, want := range map[intake.Status]string{intake.Active: "LEAVING without access", intake.Leaving: "LEAVING without access"} {
			c := acme()
			for i := range c.Members {
				if c.Members[i].UserID == "cat" {
					c.Members[i].Status = status
				}
			}
			d.load(c)
			d.want(string(status), cat, want)
		}
	})
}
