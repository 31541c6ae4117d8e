package member_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// deputy is a second administrator.
func (s *scene) deputy(name string) nid.ID {
	s.t.Helper()
	id := s.Member(name, s.Root)
	s.Grant(id, access.Administrator.Name, nid.ID{})
	return id
}

// outcomes are those of a call, in its order.
func outcomes(ds []member.Decision) (out []string) {
	for _, d := range ds {
		switch {
		case d.Done:
			out = append(out, "done")
		case d.NotHeld:
			out = append(out, "not held")
		default:
			out = append(out, string(d.Problem.Code)+" "+d.Problem.Field)
		}
	}
	return out
}

func (s *scene) token(maker nid.ID) string {
	s.t.Helper()
	text := secret.NewToken(secret.Service, s.ID)
	s.must(s.raw("service_tokens", `INSERT INTO service_tokens (id, corp_id, created_at, name, permissions, expires_at, secret_hash, created_by_id)
		VALUES ($1, $2, $3, 'sync', '["PROVISION_MEMBERS"]', $4, $5, $6) RETURNING id`, nid.New(nid.Token), s.ID, s.DB.Now(), s.DB.Now().Add(year), secret.Hash(text), maker))
	return text
}

// A departure that is held back takes access at once: sessions, the tokens the member made,
// signing in. Grants stay. Dismissing gives access back, but for the sessions.
func TestHeldDepartureTakesAccess(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		people := &identity.Service{DB: s.DB, Log: s.Log, Demo: true}
		s.must(people.SetPassword(store.System(t.Context(), s.ID, "test"), s.lina, "lina", "handover-demo"))
		signIn := func() error {
			_, err := people.SignIn(t.Context(), new("acme"), "lina", "handover-demo")
			return err
		}
		s.Grant(s.lina, access.Approver.Name, nid.ID{})
		session, token := s.Bearer(s.lina, true), s.token(s.lina)
		works := func(text string) bool {
			_, err := people.Authenticate(t.Context(), text)
			return err == nil
		}
		if !works(session) || !works(token) || signIn() != nil {
			t.Fatal("nothing works before")
		}
		s.limits(1, 100)
		for _, id := range []nid.ID{s.lina, s.wang} {
			s.Leaving(id, yesterday)
		}
		s.run()
		if s.held() != 2 {
			t.Fatalf("%d held", s.held())
		}
		if works(session) || works(token) {
			t.Error("a session or token works")
		}
		want(t, signIn(), fault.Unauthenticated, "")
		s.must(s.DB.Tx(store.System(t.Context(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
			if a, err := identity.Standing(ctx, tx, s.lina); err != nil || a != nil {
				t.Errorf("work of hers goes on as %v (%v)", a, err)
			}
			return nil
		}))
		if n := s.count(`SELECT count(*) FROM grants WHERE member_id = $1 AND revoked_at IS NULL`, s.lina); n != 1 {
			t.Errorf("%d grants", n)
		}
		got, err := s.s.Dismiss(s.proven(), []nid.ID{s.lina, s.wang, s.lina}, "a mistake")
		s.must(err)
		if fmt.Sprint(outcomes(got)) != "[done done]" || s.status(s.lina) != "ACTIVE" {
			t.Errorf("%v, lina is %s", outcomes(got), s.status(s.lina))
		}
		if works(session) || !works(token) || signIn() != nil {
			t.Error("after it was dismissed: a session came back, or a token or signing in did not")
		}
	})
}

// Nobody could decide if the only administrator were shut out.
func TestOnlyAdministratorKeepsAccess(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		second := s.deputy("second")
		s.Leaving(second, yesterday)
		s.Leaving(s.Admin, yesterday)
		s.limits(1, 100)
		s.run()
		if s.held() != 2 || s.count(`SELECT count(*) FROM members WHERE suspended`) != 1 {
			t.Fatalf("%d held, %d without access", s.held(), s.count(`SELECT count(*) FROM members WHERE suspended`))
		}
		left := second
		if s.count(`SELECT count(*) FROM members WHERE suspended AND id = $1`, second) == 1 {
			left = s.Admin
		}
		got, err := s.s.Dismiss(s.Verified(left), []nid.ID{s.Admin, second}, "both stay")
		s.must(err)
		if fmt.Sprint(outcomes(got)) != "[done done]" {
			t.Error(outcomes(got))
		}
	})
}

