package secret

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238 as every authenticator app has it; HMAC-SHA-1 is not broken by collisions
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

const totpPeriod = 30 // seconds

// NewTOTPSecret makes an authenticator secret of 160 random bits, as RFC 4226 §4
// recommends.
func NewTOTPSecret() []byte {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

// Step is the number of the 30-second step that a time lies in (RFC 6238 §4.2).
func Step(at time.Time) int64 { return at.Unix() / totpPeriod }

// Code is the six digits of a step (RFC 4226 §5.3, SHA-1).
func Code(secret []byte, step int64) string {
	mac := hmac.New(sha1.New, secret)
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step)) //nolint:gosec // steps before 1970 do not occur
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 15
	n := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%06d", n%1_000_000)
}

// VerifyTOTP looks for the code among the step of the given time and its two
// neighbours, and says which step it belongs to. The caller refuses a replay: the
// step must be above the last one that served (last_step < step, in one UPDATE).
//
// Should two of the steps have the same code, the later one is named: naming the
// earlier would leave the later open to the same code. Spaces, which apps show
// between the digits, are passed over.
func VerifyTOTP(secret []byte, code string, at time.Time) (step int64, ok bool) {
	code = strings.ReplaceAll(code, " ", "")
	now := Step(at)
	for s := now - 1; s <= now+1; s++ {
		if subtle.ConstantTimeCompare([]byte(Code(secret, s)), []byte(code)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}

// TOTPURI is what authenticator apps enrol from: otpauth://totp/… The issuer
// names the installation, the account the person.
func TOTPURI(issuer, account string, secret []byte) string {
	key := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	// Apps take a plus sign in the query literally, hence PathEscape for all. A
	// colon divides issuer and account, so none may stand in them unescaped.
	escape := func(s string) string {
		return strings.NewReplacer(":", "%3A", "&", "%26", "=", "%3D", "+", "%2B").Replace(url.PathEscape(s))
	}
	return "otpauth://totp/" + escape(issuer) + ":" + escape(account) +
		"?secret=" + key + "&issuer=" + escape(issuer) + "&algorithm=SHA1&digits=6&period=30"
}
