package secret

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/openhandover/openhandover/internal/fault"
)

// Params is what one argon2id computation costs (RFC 9106).
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

var (
	// Standard is for real passwords: the 64 MiB and three passes that RFC 9106 §4
	// recommends where memory is scarce.
	Standard = Params{Memory: 64 * 1024, Time: 3, Threads: 2}
	// Cheap is for the demo's published passwords and for tests.
	Cheap = Params{Memory: 64, Time: 1, Threads: 1}
)

const (
	saltLength = 16
	hashLength = 32
	// maxBytes bounds what is hashed; CheckPassword's 256 characters always fit.
	maxBytes = 1024
)

// ErrBadHash says that a stored hash cannot be read. It is our fault, never the person's.
var ErrBadHash = errors.New("stored password hash is malformed")

// slots bounds the memory that passwords take, 128 MiB with Standard, however
// many people (or guesses) come at once.
var slots = make(chan struct{}, 2)

// patience is how long a password waits for a slot.
const patience = 2 * time.Second

// derivePassword waits for a slot: RATE_LIMITED where there is none in time, TIMEOUT where
// the request ends before.
func derivePassword(ctx context.Context, password string, salt []byte, p Params, length uint32) ([]byte, error) {
	err := ctx.Err() // select would take a free slot for a request that has ended
	if err == nil {
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			return argon2.IDKey([]byte(normal(password)), salt, p.Time, p.Memory, p.Threads, length), nil
		case <-late.C:
			return nil, Busy()
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return nil, fault.New(fault.Timeout, "", fault.T("too many sign-ins at once; try again", "登录请求过多,请稍后再试")).Because(err)
}

// Busy says that more passwords are to be compared than can be.
func Busy() error {
	return fault.New(fault.RateLimited, "", fault.T("too many sign-ins at once; try again", "登录请求过多，请稍后再试")).After(patience)
}

// HashPassword gives what is stored of a password: argon2id with a random salt in
// PHC text. It does not judge the password (see CheckPassword). It fails with
// TIMEOUT when ctx ends before its turn comes, RATE_LIMITED after 2 s, and INVALID beyond 1024 bytes.
func HashPassword(ctx context.Context, password string, p Params) (string, error) {
	if len(password) > maxBytes {
		return "", tooLong("password")
	}
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	hash, err := derivePassword(ctx, password, salt, p, hashLength)
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding
	return p.prefix() + b64.EncodeToString(salt) + "$" + b64.EncodeToString(hash), nil
}

// VerifyPassword reports whether the password is the one that was hashed. It
// compares in constant time. It fails with ErrBadHash, and with TIMEOUT when ctx
// ends before its turn comes.
func VerifyPassword(ctx context.Context, stored, password string) (bool, error) {
	p, salt, want, err := parsePHC(stored)
	if err != nil {
		return false, err
	}
	if len(password) > maxBytes {
		return false, nil
	}
	got, err := derivePassword(ctx, password, salt, p, uint32(len(want))) //nolint:gosec // at most 64, see parsePHC
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// VerifyNobody takes as long as VerifyPassword does and is for a login that is
// unknown or has no password: the time of the answer then tells nobody which
// logins exist. It fails as VerifyPassword does.
func VerifyNobody(ctx context.Context, password string, p Params) error {
	if len(password) > maxBytes {
		return nil
	}
	_, err := derivePassword(ctx, password, make([]byte, saltLength), p, hashLength)
	return err
}

// NeedsRehash reports whether a stored hash was made with other parameters than p,
// so that the next successful sign-in should replace it.
func NeedsRehash(stored string, p Params) bool { return !strings.HasPrefix(stored, p.prefix()) }

func (p Params) prefix() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, p.Memory, p.Time, p.Threads)
}

// parsePHC reads what HashPassword wrote, in that one spelling. The bounds keep a
// damaged row from taking the machine's memory.
func parsePHC(stored string) (p Params, salt, hash []byte, err error) {
	parts := strings.Split(stored, "$")
	if len(parts) != 6 {
		return p, nil, nil, ErrBadHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.Memory, &p.Time, &p.Threads); err != nil || !strings.HasPrefix(stored, p.prefix()) {
		return p, nil, nil, ErrBadHash
	}
	if p.Time < 1 || p.Time > 16 || p.Threads < 1 || p.Memory < 8*uint32(p.Threads) || p.Memory > 1<<20 {
		return p, nil, nil, ErrBadHash
	}
	b64 := base64.RawStdEncoding.Strict()
	salt, saltErr := b64.DecodeString(parts[4])
	hash, hashErr := b64.DecodeString(parts[5])
	if saltErr != nil || hashErr != nil || len(salt) < 8 || len(salt) > 64 || len(hash) < 16 || len(hash) > 64 {
		return p, nil, nil, ErrBadHash
	}
	return p, salt, hash, nil
}
