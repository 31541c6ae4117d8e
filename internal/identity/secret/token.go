package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/openhandover/openhandover/internal/nid"
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

const tokenLength = 4 + 26 + 1 + 43 // prefix, corp, "_", 32 bytes in base64url without padding

// NewToken makes a token of a corp: the kind's prefix, the digits of the corp's
// id, "_" and 256 random bits. It names its corp because nothing can be looked up
// before the corp is known, and nothing is ever looked up across corps. It is
// shown once and never stored: the database keeps its Hash.
func NewToken(kind TokenKind, corp nid.ID) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return string(kind) + corp.String()[4:] + "_" + base64.RawURLEncoding.EncodeToString(b[:])
}

// ParseToken says what kind of token the text is and of which corp; false for
// what cannot be one, so that it costs no look-up. The corp need not exist.
func ParseToken(token string) (kind TokenKind, corp nid.ID, ok bool) {
	if len(token) != tokenLength || token[30] != '_' {
		return "", nid.ID{}, false
	}
	kind, random := TokenKind(token[:4]), token[31:]
	if kind != Session && kind != Service {
		return "", nid.ID{}, false
	}
	corp, err := nid.Parse(nid.Corp.Prefix() + "_" + token[4:30])
	if err != nil {
		return "", nid.ID{}, false
	}
	// DecodeString passes over line breaks, which are not ours.
	if strings.ContainsAny(random, "\r\n") {
		return "", nid.ID{}, false
	}
	if _, err := base64.RawURLEncoding.Strict().DecodeString(random); err != nil {
		return "", nid.ID{}, false
	}
	return kind, corp, true
}

// KindOf is ParseToken for who only wants to know the kind.
func KindOf(token string) (TokenKind, bool) {
	kind, _, ok := ParseToken(token)
	return kind, ok
}

// Hash is the SHA-256 of a token. Looking a token up by it needs no comparison in
// constant time, and no salt or slow hash: there is nothing to guess in 256
// random bits.
func Hash(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}
