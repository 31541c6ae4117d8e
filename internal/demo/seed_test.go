package demo_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/demo"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/intake"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// reopen opens a test's database once more, with the demo's clock.
func reopen(t testing.TB, url string) demo.Services {
	t.Helper()
	clock := demo.NewClock(func() time.Time { return now })
	db, err := store.Open(context.Background(), store.Options{URL: url, StatementCache: true, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
	if err != nil {
		t.Fatal(err)
	}
	log := audit.New(box)
	return demo.Services{
		DB: db, Log: log, Clock: clock, Identity: &identity.Service{DB: db, Log: log, Demo: true},
		Members: &member.Service{DB: db, Log: log}, Handovers: &handover.Service{DB: db, Log: log},
	}
}

// TestSeeding makes the demo and counts what docs and tour promise.
func TestSeeding(t *testing.T) {
	for name, open := range map[string]func(testing.TB, *storetest.Clock) (*store.DB, string){"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, url := open(t, storetest.NewClock())
			s := reopen(t, url)
			ctx := context.Background()
			stages := map[string]int{}
			s.Progress = func(stage string, done, _ int) { stages[stage] = max(stages[stage], done) }
			if err := demo.Seed(ctx, s); err != nil {
				t.Fatal(err, errors.Unwrap(errors.Unwrap(err)))
			}
			if stages["handovers"] != 6 || stages[intake.MessagesFile] != demo.Messages {
				t.Error(stages)
			}
			if !s.DB.Now().Equal(now) {
				t.Error("the clock was left behind")
			}
			main, other := corpNamed(t, s.DB, demo.Main), corpNamed(t, s.DB, demo.Other)
			totals := []string{
				"members 60", "contacts 3000", "groups 120", "messages 20000", "accounts 6", "fallback gaojie",
				"RESIGNED COMPLETED 4", "ON_JOB COMPLETED 1", "ON_JOB REJECTED 1",
				"lina's contacts 186", "lina's key contacts 9", "lina's groups 14", "all protected, answered for by yaoqian 1",
				"chenwei LEAVING 640", "wrong counters 0", "unanswered 0", "departed 5", "unassigned besides lina's 0", "open sessions 0", "late 0",
			}
			if diff := cmp.Diff(totals, count(t, s.DB, main)); diff != "" {
				t.Error(diff)
			}
			if got := count(t, s.DB, other)[:5]; fmt.Sprint(got) != "[members 10 contacts 50 groups 4 messages 200 accounts 1]" {
				t.Error(got)
			}
			checkPast(t, s.DB, main)
			for _, a := range demo.Accounts {
				session, err := s.Identity.SignIn(ctx, &a.Corp, a.Login, demo.Password)
				if err != nil || len(session.Actor.Grants) != 1 || session.Actor.Grants[0].Department.IsZero() != (a.Department == "") {
					t.Errorf("%s: %+v %v", a.Login, session.Actor, err)
				}
			}
			if err := demo.Seed(ctx, s); fault.CodeOf(err) != fault.Conflict {
				t.Error("twice:", err)
			}
		})
	}
}

func corpNamed(t *testing.T, db *store.DB, name string) nid.ID {
	t.Helper()
	id, err := db.CorpNamed(context.Background(), name)
	if err != nil || id.IsZero() {
		t.Fatal(id, err)
	}
	return id
}

// count asks the database for the totals.
func count(t *testing.T, db *store.DB, corp nid.ID) (out []string) {
	t.Helper()
	const lina = `(SELECT id FROM members WHERE corp_id = $1 AND user_id = 'lina')`
	for _, q := range []string{
		`SELECT 'members ' || count(*) FROM members WHERE corp_id = $1`,
		`SELECT 'contacts ' || count(*) FROM contacts WHERE corp_id = $1`,
		`SELECT 'groups ' || count(*) FROM groups WHERE corp_id = $1`,
		`SELECT 'messages ' || count(*) FROM messages WHERE corp_id = $1`,
		`SELECT 'accounts ' || count(*) FROM credentials AS c JOIN grants AS g ON g.member_id = c.member_id WHERE c.corp_id = $1`,
		`SELECT 'fallback ' || m.user_id FROM corps AS c JOIN members AS m ON m.id = c.fallback_id WHERE c.corp_id = $1`,
		`SELECT kind || ' ' || state || ' ' || count(*) FROM handovers WHERE corp_id = $1 GROUP BY kind, state ORDER BY kind DESC, state`,
		`SELECT 'lina''s contacts ' || contacts FROM member_counters WHERE corp_id = $1 AND member_id = ` + lina,
		`SELECT 'lina''s key contacts ' || count(*) FROM follows AS f JOIN contacts AS c ON c.id = f.contact_id WHERE f.corp_id = $1 AND f.ended_at IS NULL AND f.protected AND c.protected AND c.importance = 'KEY' AND f.member_id = ` + lina,
		`SELECT 'lina''s groups ' || count(*) FROM groups WHERE corp_id = $1 AND protected AND status = 'OWNER_LEFT' AND owner_id = ` + lina,
		`SELECT 'all protected, answered for by ' || m.user_id || ' ' || count(DISTINCT g.accountable_id) FROM groups AS g JOIN members AS m ON m.id = g.accountable_id WHERE g.corp_id = $1 AND g.protected GROUP BY m.user_id`,
		`SELECT 'chenwei ' || m.status || ' ' || n.contacts FROM members AS m JOIN member_counters AS n ON n.member_id = m.id WHERE m.corp_id = $1 AND m.user_id = 'chenwei'`,
		`SELECT 'wrong counters ' || count(*) FROM members AS m LEFT JOIN member_counters AS n ON n.member_id = m.id WHERE m.corp_id = $1 AND (n.member_id IS NULL
			OR n.contacts <> (SELECT count(*) FROM follows AS f WHERE f.corp_id = m.corp_id AND f.member_id = m.id AND f.ended_at IS NULL)
			OR n.key_contacts <> (SELECT count(*) FROM follows AS f JOIN contacts AS c ON c.id = f.contact_id WHERE f.corp_id = m.corp_id AND f.member_id = m.id AND f.ended_at IS NULL AND c.importance = 'KEY')
			OR n.groups <> (SELECT count(*) FROM groups AS g WHERE g.corp_id = m.corp_id AND g.owner_id = m.id) OR n.waiting_contacts + n.waiting_groups + n.reserved_contacts <> 0)`,
		`SELECT 'unanswered ' || count(*) FROM contacts AS c LEFT JOIN members AS m ON m.id = c.accountable_id AND m.answers WHERE c.corp_id = $1 AND m.id IS NULL`,
		`SELECT 'departed ' || count(*) FROM members WHERE corp_id = $1 AND status = 'DEPARTED'`,
		`SELECT 'unassigned besides lina''s ' || count(*) FROM follows WHERE corp_id = $1 AND protected AND ended_at IS NULL AND member_id <> ` + lina,
		`SELECT 'open sessions ' || count(*) FROM sessions WHERE corp_id = $1`,
		`SELECT 'late ' || count(*) FROM audit_entries AS a JOIN audit_entries AS b ON b.corp_id = a.corp_id AND b."index" = a."index" + 1 WHERE a.corp_id = $1 AND b.at < a.at`,
	} {
		out = append(out, ask(t, db, corp, q)...)
	}
	return out
}

