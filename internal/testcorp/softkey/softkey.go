// Package softkey is an authenticator in software, for tests: it makes passkeys and
// answers challenges with real keys and signatures, as a browser and a device do.
package softkey

import (
	"encoding/json"
	"testing"

	"github.com/descope/virtualwebauthn"
)

// Key is a device with one passkey, asked by a page.
type Key struct {
	t       testing.TB
	rp      virtualwebauthn.RelyingParty
	device  virtualwebauthn.Authenticator
	passkey virtualwebauthn.Credential
}

// New makes a device that verifies its user, asked by a page of the origin for the domain.
func New(t testing.TB, domain, origin string) *Key {
	return &Key{
		t: t, rp: virtualwebauthn.RelyingParty{Name: "OpenHandover", ID: domain, Origin: origin},
		device: virtualwebauthn.NewAuthenticator(), passkey: whole(),
	}
}

// coseKey is the length of a P-256 public key in COSE (RFC 9053, 7.1.1), in which both
// coordinates have 32 bytes.
const coseKey = 77

// whole makes a passkey. The module leaves out a coordinate's leading zero bytes, and
// nobody may accept that: of 128 keys one has any, and is left alone.
func whole() virtualwebauthn.Credential {
	for {
		c := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
		if len(c.Key.AttestationData()) == coseKey {
			return c
		}
	}
}

// At is the same device, asked by a page of another origin, as by one that imitates ours.
func (k *Key) At(domain, origin string) *Key {
	other := *k
	other.rp.ID, other.rp.Origin = domain, origin
	return &other
}

// Unverified is the same device, that only somebody touched.
func (k *Key) Unverified() *Key {
	other := *k
	other.device.Options.UserNotVerified = true
	return &other
}

// For is the same device, that answers as somebody else's.
func (k *Key) For(handle []byte) *Key {
	other := *k
	other.device.Options.UserHandle = handle
	return &other
}

// Copy is the same passkey on a device that has another private key.
func (k *Key) Copy() *Key {
	other := *k
	other.passkey.Key = whole().Key
	return &other
}

// Count sets the counter that the next answer shows.
func (k *Key) Count(n uint32) *Key {
	k.passkey.Counter = n
	return k
}

// Handle is the user handle that the device keeps with its passkey.
func (k *Key) Handle() []byte { return k.device.Options.UserHandle }

// Make answers PublicKeyCredentialCreationOptions.
func (k *Key) Make(options json.RawMessage) json.RawMessage {
	k.t.Helper()
	o, err := virtualwebauthn.ParseAttestationOptions(string(options))
	if err != nil {
		k.t.Fatal(err)
	}
	if k.passkey.IsExcludedForAttestation(*o) {
		k.t.Fatal("softkey: the device is told that it has a passkey already")
	}
	k.device.Options.UserHandle = []byte(o.UserID)
	return json.RawMessage(virtualwebauthn.CreateAttestationResponse(k.rp, k.device, k.passkey, *o))
}

// Sign answers PublicKeyCredentialRequestOptions.
func (k *Key) Sign(options json.RawMessage) json.RawMessage {
	k.t.Helper()
	o, err := virtualwebauthn.ParseAssertionOptions(string(options))
	if err != nil {
		k.t.Fatal(err)
	}
	return json.RawMessage(virtualwebauthn.CreateAssertionResponse(k.rp, k.device, k.passkey, *o))
}
