package backup

import (
	"fmt"
	"os"
	"strings"

	"filippo.io/age"
)

// NewKey makes a pair: the identity opens what was encrypted to the recipient.
func NewKey() (identity, recipient string, err error) {
	k, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", err
	}
	return k.String(), k.Recipient().String(), nil
}

// ParseRecipients reads recipients, age1….
func ParseRecipients(texts []string) ([]age.Recipient, error) {
	var out []age.Recipient
	for _, s := range texts {
		r, err := age.ParseX25519Recipient(strings.TrimSpace(s))
		if err != nil {
			return nil, fmt.Errorf("%q is no recipient; it begins with age1, as `handover backup key` prints it", s)
		}
		out = append(out, r)
	}
	return out, nil
}

// ReadIdentities reads a file of identities, one a line; lines with # are comments.
func ReadIdentities(path string) ([]age.Identity, error) {
	f, err := os.Open(path) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ids, err := age.ParseIdentities(f)
	if err != nil {
		return nil, fmt.Errorf("%s holds no identity, a line that begins with AGE-SECRET-KEY-1", path)
	}
	return ids, nil
}

// Recipients are the public sides of identities.
func Recipients(ids []age.Identity) (out []age.Recipient) {
	for _, id := range ids {
		if k, ok := id.(*age.X25519Identity); ok {
			out = append(out, k.Recipient())
		}
	}
	return out
}
