package member_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func TestDeactivateTakesAccessAndProtects(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		alone, key := s.Contact("alone", "NORMAL", s.lina), s.Contact("key", "KEY", s.lina)
		shared := s.Contact("shared", "NORMAL", s.lina, s.wang)
		wangs := s.Contact("wang's", "NORMAL", s.wang, s.lina)
		foreign := s.Contact("foreign", "NORMAL", s.wang)
		group, other := s.Group("group", s.lina), s.Group("other", s.wang)
		s.Grant(s.lina, access.Manager.Name, s.sales)
		token := nid.New(nid.Token)
		s.must(s.raw("service_tokens", `INSERT INTO service_tokens (id, corp_id, created_at, name, permissions, expires_at, secret_hash, created_by_id)
			VALUES ($1, $2, $3, 'sync', '["VIEW_CONTACTS"]', $4, $5, $6) RETURNING id`, token, s.ID, s.DB.Now(), s.DB.Now().Add(year), secret.Hash("made by lina"), s.lina))
		first := s.SignedIn(s.lina, true)
		s.SignedIn(s.lina, false)

		reason := "left the corp"
		in := member.DeactivateInput{MemberID: s.lina, Mode: member.Depart, Reason: &reason}
		_, err := s.s.Deactivate(s.admin, in) // she holds a grant
		want(t, err, fault.StepUpRequired, "")
		got, err := s.s.Deactivate(s.proven(), in)
		s.must(err)
		if want := (member.Result{ProtectedContacts: 4, ProtectedGroups: 1, RevokedSessions: 2, RevokedGrants: 1}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if n := s.count(`SELECT count(*) FROM members WHERE id = $1 AND status = 'DEPARTED' AND NOT answers AND departed_at = $2 AND epoch = 2 AND version = 2`, s.lina, s.DB.Now()); n != 1 {
			t.Error("the member's row does not say what happened")
		}
		if got := s.caretaker(s.lina); got != s.boss {
			t.Errorf("caretaker is %s, want the boss", got)
		}
		s.accountable("nobody else follows", alone, s.boss)
		s.accountable("nobody else follows", key, s.boss)
		s.accountable("a colleague follows", shared, s.wang)
		s.accountable("was a colleague's", wangs, s.wang)
		if n := s.count(`SELECT count(*) FROM groups WHERE id = $1 AND status = 'OWNER_LEFT' AND protected AND accountable_id = $2`, group, s.boss); n != 1 {
			t.Error("the group is not protected in the caretaker's hands")
		}
		if n := s.count(`SELECT count(*) FROM groups WHERE id = $1 AND status = 'NORMAL' AND NOT protected`, other); n != 1 {
			t.Error("a colleague's group changed")
		}
		if n := s.count(`SELECT count(*) FROM contacts WHERE id = $1 AND NOT protected`, foreign); n != 1 {
			t.Error("a colleague's contact changed")
		}
		if n := s.count(`SELECT count(*) FROM service_tokens WHERE id = $1 AND revoked_at IS NOT NULL`, token); n != 1 {
			t.Error("the token that the leaver made still works")
		}
		want(t, (&contact.Service{DB: s.DB, Log: s.Log}).Update(first, contact.UpdateInput{ID: alone, Version: 1}), fault.Unauthenticated, "")
		if n := s.entries(access.MemberDeactivate, s.lina); n != 1 {
			t.Errorf("%d entries", n)
		}
		// A repetition finds it done, and leaves no trace.
		_, err = s.s.Deactivate(s.admin, member.DeactivateInput{MemberID: s.lina, Mode: member.Depart, Reason: &reason})
		want(t, err, fault.Conflict, "input.memberId")
		if n := s.entries(access.MemberDeactivate, s.lina); n != 1 {
			t.Errorf("%d entries after a repetition", n)
		}
	})
}

func TestDeactivateRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("contact", "NORMAL", s.lina)
		north := s.Department("north", s.Root)
		outsider, gone := s.Member("outsider", north), s.Member("gone", s.sales)
		s.depart(gone)
		manager := s.Member("manager", s.sales)
		s.Grant(manager, access.Manager.Name, s.sales)
		managing, plain := s.SignedIn(manager, false), s.SignedIn(s.wang, false)
		away := s.Member("away", s.sales)
		_, err := s.s.Deactivate(s.admin, member.DeactivateInput{MemberID: away, Mode: member.Disable})
		s.must(err)
		other := testcorp.New(t, s.DB, s.Clock, "other")
		unknown, long := nid.New(nid.Member), strings.Repeat("x", 2001)

		for _, c := range []struct {
			name  string
			ctx   context.Context
			in    member.DeactivateInput
			code  fault.Code
			field string
		}{
			{"nobody signed in", context.Background(), member.DeactivateInput{MemberID: s.lina, Mode: member.Depart}, fault.Unauthenticated, ""},
			{"unknown", s.admin, member.DeactivateInput{MemberID: unknown, Mode: member.Depart}, fault.NotFound, "input.memberId"},
			{"another corp's", s.admin, member.DeactivateInput{MemberID: other.Admin, Mode: member.Depart}, fault.NotFound, "input.memberId"},
			{"no permission", plain, member.DeactivateInput{MemberID: s.lina, Mode: member.Depart}, fault.Forbidden, ""},
			{"no permission over oneself", plain, member.DeactivateInput{MemberID: s.wang, Mode: member.Depart}, fault.Forbidden, ""},
			{"out of scope", managing, member.DeactivateInput{MemberID: outsider, Mode: member.Depart}, fault.Forbidden, ""},
			{"oneself", managing, member.DeactivateInput{MemberID: manager, Mode: member.Depart}, fault.Invalid, "input.memberId"},
			{"mode", s.admin, member.DeactivateInput{MemberID: s.lina, Mode: "FIRE"}, fault.Invalid, "input.mode"},
			{"reason", s.admin, member.DeactivateInput{MemberID: s.lina, Mode: member.Depart, Reason: &long}, fault.Invalid, "input.reason"},
			{"departed already", s.admin, member.DeactivateInput{MemberID: gone, Mode: member.Disable}, fault.Conflict, "input.memberId"},
			{"disabled already", s.admin, member.DeactivateInput{MemberID: away, Mode: member.Disable}, fault.Conflict, "input.memberId"},
			{"caretaker unknown", s.admin, member.DeactivateInput{MemberID: s.lina, Mode: member.Depart, CaretakerID: &unknown}, fault.NotFound, "input.caretakerId"},
			{"caretaker of another corp", s.admin, member.DeactivateInput{MemberID: s.lina, Mode: member.Depart, CaretakerID: &other.Admin}, fault.NotFound, "input.caretakerId"},
			{"caretaker is the leaver", s.admin, member.DeactivateInput{MemberID: s.lina, Mode: member.Depart, CaretakerID: &s.lina}, fault.Invalid, "input.caretakerId"},
			{"caretaker has left", s.admin, member.DeactivateInput{MemberID: s.lina, Mode: member.Depart, CaretakerID: &gone}, fault.Invalid, "input.caretakerId"},
			{"caretaker out of scope", managing, member.DeactivateInput{MemberID: s.lina, Mode: member.Depart, CaretakerID: &outsider}, fault.Forbidden, "input.caretakerId"},
		} {
			_, err := s.s.Deactivate(c.ctx, c.in)
			if got := fault.CodeOf(err); got != c.code {
				t.Errorf("%s: got %q (%v), want %q", c.name, got, err, c.code)
			} else if f, _ := errors.AsType[*fault.Error](err); f.Field != c.field {
				t.Errorf("%s: field is %q, want %q", c.name, f.Field, c.field)
			}
		}
		// One who may deactivate everybody but holds no session as the fallback member.
		deputy := s.Member("deputy", s.Root)
		s.Grant(deputy, access.Administrator.Name, nid.ID{})
		_, err = s.s.Deactivate(s.SignedIn(deputy, true), member.DeactivateInput{MemberID: s.Admin, Mode: member.Depart})
		want(t, err, fault.Conflict, "input.memberId")

		if got := s.status(s.lina); got != "ACTIVE" {
			t.Errorf("lina is %s after refusals", got)
		}
		if n := s.count(`SELECT count(*) FROM follows WHERE member_id = $1 AND protected`, s.lina); n != 0 {
			t.Error("a refusal protected something")
		}
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE action = 'access.deny' AND actor_id = $1`, manager); n != 1 {
			t.Errorf("%d denials of the manager in the log, want one for the minute", n)
		}
	})
}

func TestCaretakerIsTheNearestAtWork(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		north := s.Department("north", s.sales)
		lead, head := s.Member("lead", north), s.Member("head", s.sales)
		s.Manager(north, lead)
		s.Manager(s.sales, head)
		for _, step := range []struct {
			who  string
			id   nid.ID
			want nid.ID
		}{
			{"the department's manager", s.Member("a", north), lead},
			{"not the leaver themselves: the next one up", lead, head},
			{"past a manager who has left", s.Member("b", north), head},
			{"again, two levels up", head, s.boss},
			{"past both", s.Member("c", north), s.boss},
			{"the fallback member, where no manager is at work", s.boss, s.Admin},
		} {
			s.Contact("of "+step.who, "NORMAL", step.id)
			s.depart(step.id)
			if got := s.caretaker(step.id); got != step.want {
				t.Errorf("%s: got %s, want %s", step.who, got, step.want)
			}
		}
	})
}

// Care moves on with every departure: nobody is in the care of somebody who left.
func TestCareIsPassedOn(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		alone, group := s.Contact("alone", "NORMAL", s.lina), s.Group("group", s.lina)
		both := s.Contact("both", "NORMAL", s.lina, s.wang)
		zhao := s.Member("zhao", s.sales)
		zhaos := s.Contact("zhao's", "NORMAL", zhao)
		for _, leaver := range []nid.ID{s.lina, zhao} {
			_, err := s.s.Deactivate(s.admin, member.DeactivateInput{MemberID: leaver, Mode: member.Depart, CaretakerID: &s.wang})
			s.must(err)
			s.sound()
		}
		for _, k := range []nid.ID{alone, both, zhaos} {
			s.accountable("in wang's care", k, s.wang)
		}
		if got := s.depart(s.wang); got.ProtectedContacts != 1 {
			t.Errorf("wang follows one contact, protected %d", got.ProtectedContacts)
		}
		s.sound()
		for _, leaver := range []nid.ID{s.lina, zhao, s.wang} {
			if got := s.caretaker(leaver); got != s.boss {
				t.Errorf("caretaker is %s, want the boss", got)
			}
		}
		for _, k := range []nid.ID{alone, both, zhaos} {
			s.accountable("passed on", k, s.boss)
		}
		if got := s.id(`SELECT accountable_id FROM groups WHERE id = $1`, group); got != s.boss {
			t.Errorf("%s answers for the group", got)
		}
		s.depart(s.boss)
		for _, k := range []nid.ID{alone, both, zhaos} {
			s.accountable("the last one", k, s.Admin)
		}
	})
}

func TestDisableThenDepart(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		alone := s.Contact("alone", "NORMAL", s.lina)
		careful := s.Contact("also the boss's", "NORMAL", s.lina, s.boss)
		group := s.Group("group", s.lina)
		r, err := s.s.Deactivate(s.admin, member.DeactivateInput{MemberID: s.lina, Mode: member.Disable})
		s.must(err)
		if r.ProtectedContacts != 2 || r.ProtectedGroups != 1 {
			t.Errorf("disabling protected %+v", r)
		}
		if n := s.count(`SELECT count(*) FROM members WHERE id = $1 AND status = 'DISABLED' AND departed_at IS NULL`, s.lina); n != 1 {
			t.Error("lina is not disabled")
		}
		s.Clock.Add(year / 12)
		s.admin = s.SignedIn(s.Admin, false) // the session of a month ago has ended
		r, err = s.s.Deactivate(s.admin, member.DeactivateInput{MemberID: s.lina, Mode: member.Depart, CaretakerID: &s.wang})
		s.must(err)
		if r != (member.Result{}) {
			t.Errorf("everything was protected already, got %+v", r)
		}
		if n := s.count(`SELECT count(*) FROM members WHERE id = $1 AND status = 'DEPARTED' AND departed_at = $2 AND epoch = 3`, s.lina, s.DB.Now()); n != 1 {
			t.Error("lina has not departed")
		}
		s.accountable("the new caretaker's", alone, s.wang)
		s.accountable("follows it in his own right", careful, s.boss)
		if got := s.id(`SELECT accountable_id FROM groups WHERE id = $1`, group); got != s.wang {
			t.Errorf("%s answers for the group", got)
		}
	})
}

// The database itself holds that somebody at work answers for each contact and group.
func TestDatabaseRefusesADepartureThatLeavesNobodyToAnswer(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("contact", "NORMAL", s.lina)
		s.Group("group", s.wang)
		for _, id := range []nid.ID{s.lina, s.wang} {
			err := s.raw("members", `UPDATE members SET status = 'DEPARTED', answers = false WHERE id = $1 RETURNING id`, id)
			want(t, err, fault.Conflict, "")
			if got := s.status(id); got != "ACTIVE" {
				t.Errorf("the member is %s", got)
			}
		}
		// Nor can the two columns drift apart.
		if err := s.raw("members", `UPDATE members SET status = 'DEPARTED' WHERE id = $1 RETURNING id`, s.boss); err == nil {
			t.Error("a departed member answers")
		}
	})
}

// However much somebody leaves, it is the same few statements.
// Somebody must stay who can give roles, or the corp is locked out of itself.
func TestLastAdministratorCannotBeDeactivated(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		head := s.Member("head", s.Root)
		s.Grant(head, access.Manager.Name, nid.ID{}) // deactivates, but manages no roles
		managing := s.SignedIn(head, true)
		admins := []nid.ID{s.Member("second", s.Root), s.Member("third", s.Root)}
		for _, m := range admins {
			s.Grant(m, access.Administrator.Name, nid.ID{})
		}
		// Not the fallback member's protection but this rule is to be seen.
		s.must(s.raw("corps", `UPDATE corps SET fallback_id = $2 WHERE corp_id = $1 RETURNING id`, s.ID, head))
		deactivate := func(m nid.ID) error {
			_, err := s.s.Deactivate(managing, member.DeactivateInput{MemberID: m, Mode: member.Disable})
			return err
		}
		s.must(deactivate(s.Admin))
		errs := make([]error, len(admins))
		var wait sync.WaitGroup
		for i, m := range admins {
			wait.Go(func() { errs[i] = deactivate(m) })
		}
		wait.Wait()
		if errs[0] == nil {
			errs[0], errs[1] = errs[1], errs[0]
		}
		s.must(errs[1])
		want(t, errs[0], fault.Conflict, "input.memberId")
		if n := s.count(`SELECT count(*) FROM grants WHERE corp_id = $1 AND role_id = $2 AND revoked_at IS NULL`, s.ID, s.Roles[access.Administrator.Name]); n != 1 {
			t.Errorf("%d administrators left", n)
		}
	})
}

func TestDeactivateCountsStatements(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.many(20, s.lina)
		s.many(5000, s.wang)
		for _, id := range []nid.ID{s.lina, s.wang} {
			var seen []string
			var mu sync.Mutex
			ctx := store.Count(s.admin, func(q string) { mu.Lock(); seen = append(seen, q); mu.Unlock() })
			if _, err := s.s.Deactivate(ctx, member.DeactivateInput{MemberID: id, Mode: member.Depart}); err != nil {
				t.Fatal(err)
			}
			if len(seen) > 29 { // the second within the hour asks for the settings too; one wakes the handovers
				t.Errorf("%d statements:\n%s", len(seen), strings.Join(seen, "\n"))
			}
		}
		if n := s.count(`SELECT count(*) FROM contacts WHERE protected AND accountable_id = $1`, s.boss); n != 5020 {
			t.Errorf("%d contacts in the caretaker's hands", n)
		}
	})
}

// Deactivation and a change of the leaver's contact happen one after the other,
// whichever is first; afterwards nothing changes the contact.
func TestDeactivateWhileContactIsChanged(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		contacts := &contact.Service{DB: s.DB, Log: s.Log}
		editor := s.Member("editor", s.Root)
		s.Grant(editor, access.Administrator.Name, nid.ID{})
		editing := s.SignedIn(editor, false)
		changed := 0
		for i := range 12 {
			leaver := s.Member(fmt.Sprintf("leaver%d", i), s.sales)
			k := s.Contact("contact", "NORMAL", leaver, s.wang)
			var wg sync.WaitGroup
			var left, edited error
			wg.Go(func() {
				_, left = s.s.Deactivate(s.admin, member.DeactivateInput{MemberID: leaver, Mode: member.Depart})
			})
			title, key := "renamed", "KEY"
			wg.Go(func() {
				edited = contacts.Update(editing, contact.UpdateInput{ID: k, Version: 1, Name: &title, Importance: &key})
			})
			wg.Wait()
			s.must(left)
			if edited == nil {
				changed++
			} else {
				want(t, edited, fault.Conflict, "input.id")
			}
			version := s.count(`SELECT version FROM contacts WHERE id = $1 AND protected AND accountable_id = $2`, k, s.wang)
			if wanted := map[bool]int{true: 2, false: 1}[edited == nil]; version != wanted {
				t.Errorf("version is %d, want %d", version, wanted)
			}
			want(t, contacts.Update(editing, contact.UpdateInput{ID: k, Version: version, Name: &title}), fault.Conflict, "input.id")
		}
		t.Logf("%d of 12 changes came first", changed)
	})
}

// Of two who deactivate each other one is first, and the other has no say any more.
func TestDeactivateEachOther(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		a, b := s.Member("a", s.sales), s.Member("b", s.sales)
		s.Grant(a, access.Administrator.Name, nid.ID{})
		s.Grant(b, access.Administrator.Name, nid.ID{})
		asA, asB := s.SignedIn(a, true), s.SignedIn(b, true)
		s.Contact("both", "NORMAL", a, b)
		errs := make([]error, 2)
		var wg sync.WaitGroup
		wg.Go(func() { _, errs[0] = s.s.Deactivate(asA, member.DeactivateInput{MemberID: b, Mode: member.Depart}) })
		wg.Go(func() { _, errs[1] = s.s.Deactivate(asB, member.DeactivateInput{MemberID: a, Mode: member.Depart}) })
		wg.Wait()
		if errs[0] != nil {
			errs[0], errs[1] = errs[1], errs[0]
		}
		s.must(errs[0])
		want(t, errs[1], fault.Unauthenticated, "")
		if n := s.count(`SELECT count(*) FROM members WHERE status = 'DEPARTED'`); n != 1 {
			t.Errorf("%d departed", n)
		}
	})
}

// Colleagues who follow the same contacts may leave at the same moment.
func TestColleaguesLeaveAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		service := &member.Service{DB: db, Log: c.Log}
		people := make([]nid.ID, 4)
		for i := range people {
			people[i] = c.Member(fmt.Sprintf("m%d", i), c.Root)
		}
		for i := range 8 {
			c.Contact("shared", "NORMAL", people[i%4], people[(i+1)%4], people[(i+3)%4])
		}
		c.ManyMayLeave()
		admin := c.SignedIn(c.Admin, false)
		errs := make([]error, len(people))
		var wg sync.WaitGroup
		for i, p := range people {
			wg.Go(func() {
				_, errs[i] = service.Deactivate(admin, member.DeactivateInput{MemberID: p, Mode: member.Depart})
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if n := testcorp.Value[int](c, `SELECT count(*) FROM contacts WHERE protected AND accountable_id = $1`, c.Admin); n != 8 {
			t.Errorf("the fallback member answers for %d of 8", n)
		}
	})
}
