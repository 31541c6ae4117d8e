package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// TokenKind is the prefix that tells tokens apart and lets secret scanners find
// leaked ones.
type TokenKind string

// The kinds of tokens.
const (
	// Session is what a signed-in person's client holds.
	Session TokenKind = "hos_"
	// Service is what a program holds.
	Service TokenKind = "hot_"
)

const tokenLength = 4 + 43 // prefix, 32 bytes in base64url without padding

// NewToken makes a token of 256 random bits. It is shown once and never stored:
// the database keeps its Hash.
func NewToken(kind TokenKind) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return string(kind) + base64.RawURLEncoding.EncodeToString(b[:])
}

// KindOf says what kind of token the text is; false for what cannot be one, so
// that it costs no look-up.
func KindOf(token string) (TokenKind, bool) {
	if len(token) != tokenLength {
		return "", false
	}
	kind, random := TokenKind(token[:4]), token[4:]
	if kind != Session && kind != Service {
		return "", false
	}
	// DecodeString passes over line breaks, which are not ours.
	if strings.ContainsAny(random, "\r\n") {
		return "", false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(random)
	return kind, err == nil
}

// Hash is the SHA-256 of a token. Looking a token up by it needs no comparison in
// constant time, and no salt or slow hash: there is nothing to guess in 256
// random bits.
func Hash(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}
