package notice_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/erasure"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notice"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// scene is a corp in which lina's notice begins: she follows a key contact, which wang follows
// as well, and a normal one of her own.
type scene struct {
	*testcorp.Corp
	t          *testing.T
	s          *notice.Service
	people     *member.Service
	contacts   *contact.Service
	lina, wang nid.ID
	big, small nid.ID
}

func each(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &scene{Corp: c, t: t, s: &notice.Service{DB: db, Log: c.Log}, people: &member.Service{DB: db, Log: c.Log}, contacts: &contact.Service{DB: db, Log: c.Log}}
		s.lina, s.wang = c.Member("lina", c.Root), c.Member("wang", c.Root)
		s.big, s.small = c.Contact("big", "KEY", s.lina, s.wang), c.Contact("small", "NORMAL", s.lina)
		test(t, s)
	})
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) count(query string, args ...any) int {
	s.t.Helper()
	return testcorp.Value[int](s.Corp, query, args...)
}

func (s *scene) kept() int {
	s.t.Helper()
	return s.count(`SELECT count(*) FROM notice_baselines WHERE corp_id = $1`, s.ID)
}

func (s *scene) leave() {
	s.t.Helper()
	s.must(s.people.Schedule(s.Verified(s.Admin), member.ScheduleInput{MemberID: s.lina, LastDay: "2026-03-31"}))
}

func (s *scene) follow(of nid.ID) nid.ID {
	s.t.Helper()
	return testcorp.Value[nid.ID](s.Corp, `SELECT id FROM follows WHERE contact_id = $1 AND member_id = $2`, of, s.lina)
}

// changes gives "REMARK was>is by" of lina's contacts.
func (s *scene) changes() (out []string) {
	s.t.Helper()
	ctx := s.SignedIn(s.Admin, false)
	s.must(s.DB.View(ctx, func(ctx context.Context, q *store.Read) error {
		found, err := notice.Changes(ctx, q, s.lina, notice.Place{}, 100)
		n, e := notice.Count(ctx, q, s.lina)
		if n != len(found) || e != nil {
			s.t.Errorf("%d are counted of %d (%v)", n, len(found), e)
		}
		for _, c := range found {
			by := map[nid.ID]string{s.Admin: "admin", s.lina: "lina", s.wang: "wang"}[c.ChangedBy]
			out = append(out, fmt.Sprintf("%s %d>%d %s", c.Field, len(c.Was), len(c.Is), by))
		}
		return err
	}))
	return out
}

func (s *scene) update(by nid.ID, id nid.ID, change func(*contact.UpdateInput)) {
	s.t.Helper()
	in := contact.UpdateInput{ID: id, Version: s.count(`SELECT version FROM contacts WHERE id = $1`, id)}
	change(&in)
	s.must(s.contacts.Update(s.Verified(by), in))
}

func (s *scene) note(by nid.ID, follow nid.ID, change func(*contact.FollowInput)) {
	s.t.Helper()
	in := contact.FollowInput{ID: follow, Version: s.count(`SELECT version FROM follows WHERE id = $1`, follow)}
	change(&in)
	s.must(s.contacts.UpdateFollow(s.Verified(by), in))
}

func (s *scene) restore(picks ...notice.Pick) []notice.Outcome {
	s.t.Helper()
	done, err := s.s.Restore(s.Verified(s.Admin), notice.RestoreInput{MemberID: s.lina, Picks: picks})
	s.must(err)
	out := make([]notice.Outcome, len(done))
	for i, d := range done {
		out[i] = d.Outcome
	}
	return out
}

// state is all that a baseline keeps, as one text.
func (s *scene) state() string {
	s.t.Helper()
	return testcorp.Value[string](s.Corp, `SELECT `+s.DB.JSONArray(`f.remark || '|' || coalesce(f.description, '-') || '|' || c.name || '|' || coalesce(c.company, '-') || '|' || c.importance
		|| '|' || (SELECT count(*) FROM follow_tags AS t WHERE t.follow_id = f.id) || '|' || (SELECT count(*) FROM contact_tags AS t WHERE t.contact_id = c.id)
		|| '|' || (SELECT m.key_contacts FROM member_counters AS m WHERE m.member_id = f.member_id)`)+`
		FROM (SELECT * FROM follows ORDER BY id LIMIT 100) AS f JOIN contacts AS c ON c.id = f.contact_id WHERE f.ended_at IS NULL`)
}

