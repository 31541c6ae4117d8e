package identity_test

import (
	"context"
	"encoding/hex"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func hexText(s string) string { return hex.EncodeToString([]byte(s)) }

const fresher = "another four words make two"

func TestChangePassword(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		session, err := s.signIn("lina", password)
		s.must(err)
		ctx, other := s.with(session.Token), s.in()
		_, err = s.s.ChangePassword(ctx, "wrong", fresher)
		wants(t, err, fault.Invalid, "input.oldPassword")
		for _, weak := range []string{"short", "lina", password, "password1234"} {
			_, err = s.s.ChangePassword(ctx, password, weak)
			wants(t, err, fault.Invalid, "input.newPassword")
		}
		ended, err := s.s.ChangePassword(ctx, password, fresher)
		s.must(err)
		if ended != 1 {
			t.Errorf("%d sessions ended", ended)
		}
		s.with(session.Token) // this one goes on
		_, err = s.s.ChangePassword(other, fresher, password)
		wants(t, err, fault.Unauthenticated, "")
		_, err = s.signIn("lina", password)
		wants(t, err, fault.Unauthenticated, "")
		_, err = s.signIn("lina", fresher)
		s.must(err)
		if n := s.entries(access.CredentialSet); n != 2 { // the first was the operator's
			t.Errorf("%d entries", n)
		}
		got := parallel(10, func(i int) error {
			_, err := s.s.ChangePassword(ctx, fresher, fresher+string(rune('a'+i)))
			return err
		})
		if got[""] != 1 {
			t.Error("changed at once: ", got)
		}
	})
}

// A stolen session gives no guesses at the password beyond those of the door.
func TestPasswordHasFiveGuessesAltogether(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ctx := s.in()
		got := parallel(60, func(i int) error {
			var err error
			switch i % 3 {
			case 0:
				_, err = s.s.ChangePassword(ctx, "wrong guess here", fresher)
			case 1:
				_, err = s.s.EnrolTOTP(ctx, new("wrong guess here"))
			default:
				_, err = s.signIn("lina", "wrong guess here")
			}
			return err
		})
		if evaluated := got[fault.Invalid] + got[fault.Unauthenticated]; evaluated != 5 || got[fault.RateLimited] != 55 {
			t.Fatal(got)
		}
	})
}

func TestResetPassword(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.must(s.s.SetPassword(s.system(), s.Admin, "admin", password))
		admin := s.Verified(s.Admin)
		session, err := s.signIn("lina", password)
		s.must(err)
		one, err := s.s.ResetPassword(admin, s.lina, nil)
		s.must(err)
		if one.Login != "lina" || len(one.Password) != 24 || !one.ExpiresAt.Equal(s.DB.Now().Add(24*time.Hour)) {
			t.Fatalf("%+v", one)
		}
		_, err = s.s.Authenticate(t.Context(), session.Token)
		wants(t, err, fault.Unauthenticated, "")
		if n := s.count(`SELECT epoch FROM members WHERE id = $1`, s.lina); n != 2 {
			t.Errorf("epoch %d", n)
		}
		_, err = s.signIn("lina", password)
		wants(t, err, fault.Unauthenticated, "")
		in := func(password, replacement string) error {
			_, err := s.s.SignInReplacing(t.Context(), new("acme"), "lina", password, &replacement)
			return err
		}
		_, err = s.signIn("lina", one.Password)
		wants(t, err, fault.Invalid, "input.newPassword") // must choose another
		wants(t, in(one.Password, "weak"), fault.Invalid, "input.newPassword")
		wants(t, in(one.Password, one.Password), fault.Invalid, "input.newPassword")
		wants(t, in("wrong", fresher), fault.Unauthenticated, "")
		got := parallel(6, func(i int) error { return in(one.Password, fresher+string(rune('a'+i))) })
		if got[""] != 1 {
			t.Fatal("one-time, many times: ", got)
		}
		s.Clock.Add(15 * minute)
		wants(t, in(one.Password, fresher), fault.Unauthenticated, "")

		// It ends by itself, and reads like any wrong one.
		one, err = s.s.ResetPassword(s.admin(), s.lina, nil)
		s.must(err)
		s.Clock.Add(24 * time.Hour)
		wants(t, in(one.Password, fresher), fault.Unauthenticated, "")
		_, err = s.signIn("lina", one.Password)
		wants(t, err, fault.Unauthenticated, "")

		// Who has no login gets one; not somebody else's.
		wang := s.Member("Wang", s.Root)
		_, err = s.s.ResetPassword(s.admin(), wang, new("LINA"))
		wants(t, err, fault.Conflict, "input.login")
		one, err = s.s.ResetPassword(s.admin(), wang, nil)
		s.must(err)
		if one.Login != "wang" {
			t.Error(one.Login)
		}
		_, err = s.s.SignInReplacing(t.Context(), nil, "wang", one.Password, new(fresher))
		s.must(err)
		_, err = s.s.SignInReplacing(t.Context(), nil, "wang", fresher, new(password)) // not asked for
		wants(t, err, fault.Invalid, "input.newPassword")
	})
}

