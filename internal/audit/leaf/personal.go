package leaf

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/openhandover/openhandover/internal/nid"
)

// Erased is what a personal value reads once its subject's key is deleted.
const Erased = "已删除 / Deleted"

// ErrUnreadable says that a sealed value does not open with this key, or is not
// what its commitment promises.
var ErrUnreadable = errors.New("sealed value and key do not belong together")

// Private is a personal value: Personal on its way into a leaf, Sealed out of it.
type Private interface{ private() }

// Personal is a value about somebody: a name, remark, number, address, or words
// that a person wrote. Encode seals it under the subject's key, so that erasing
// the subject's key erases the value while the log still verifies.
type Personal struct {
	// Subject is whom the value is about; its key is what erasure deletes.
	Subject nid.ID
	Value   string
}

// Sealed is a personal value as it stands in a leaf.
type Sealed struct {
	// Commitment is HMAC-SHA256 of the value, keyed with a random salt that is
	// inside Ciphertext. Whoever could open the value once can show later what it
	// was; without the salt it tells nothing, not even to somebody who guesses.
	Commitment [sha256.Size]byte
	// Ciphertext is the nonce and the AES-256-GCM sealing of salt, value and padding.
	Ciphertext []byte
	Subject    nid.ID
}

func (Personal) private() {}
func (Sealed) private()   {}

// Format keeps the value out of logs, whatever the verb.
func (p Personal) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[personal value]") }

// MarshalText keeps the value out of logs in JSON.
func (p Personal) MarshalText() ([]byte, error) { return []byte("[personal value]"), nil }

// Key is a subject's key. It is stored only wrapped with the installation's secret key.
type Key [32]byte

// NewKey makes a random key.
func NewKey() (k Key) {
	_, _ = rand.Read(k[:]) // never fails (crypto/rand)
	return k
}

// Format keeps the key out of logs, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[subject key]") }

// MarshalText keeps the key out of logs in JSON.
func (k Key) MarshalText() ([]byte, error) { return []byte("[subject key]"), nil }

// Sealer seals personal values.
type Sealer struct {
	// Keys gives the key of a subject, made at its first use.
	Keys func(subject nid.ID) (Key, error)
	// Rand is where salts and nonces come from; nil is crypto/rand. Anything else
	// is for test vectors: a nonce used twice gives both values away.
	Rand io.Reader
}

const (
	saltLength  = 16
	nonceLength = 12
	tagLength   = 16
	// padTo hides how long a value was, which would outlive its erasure.
	padTo  = 32
	padEnd = 0x80 // ISO/IEC 7816-4: this byte, then zeros
)

// Seal seals one value. Its errors are those of Keys and Rand, and ErrEntry for a
// subject that is no id or a value that is not UTF-8.
func (s Sealer) Seal(p Personal) (Sealed, error) {
	if !known(p.Subject) || !utf8.ValidString(p.Value) {
		return Sealed{}, fmt.Errorf("%w: a personal value needs a subject and UTF-8 text", ErrEntry)
	}
	if s.Keys == nil {
		return Sealed{}, fmt.Errorf("%w: it has personal values and no keys to seal them", ErrEntry)
	}
	key, err := s.Keys(p.Subject)
	if err != nil {
		return Sealed{}, err
	}
	random := s.Rand
	if random == nil {
		random = rand.Reader
	}
	plain := make([]byte, saltLength, saltLength+len(p.Value)+padTo)
	out := make([]byte, nonceLength, nonceLength+cap(plain)+tagLength)
	if _, err := io.ReadFull(random, plain); err != nil {
		return Sealed{}, err
	}
	if _, err := io.ReadFull(random, out); err != nil {
		return Sealed{}, err
	}
	sealed := Sealed{Commitment: commit(plain, p.Value), Subject: p.Subject}
	plain = append(append(plain, p.Value...), padEnd)
	plain = append(plain, make([]byte, (padTo-len(plain)%padTo)%padTo)...)
	aead, err := key.cipher()
	if err != nil {
		return Sealed{}, err
	}
	sealed.Ciphertext = aead.Seal(out, out[:nonceLength], plain, sealed.associated())
	return sealed, nil
}

// Open gives the value back, or Erased without a key. It fails with ErrUnreadable.
func Open(s Sealed, key *Key) (string, error) {
	if key == nil {
		return Erased, nil
	}
	_, value, err := Disclose(s, *key)
	return value, err
}

// Disclose gives the value and the salt, which together prove to anybody what the
// commitment was made of. It fails with ErrUnreadable.
func Disclose(s Sealed, key Key) (salt []byte, value string, err error) {
	if !s.wellFormed() {
		return nil, "", ErrUnreadable
	}
	aead, err := key.cipher()
	if err != nil {
		return nil, "", err
	}
	plain, err := aead.Open(nil, s.Ciphertext[:nonceLength], s.Ciphertext[nonceLength:], s.associated())
	if err != nil {
		return nil, "", ErrUnreadable
	}
	salt, rest := plain[:saltLength], bytes.TrimRight(plain[saltLength:], "\x00")
	if len(rest) == 0 || rest[len(rest)-1] != padEnd {
		return nil, "", ErrUnreadable
	}
	value = string(rest[:len(rest)-1])
	if c := commit(salt, value); !hmac.Equal(c[:], s.Commitment[:]) {
		return nil, "", ErrUnreadable
	}
	return salt, value, nil
}

// Reveal is a copy of Before or After with every sealed value opened; a nil key
// makes it read Erased. It fails with what keys fails with, and ErrUnreadable.
func Reveal(values map[string]any, keys func(subject nid.ID) (*Key, error)) (map[string]any, error) {
	if values == nil {
		return nil, nil
	}
	out, err := reveal(values, keys)
	if err != nil {
		return nil, err
	}
	return out.(map[string]any), nil
}

func reveal(v any, keys func(nid.ID) (*Key, error)) (_ any, err error) {
	switch v := v.(type) {
	case Sealed:
		key, err := keys(v.Subject)
		if err != nil {
			return nil, err
		}
		return Open(v, key)
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, inner := range v {
			if out[k], err = reveal(inner, keys); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			if out[i], err = reveal(inner, keys); err != nil {
				return nil, err
			}
		}
		return out, nil
	default:
		return v, nil
	}
}

func commit(salt []byte, value string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(value))
	return [sha256.Size]byte(mac.Sum(nil))
}

func (k *Key) cipher() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// associated ties the ciphertext to its subject and commitment.
func (s Sealed) associated() []byte {
	return append(append([]byte(nil), s.Subject[:]...), s.Commitment[:]...)
}

// wellFormed is all that can be said without the key.
func (s Sealed) wellFormed() bool {
	n := len(s.Ciphertext) - nonceLength - tagLength
	return n >= padTo && n%padTo == 0 && known(s.Subject)
}

// sealedKeys are the keys of a sealed value; no other object may have just these.
const commitmentKey, ciphertextKey, subjectKey = "c", "e", "s"

func isSealed(object map[string]any) bool {
	if len(object) != 3 {
		return false
	}
	_, c := object[commitmentKey]
	_, e := object[ciphertextKey]
	_, s := object[subjectKey]
	return c && e && s
}

func (s Sealed) object() map[string]any {
	return map[string]any{
		commitmentKey: hex.EncodeToString(s.Commitment[:]), ciphertextKey: base64.StdEncoding.EncodeToString(s.Ciphertext), subjectKey: s.Subject.String(),
	}
}
