package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"
)

// secretBytes is the length of a signing secret; the specification wants 24 to 64.
const secretBytes = 32

func newSecret() []byte {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

// serialize writes a secret as receivers are given it.
func serialize(secret []byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(secret) }

// sign gives the headers webhook-timestamp and webhook-signature. Neither id nor
// timestamp has a full stop in it, so no two messages are signed alike.
func sign(secret []byte, id string, at time.Time, body []byte) (timestamp, signature string) {
	timestamp = strconv.FormatInt(at.Unix(), 10)
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(id + "." + timestamp + "."))
	m.Write(body)
	return timestamp, "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
}