func (s *scene) admin() context.Context { return s.Verified(s.Admin) }

func TestWhoMayReset(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		east, west := s.Department("east", s.Root), s.Department("west", s.Root)
		boss, amy, chief, spy := s.Member("boss", east), s.Member("amy", east), s.Member("chief", east), s.Member("spy", west)
		s.GrantRole(boss, s.Role("people", access.ManageRoles, access.ViewContacts), east)
		s.Grant(chief, "administrator", nid.ID{})
		s.Grant(spy, "member", nid.ID{})
		other := testcorp.New(t, s.DB, s.Clock, "other")
		reset := func(ctx context.Context, who nid.ID) (out []error) {
			_, err := s.s.ResetPassword(ctx, who, nil)
			return append(out, err, s.s.ResetAuthenticators(ctx, who))
		}
		for name, try := range map[string]struct {
			ctx   context.Context
			who   nid.ID
			code  fault.Code
			field string
		}{
			"without a permission":        {s.Verified(amy), boss, fault.Forbidden, ""},
			"outside of the department":   {s.Verified(boss), spy, fault.Forbidden, ""},
			"somebody who may more":       {s.Verified(boss), chief, fault.Forbidden, ""},
			"without a proof":             {s.SignedIn(boss, false), amy, fault.StepUpRequired, ""},
			"oneself":                     {s.Verified(s.Admin), s.Admin, fault.Invalid, "input.memberId"},
			"unknown":                     {s.Verified(s.Admin), nid.New(nid.Member), fault.NotFound, "input.memberId"},
			"of another corp":             {s.Verified(s.Admin), other.Admin, fault.NotFound, "input.memberId"},
			"no member":                   {s.Verified(s.Admin), s.Root, fault.NotFound, "input.memberId"},
			"a foreign one, unpermitted":  {s.Verified(amy), other.Admin, fault.NotFound, "input.memberId"},
			"an unknown one, unpermitted": {s.Verified(amy), nid.New(nid.Member), fault.NotFound, "input.memberId"},
		} {
			for i, err := range reset(try.ctx, try.who) {
				if fault.CodeOf(err) != try.code {
					t.Errorf("%s, %d: %v", name, i, err)
				}
			}
		}
		_, err := s.s.ResetPassword(s.Verified(boss), amy, nil)
		s.must(err)
		wants(t, s.s.ResetAuthenticators(s.Verified(boss), amy), fault.Conflict, "input.memberId") // there are none
		s.Depart(amy)
		_, err = s.s.ResetPassword(s.Verified(s.Admin), amy, nil)
		wants(t, err, fault.Conflict, "input.memberId")

		ctx := s.in()
		s.addKey(ctx, new(password))
		s.must(s.s.ResetAuthenticators(s.Verified(s.Admin), s.lina))
		if n := s.count(`SELECT (SELECT count(*) FROM passkeys) + (SELECT count(*) FROM recovery_codes) + (SELECT count(*) FROM sessions WHERE member_id = $1)`, s.lina); n != 0 {
			t.Errorf("%d things are left", n)
		}
		s.addKey(s.in(), new(password)) // the password is enough again
	})
}
