package handover_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/evidence/evidencetest"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/group"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// Whatever people do in whatever order, everything that is kept beside the rows
// equals a recount of the rows. 30 sequences of up to 12 steps on each engine; more
// with -rapid.checks, and a failure again with the -rapid.seed it prints.
func TestAnySequenceLeavesEverythingCountable(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		n := 0
		rapid.Check(t, func(t2 *rapid.T) {
			n++
			m := newModel(t, db, clock, fmt.Sprint("corp ", n))
			m.rt = t2
			for range rapid.IntRange(4, 12).Draw(t2, "steps") {
				m.step()
				m.recount()
				clock.Add(time.Duration(rapid.IntRange(0, 20).Draw(t2, "minutes")) * time.Minute)
			}
			m.verify()
		})
	})
}

// Unless told otherwise the test is short (rapid's own default is 100 sequences) and
// leaves no files.
func init() {
	for name, value := range map[string]string{"rapid.checks": "30", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
}

// model is one corp in which things happen at random.
type model struct {
	*testcorp.Corp
	rt       *rapid.T
	s        *handover.Service
	members  *member.Service
	contacts *contact.Service
	groups   *group.Service
	// staff look after contacts; who approves and who is the fallback stay.
	staff, items, chats []nid.ID
	approver            nid.ID
	platform            bool
	log                 []string
	n                   int
}

func newModel(t *testing.T, db *store.DB, clock *storetest.Clock, title string) *model {
	c := testcorp.New(t, db, clock, title)
	m := &model{
		Corp: c, s: &handover.Service{DB: db, Log: c.Log}, members: &member.Service{DB: db, Log: c.Log},
		contacts: &contact.Service{DB: db, Log: c.Log}, groups: &group.Service{DB: db, Log: c.Log},
	}
	m.s.Platform = func(nid.ID) bool { return m.platform }
	m.s.AtOnce = []int{2, 200}[len(title)%2] // small: more of it happens in the background
	sales := c.Department("sales", c.Root)
	for i := range 4 {
		m.staff = append(m.staff, c.Member(fmt.Sprint("staff ", i), []nid.ID{c.Root, sales}[i%2]))
	}
	c.Limit(m.staff[0], 5)
	c.Manager(sales, m.staff[1])
	m.approver = c.Member("approver", c.Root)
	c.Grant(m.approver, access.Approver.Name, nid.ID{})
	for i := range 10 {
		followers := []nid.ID{m.staff[i%4]}
		if i%3 == 0 {
			followers = append(followers, m.staff[(i+1)%4])
		}
		m.items = append(m.items, c.Contact(fmt.Sprint("contact ", i), []string{"NORMAL", "NORMAL", "NORMAL", "NORMAL", "KEY"}[i%5], followers...))
	}
	for i := range 4 {
		m.chats = append(m.chats, c.Group(fmt.Sprint("group ", i), m.staff[i]))
	}
	return m
}

func pick[T any](m *model, what string, from []T) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(m.rt, what)]
}

