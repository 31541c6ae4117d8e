package intake_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/intake"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// desk is where a test loads and looks.
type desk struct {
	t   *testing.T
	db  *store.DB
	svc *intake.Service
	id  nid.ID
}

func newDesk(t *testing.T, db *store.DB) *desk {
	t.Helper()
	box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
	if err != nil {
		t.Fatal(err)
	}
	return &desk{t: t, db: db, svc: &intake.Service{DB: db, Log: audit.New(box)}}
}

var zoned = intake.LoadOptions{CorpName: "acme", TimeZone: "Asia/Shanghai"}

func (d *desk) load(c *intake.Corp) intake.Result {
	d.t.Helper()
	res, err := d.svc.Load(context.Background(), c, zoned)
	if err != nil {
		d.t.Fatal(err, errors.Unwrap(err), res.Problems)
	}
	d.id = res.Corp
	return res
}

// rows gives what a query finds, one line for each row, columns joined by blanks.
func (d *desk) rows(query string, args ...any) []string {
	d.t.Helper()
	var out []string
	err := d.db.View(store.System(context.Background(), d.id, "test"), func(ctx context.Context, r *store.Read) error {
		var err error
		out, err = store.Select(ctx, r, func(s *string) []any { return []any{s} }, query, append([]any{d.id}, args...)...)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

func (d *desk) want(what, query string, want ...string) {
	d.t.Helper()
	if diff := cmp.Diff(want, d.rows(query)); diff != "" {
		d.t.Errorf("%s: %s", what, diff)
	}
}

// The same question in one line for each thing.
const (
	members = `SELECT m.user_id || ' ' || m.status || ' ' || CASE WHEN m.answers THEN 'answers' ELSE 'away' END || ' ' || coalesce(c.user_id, '-')
		FROM members AS m LEFT JOIN members AS c ON c.id = m.caretaker_id WHERE m.corp_id = $1 ORDER BY m.user_id`
	contacts = `SELECT c.external_user_id || ' ' || c.name || ' ' || c.importance || ' ' || a.user_id || CASE WHEN c.protected THEN ' protected' ELSE '' END
		FROM contacts AS c JOIN members AS a ON a.id = c.accountable_id WHERE c.corp_id = $1 ORDER BY c.external_user_id`
	follows = `SELECT c.external_user_id || ' ' || m.user_id || ' ' || coalesce(f.remark, '-') || CASE WHEN f.protected THEN ' protected' ELSE '' END || CASE WHEN f.ended_at IS NULL THEN '' ELSE ' ended' END
		FROM follows AS f JOIN contacts AS c ON c.id = f.contact_id JOIN members AS m ON m.id = f.member_id WHERE f.corp_id = $1 ORDER BY c.external_user_id, m.user_id`
	groups = `SELECT g.chat_id || ' ' || g.name || ' ' || g.status || ' ' || o.user_id || ' ' || a.user_id || CASE WHEN g.protected THEN ' protected' ELSE '' END
		FROM groups AS g JOIN members AS o ON o.id = g.owner_id JOIN members AS a ON a.id = g.accountable_id WHERE g.corp_id = $1 ORDER BY g.chat_id`
	closure = `SELECT a.external_id || '>' || d.external_id || ' ' || c.depth FROM department_closure AS c JOIN departments AS a ON a.id = c.ancestor_id
		JOIN departments AS d ON d.id = c.descendant_id WHERE c.corp_id = $1 ORDER BY 1`
	periods = `SELECT m.user_id || ' ' || coalesce(c.external_user_id, g.chat_id) FROM ownership_periods AS p JOIN members AS m ON m.id = p.member_id
		LEFT JOIN contacts AS c ON c.id = p.contact_id LEFT JOIN groups AS g ON g.id = p.group_id WHERE p.corp_id = $1 AND p.until_at IS NULL ORDER BY 1`
	contactTags = `SELECT c.external_user_id || ' ' || t.name FROM contact_tags AS j JOIN contacts AS c ON c.id = j.contact_id JOIN tags AS t ON t.id = j.tag_id WHERE j.corp_id = $1 ORDER BY 1`
	followTags  = `SELECT m.user_id || ' ' || t.name FROM follow_tags AS j JOIN follows AS f ON f.id = j.follow_id JOIN members AS m ON m.id = f.member_id JOIN tags AS t ON t.id = j.tag_id WHERE j.corp_id = $1 ORDER BY 1`
	// off are the members whose counters are not what a recount gives.
	off = `SELECT m.user_id FROM members AS m LEFT JOIN member_counters AS n ON n.corp_id = m.corp_id AND n.member_id = m.id WHERE m.corp_id = $1 AND (n.member_id IS NULL
		OR n.contacts <> (SELECT count(*) FROM follows AS f WHERE f.corp_id = m.corp_id AND f.member_id = m.id AND f.ended_at IS NULL)
		OR n.key_contacts <> (SELECT count(*) FROM follows AS f JOIN contacts AS c ON c.id = f.contact_id WHERE f.corp_id = m.corp_id AND f.member_id = m.id AND f.ended_at IS NULL AND c.importance = 'KEY')
		OR n.groups <> (SELECT count(*) FROM groups AS g WHERE g.corp_id = m.corp_id AND g.owner_id = m.id)
		OR n.waiting_contacts + n.waiting_key_contacts + n.waiting_groups + n.reserved_contacts <> 0)`
)

func since(days int) time.Time { return storetest.Epoch.AddDate(0, 0, -days) }

func person(userID, department string, status intake.Status) intake.Member {
	m := intake.Member{UserID: userID, Name: strings.ToUpper(userID), Departments: []string{department}, Status: status, CustomerContact: true, ContactLimit: 100}
	if status == intake.Departed {
		m.DepartedAt = since(1)
	}
	return m
}

func customer(id, importance string, tags ...string) intake.Contact {
	return intake.Contact{ExternalUserID: id, Name: "Mr " + id, Type: intake.WeChat, ChatConsent: intake.Agreed, Importance: importance, Tags: tags}
}

func follow(userID, contact string, days int, tags ...string) intake.Follow {
	return intake.Follow{UserID: userID, ExternalUserID: contact, Since: since(days), Remark: userID + "'s", Tags: tags, AddWay: 1}
}

// acme is a corp with a bit of everything: amy heads the firm, ben its sales, cat
// works there, dan has left it, eve has not come yet.
func acme() *intake.Corp {
	return &intake.Corp{
		Departments: []intake.Department{ // a child before its parent
			{ID: "21", Name: "team", Parent: "2"}, {ID: "1", Name: "firm", Manager: "amy"}, {ID: "2", Name: "sales", Parent: "1", Manager: "ben"},
		},
		Members: []intake.Member{
			person("amy", "1", intake.Active), person("ben", "2", intake.Active), person("cat", "21", intake.Leaving),
			person("dan", "21", intake.Departed), person("eve", "21", intake.Inactive),
		},
		Contacts: []intake.Contact{
			customer("x1", intake.Key, "vip", "north"), customer("x2", intake.Normal, "vip"), customer("x3", intake.Normal),
			customer("x4", intake.Key), {ExternalUserID: "x5", Name: "Mr x5", Type: intake.WeCom, Importance: intake.Normal, Accountable: "ben", Company: "Acme"},
		},
		Follows: []intake.Follow{
			follow("cat", "x1", 10, "warm"), follow("ben", "x1", 20), // ben is older
			follow("dan", "x2", 30), follow("cat", "x2", 5), // dan is older and gone
			follow("dan", "x3", 30), follow("eve", "x4", 30),
		},
		Groups: []intake.Group{
			{ChatID: "g1", Name: "one", Owner: "cat", MemberCount: 5, Status: intake.GroupNormal},
			{ChatID: "g2", Name: "two", Owner: "dan", MemberCount: 6, Status: intake.GroupNormal},
		},
		Messages: chat(
			intake.Message{MsgID: "m1", SentAt: since(3), Author: "cat", To: []string{"x1"}, Kind: "TEXT", Text: "hello"},
			intake.Message{MsgID: "m2", SentAt: since(2), AuthorContact: "x1", To: []string{"cat"}, Kind: "FILE", Attachment: &intake.Attachment{Name: "a.pdf", Size: 7}},
			intake.Message{MsgID: "m3", SentAt: since(1), Author: "dan", ChatID: "g2", Kind: "TEXT", Text: "bye"},
		),
	}
}

func chat(messages ...intake.Message) iter.Seq2[intake.Message, error] {
	return func(yield func(intake.Message, error) bool) {
		for _, m := range messages {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// all is everything that a load writes, as text without ids and times of writing.
func (d *desk) all() (out []string) {
	for _, q := range []string{members, contacts, follows, groups, closure, periods, contactTags, followTags,
		`SELECT name || version || coalesce(manager_id || '', '') FROM departments WHERE corp_id = $1 ORDER BY external_id`,
		`SELECT user_id || version || epoch FROM members WHERE corp_id = $1 ORDER BY user_id`,
		`SELECT external_user_id || version FROM contacts WHERE corp_id = $1 ORDER BY 1`,
		`SELECT id || ' ' || version FROM follows WHERE corp_id = $1 ORDER BY 1`,
		`SELECT chat_id || version FROM groups WHERE corp_id = $1 ORDER BY 1`,
		`SELECT external_id FROM messages WHERE corp_id = $1 ORDER BY 1`,
	} {
		out = append(out, d.rows(q)...)
	}
	return out
}

// change does something to the corp that no import does.
func (d *desk) change(queries ...string) {
	d.t.Helper()
	err := d.db.Tx(store.System(context.Background(), d.id, "test"), func(ctx context.Context, tx *store.Tx) error {
		for _, q := range queries {
			ids, err := tx.Change(ctx, strings.Fields(q)[1], q, d.id, since(5))
			if err != nil {
				return err
			}
			tx.Cover(ids...)
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// late gives a good message and many more before the last.
func late(last intake.Message, err error) iter.Seq2[intake.Message, error] {
	return func(yield func(intake.Message, error) bool) {
		for i := range 1200 {
			if !yield(intake.Message{MsgID: fmt.Sprintf("late%d", i), SentAt: since(1), Author: "cat", To: []string{"x1"}, Kind: "TEXT", Text: "hi"}, nil) {
				return
			}
		}
		yield(last, err)
	}
}
