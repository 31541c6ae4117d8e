package identity_test

import (
	"context"
	"encoding/base32"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// enrol gives lina an authenticator and a function that reads its code.
func (s *scene) enrol() (code func() string) {
	s.t.Helper()
	enrolled, err := s.s.Enrol(s.system(), s.lina)
	s.must(err)
	uri := enrolled.URI
	u, err := url.Parse(uri)
	s.must(err)
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	s.must(err)
	if !strings.Contains(uri, "OpenHandover:lina") {
		s.t.Fatal("the URI does not name the account")
	}
	return func() string { return secret.Code(key, secret.Step(s.DB.Now())) }
}

func TestVerifyIdentity(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		code := s.enrol()
		session, err := s.signIn("lina", password)
		s.must(err)
		ctx, otherCtx := s.with(session.Token), s.in()
		first := code()
		until, err := s.s.VerifyIdentity(ctx, &first, nil)
		s.must(err)
		if want := s.DB.Now().Add(identity.Proof); !until.Equal(want) {
			t.Fatalf("until %s, want %s", until, want)
		}
		if a := access.From(s.with(session.Token)); !a.Fresh(s.DB.Now()) || a.Fresh(until) {
			t.Fatal("the session is not marked for five minutes")
		}
		if a := access.From(otherCtx); a.Fresh(s.DB.Now()) {
			t.Fatal("another session is marked")
		}
		for name, c := range map[string]context.Context{"this session": ctx, "another": otherCtx} {
			if _, err := s.s.VerifyIdentity(c, &first, nil); fault.CodeOf(err) != fault.Invalid {
				t.Fatalf("replay in %s: %v", name, err)
			}
		}
		s.Clock.Add(30 * time.Second)
		_, err = s.s.VerifyIdentity(otherCtx, new(code()), nil)
		s.must(err)
		if n := s.entries(access.SessionVerify); n != 2 {
			t.Fatalf("%d entries", n)
		}
	})
}

func TestVerifyIdentityRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ctx := s.in()
		code, pass := "123456", password
		_, err := s.s.VerifyIdentity(ctx, nil, nil)
		wants(t, err, fault.Invalid, "input.code")
		_, err = s.s.VerifyIdentity(ctx, &code, &pass)
		wants(t, err, fault.Invalid, "input.password")
		_, err = s.s.VerifyIdentity(ctx, nil, &pass)
		if f := wants(t, err, fault.Invalid, "input.password"); !strings.Contains(f.Text.EN, "enrol an authenticator") {
			t.Fatal(f)
		}
		_, err = s.s.VerifyIdentity(ctx, &code, nil)
		wants(t, err, fault.Invalid, "input.code") // none enrolled
		_, err = s.s.VerifyIdentity(t.Context(), &code, nil)
		wants(t, err, fault.Unauthenticated, "")
		_, err = s.s.VerifyIdentity(s.system(), &code, nil)
		wants(t, err, fault.Invalid, "")
		s.enrol() // ends the session
		_, err = s.s.VerifyIdentity(ctx, &code, nil)
		wants(t, err, fault.Unauthenticated, "")
		if n := s.count(`SELECT count(*) FROM lockouts WHERE subject LIKE 'verify:%'`); n != 0 {
			t.Fatal("what cannot succeed was counted as a failure")
		}
	})
}

func TestPasswordProvesInDemoModeOnly(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.s.Demo = true
		session, err := s.signIn("lina", password)
		s.must(err)
		_, err = s.s.VerifyIdentity(s.with(session.Token), nil, new("wrong"))
		wants(t, err, fault.Invalid, "input.password")
		_, err = s.s.VerifyIdentity(s.with(session.Token), nil, new(password))
		s.must(err)
		if !access.From(s.with(session.Token)).Fresh(s.DB.Now()) {
			t.Fatal("not fresh")
		}
		s.enrol()
		_, err = s.s.VerifyIdentity(s.in(), nil, new(password))
		wants(t, err, fault.Invalid, "input.password")
	})
}