// step does one thing at random. It may be refused; what then happened is nothing.
func (m *model) step() {
	admin := m.Verified(m.Admin)
	m.n++
	key := fmt.Sprint("key ", m.n)
	var err error
	// What people do most stands here more often.
	act := pick(m, "act", []string{"hand over", "hand over", "create", "create", "submit", "approve", "execute", "execute", "cancel", "replan", "reject",
		"deactivate", "deactivate", "reinstate", "importance", "importance", "rename", "platform", "settle", "settle", "work", "work", "work", "retry", "retry elsewhere", "revert", "revert", "schedule", "split"})
	switch act {
	case "hand over":
		_, err = m.s.HandOver(admin, m.input(), nil, key)
	case "create":
		_, err = m.s.Create(admin, m.input(), nil, nil, key)
	case "submit":
		if id, version, _ := m.aCase("DRAFT"); !id.IsZero() {
			err = m.s.Submit(admin, id, version)
		}
	case "approve":
		if id, _, digest := m.aCase("AWAITING_APPROVAL"); !id.IsZero() {
			_, err = m.s.Approve(m.Verified(m.approver), id, digest, nil)
		}
	case "reject":
		if id, _, digest := m.aCase("AWAITING_APPROVAL"); !id.IsZero() {
			_, err = m.s.Reject(m.Verified(m.approver), id, digest, "no")
		}
	case "execute":
		if id, _, digest := m.aCase("READY"); !id.IsZero() {
			err = m.s.Execute(admin, id, digest, key)
		}
	case "cancel":
		if id, version, _ := m.aCase("DRAFT", "AWAITING_APPROVAL", "READY", "RUNNING"); !id.IsZero() {
			err = m.s.Cancel(admin, id, version, nil)
		}
	case "replan":
		if id, version, _ := m.aCase("DRAFT", "AWAITING_APPROVAL", "READY", "REJECTED"); !id.IsZero() {
			in := m.input()
			in.LeaverID = testcorp.Value[nid.ID](m.Corp, `SELECT leaver_id FROM handovers WHERE id = $1`, id)
			err = m.s.Replan(admin, id, version, in)
		}
	case "deactivate":
		_, err = m.members.Deactivate(admin, member.DeactivateInput{MemberID: pick(m, "leaver", m.staff), Mode: pick(m, "mode", []member.Mode{member.Disable, member.Depart})})
	case "reinstate":
		if left := query(m, func(id *nid.ID) []any { return []any{id} }, `SELECT id FROM members WHERE corp_id = $1 AND NOT answers ORDER BY id`, m.ID); len(left) > 0 {
			err = m.members.Reinstate(admin, member.ReinstateInput{MemberID: pick(m, "back", left), Reason: "back"})
		}
	case "importance":
		id, to := pick(m, "contact", m.items), pick(m, "importance", []string{"NORMAL", "KEY"})
		err = m.contacts.Update(admin, contact.UpdateInput{ID: id, Version: testcorp.Value[int](m.Corp, `SELECT version FROM contacts WHERE id = $1`, id), Importance: &to})
	case "rename":
		id := pick(m, "group", m.chats)
		err = m.groups.Update(admin, group.UpdateInput{ID: id, Version: testcorp.Value[int](m.Corp, `SELECT version FROM groups WHERE id = $1`, id), Name: &key})
	case "platform":
		m.platform = !m.platform
	case "settle":
		err = m.settle()
	case "work":
		if m.platform {
			break // a platform's transfers go on by what it says
		}
		_, err = m.s.Work(context.Background(), m.ID)
	case "retry":
		if id, _, _ := m.aCase("PARTIAL", "FAILED"); !id.IsZero() {
			_, err = m.s.Retry(admin, id, nil, nil, key)
		}
	case "retry elsewhere":
		if id, _, _ := m.aCase("PARTIAL", "FAILED"); !id.IsZero() {
			to := pick(m, "successor", m.staff)
			_, err = m.s.Retry(admin, id, nil, &to, key)
		}
	case "revert":
		if id, _, _ := m.aCase("COMPLETED", "PARTIAL"); !id.IsZero() {
			_, err = m.s.Revert(admin, id, "a mistake", key)
		}
	case "schedule":
		at := m.DB.Now().Add(time.Minute)
		_, err = m.s.Create(admin, m.input(), &at, nil, key)
	case "split":
		in := m.input()
		in.Successors = handover.Choice{Split: &handover.Split{Method: "EVEN", MemberIDs: slices.DeleteFunc(slices.Clone(m.staff), func(id nid.ID) bool { return id == in.LeaverID })}}
		_, err = m.s.HandOver(admin, in, nil, key)
	}
	m.log = append(m.log, fmt.Sprintf("%s: %v", act, err))
	switch fault.CodeOf(err) {
	case "", fault.Invalid, fault.Conflict, fault.Limit, fault.ApprovalRequired, fault.NotFound:
	default:
		m.rt.Fatalf("%s: %v (%+v)", act, err, m.log)
	}
}