func ask(t *testing.T, db *store.DB, corp nid.ID, query string, args ...any) (out []string) {
	t.Helper()
	err := db.View(store.System(context.Background(), corp, "test"), func(ctx context.Context, r *store.Read) (err error) {
		out, err = store.Select(ctx, r, func(s *string) []any { return []any{s} }, query, append([]any{corp}, args...)...)
		return err
	})
	if err != nil {
		t.Fatal(query, err)
	}
	return out
}

// checkPast holds what was stored of each past handover against what it says.
func checkPast(t *testing.T, db *store.DB, corp nid.ID) {
	t.Helper()
	var want []string
	for _, p := range demo.New(now).Past {
		contacts, groups := p.Size()
		done, approver := contacts+groups, "-"
		if p.Outcome == demo.Rejected {
			done = 0
		}
		if p.Approver != "" {
			approver = p.Approver
		}
		want = append(want, fmt.Sprintf("%s %s %s %s %d %d %d %s", p.Leaver, p.Requester, p.Outcome, p.HistoryMode, contacts+groups, done, p.Merged*done/max(done, 1), approver))
	}
	got := ask(t, db, corp, `SELECT l.user_id || ' ' || r.user_id || ' ' || h.state || ' ' || h.history_mode || ' ' || h.total || ' ' || h.completed || ' ' ||
		(SELECT count(*) FROM transfers AS x WHERE x.corp_id = h.corp_id AND x.handover_id = h.id AND x.merged) || ' ' || coalesce(a.user_id, '-')
		FROM handovers AS h JOIN members AS l ON l.id = h.leaver_id JOIN members AS r ON r.id = h.requested_by_id
		LEFT JOIN approvals AS v ON v.handover_id = h.id LEFT JOIN members AS a ON a.id = v.approver_id WHERE h.corp_id = $1 ORDER BY h.created_at`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, p := range demo.New(now).Past {
		at := ask(t, db, corp, `SELECT 'there' FROM handovers WHERE corp_id = $1 AND created_at = $2`, p.PlannedAt)
		if len(at) != 1 {
			t.Errorf("no handover was planned at %s", p.PlannedAt)
		}
		if !p.DepartsAt.IsZero() && len(ask(t, db, corp, `SELECT user_id FROM members WHERE corp_id = $1 AND departed_at = $2`, p.DepartsAt)) != 1 {
			t.Errorf("nobody departed at %s", p.DepartsAt)
		}
	}
}

// TestTheClock stops, and goes on.
func TestTheClock(t *testing.T) {
	wall := now
	c := demo.NewClock(func() time.Time { return wall })
	c.Stop(now.AddDate(0, 0, -1))
	wall = wall.Add(time.Hour)
	if !c.Now().Equal(now.AddDate(0, 0, -1)) {
		t.Error("it did not stop")
	}
	if c.Resume(); !c.Now().Equal(wall) {
		t.Error("it did not go on")
	}
	if d := time.Since(demo.NewClock(nil).Now()); d < 0 || d > time.Minute {
		t.Error("it does not go with the wall")
	}
}

// BenchmarkLoad loads the main corp: 3,000 contacts and 20,000 messages.
func BenchmarkLoad(b *testing.B) {
	for name, open := range map[string]func(testing.TB, *storetest.Clock) (*store.DB, string){"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				_, url := open(b, storetest.NewClock())
				s := reopen(b, url)
				b.StartTimer()
				d := demo.New(now)
				load := &intake.Service{DB: s.DB, Log: s.Log}
				if _, err := load.Load(b.Context(), d.Corp, intake.LoadOptions{CorpName: d.Name, TimeZone: demo.TimeZone}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
