package sso_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/sso"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// A proof is as old as the look that the provider took, not as the way back from there.
func TestAProofEndsFiveMinutesAfterTheLook(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.connect(s.input())
		s.linked(id, s.lina, lina)
		b := newBrowser(t)
		s.wants(s.signIn(b, id, lina, ""), 303, s.server.URL+"/")
		looked := s.DB.Now().Truncate(time.Second)
		s.op.says("mfa", looked)
		back := s.authenticate(b, s.begin(b, id, "?prove=1").to, lina)
		late := s.authenticate(b, s.begin(b, id, "?prove=1").to, lina)
		until := func() time.Time {
			return testcorp.Value[time.Time](s.Corp, `SELECT verified_until FROM sessions WHERE member_id = $1 AND provider_id IS NOT NULL`, s.lina).UTC()
		}
		s.Clock.Add(4 * time.Minute)
		s.wants(b.do("GET", back, nil), 303, s.server.URL+"/")
		if got, want := until(), looked.Add(identity.Proof); !got.Equal(want) {
			t.Errorf("proven until %s, want %s", got, want)
		}
		s.Clock.Add(time.Minute + time.Second)
		s.wants(b.do("GET", late, nil), 303, s.server.URL+"/?sso_error=unproven")
		if got, want := until(), looked.Add(identity.Proof); !got.Equal(want) {
			t.Errorf("proven until %s, want %s", got, want)
		}
	})
}

// Who comes back is judged by the rules that hold when they are let in.
func TestAProviderIsChangedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		f := newForger(t)
		var p *sso.Provider
		change := func(active bool) {
			in := s.input()
			in.ID, in.Version, in.Name, in.Issuer, in.ACRValues, in.Active = &p.ID, new(1), "Forger", f.server.URL, []string{"stronger"}, active
			_, err := s.s.Save(s.Verified(s.Admin), in)
			s.must(err)
		}
		for _, active := range []bool{true, false} {
			p = f.connect(s)
			f.before = func() { f.before = nil; change(active) }
			b := newBrowser(t)
			s.wants(f.comeBack(s, b, p, nil, nil, nil), 303, s.server.URL+"/x?sso_error=refused")
			if got := s.is(b); got != " false" {
				t.Errorf("active %v: signed in as %q", active, got)
			}
			s.must(s.s.Delete(s.Verified(s.Admin), p.ID, 2))
		}
	})
}

// What is forged is in the log, once a minute, and keeps nobody else's failure out of it.
func TestFailuresAreInTheLog(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		f := newForger(t)
		p := f.connect(s)
		forged := func(map[string]any) string { return "a.b.c" }
		for range 3 {
			s.wants(f.comeBack(s, newBrowser(t), p, nil, forged, nil), 303, s.server.URL+"/x?sso_error=refused")
		}
		if n := s.entries(access.SessionFail); n != 1 {
			t.Errorf("%d entries of what was forged", n)
		}
		stranger := func(c map[string]any) { c["sub"], c["preferred_username"] = "x", "x@example.com" }
		s.wants(f.comeBack(s, newBrowser(t), p, stranger, nil, nil), 303, s.server.URL+"/x?sso_error=refused")
		if n := s.entries(access.SessionFail); n != 2 {
			t.Errorf("%d entries with a stranger", n)
		}
		s.wants(f.comeBack(s, newBrowser(t), p, nil, nil, nil), 303, s.server.URL+"/x")
		s.Depart(s.lina)
		s.wants(f.comeBack(s, newBrowser(t), p, nil, nil, nil), 303, s.server.URL+"/x?sso_error=refused")
		if n := s.entries(access.SessionFail); n != 3 {
			t.Errorf("%d entries with who has left", n)
		}
	})
}