// input is a plan at random; the leaver's status chooses its kind most of the time.
func (m *model) input() handover.Input {
	in := handover.Input{Kind: handover.OnJob, LeaverID: pick(m, "leaver", m.staff)}
	if !testcorp.Value[bool](m.Corp, `SELECT answers FROM members WHERE id = $1`, in.LeaverID) {
		in.Kind = handover.Resigned
	}
	to := pick(m, "successor", slices.DeleteFunc(slices.Clone(m.staff), func(id nid.ID) bool { return id == in.LeaverID }))
	in.Successors.MemberID = &to
	switch rapid.IntRange(0, 3).Draw(m.rt, "selection") {
	case 0:
		in.Select = &handover.Selection{Kinds: []handover.ItemKind{handover.Group}}
	case 1:
		normal := "NORMAL"
		in.Select = &handover.Selection{Contacts: &contact.Filter{Importance: &normal}}
	case 2:
		theirs := query(m, func(id *nid.ID) []any { return []any{id} }, `SELECT contact_id FROM follows WHERE corp_id = $1 AND member_id = $2 AND ended_at IS NULL ORDER BY contact_id`, m.ID, in.LeaverID)
		if len(theirs) > 0 {
			in.Select = &handover.Selection{ContactIDs: []nid.ID{pick(m, "contact", theirs)}}
		}
	}
	if rapid.Bool().Draw(m.rt, "history") {
		in.History = &handover.HistoryScope{Mode: "ALL"}
	}
	return in
}

// aCase picks a handover in one of the states; the zero id where there is none.
func (m *model) aCase(states ...string) (id nid.ID, version int, digest string) {
	type row struct {
		id      nid.ID
		version int
		digest  string
	}
	rows := query(m, func(r *row) []any { return []any{&r.id, &r.version, &r.digest} },
		`SELECT id, version, digest FROM handovers WHERE corp_id = $1 AND state `+m.DB.InText(2)+` ORDER BY id`, m.ID, m.DB.Texts(states))
	if len(rows) == 0 {
		return id, 0, ""
	}
	r := pick(m, "case", rows)
	return r.id, r.version, r.digest
}

// settle lets the platform say something about one handover.
func (m *model) settle() error {
	id, _, _ := m.aCase("RUNNING")
	if id.IsZero() {
		return nil
	}
	waiting := query(m, func(id *nid.ID) []any { return []any{id} },
		`SELECT id FROM transfers WHERE corp_id = $1 AND handover_id = $2 AND status = 'WAITING' ORDER BY position`, m.ID, id)
	var word []handover.Outcome
	for _, t := range waiting {
		o := pick(m, "outcome", []handover.Outcome{
			{Status: handover.TransferCompleted}, {Status: handover.TransferCompleted}, {Status: handover.TransferRefused, Reason: handover.CustomerRefused},
			{Status: handover.TransferFailed, Reason: handover.PlatformError}, {},
		})
		if o.Status != "" {
			o.Transfer = t
			word = append(word, o)
		}
	}
	return m.s.Settle(store.System(context.Background(), m.ID, "platform"), id, word)
}

func query[T any](m *model, dest func(*T) []any, sql string, args ...any) (rows []T) {
	err := m.DB.View(store.System(context.Background(), m.ID, "test"), func(ctx context.Context, r *store.Read) (err error) {
		rows, err = store.Select(ctx, r, dest, sql, args...)
		return err
	})
	if err != nil {
		m.rt.Fatal(err)
	}
	return rows
}

