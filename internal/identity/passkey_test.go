package identity_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/testcorp"
	"github.com/openhandover/openhandover/internal/testcorp/softkey"
)

// challenge asks as the context's actor.
func (s *scene) challenge(ctx context.Context, purpose identity.Purpose) identity.Challenge {
	s.t.Helper()
	ctx, done := s.DB.Reading(ctx)
	defer done()
	c, err := s.s.PasskeyChallenge(ctx, purpose)
	s.must(err)
	return c
}

func answer(c identity.Challenge, credential json.RawMessage) identity.PasskeyAnswer {
	return identity.PasskeyAnswer{Ceremony: c.Ceremony, Credential: credential}
}

// addKey gives the actor a passkey.
func (s *scene) addKey(ctx context.Context, password *string) (*softkey.Key, nid.ID, identity.Confirmed) {
	s.t.Helper()
	k := softkey.New(s.t, domain, origin)
	c := s.challenge(ctx, identity.ToAdd)
	id, out, err := s.s.AddPasskey(ctx, "laptop", answer(c, k.Make(c.Options)), password)
	s.must(err)
	return k, id, out
}

func (s *scene) signInBy(k *softkey.Key) (identity.Session, error) {
	c := s.challenge(s.t.Context(), identity.ToSignIn)
	return s.s.SignInWithPasskey(s.t.Context(), answer(c, k.Sign(c.Options)))
}

func TestPasskeySignsInAndProves(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		first, other := s.in(), s.in()
		k, id, out := s.addKey(first, new(password))
		if len(out.RecoveryCodes) != 10 || !access.From(s.again(first)).Fresh(s.DB.Now()) {
			t.Fatalf("%d codes", len(out.RecoveryCodes))
		}
		if _, err := s.s.VerifyIdentity(other, new("123456"), nil); fault.CodeOf(err) != fault.Unauthenticated {
			t.Fatal("another session outlives a new passkey:", err)
		}
		if bytes.Contains(k.Handle(), []byte("lina")) || len(k.Handle()) != 32 {
			t.Fatalf("the user handle tells who it is: %q", k.Handle())
		}
		session, err := s.signInBy(k)
		s.must(err)
		ctx := s.with(session.Token)
		a := access.From(ctx)
		if a.ID != s.lina || a.Label != "lina" || !a.Fresh(s.DB.Now()) || session.Method != identity.ByPasskey {
			t.Fatalf("%+v", a)
		}
		s.Clock.Add(identity.Proof)
		if access.From(s.with(session.Token)).Fresh(s.DB.Now()) {
			t.Fatal("the proof does not end")
		}
		c := s.challenge(ctx, identity.ToVerify)
		sent := answer(c, k.Sign(c.Options))
		until, err := s.s.Prove(ctx, identity.Evidence{Passkey: &sent})
		s.must(err)
		if want := s.DB.Now().Add(identity.Proof); !until.Equal(want) {
			t.Fatal(until)
		}
		_, err = s.s.Prove(ctx, identity.Evidence{Passkey: &sent})
		wants(t, err, fault.Invalid, "input.passkey.credential") // a replay
		s.must(s.s.RemovePasskey(ctx, id))
		_, err = s.signInBy(k)
		wants(t, err, fault.Unauthenticated, "")
		if n := s.count(`SELECT count(*) FROM recovery_codes WHERE member_id = $1`, s.lina); n != 0 {
			t.Fatal("recovery codes stand in for nothing")
		}
		for action, n := range map[access.Action]int{access.CredentialEnrol: 1, access.CredentialRemove: 1, access.SessionVerify: 1, access.SessionStart: 3} {
			if got := s.entries(action); got != n {
				t.Errorf("%s: %d entries, want %d", action, got, n)
			}
		}
	})
}

// again is the context of the same session, as the next request has it.
func (s *scene) again(ctx context.Context) context.Context {
	s.t.Helper()
	a := *access.From(ctx)
	a.VerifiedUntil = testcorp.Value[time.Time](s.Corp, `SELECT verified_until FROM sessions WHERE secret_hash = $1`, a.Session)
	return access.With(s.t.Context(), &a)
}