// A provider signs with a new key without telling anybody; and its keys may be away.
func TestKeysOfAProvider(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		f := newForger(t)
		p := f.connect(s)
		s.wants(f.comeBack(s, newBrowser(t), p, nil, nil, nil), 303, s.server.URL+"/x")
		was := f.key
		next, err := rsa.GenerateKey(rand.Reader, 2048)
		s.must(err)
		f.key, f.kid = next, "two"
		s.wants(f.comeBack(s, newBrowser(t), p, nil, nil, nil), 303, s.server.URL+"/x")
		s.wants(f.comeBack(s, newBrowser(t), p, nil, func(c map[string]any) string { return f.sign(jose.RS256, was, c) }, nil), 303, s.server.URL+"/x?sso_error=refused")

		f.away, f.kid = true, "three"
		s.wants(f.comeBack(s, newBrowser(t), p, nil, nil, nil), 303, s.server.URL+"/x?sso_error=unavailable")
		// Who only asks learns nothing of where the provider is, or what it says.
		token := f.sign(jose.RS256, f.key, map[string]any{"iss": f.server.URL, "aud": p.ClientID, "exp": s.DB.Now().Add(time.Minute).Unix()})
		got := newBrowser(t).do("POST", s.s.LogoutURI(p), url.Values{"logout_token": {token}})
		if got.status != 503 || strings.Contains(got.body, "127.0.0.1") || strings.Contains(got.body, "nobody outside") {
			t.Errorf("%+v", got)
		}
		f.away = false
		token = f.sign(jose.RS256, f.key, map[string]any{"iss": f.server.URL, "aud": "guess"})
		if got := newBrowser(t).do("POST", s.s.LogoutURI(p), url.Values{"logout_token": {token}}); got.status != 400 || strings.Contains(got.body, p.ClientID) {
			t.Errorf("%+v", got)
		}
	})
}

// An administrator does not read through a provider what they could not read otherwise:
// neither the secret that another wrote, nor what answers at an address.
func TestSavingTellsNoSecrets(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		f := newForger(t)
		id, admin := s.connect(s.input()), s.Verified(s.Admin)
		in := s.input()
		in.ID, in.Version, in.Issuer, in.ClientSecret = &id, new(1), f.server.URL, nil
		if _, err := s.s.Save(admin, in); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "input.clientSecret") {
			t.Error(err)
		}
		f.silent = true
		in.ClientSecret = new("")
		_, err := s.s.Save(admin, in)
		if err == nil || !strings.Contains(err.Error(), "503") || strings.Contains(err.Error(), "nobody outside") {
			t.Error(err)
		}
		f.silent = false
		_, err = s.s.Save(admin, in)
		s.must(err)
		// Without TLS nothing goes further than this machine.
		for issuer, ok := range map[string]bool{"http://localhost:1": true, "http://[::1]:1": true, "http://127.0.0.2": true, "http://login.example.com": false,
			"http://10.0.0.1": false, "http://localhost.example.com": false, "http://127.0.0.1.example.com": false, "ftp://localhost": false} {
			in := s.input()
			in.Name, in.Issuer, in.Active = issuer, issuer, false
			made, err := s.s.Save(admin, in)
			if (err == nil) != ok {
				t.Errorf("%s: %v", issuer, err)
			}
			if err == nil {
				s.must(s.s.Delete(admin, made, 1))
			}
		}
		s.s.AllowPrivate = false
		in = sso.Input{Name: "x", Issuer: "http://localhost", ClientID: "x", Claim: "sub", Matches: sso.ByUserID}
		if _, err := s.s.Save(admin, in); fault.CodeOf(err) != fault.Invalid {
			t.Error(err)
		}
	})
}

// Who is asked for a proof is told by what they can give one.
func TestWaysToProve(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ways := func(want string) {
			t.Helper()
			hash := testcorp.Value[[]byte](s.Corp, `SELECT secret_hash FROM sessions WHERE member_id = $1 AND provider_id IS NOT NULL`, s.lina)
			ctx := access.With(t.Context(), &access.Actor{Kind: access.Person, Corp: s.ID, ID: s.lina, Session: hash})
			var asked error
			s.must(s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				actor, err := identity.Confirm(ctx, tx)
				if err == nil {
					asked = identity.Fresh(actor, tx.Now())
				}
				return err
			}))
			f, _ := errors.AsType[*fault.Error](asked)
			if got := fmt.Sprint(f.Details["acrValues"]); got != want {
				t.Errorf("asked for %s, want %s", got, want)
			}
		}
		id := s.connect(s.input())
		s.wants(s.signIn(newBrowser(t), id, lina, ""), 303, s.server.URL+"/")
		ways("[otp]") // a claim found them
		s.linked(id, s.lina, lina)
		ways("[oidc]")
		in := s.input()
		in.ID, in.Version, in.ACRValues = &id, new(1), nil
		_, err := s.s.Save(s.Verified(s.Admin), in)
		s.must(err)
		ways("[otp]") // to be enrolled
	})
}
