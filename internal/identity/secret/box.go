package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// Purpose is what a box is for. Boxes of different purposes cannot open each
// other's content. The words are stored for ever, inside what they sealed.
type Purpose string

// The purposes.
const (
	// ForTOTP seals members' authenticator secrets.
	ForTOTP Purpose = "totp"
	// ForSubjects wraps the keys under which the audit log keeps personal values.
	ForSubjects Purpose = "audit-subject"
	// ForProviders seals what we show identity providers.
	ForProviders Purpose = "provider"
	// ForWebhooks seals what webhook messages are signed with.
	ForWebhooks Purpose = "webhook"
	// ForCeremonies seals what a client brings back to answer a passkey's challenge.
	ForCeremonies Purpose = "ceremony"
)

var (
	// ErrUnknownKey says that the key that sealed this is not among the box's.
	ErrUnknownKey = errors.New("sealed with a secret key that is not configured")
	// ErrTampered says that the content was changed, moved to another row, or
	// sealed for another purpose.
	ErrTampered = errors.New("sealed content does not belong here or was changed")
)

// Box seals small secrets for storage with AES-256-GCM. It is safe for
// concurrent use.
//
// Sealed bytes are: 1 (the format), the key's id (8 bytes), a random nonce (12),
// ciphertext and tag. The tag also covers the format, the key's id and the row.
type Box struct {
	current [8]byte
	ciphers map[[8]byte]cipher.AEAD
}

const (
	boxFormat = 1
	boxHeader = 1 + 8
	boxNonce  = 12
)

// NewBox makes the box of one purpose. It seals with the first key and opens
// with any of them.
func NewBox(purpose Purpose, keys ...Key) (*Box, error) {
	if len(keys) == 0 || purpose == "" {
		return nil, errors.New("a box needs a purpose and a key")
	}
	b := &Box{current: keys[0].id, ciphers: make(map[[8]byte]cipher.AEAD, len(keys))}
	for _, k := range keys {
		if k.material == "" {
			return nil, errors.New("a box needs real keys")
		}
		block, err := aes.NewCipher(derive(k.material, "box/"+string(purpose), 32))
		if err != nil {
			return nil, err
		}
		// 96-bit random nonces are good for 2^32 values a key (SP 800-38D §8.3):
		// far more than an installation has members and customers.
		if b.ciphers[k.id], err = cipher.NewGCM(block); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Seal encrypts plain for one row. The row's identity is not stored in it; Open
// needs the same again, so content cannot be moved to another row.
func (b *Box) Seal(plain, row []byte) []byte {
	out := make([]byte, boxHeader+boxNonce, boxHeader+boxNonce+len(plain)+16)
	out[0] = boxFormat
	copy(out[1:], b.current[:])
	nonce := out[boxHeader:]
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	return b.ciphers[b.current].Seal(out, nonce, plain, associated(out, row))
}

// Open decrypts what Seal made for the same row. It fails with ErrUnknownKey or
// ErrTampered.
func (b *Box) Open(sealed, row []byte) ([]byte, error) {
	if len(sealed) < boxHeader+boxNonce || sealed[0] != boxFormat {
		return nil, ErrTampered
	}
	c, ok := b.ciphers[[8]byte(sealed[1:boxHeader])]
	if !ok {
		return nil, fmt.Errorf("%w: %x", ErrUnknownKey, sealed[1:boxHeader])
	}
	plain, err := c.Open(nil, sealed[boxHeader:boxHeader+boxNonce], sealed[boxHeader+boxNonce:], associated(sealed, row))
	if err != nil {
		return nil, ErrTampered
	}
	return plain, nil
}

// Current reports whether sealed is under the first key; if not, a rotation
// should open and seal it again.
func (b *Box) Current(sealed []byte) bool {
	return len(sealed) >= boxHeader && sealed[0] == boxFormat && [8]byte(sealed[1:boxHeader]) == b.current
}

// associated is what the tag covers besides the content. The header has a fixed
// length, so no two pairs of header and row read alike.
func associated(sealed, row []byte) []byte {
	return append(append(make([]byte, 0, boxHeader+len(row)), sealed[:boxHeader]...), row...)
}