func TestVerifyLocksApartFromSignIn(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		code := s.enrol()
		ctx := s.in()
		wrong := "000000"
		if code() == wrong {
			wrong = "000001"
		}
		got := parallel(100, func(int) error { _, err := s.s.VerifyIdentity(ctx, &wrong, nil); return err })
		if got[fault.Invalid] != 5 || got[fault.RateLimited] != 95 {
			t.Fatal(got)
		}
		_, err := s.s.VerifyIdentity(ctx, new(code()), nil)
		if f := wants(t, err, fault.RateLimited, ""); f.RetryAfter != 15*minute {
			t.Fatal(f.RetryAfter)
		}
		ctx = s.in() // signing in still works
		s.Clock.Add(15 * minute)
		_, err = s.s.VerifyIdentity(ctx, new(code()), nil)
		s.must(err)
		if n := s.entries(access.SessionFail); n != 1 {
			t.Fatalf("%d entries", n)
		}
	})
}

func TestOneCodeServesOnce(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		code := s.enrol()()
		contexts := []context.Context{s.in(), s.in()}
		got := parallel(50, func(i int) error { _, err := s.s.VerifyIdentity(contexts[i%2], &code, nil); return err })
		if got[""] != 1 || got[fault.Invalid]+got[fault.RateLimited] != 49 {
			t.Fatal(got)
		}
		if n := s.entries(access.SessionVerify); n != 1 {
			t.Fatalf("%d entries", n)
		}
	})
}

func TestAuthenticatorIsSealedToItsMember(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		code := s.enrol()
		s.must(s.s.SetPassword(s.system(), s.Admin, "admin", password))
		sealed := testcorp.Value[[]byte](s.Corp, `SELECT totp_secret FROM credentials WHERE member_id = $1`, s.lina)
		s.do("credentials", `UPDATE credentials SET totp_secret = $2 WHERE member_id = $1 RETURNING member_id`, s.Admin, sealed)
		session, err := s.signIn("admin", password)
		s.must(err)
		if _, err := s.s.VerifyIdentity(s.with(session.Token), new(code()), nil); fault.CodeOf(err) != fault.Internal {
			t.Fatalf("a secret moved to another member opens: %v", err)
		}
	})
}

func TestServiceTokensNeverProveIdentity(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.s.Demo = true
		_, token, err := s.s.CreateToken(s.system(), "bi", []access.Permission{access.ViewStatistics}, nil, s.DB.Now().Add(time.Hour))
		s.must(err)
		ctx := s.with(token)
		for _, try := range [][2]*string{{new("123456"), nil}, {nil, new(password)}} {
			_, err := s.s.VerifyIdentity(ctx, try[0], try[1])
			wants(t, err, fault.Invalid, "")
		}
		a := *access.From(ctx)
		a.VerifiedUntil = s.DB.Now().Add(time.Hour) // however it came there
		wants(t, identity.Fresh(&a, s.DB.Now()), fault.StepUpRequired, "")
		wants(t, s.s.SignOut(ctx), fault.Invalid, "")
		wants(t, s.s.RevokeToken(ctx, nid.New(nid.Token)), fault.Forbidden, "")
	})
}

// Who is asked for a proof is told what they have.
func TestWaysToProveAnIdentity(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ways := func(want string) {
			t.Helper()
			var actor *access.Actor
			s.must(s.DB.Tx(s.in(), func(ctx context.Context, tx *store.Tx) (err error) {
				actor, err = identity.Confirm(ctx, tx)
				return err
			}))
			f := wants(t, identity.Fresh(actor, s.DB.Now()), fault.StepUpRequired, "")
			if got := fmt.Sprint(f.Details["acrValues"]); got != want {
				t.Errorf("asked for %s, want %s", got, want)
			}
		}
		ways("[otp]") // to be enrolled
		s.addKey(s.in(), new(password))
		ways("[passkey]")
		s.enrol()
		ways("[otp passkey]")
	})
}
