package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
)

// ForDownloads signs the links that exports are fetched by.
const ForDownloads Purpose = "download"

// ForDevices signs what a browser keeps of an earlier sign-in.
const ForDevices Purpose = "device"

// Signer says of texts that they are ours: HMAC-SHA256 (RFC 2104) under a key that is
// derived for one purpose. It is safe for concurrent use.
type Signer struct{ keys [][]byte }

// NewSigner makes the signer of one purpose. It signs with the first key and takes
// what any of them has signed, so that a rotation breaks no link.
func NewSigner(purpose Purpose, keys ...Key) (*Signer, error) {
	if len(keys) == 0 || purpose == "" {
		return nil, errors.New("a signer needs a purpose and a key")
	}
	s := &Signer{}
	for _, k := range keys {
		if k.material == "" {
			return nil, errors.New("a signer needs real keys")
		}
		s.keys = append(s.keys, derive(k.material, "sign/"+string(purpose), sha256.Size))
	}
	return s, nil
}

// Sign gives the 32 bytes that belong to a text.
func (s *Signer) Sign(text []byte) []byte { return signed(s.keys[0], text) }

// Verify reports whether the signature belongs to the text. How long that takes says
// nothing about how much of it is right.
func (s *Signer) Verify(text, signature []byte) bool {
	ok := false
	for _, k := range s.keys {
		ok = hmac.Equal(signed(k, text), signature) || ok
	}
	return ok
}

func signed(key, text []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(text)
	return m.Sum(nil)
}
