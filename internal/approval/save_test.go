package approval_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

type scene struct {
	*testcorp.Corp
	t *testing.T
	s *approval.Service
}

func each(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		test(t, &scene{Corp: c, t: t, s: &approval.Service{DB: db, Log: c.Log}})
	})
}

func (s *scene) view(fn func(ctx context.Context, r *store.Read) error) {
	s.t.Helper()
	if err := s.DB.View(store.System(s.t.Context(), s.ID, "test"), fn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) policy() (p approval.Policy) {
	s.t.Helper()
	s.view(func(ctx context.Context, r *store.Read) (err error) { p, err = approval.Load(ctx, r); return err })
	return p
}

func (s *scene) voters() (v approval.Voters) {
	s.t.Helper()
	s.view(func(ctx context.Context, r *store.Read) (err error) { v, err = approval.Possible(ctx, r); return err })
	return v
}

func wants(t *testing.T, err error, code fault.Code, field string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Code != code || f.Field != field {
		t.Fatalf("got %v, want %s on %q", err, code, field)
	}
}

// standard is the policy that a corp is founded with.
func standard() approval.SaveInput {
	return approval.SaveInput{KeyContacts: true, Approvals: 1, ExpiresAfterHours: 72}
}

func TestSave(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Grant(s.Member("a", s.Root), access.Approver.Name, nid.ID{})
		s.Grant(s.Member("b", s.Root), access.Approver.Name, nid.ID{})
		admin, above := s.Verified(s.Admin), 100
		in := standard()
		in.Above, in.ExpiresAfterHours = &above, 24
		got, err := s.s.Save(admin, in) // the corp's first needs no version
		if err != nil || len(got.Warnings) != 0 {
			t.Fatal(got, err)
		}
		p := s.policy()
		if p.Above == nil || *p.Above != 100 || !p.KeyContacts || p.Approvals != 1 || p.ExpiresAfter != 24*time.Hour || p.Version != 2 {
			t.Errorf("%+v", p)
		}
		_, err = s.s.Save(admin, in)
		wants(t, err, fault.Conflict, "input.version")
		one, two := 1, 2
		in.Version = &one
		_, err = s.s.Save(admin, in)
		wants(t, err, fault.Conflict, "input.version")
		in.Version = &two
		if _, err = s.s.Save(admin, in); err != nil || s.policy().Version != 2 {
			t.Errorf("the same once more: %v, version %d", err, s.policy().Version)
		}
		in.Above = nil
		if _, err = s.s.Save(admin, in); err != nil || s.policy().Above != nil {
			t.Errorf("no threshold: %v, %+v", err, s.policy())
		}
		if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM audit_entries WHERE action = $1 AND subject_id = $2`, string(access.PolicySave), s.ID); n != 2 {
			t.Errorf("%d entries", n)
		}
	})
}

func TestSaveRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		_, err := s.s.Save(s.SignedIn(s.Admin, false), standard())
		wants(t, err, fault.StepUpRequired, "")
		sales := s.Department("sales", s.Root)
		local, approver := s.Member("local", sales), s.Member("approver", sales)
		s.Grant(local, access.Administrator.Name, sales)
		s.Grant(approver, access.Approver.Name, nid.ID{})
		for _, ctx := range []context.Context{s.Verified(local), s.Verified(approver)} {
			_, err = s.s.Save(ctx, standard())
			wants(t, err, fault.Forbidden, "")
		}
		admin := s.Verified(s.Admin)
		for field, spoil := range map[string]func(in *approval.SaveInput, n int){
			"above":             func(in *approval.SaveInput, n int) { n = min(n, 1_000_001)*1000 - 1; in.Above = &n },
			"approvals":         func(in *approval.SaveInput, n int) { in.Approvals = n },
			"expiresAfterHours": func(in *approval.SaveInput, n int) { in.ExpiresAfterHours = n },
		} {
			for _, n := range []int{-1, 0, 1_000_000} {
				in := standard()
				spoil(&in, n)
				_, err = s.s.Save(admin, in)
				wants(t, err, fault.Invalid, "input."+field)
			}
		}
	})
}

// A policy asks for no more votes than a plan could get, whoever requests it and
// whoever succeeds; where every vote that there is is needed, it warns.
func TestPoliciesThatNobodyCouldSatisfy(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		save := func(approvals int) (warnings []fault.Text, err error) {
			in := standard()
			version := s.policy().Version
			in.Approvals, in.ExpiresAfterHours, in.Version = approvals, 72-version, &version
			got, err := s.s.Save(s.Verified(s.Admin), in)
			return got.Warnings, err
		}
		refused := func(what string, approvals int) {
			t.Helper()
			_, err := save(approvals)
			if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != fault.Invalid || f.Field != "input.approvals" {
				t.Errorf("%s: %d approvals: %v", what, approvals, err)
			}
		}
		saved := func(what string, approvals, warnings int) {
			t.Helper()
			w, err := save(approvals)
			if err != nil || len(w) != warnings {
				t.Errorf("%s: %d approvals: %v, %v", what, approvals, w, err)
			}
		}
		refused("the administrator alone, who requests", 1)
		version := s.policy().Version
		if w, err := s.s.Save(s.Verified(s.Admin), approval.SaveInput{Approvals: 5, ExpiresAfterHours: 1, Version: &version}); err != nil || len(w.Warnings) != 0 {
			t.Errorf("a policy that never asks: %v, %v", w, err)
		}
		approver := s.Member("approver", s.Root)
		grant := s.Grant(approver, access.Approver.Name, nid.ID{})
		saved("one beside the administrator, who requests", 1, 1)
		refused("one beside the administrator, who requests", 2)
		planner := s.Member("planner", s.Root) // requests, and is a possible successor
		s.Grant(planner, access.Manager.Name, nid.ID{})
		saved("somebody else requests", 1, 0)
		saved("somebody else requests", 2, 1)
		refused("somebody else requests", 3)
		s.revoke(grant)
		saved("the administrator approves", 1, 1)
		s.Grant(approver, access.Approver.Name, s.Department("sales", s.Root)) // anywhere counts
		saved("an approver of a department", 2, 1)
		s.Depart(approver)
		refused("the approver has left", 2)
		s.Grant(planner, access.Approver.Name, nid.ID{})
		refused("everybody is an approver: the requester's vote is lost", 2)
		if got := s.voters(); got != (approval.Voters{Approvers: 2}) || got.Most() != 1 {
			t.Errorf("%+v", got)
		}
	})
}

func (s *scene) revoke(grant nid.ID) {
	s.t.Helper()
	if err := s.DB.Tx(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, "grants", `UPDATE grants SET revoked_at = $2 WHERE id = $1 RETURNING id`, grant, tx.Now())
		tx.Cover(ids...)
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
}

func TestOfSum(t *testing.T) {
	hundred := 100
	for _, c := range []struct {
		p                         approval.Policy
		total, key, recent, other int
		want                      string
	}{
		{approval.Policy{Above: &hundred, Approvals: 2}, 100, 0, 0, 0, "0"},
		{approval.Policy{Above: &hundred, Approvals: 2}, 101, 0, 0, 0, "2 above:100"},
		{approval.Policy{Above: &hundred, Approvals: 2}, 60, 0, 40, 0, "0"},
		{approval.Policy{Above: &hundred, Approvals: 2}, 60, 0, 41, 0, "2 above24h:100"},
		{approval.Policy{Above: &hundred, Approvals: 2}, 101, 0, 500, 0, "2 above:100"},
		{approval.Policy{KeyContacts: true, Approvals: 1}, 5, 0, 500, 7, "0"},
		{approval.Policy{KeyContacts: true, Approvals: 1, Above: &hundred}, 60, 3, 41, 0, "1 key:3 above24h:100"},
	} {
		n := c.p.OfSum(c.total, c.key, c.recent, c.other)
		if got := strings.TrimSpace(fmt.Sprint(n.Votes, " ", strings.Join(n.Reasons, " "))); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
		for _, r := range n.Reasons {
			if say := approval.Say(r); slices.Contains([]string{say.EN, say.ZH}, approval.Say("").EN) || !strings.Contains(say.EN, r[strings.Index(r, ":")+1:]) || say.ZH == "" {
				t.Errorf("%s: %+v", r, say)
			}
		}
	}
}

// recentCase is one handover of wang's.
type recentCase struct {
	name, state            string
	made, submitted, begun time.Duration // ago; 0: never
	ended                  time.Duration // likewise
	keys, plain, done      int
	reverse                bool
}

func TestRecent(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		lina, wang := s.Member("lina", s.Root), s.Member("wang", s.Root)
		const hour, day = time.Hour, 24 * time.Hour
		ids := map[string]nid.ID{}
		for _, c := range []recentCase{
			{name: "running", state: "RUNNING", made: hour, keys: 1, plain: 2},
			{name: "waits for approval", state: "AWAITING_APPROVAL", made: 23 * hour, keys: 2, plain: 10},
			{name: "draft", state: "DRAFT", made: hour, keys: 1, plain: 100},
			{name: "rejected", state: "REJECTED", made: hour, keys: 1, plain: 100},
			{name: "cancelled before", state: "CANCELLED", made: hour, keys: 1, plain: 100},
			{name: "cancelled half way", state: "CANCELLED", made: hour, keys: 3, plain: 3, done: 4},
			{name: "reverse", state: "COMPLETED", made: hour, keys: 1, plain: 100, reverse: true},
			{name: "old", state: "COMPLETED", made: 3 * day, submitted: 3 * day, begun: 2 * day, keys: 1, plain: 200},
			{name: "begun long ago, ended now", state: "COMPLETED", made: 3 * day, submitted: 3 * day, begun: 2 * day, ended: hour, plain: 40},
			{name: "runs for days", state: "RUNNING", made: 3 * day, submitted: 3 * day, begun: 2 * day, plain: 50},
			{name: "made ahead, run now", state: "COMPLETED", made: 3 * day, submitted: 3 * day, begun: hour, plain: 1000},
			{name: "made ahead, submitted now", state: "READY", made: 3 * day, submitted: hour, plain: 2000},
		} {
			ids[c.name] = s.handover(c, lina, wang)
		}
		recent := func(requester, except nid.ID) string {
			n, key := 0, 0
			s.view(func(ctx context.Context, r *store.Read) (err error) {
				n, key, err = approval.Recent(ctx, r, []nid.ID{requester}, s.DB.Now().Add(-approval.Window), except)
				return err
			})
			return fmt.Sprint(n, " ", key)
		}
		// 3 + 12 + 4 + 40 + 50 + 1000 + 2000, of them KEY 1 + 2 + 3.
		if got := recent(wang, nid.ID{}); got != "3109 6" {
			t.Errorf("all: %s", got)
		}
		if got := recent(wang, ids["waits for approval"]); got != "3097 4" {
			t.Errorf("except one: %s", got)
		}
		if got := recent(lina, nid.ID{}); got != "0 0" {
			t.Errorf("somebody else's: %s", got)
		}
	})
}

// handover stores a case; its first transfers are KEY, and the first done are COMPLETED.
func (s *scene) handover(c recentCase, leaver, requester nid.ID) nid.ID {
	s.t.Helper()
	id, now, total := nid.New(nid.Handover), s.DB.Now(), c.keys+c.plain
	ago := func(d time.Duration) any {
		if d == 0 {
			return nil
		}
		return now.Add(-d)
	}
	var reverts any
	if c.reverse {
		reverts = id
	}
	db := s.DB
	err := db.Tx(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, "handovers", `INSERT INTO handovers (id, corp_id, created_at, updated_at, version, kind, state, digest, plan, approvals_required, approval_reasons, history_mode,
			leaver_id, requested_by_id, responsible_id, submitted_at, started_at, finished_at, total, completed, cancelled, planned, revert_of_id)
			VALUES ($1, $2, $3, $4, 1, 'RESIGNED', $5, '', '{}', 0, '[]', 'NONE', $6, $7, $7, $8, $9, $15, $10, $11, $12, $13, $14) RETURNING id`,
			id, s.ID, now.Add(-c.made), now, c.state, leaver, requester, ago(c.submitted), ago(c.begun), total, c.done,
			map[bool]int{true: total - c.done}[c.state == "CANCELLED"], map[bool]int{true: total - c.done}[c.state != "CANCELLED"], reverts, ago(c.ended))
		if err != nil {
			return err
		}
		rows := make([]map[string]any, total)
		for i := range rows {
			status := map[bool]string{true: "COMPLETED", false: map[bool]string{true: "CANCELLED", false: "PLANNED"}[c.state == "CANCELLED"]}[i < c.done]
			rows[i] = map[string]any{"id": nid.New(nid.Transfer), "n": i, "grp": nid.New(nid.Group), "status": status, "importance": map[bool]string{true: "KEY", false: "NORMAL"}[i < c.keys]}
		}
		if _, err := tx.Change(ctx, "groups", `INSERT INTO groups (id, corp_id, created_at, updated_at, name, name_key, owner_id, accountable_id)
			SELECT grp, $2, $3, $3, 'g', 'g', $4, $4 FROM `+db.Rows(1, "v", "grp uuid")+` WHERE true RETURNING id`, db.Batch(rows), s.ID, now, leaver); err != nil {
			return err
		}
		moved, err := tx.Change(ctx, "transfers", `INSERT INTO transfers (id, corp_id, created_at, updated_at, position, kind, status, expected_version, importance, handover_id, group_id, from_id, to_id)
			SELECT id, $2, $3, $3, n, 'GROUP', status, 1, importance, $4, grp, $5, $6 FROM `+db.Rows(1, "v", "id uuid", "n int", "grp uuid", "status text", "importance text")+` WHERE true RETURNING id`,
			db.Batch(rows), s.ID, now, id, leaver, requester)
		tx.Cover(append(ids, moved...)...)
		for _, r := range rows {
			group, err := nid.FromUUID(r["grp"])
			if err != nil {
				return err
			}
			tx.Cover(group)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(c.name, err, errors.Unwrap(err))
	}
	return id
}
