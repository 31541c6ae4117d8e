package identity_test

import (
	"context"
	"encoding/base32"
	"net/url"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// code reads the code that an app shows which was enrolled from the URI.
func (s *scene) code(uri string) string {
	s.t.Helper()
	u, err := url.Parse(uri)
	s.must(err)
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	s.must(err)
	return secret.Code(key, secret.Step(s.DB.Now()))
}

func (s *scene) prove(ctx context.Context, recovery string) error {
	_, err := s.s.Prove(ctx, identity.Evidence{RecoveryCode: &recovery})
	return err
}

func TestEnrolmentCountsOnceConfirmed(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ctx, other := s.in(), s.in()
		_, err := s.s.EnrolTOTP(ctx, nil)
		wants(t, err, fault.Invalid, "input.password")
		_, err = s.s.EnrolTOTP(ctx, new("wrong"))
		wants(t, err, fault.Invalid, "input.password")
		_, err = s.s.ConfirmTOTP(ctx, "123456")
		wants(t, err, fault.Conflict, "") // nothing waits
		e, err := s.s.EnrolTOTP(ctx, new(password))
		s.must(err)
		if !e.ExpiresAt.Equal(s.DB.Now().Add(10*minute)) || !strings.HasPrefix(e.URI, "otpauth://totp/OpenHandover:lina?secret=") {
			t.Fatal(e)
		}
		_, err = s.s.VerifyIdentity(ctx, new(s.code(e.URI)), nil)
		wants(t, err, fault.Invalid, "input.code") // it does not count yet
		_, err = s.s.ConfirmTOTP(ctx, "000000")
		wants(t, err, fault.Invalid, "input.code")

		again, err := s.s.EnrolTOTP(ctx, new(password)) // another one takes its place
		s.must(err)
		_, err = s.s.ConfirmTOTP(ctx, s.code(e.URI))
		wants(t, err, fault.Invalid, "input.code")
		first := s.code(again.URI)
		got := parallel(8, func(int) error { _, err := s.s.ConfirmTOTP(ctx, first); return err })
		if got[""] != 1 {
			t.Fatal("confirmed at once: ", got)
		}
		if n := s.count(`SELECT max(failures) FROM lockouts`); n != 2 {
			t.Errorf("%d failures are counted; a right code that came second is none", n)
		}
		if !access.From(s.again(ctx)).Fresh(s.DB.Now()) {
			t.Error("a first code proves nothing")
		}
		_, err = s.s.VerifyIdentity(ctx, &first, nil)
		wants(t, err, fault.Invalid, "input.code") // that code has served
		_, err = s.s.VerifyIdentity(other, &first, nil)
		wants(t, err, fault.Unauthenticated, "") // other sessions have ended
		if a, b := s.entries(access.CredentialBegin), s.entries(access.CredentialEnrol); a != 2 || b != 1 {
			t.Errorf("%d begun, %d enrolled", a, b)
		}

		// Another authenticator takes a proof, not the password.
		s.Clock.Add(identity.Proof)
		_, err = s.s.EnrolTOTP(ctx, new(password))
		wants(t, err, fault.StepUpRequired, "")
		_, err = s.s.VerifyIdentity(ctx, new(s.code(again.URI)), nil)
		s.must(err)
		third, err := s.s.EnrolTOTP(ctx, nil)
		s.must(err)
		s.Clock.Add(10 * minute)
		_, err = s.s.ConfirmTOTP(ctx, s.code(third.URI))
		wants(t, err, fault.Conflict, "") // too late
		_, err = s.s.VerifyIdentity(ctx, new(s.code(again.URI)), nil)
		s.must(err) // the one before goes on
		s.must(s.s.RemoveTOTP(ctx))
		wants(t, s.s.RemoveTOTP(ctx), fault.Conflict, "")
	})
}

func TestNothingOfIdentityIsStoredInClear(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ctx := s.in()
		e, err := s.s.EnrolTOTP(ctx, new(password))
		s.must(err)
		u, err := url.Parse(e.URI)
		s.must(err)
		key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
		s.must(err)
		stored := testcorp.Value[[]byte](s.Corp, `SELECT totp_pending FROM credentials WHERE member_id = $1`, s.lina)
		if len(stored) == 0 || strings.Contains(string(stored), string(key)) {
			t.Error("the authenticator's secret is stored in clear")
		}
		out, err := s.s.ConfirmTOTP(ctx, s.code(e.URI))
		s.must(err)
		n := s.count(`SELECT count(*) FROM recovery_codes WHERE member_id = $1 AND length(hash) = 32`, s.lina)
		if len(out.RecoveryCodes) != 10 || n != 10 {
			t.Fatalf("%d codes, %d hashes", len(out.RecoveryCodes), n)
		}
		leaves := testcorp.Value[string](s.Corp, `SELECT `+s.DB.JSONArray("hex_leaf")+` FROM (SELECT `+hexOf(s.DB)+` AS hex_leaf FROM audit_entries) AS a`)
		for _, secret := range append(out.RecoveryCodes, u.Query().Get("secret"), password) {
			if strings.Contains(strings.ToLower(leaves), strings.ToLower(hexText(secret))) {
				t.Error("a secret stands in the log")
			}
		}
	})
}

func hexOf(db *store.DB) string {
	if db.Postgres() {
		return "encode(leaf, 'hex')"
	}
	return "hex(leaf)"
}

func TestRecoveryCodesServeOnce(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ctx := s.in()
		_, err := s.s.RenewRecoveryCodes(ctx)
		wants(t, err, fault.StepUpRequired, "")
		enrolled, err := s.s.Enrol(s.system(), s.lina)
		s.must(err)
		codes := enrolled.RecoveryCodes
		ctx = s.in()
		got := parallel(20, func(int) error { return s.prove(ctx, codes[0]) })
		if got[""] != 1 || got[fault.Invalid]+got[fault.RateLimited] != 19 {
			t.Fatal(got)
		}
		s.Clock.Add(15 * minute)
		// However it is typed.
		s.must(s.prove(ctx, " "+strings.ToUpper(strings.ReplaceAll(codes[1], "-", " "))))
		s.must(s.prove(ctx, strings.NewReplacer("0", "o", "1", "l", "-", "").Replace(codes[2])))
		wants(t, s.prove(ctx, codes[1]), fault.Invalid, "input.recoveryCode")
		for _, hostile := range []string{"", "-", strings.Repeat("0", 17), strings.Repeat("0-", 1<<16)} {
			wants(t, s.prove(ctx, hostile), fault.Invalid, "input.recoveryCode")
		}
		wants(t, s.prove(ctx, codes[3]), fault.RateLimited, "") // five failures
		s.Clock.Add(15 * minute)
		s.must(s.prove(ctx, codes[3]))
		renewed, err := s.s.RenewRecoveryCodes(ctx)
		s.must(err)
		wants(t, s.prove(ctx, codes[4]), fault.Invalid, "input.recoveryCode")
		s.must(s.prove(ctx, renewed[0]))

		// A code is one member's.
		s.must(s.s.SetPassword(s.system(), s.Admin, "admin", password))
		session, err := s.signIn("admin", password)
		s.must(err)
		wants(t, s.prove(s.with(session.Token), renewed[1]), fault.Invalid, "input.recoveryCode")
		seen := map[string]bool{}
		for _, c := range append(codes, renewed...) {
			if len(c) != 19 || seen[c] {
				t.Errorf("code %q", c)
			}
			seen[c] = true
		}
	})
}