// What an attacker can do with a stolen answer, another page, another device.
func TestPasskeyRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ctx := s.in()
		k, _, _ := s.addKey(ctx, new(password))
		admin := softkey.New(t, domain, origin)
		refused := func(name string, err error) {
			t.Helper()
			if f := wants(t, err, fault.Unauthenticated, ""); f.Text.EN != "this passkey is not known here, or not any more" {
				t.Errorf("%s reads %q", name, f.Text.EN)
			}
		}
		for name, k := range map[string]*softkey.Key{
			"another origin": k.At(domain, "https://handover.example.com.evil.example"), "another domain": k.At("example.org", origin),
			"http": k.At(domain, "http://handover.example.com"), "user not verified": k.Unverified(), "another private key": k.Copy(),
			"another member": k.For(append(s.ID[:], s.Admin[:]...)), "nobody": k.For(append(s.ID[:], make([]byte, 16)...)),
			"an unknown corp": k.For(bytes.Join([][]byte{newID(nid.Corp), newID(nid.Member)}, nil)), "no handle": k.For(nil),
			"an unknown member": k.For(append(s.ID[:], newID(nid.Member)...)), "a long handle": k.For(make([]byte, 64)), "an unknown passkey": admin.For(k.Handle()),
		} {
			_, err := s.signInBy(k)
			refused(name, err)
		}
		c := s.challenge(t.Context(), identity.ToSignIn)
		sent := answer(c, k.Sign(c.Options))
		got := parallel(20, func(int) error { _, err := s.s.SignInWithPasskey(t.Context(), sent); return err })
		if got[""] != 1 || got[fault.Unauthenticated] != 19 {
			t.Fatal("one answer, many sign-ins: ", got)
		}
		_, err := s.signInBy(k.Count(7))
		s.must(err)
		_, err = s.signInBy(k.Count(7))
		refused("a copy of the device", err)
		_, err = s.signInBy(k.Count(6))
		refused("an older copy", err)
		_, err = s.signInBy(k.Count(8))
		s.must(err)
		if n := s.entries(access.SessionFail); n == 0 {
			t.Error("none of it is in the log")
		}

		late := s.challenge(t.Context(), identity.ToSignIn)
		for name, ceremony := range map[string]string{
			"none": "", "not ours": "AAAA", "no base64": "!", "long": string(make([]byte, 1<<20)), "for adding": s.challenge(ctx, identity.ToAdd).Ceremony,
		} {
			if _, err := s.s.SignInWithPasskey(t.Context(), identity.PasskeyAnswer{Ceremony: ceremony, Credential: k.Sign(late.Options)}); fault.CodeOf(err) != fault.Invalid {
				t.Errorf("ceremony %s: %v", name, err)
			}
		}
		for _, hostile := range []string{``, `null`, `[]`, `{}`, `{"id":"AA","rawId":"AA","type":"public-key","response":{}}`, `{"id":`, string(bytes.Repeat([]byte("["), 1<<20))} {
			_, err := s.s.SignInWithPasskey(t.Context(), answer(late, json.RawMessage(hostile)))
			wants(t, err, fault.Invalid, "input.credential")
		}
		s.Clock.Add(5 * minute)
		_, err = s.s.SignInWithPasskey(t.Context(), answer(late, k.Count(9).Sign(late.Options)))
		wants(t, err, fault.Invalid, "input.ceremony") // too late
		s.do("members", `UPDATE members SET status = 'DISABLED', answers = false, departed_at = NULL, caretaker_id = $2 WHERE id = $1 RETURNING id`, s.lina, s.Admin)
		_, err = s.signInBy(k.Count(10))
		refused("who has left", err)
	})
}

func newID(k nid.Kind) []byte { id := nid.New(k); return id[:] }

// A first passkey takes the password, a second one a fresh proof; and each is one person's.
func TestAddingPasskeys(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ctx := s.in()
		k := softkey.New(t, domain, origin)
		c := s.challenge(ctx, identity.ToAdd)
		try := func(ctx context.Context, made json.RawMessage, password *string) error {
			_, _, err := s.s.AddPasskey(ctx, "phone", answer(c, made), password)
			return err
		}
		wants(t, try(ctx, k.Make(c.Options), nil), fault.Invalid, "input.password")
		wants(t, try(ctx, k.Make(c.Options), new("wrong")), fault.Invalid, "input.password")
		wants(t, try(ctx, k.Unverified().Make(c.Options), new(password)), fault.Invalid, "input.credential")
		wants(t, try(ctx, k.At(domain, "https://evil.example").Make(c.Options), new(password)), fault.Invalid, "input.credential")
		wants(t, try(s.in(), k.Make(c.Options), new(password)), fault.Invalid, "input.ceremony") // another session's
		s.must(try(ctx, k.Make(c.Options), new(password)))
		// Now there is a factor: the password is not enough any more.
		s.Clock.Add(identity.Proof)
		c = s.challenge(ctx, identity.ToAdd)
		wants(t, try(ctx, softkey.New(t, domain, origin).Make(c.Options), new(password)), fault.StepUpRequired, "")
		// The same passkey for somebody else.
		s.must(s.s.SetPassword(s.system(), s.Admin, "admin", password))
		session, err := s.signIn("admin", password)
		s.must(err)
		admin := s.with(session.Token)
		c = s.challenge(admin, identity.ToAdd)
		wants(t, try(admin, k.Make(c.Options), new(password)), fault.Conflict, "input.credential")
		// Somebody else's passkey cannot be removed, and an unknown one neither: alike.
		id := testcorp.Value[nid.ID](s.Corp, `SELECT id FROM passkeys WHERE member_id = $1`, s.lina)
		a := wants(t, s.s.RemovePasskey(admin, id), fault.NotFound, "input.id")
		b := wants(t, s.s.RemovePasskey(admin, nid.New(nid.Passkey)), fault.NotFound, "input.id")
		if a.Text != b.Text {
			t.Error(a, b)
		}
		s.s.Passkeys = nil
		_, err = s.s.PasskeyChallenge(t.Context(), identity.ToSignIn)
		wants(t, err, fault.Conflict, "")
	})
}