// wrongs are queries for rows that should not be.
var wrongs = map[string]string{
	"counters are not a recount": `SELECT c.member_id FROM member_counters AS c WHERE c.corp_id = $1 AND (
		contacts <> (SELECT count(*) FROM follows AS f WHERE f.corp_id = $1 AND f.member_id = c.member_id AND f.ended_at IS NULL)
		OR key_contacts <> (SELECT count(*) FROM follows AS f JOIN contacts AS k ON k.corp_id = $1 AND k.id = f.contact_id WHERE f.corp_id = $1 AND f.member_id = c.member_id AND f.ended_at IS NULL AND k.importance = 'KEY')
		OR groups <> (SELECT count(*) FROM groups AS g WHERE g.corp_id = $1 AND g.owner_id = c.member_id)
		OR reserved_contacts <> (SELECT count(*) FROM transfers AS t WHERE t.corp_id = $1 AND t.to_id = c.member_id AND t.kind = 'CONTACT' AND t.status = 'WAITING' AND NOT t.merged)
		OR waiting_contacts <> (SELECT count(*) FROM transfers AS t WHERE t.corp_id = $1 AND t.from_id = c.member_id AND t.kind = 'CONTACT' AND t.status = 'WAITING')
		OR waiting_key_contacts <> (SELECT count(*) FROM transfers AS t JOIN contacts AS k ON k.corp_id = $1 AND k.id = t.contact_id WHERE t.corp_id = $1 AND t.from_id = c.member_id AND t.status = 'WAITING' AND k.importance = 'KEY')
		OR waiting_groups <> (SELECT count(*) FROM transfers AS t WHERE t.corp_id = $1 AND t.from_id = c.member_id AND t.kind = 'GROUP' AND t.status = 'WAITING'))`,
	"more contacts than the limit": `SELECT m.id FROM members AS m JOIN member_counters AS c ON c.corp_id = $1 AND c.member_id = m.id
		WHERE m.corp_id = $1 AND m.contact_limit = 5 AND c.contacts + c.reserved_contacts > 5 + (SELECT count(*) FROM transfers AS t WHERE t.corp_id = $1 AND t.to_id = m.id AND (t.assigned_at < t.finished_at OR t.revert_of_id IS NOT NULL))`,
	"a contact is protected without a leaver, or the other way round": `SELECT k.id FROM contacts AS k WHERE k.corp_id = $1
		AND protected <> EXISTS (SELECT 1 FROM follows AS f WHERE f.corp_id = $1 AND f.contact_id = k.id AND f.ended_at IS NULL AND f.protected)`,
	"a follow is protected without a leaver, or the other way round": `SELECT f.id FROM follows AS f JOIN members AS m ON m.corp_id = $1 AND m.id = f.member_id
		WHERE f.corp_id = $1 AND f.protected <> (f.ended_at IS NULL AND NOT m.answers)`,
	"a group is protected without a leaver, or the other way round": `SELECT g.id FROM groups AS g JOIN members AS m ON m.corp_id = $1 AND m.id = g.owner_id
		WHERE g.corp_id = $1 AND (g.protected = m.answers OR (g.status = 'OWNER_LEFT') = m.answers)`,
	"who answers is not at work": `SELECT a.id FROM (SELECT id, accountable_id FROM contacts WHERE corp_id = $1 UNION ALL SELECT id, accountable_id FROM groups WHERE corp_id = $1) AS a
		JOIN members AS m ON m.corp_id = $1 AND m.id = a.accountable_id WHERE NOT m.answers`,
	"who answers for a contact neither follows it nor cares for who does": `SELECT k.id FROM contacts AS k WHERE k.corp_id = $1 AND NOT EXISTS (
		SELECT 1 FROM follows AS f JOIN members AS m ON m.corp_id = $1 AND m.id = f.member_id WHERE f.corp_id = $1 AND f.contact_id = k.id AND f.ended_at IS NULL
		AND (f.member_id = k.accountable_id OR m.caretaker_id = k.accountable_id AND NOT m.answers))`,
	"a caretaker answers although a follower is at work": `SELECT k.id FROM contacts AS k WHERE k.corp_id = $1
		AND NOT EXISTS (SELECT 1 FROM follows AS f WHERE f.corp_id = $1 AND f.contact_id = k.id AND f.ended_at IS NULL AND f.member_id = k.accountable_id)
		AND EXISTS (SELECT 1 FROM follows AS f JOIN members AS m ON m.corp_id = $1 AND m.id = f.member_id WHERE f.corp_id = $1 AND f.contact_id = k.id AND f.ended_at IS NULL AND m.answers)`,
	"who answers for a group neither owns it nor cares for who does": `SELECT g.id FROM groups AS g JOIN members AS m ON m.corp_id = $1 AND m.id = g.owner_id
		WHERE g.corp_id = $1 AND g.accountable_id <> CASE WHEN m.answers THEN m.id ELSE m.caretaker_id END`,
	"an open follow has not one open period": `SELECT f.id FROM follows AS f WHERE f.corp_id = $1 AND f.ended_at IS NULL
		AND 1 <> (SELECT count(*) FROM ownership_periods AS p WHERE p.corp_id = $1 AND p.contact_id = f.contact_id AND p.member_id = f.member_id AND p.until_at IS NULL)`,
	"an open period has no open follow": `SELECT p.id FROM ownership_periods AS p WHERE p.corp_id = $1 AND p.until_at IS NULL AND p.contact_id IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM follows AS f WHERE f.corp_id = $1 AND f.contact_id = p.contact_id AND f.member_id = p.member_id AND f.ended_at IS NULL)`,
	"a group's open period is not its owner's": `SELECT g.id FROM groups AS g WHERE g.corp_id = $1
		AND 1 <> (SELECT count(*) FROM ownership_periods AS p WHERE p.corp_id = $1 AND p.group_id = g.id AND p.until_at IS NULL AND p.member_id = g.owner_id)`,
	"an owner is not in the group": `SELECT g.id FROM groups AS g WHERE g.corp_id = $1
		AND NOT EXISTS (SELECT 1 FROM group_members AS gm WHERE gm.corp_id = $1 AND gm.group_id = g.id AND gm.member_id = g.owner_id)`,
	"a reservation is not of a waiting transfer": `SELECT r.id FROM (SELECT id, reserved_by_id AS by FROM follows WHERE corp_id = $1 UNION ALL SELECT id, reserved_by_id FROM groups WHERE corp_id = $1) AS r
		LEFT JOIN transfers AS t ON t.corp_id = $1 AND t.id = r.by WHERE r.by IS NOT NULL AND t.status <> 'WAITING'`,
	"a waiting transfer holds nothing": `SELECT t.id FROM transfers AS t WHERE t.corp_id = $1 AND t.status = 'WAITING'
		AND NOT EXISTS (SELECT 1 FROM follows AS f WHERE f.corp_id = $1 AND f.reserved_by_id = t.id) AND NOT EXISTS (SELECT 1 FROM groups AS g WHERE g.corp_id = $1 AND g.reserved_by_id = t.id)`,
	"totals are not a recount": `SELECT h.id FROM handovers AS h WHERE h.corp_id = $1 AND (` + totals + `
		OR total <> (SELECT count(*) FROM transfers AS t WHERE t.corp_id = $1 AND t.handover_id = h.id))`,
	"a state does not fit the totals": `SELECT id FROM handovers WHERE corp_id = $1 AND CASE state WHEN 'RUNNING' THEN waiting + planned = 0
		WHEN 'COMPLETED' THEN completed + reverted <> total WHEN 'PARTIAL' THEN completed + reverted = 0 OR completed = total OR waiting + planned > 0
		WHEN 'REVERTED' THEN reverted = 0 OR waiting + planned > 0 OR reverted_by_id IS NULL WHEN 'FAILED' THEN completed + waiting + planned > 0
		WHEN 'CANCELLED' THEN cancelled = 0 OR completed + waiting + planned > 0 ELSE planned <> total END`,
	"a completed transfer has not its history": `SELECT t.id FROM transfers AS t JOIN handovers AS h ON h.corp_id = $1 AND h.id = t.handover_id WHERE t.corp_id = $1
		AND (SELECT count(*) FROM history_grants AS g WHERE g.corp_id = $1 AND g.transfer_id = t.id AND g.successor_id = t.to_id)
		<> CASE WHEN t.status IN ('COMPLETED', 'REVERTED') AND h.history_mode <> 'NONE' THEN 1 ELSE 0 END`,
	"a reverted transfer was not taken back": `SELECT t.id FROM transfers AS t WHERE t.corp_id = $1 AND (t.status = 'REVERTED')
		<> EXISTS (SELECT 1 FROM transfers AS b WHERE b.corp_id = $1 AND b.revert_of_id = t.id AND b.status IN ('COMPLETED', 'REVERTED'))`,
	"a history grant outlives its transfer": `SELECT g.id FROM history_grants AS g JOIN transfers AS t ON t.corp_id = $1 AND t.id = g.transfer_id
		WHERE g.corp_id = $1 AND t.status = 'REVERTED' AND g.ended_at IS NULL`,
	"a history grant outlives its successor's time here": `SELECT g.id FROM history_grants AS g JOIN members AS m ON m.corp_id = $1 AND m.id = g.successor_id
		WHERE g.corp_id = $1 AND m.status IN ('DISABLED', 'DEPARTED') AND g.ended_at IS NULL`,
	"a history grant ended for nothing": `SELECT g.id FROM history_grants AS g JOIN transfers AS t ON t.corp_id = $1 AND t.id = g.transfer_id
		WHERE g.corp_id = $1 AND g.ended_at IS NOT NULL AND t.status <> 'REVERTED' AND NOT EXISTS (SELECT 1 FROM audit_entries AS a
		  WHERE a.corp_id = $1 AND a.action = 'member.deactivate' AND a.subject_id = g.successor_id AND a.at = g.ended_at)`,
	"an open RESIGNED handover of somebody at work": `SELECT h.id FROM handovers AS h JOIN members AS m ON m.corp_id = $1 AND m.id = h.leaver_id
		WHERE h.corp_id = $1 AND h.kind = 'RESIGNED' AND h.state IN ('DRAFT', 'AWAITING_APPROVAL', 'READY', 'RUNNING') AND m.status = 'ACTIVE' AND h.revert_of_id IS NULL`,
}

