package identity_test

import (
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/outbound"
	"github.com/openhandover/openhandover/internal/webhook"
)

// After a rotation nothing needs the former key, and everything reads as before.
func TestSecretsAreSealedAnew(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		fresh, err := secret.ParseKeys("key", secret.NewKey())
		s.must(err)
		boxes := func(purpose secret.Purpose, keys ...secret.Key) *secret.Box {
			b, err := secret.NewBox(purpose, keys...)
			s.must(err)
			return b
		}
		both := []secret.Key{fresh[0], secret.DemoKey()}
		code := s.enrol()
		_, err = s.s.EnrolTOTP(s.Verified(s.lina), nil) // one that waits to be confirmed
		s.must(err)
		hooks := &webhook.Service{DB: s.DB, Log: s.Log, Box: boxes(secret.ForWebhooks, secret.DemoKey()), Client: outbound.NewClient(true), AllowPrivate: true}
		_, _, err = hooks.Save(s.Verified(s.Admin), webhook.Input{Name: "one", URL: "https://10.0.0.1/hook", Active: true})
		s.must(err)
		keys := s.count(`SELECT count(*) FROM subject_keys WHERE wrapped IS NOT NULL`)

		s.s.TOTP, hooks.Box = boxes(secret.ForTOTP, both...), boxes(secret.ForWebhooks, both...)
		log := audit.New(boxes(secret.ForSubjects, both...))
		_, err = s.s.Reseal(s.in())
		wants(t, err, fault.Forbidden, "")
		_, err = hooks.Reseal(s.in())
		wants(t, err, fault.Forbidden, "")
		for i, want := range [][3]int{{2, 1, keys}, {0, 0, 0}} { // the second time there is nothing to do
			a, err := s.s.Reseal(s.system())
			s.must(err)
			b, err := hooks.Reseal(s.system())
			s.must(err)
			c, err := log.Reseal(s.system(), s.DB)
			s.must(err)
			if got := [3]int{a, b, c}; got != want || keys == 0 {
				t.Errorf("time %d: %v, want %v", i+1, got, want)
			}
		}
		if n := s.entries(access.SecretsRotate); n != 2 {
			t.Errorf("%d entries", n)
		}

		// The former key is gone.
		s.s.TOTP, s.s.Log = boxes(secret.ForTOTP, fresh...), audit.New(boxes(secret.ForSubjects, fresh...))
		_, err = s.s.VerifyIdentity(s.in(), new(code()), nil)
		s.must(err)
		s.s.TOTP = boxes(secret.ForTOTP, secret.DemoKey())
		s.Clock.Add(minute)
		if _, err = s.s.VerifyIdentity(s.in(), new(code()), nil); fault.CodeOf(err) != fault.Internal {
			t.Error("the former key still opens: ", err)
		}
		// What could not be compared is no failure.
		if n := s.count(`SELECT failures FROM lockouts WHERE subject LIKE 'verify:%'`); n != 0 {
			t.Errorf("%d failures", n)
		}
	})
}