// Beyond the guard one person asks, and another one confirms: not the same, and nobody who
// could be them.
func TestMassDepartureTakesTwo(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.limits(2, 100)
		second, third := s.deputy("second"), s.deputy("third")
		staff := s.staff(6)
		ask := func(by nid.ID, of nid.ID) (member.Result, error) {
			return s.s.Deactivate(s.Verified(by), member.DeactivateInput{MemberID: of, Mode: member.Depart, ConfirmMassDeparture: true})
		}
		for _, id := range staff[:2] { // within the guard one person is enough
			if r, err := ask(s.Admin, id); err != nil || r.Held {
				t.Fatal(r, err)
			}
		}
		s.SignedIn(staff[2], false)
		for _, id := range staff[2:] {
			r, err := ask(s.Admin, id)
			if err != nil || !r.Held || s.status(id) != "LEAVING" {
				t.Fatal(r, err, s.status(id))
			}
		}
		if n := s.count(`SELECT count(*) FROM sessions WHERE member_id = $1`, staff[2]); n != 0 {
			t.Errorf("%d sessions", n)
		}
		_, err := ask(s.Admin, staff[2])
		want(t, err, fault.Conflict, "input.memberId")
		got, err := s.s.Confirm(s.proven(), member.ConfirmInput{MemberIDs: staff[2:], Mode: member.Depart})
		s.must(err)
		if fmt.Sprint(outcomes(got)) != "[CONFLICT input.memberId CONFLICT input.memberId CONFLICT input.memberId CONFLICT input.memberId]" {
			t.Fatal(outcomes(got))
		}
		// Whoever has reset the second one's password could be the second one.
		_, err = (&identity.Service{DB: s.DB, Log: s.Log, Demo: true}).ResetPassword(s.proven(), second, new("second"))
		s.must(err)
		got, err = s.s.Confirm(s.Verified(second), member.ConfirmInput{MemberIDs: staff[2:3], Mode: member.Depart})
		s.must(err)
		if fmt.Sprint(outcomes(got)) != "[FORBIDDEN ]" || s.departed() != 2 {
			t.Fatal(outcomes(got), s.departed())
		}
		s.must(func() error {
			got, err = s.s.Confirm(s.Verified(third), member.ConfirmInput{MemberIDs: staff, Mode: member.Depart})
			return err
		}())
		if fmt.Sprint(outcomes(got)) != "[not held not held done done done done]" || s.departed() != 6 {
			t.Error(outcomes(got), s.departed())
		}
		got, err = s.s.Confirm(s.Verified(third), member.ConfirmInput{MemberIDs: staff, Mode: member.Depart}) // once more
		s.must(err)
		if fmt.Sprint(outcomes(got)) != "[not held not held not held not held not held not held]" {
			t.Error(outcomes(got))
		}
	})
}

// Who made the token over which a provider asks for departures does not confirm them.
func TestMakerOfATokenDoesNotConfirmWhatItAskedFor(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.limits(1, 100)
		second := s.deputy("second")
		people := &identity.Service{DB: s.DB, Log: s.Log}
		actor, err := people.Authenticate(t.Context(), s.token(s.Admin))
		s.must(err)
		staff := s.staff(3)
		s.Contact("contact", "KEY", staff[1])
		for _, id := range staff {
			_, err := s.s.Leave(access.With(t.Context(), actor), member.LeaveInput{MemberID: id})
			s.must(err)
		}
		if s.held() != 2 {
			t.Fatalf("%d held", s.held())
		}
		if n := s.count(`SELECT count(*) FROM notice_baselines WHERE member_id = $1 AND importance = 'KEY'`, staff[1]); n != 1 {
			t.Errorf("%d baselines: a departure that is held back begins a notice", n)
		}
		got, err := s.s.Confirm(s.proven(), member.ConfirmInput{MemberIDs: staff[1:], Mode: member.Depart})
		s.must(err)
		if fmt.Sprint(outcomes(got)) != "[CONFLICT input.memberId CONFLICT input.memberId]" {
			t.Error(outcomes(got))
		}
		got, err = s.s.Confirm(s.Verified(second), member.ConfirmInput{MemberIDs: staff[1:], Mode: member.Depart})
		s.must(err)
		if fmt.Sprint(outcomes(got)) != "[done done]" {
			t.Error(outcomes(got))
		}
	})
}

func TestDecideRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		far := s.Member("far", s.Root)
		manager := s.Member("manager", s.sales)
		s.Grant(manager, access.Manager.Name, s.sales)
		for _, id := range []nid.ID{s.lina, far} {
			s.Held(id, yesterday)
		}
		both := []nid.ID{s.lina, far, nid.New(nid.Member)}
		_, err := s.s.Dismiss(s.SignedIn(manager, false), both, "no")
		want(t, err, fault.StepUpRequired, "")
		_, err = s.s.Confirm(s.Verified(s.wang), member.ConfirmInput{MemberIDs: both, Mode: member.Depart})
		want(t, err, fault.Forbidden, "")
		_, err = s.s.Dismiss(s.Verified(manager), both, " ")
		want(t, err, fault.Invalid, "input.reason")
		_, err = s.s.Confirm(s.Verified(manager), member.ConfirmInput{MemberIDs: both, Mode: "FIRE"})
		want(t, err, fault.Invalid, "input.mode")
		_, err = s.s.Dismiss(s.proven(), make([]nid.ID, 1001), "no")
		want(t, err, fault.Invalid, "input.memberIds")
		got, err := s.s.Dismiss(s.Verified(manager), both, "no")
		s.must(err)
		if fmt.Sprint(outcomes(got)) != "[done FORBIDDEN  NOT_FOUND input.memberId]" {
			t.Error(outcomes(got))
		}
		// A call that has no time left says so for whom it did not come to.
		late, cancel := context.WithDeadline(s.proven(), time.Now().Add(time.Second))
		defer cancel()
		got, err = s.s.Dismiss(late, []nid.ID{far}, "no")
		s.must(err)
		if fmt.Sprint(outcomes(got)) != "[UNAVAILABLE input.memberIds]" {
			t.Error(outcomes(got))
		}
	})
}