var totals = func() (or string) {
	for i, s := range []string{"planned", "waiting", "completed", "refused", "limit_reached", "failed", "skipped", "cancelled", "reverted"} {
		if i > 0 {
			or += " OR "
		}
		or += s + ` <> (SELECT count(*) FROM transfers AS t WHERE t.corp_id = $1 AND t.handover_id = h.id AND lower(t.status) = '` + s + `')`
	}
	return or
}()

// recount holds everything that is kept against the rows it is kept of.
func (m *model) recount() {
	for what, sql := range wrongs {
		if ids := query(m, func(id *nid.ID) []any { return []any{id} }, sql, m.ID); len(ids) > 0 {
			m.rt.Errorf("%s: %v", what, ids)
		}
	}
	kept := m.cells(`SELECT bucket, leaver_id, successor_id, from_department_id, to_department_id, kind, handover_kind, importance, status, reason, CAST(sum(n) AS integer)
		FROM transfer_rollups WHERE corp_id = $1 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 HAVING sum(n) <> 0`)
	counted := m.cells(`SELECT t.assigned_at, t.from_id, t.to_id, t.from_department_id, t.to_department_id, t.kind, h.kind, t.importance, t.status, coalesce(t.reason, ''), 1
		FROM transfers AS t JOIN handovers AS h ON h.corp_id = $1 AND h.id = t.handover_id WHERE t.corp_id = $1 AND t.assigned_at IS NOT NULL`)
	if !slices.Equal(kept, counted) {
		m.rt.Errorf("statistics keep\n%v\nand the transfers count\n%v", kept, counted)
	}
	if m.rt.Failed() {
		m.rt.Fatalf("after %q", m.log)
	}
}

// cells adds up a query's cells by quarter-hour and writes them out in order.
func (m *model) cells(sql string) (out []string) {
	type row struct {
		at                     time.Time
		ids                    [4]nid.ID
		kind, of, imp, st, why string
		n                      int
	}
	sums := map[string]int{}
	for _, r := range query(m, func(r *row) []any {
		return []any{&r.at, &r.ids[0], &r.ids[1], &r.ids[2], &r.ids[3], &r.kind, &r.of, &r.imp, &r.st, &r.why, &r.n}
	}, sql, m.ID) {
		sums[fmt.Sprint(r.at.UTC().Truncate(15*time.Minute), r.ids, r.kind, r.of, r.imp, r.st, r.why)] += r.n
	}
	for cell, n := range sums {
		out = append(out, fmt.Sprint(cell, " ", n))
	}
	slices.Sort(out)
	return out
}

// verify holds the audit log against its head.
func (m *model) verify() {
	if _, err := audit.Verify(context.Background(), m.DB, m.ID, audit.Trust{}, nil); err != nil {
		m.rt.Fatalf("the log does not verify: %v", err)
	}
	if err := evidencetest.Prove(m.Corp); err != nil {
		m.rt.Fatal(err)
	}
}
