package secret_test

import (
	"testing"

	"github.com/openhandover/openhandover/internal/identity/secret"
)

func TestSignaturesBelongToTextPurposeAndKey(t *testing.T) {
	other, err := secret.ParseKeys("key", "w8XoGZqk3rT1nV5mB7cJ2hL9dF4sA6pY")
	if err != nil {
		t.Fatal(err)
	}
	signer := func(purpose secret.Purpose, keys ...secret.Key) *secret.Signer {
		s, err := secret.NewSigner(purpose, keys...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	was := signer(secret.ForDownloads, secret.DemoKey())
	good := was.Sign([]byte("text"))
	if !was.Verify([]byte("text"), good) || !signer(secret.ForDownloads, other[0], secret.DemoKey()).Verify([]byte("text"), good) {
		t.Error("what was signed is not taken, or not after a rotation")
	}
	changed := append([]byte{}, good...)
	changed[31] ^= 1
	for name, ok := range map[string]bool{
		"another text":      was.Verify([]byte("texts"), good),
		"another signature": was.Verify([]byte("text"), changed),
		"a short one":       was.Verify([]byte("text"), good[:31]),
		"none":              was.Verify([]byte("text"), nil),
		"another key":       signer(secret.ForDownloads, other...).Verify([]byte("text"), good),
		"another purpose":   signer("other", secret.DemoKey()).Verify([]byte("text"), good),
	} {
		if ok {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := secret.NewSigner(secret.ForDownloads); err == nil {
		t.Error("no key, and a signer")
	}
	if _, err := secret.NewSigner(secret.ForDownloads, secret.Key{}); err == nil {
		t.Error("an empty key, and a signer")
	}
}
