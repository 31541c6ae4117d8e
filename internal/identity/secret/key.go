// Package secret holds what proves who somebody is: passwords, session and
// service tokens, authenticator codes, and the box in which such secrets are
// stored. It is pure: it reads no database, no file and no clock.
//
// Nothing here prints a secret by accident: a Key shows itself as its id only,
// and no error carries what was given.
package secret

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/openhandover/openhandover/internal/fault"
)

const (
	minKeyLength  = 32
	minKeyVariety = 10
	// demoKey is published here, so it protects nothing.
	demoKey = "openhandover demo key, published, for trying out only"
)

// Key is the installation's secret key, from which every other key is derived.
// The zero Key is no key. Printing or marshalling one gives its id.
type Key struct {
	material string
	id       [8]byte
}

// NewKey makes the text of a new secret key: 256 random bits. It is what an
// operator puts into the secret key's file.
func NewKey() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// ParseKeys reads secret keys, one a line: the first seals, the others only open
// what was sealed before a rotation. A key is any text of at least 32 characters
// that looks random; INVALID on field for one that is short, repeats itself or
// stands in somebody's documentation. Blank lines are passed over.
func ParseKeys(field, text string) ([]Key, error) {
	var keys []Key
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := checkKey(field, line); err != nil {
			return nil, err
		}
		keys = append(keys, makeKey(line))
	}
	if len(keys) == 0 {
		return nil, fault.Bad(field, "a secret key is needed; make one with: openssl rand -base64 32",
			"需要密钥,可用以下命令生成:openssl rand -base64 32")
	}
	return keys, nil
}

// DemoKey is the key of the demo mode. ParseKeys refuses it.
func DemoKey() Key { return makeKey(demoKey) }

// ID names the key without telling anything about it: 16 hex digits.
func (k Key) ID() string { return hex.EncodeToString(k.id[:]) }

// String is the key's id, for logs.
func (k Key) String() string { return "secret key " + k.ID() }

// GoString is String: %#v would show the key itself.
func (k Key) GoString() string { return k.String() }

// MarshalText is String, for JSON and slog.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

func makeKey(material string) Key {
	k := Key{material: material}
	copy(k.id[:], derive(material, "key id", len(k.id)))
	return k
}

// derive makes a key for one purpose by HKDF-SHA256 (RFC 5869), so that no key
// is ever used for two things.
func derive(material, purpose string, length int) []byte {
	b, err := hkdf.Key(sha256.New, []byte(material), nil, "openhandover/v1/"+purpose, length)
	if err != nil {
		panic(err) // only for lengths beyond 8160 bytes, and ours are constants
	}
	return b
}

// placeholders are words in keys that people copy instead of making one.
var placeholders = []string{"changeme", "change-me", "change_me", "replaceme", "replace-me", "replace_me", "example", "default", "password", "secretkey", "secret-key", "secret_key", "your-secret", "your_secret"}

func checkKey(field, key string) error {
	if utf8.RuneCountInString(key) < minKeyLength {
		return fault.Bad(field, "the secret key must have at least %d characters", "密钥至少需要 %d 个字符", minKeyLength)
	}
	if key == demoKey {
		return fault.Bad(field, "this is the published key of the demo mode; make your own", "这是演示模式的公开密钥,请自行生成密钥")
	}
	lower := strings.ToLower(key)
	for _, p := range placeholders {
		if strings.Contains(lower, p) {
			return fault.Bad(field, "this secret key is a placeholder; make a random one", "该密钥是占位文本,请生成随机密钥")
		}
	}
	if variety(key) < minKeyVariety || repeats(key) {
		return fault.Bad(field, "this secret key is not random enough; make a random one", "该密钥随机性不足,请生成随机密钥")
	}
	return nil
}

// variety counts the different characters. 128 random bits in hex have fewer
// than ten once in two million keys.
func variety(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// repeats reports whether s is one piece of at most half its length over and over.
func repeats(s string) bool {
	for p := 1; p <= len(s)/2; p++ {
		if s[p:] == s[:len(s)-p] {
			return true
		}
	}
	return false
}