// Whatever changes, by whomever, is listed with who did it, and can be put back: then all is
// as it was.
func TestWhatChangesIsListedAndPutBack(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.note(s.Admin, s.follow(s.big), func(in *contact.FollowInput) { in.Description, in.Tags = new("likes tea"), []string{"warm", "vip"} })
		s.update(s.Admin, s.big, func(in *contact.UpdateInput) { in.Company, in.Tags = new("Acme"), []string{"north"} })
		before := s.state()
		s.leave()
		if s.kept() != 2 || len(s.changes()) != 0 {
			t.Fatalf("%d kept, %v", s.kept(), s.changes())
		}
		s.Clock.Add(time.Minute)
		s.note(s.lina, s.follow(s.big), func(in *contact.FollowInput) { in.Remark = new("x") })
		s.note(s.Admin, s.follow(s.big), func(in *contact.FollowInput) { in.Description, in.Tags = new(""), []string{"warm"} })
		s.update(s.lina, s.big, func(in *contact.UpdateInput) { in.Name = new("nobody") })
		s.update(s.wang, s.big, func(in *contact.UpdateInput) { in.Company = new("") })
		s.update(s.Admin, s.big, func(in *contact.UpdateInput) { in.Importance, in.Tags = new("NORMAL"), []string{} })
		want := "REMARK 1>1 lina, DESCRIPTION 1>0 admin, TAGS 2>1 admin, IMPORTANCE 1>1 admin, CONTACT_TAGS 1>0 admin, NAME 1>1 lina, COMPANY 1>0 wang"
		if got := strings.Join(s.changes(), ", "); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		if got := s.restore(); slices.ContainsFunc(got, func(o notice.Outcome) bool { return o != notice.Restored }) || len(got) != 7 {
			t.Error(got)
		}
		if after := s.state(); after != before {
			t.Errorf("%s\nwant %s", after, before)
		}
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE action = $1`, string(access.NoticeRestore)); n != 2 {
			t.Errorf("%d entries, want one of the follow and one of the contact", n)
		}
		if len(s.changes()) != 0 || len(s.restore()) != 0 {
			t.Error("something is left to restore")
		}
	})
}

// What has been changed again is not put back unseen; a contact that became KEY stays KEY; of
// what nothing is kept nothing is restored.
func TestRestoreLooksAtVersions(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.leave()
		follow := s.follow(s.small)
		s.note(s.lina, follow, func(in *contact.FollowInput) { in.Remark = new("x") })
		seen := s.count(`SELECT version FROM follows WHERE id = $1`, follow)
		s.note(s.lina, follow, func(in *contact.FollowInput) { in.Remark = new("y") })
		s.update(s.Admin, s.small, func(in *contact.UpdateInput) { in.Importance = new("KEY") })
		got := s.restore(notice.Pick{FollowID: follow, Field: notice.Remark, Version: seen},
			notice.Pick{FollowID: follow, Field: notice.Importance, Version: 2},
			notice.Pick{FollowID: follow, Field: notice.Company, Version: 2},
			notice.Pick{FollowID: nid.New(nid.Follow), Field: notice.Remark, Version: 1},
			notice.Pick{FollowID: follow, Field: notice.Remark, Version: seen}) // twice
		if fmt.Sprint(got) != "[STALE KEPT UNCHANGED UNCHANGED]" {
			t.Error(got)
		}
		if got := s.restore(notice.Pick{FollowID: follow, Field: notice.Remark, Version: seen + 1}); fmt.Sprint(got) != "[RESTORED]" {
			t.Error(got)
		}
	})
}

func TestRestoreRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.leave()
		manager := s.Member("manager", s.Department("east", s.Root))
		s.Grant(manager, access.Manager.Name, testcorp.Value[nid.ID](s.Corp, `SELECT department_id FROM member_departments WHERE member_id = $1`, manager))
		in := notice.RestoreInput{MemberID: s.lina}
		for _, c := range []struct {
			ctx  context.Context
			in   notice.RestoreInput
			code fault.Code
		}{
			{context.Background(), in, fault.Unauthenticated},
			{s.SignedIn(s.Admin, false), in, fault.StepUpRequired},
			{s.Verified(manager), in, fault.Forbidden},
			{s.Verified(s.lina), in, fault.Forbidden},
			{s.Verified(s.Admin), notice.RestoreInput{MemberID: nid.New(nid.Member)}, fault.NotFound},
			{s.Verified(s.Admin), notice.RestoreInput{MemberID: s.lina, Picks: make([]notice.Pick, 1001)}, fault.Invalid},
		} {
			if _, err := s.s.Restore(c.ctx, c.in); fault.CodeOf(err) != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
		}
	})
}

// A notice begins once, by whichever way; it ends when the member stays, when their customers
// have been handed over, and with the erasure of either.
func TestBaselineBeginsAndEnds(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.leave()
		s.note(s.lina, s.follow(s.small), func(in *contact.FollowInput) { in.Remark = new("x") })
		s.leave() // the day is moved: the beginning stays
		if len(s.changes()) != 1 {
			t.Error(s.changes())
		}
		s.must(s.people.Reinstate(s.Verified(s.Admin), member.ReinstateInput{MemberID: s.lina, Reason: "stays"}))
		if s.kept() != 0 {
			t.Errorf("%d kept of somebody who stays", s.kept())
		}
		s.leave()
		s.Clock.Add(time.Hour)
		_, err := s.people.Deactivate(s.Verified(s.Admin), member.DeactivateInput{MemberID: s.lina, Mode: member.Depart})
		s.must(err)
		if s.kept() != 2 || len(s.changes()) != 0 {
			t.Fatalf("%d kept, %v", s.kept(), s.changes())
		}
		h := &handover.Service{DB: s.DB, Log: s.Log}
		_, err = h.HandOver(s.Verified(s.Admin), handover.Input{Kind: handover.Resigned, LeaverID: s.lina, Successors: handover.Choice{MemberID: &s.wang},
			Select: &handover.Selection{ContactIDs: []nid.ID{s.small}}}, nil, "key")
		s.must(err)
		if _, err := s.s.Work(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		if s.kept() != 1 {
			t.Errorf("%d kept after one of two was handed over", s.kept())
		}
		s.must((&erasure.Service{DB: s.DB, Log: s.Log}).Erase(store.System(t.Context(), s.ID, "test"), s.big))
		if s.kept() != 0 {
			t.Errorf("%d kept of an erased contact", s.kept())
		}
	})
}

// Protected by the departure, what the leaver broke is still put back, and protection stays.
func TestRestoreAfterTheDeparture(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.leave()
		s.note(s.lina, s.follow(s.small), func(in *contact.FollowInput) { in.Remark = new("x") })
		_, err := s.people.Deactivate(s.Verified(s.Admin), member.DeactivateInput{MemberID: s.lina, Mode: member.Depart})
		s.must(err)
		if got := s.restore(); fmt.Sprint(got) != "[RESTORED]" {
			t.Error(got)
		}
		if n := s.count(`SELECT count(*) FROM follows WHERE id = $1 AND protected AND remark = 'remark of small'`, s.follow(s.small)); n != 1 {
			t.Error("the remark is not back under protection")
		}
	})
}

// A baseline is one statement, however many contacts there are.
func TestBaselineOfManyContacts(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contacts(300, s.lina)
		statements := 0
		ctx := store.Count(s.Verified(s.Admin), func(string) { statements++ })
		s.must(s.people.Schedule(ctx, member.ScheduleInput{MemberID: s.lina, LastDay: "2026-03-31"}))
		if s.kept() != 302 || statements > 16 {
			t.Errorf("%d kept in %d statements", s.kept(), statements)
		}
	})
}
