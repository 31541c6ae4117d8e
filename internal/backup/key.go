package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// OwnKey reads the key at path, making it where there is none, and gives its recipients.
func OwnKey(path string) ([]age.Recipient, error) {
	ids, err := ReadIdentities(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKey(path); err == nil {
			ids, err = ReadIdentities(path)
		}
	}
	if err != nil {
		return nil, err
	}
	var out []age.Recipient
	for _, id := range ids {
		if k, ok := id.(*age.X25519Identity); ok {
			out = append(out, k.Recipient())
		}
	}
	return out, nil
}

// makeKey writes a new key. Where somebody else makes one at the same time, theirs stays.
func makeKey(path string) error {
	identity, recipient, err := NewKey()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	made, err := os.CreateTemp(filepath.Dir(path), ".backup-key-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(made.Name())
	_, err = fmt.Fprintf(made, "# opens the backups; keep a copy elsewhere. recipient: %s\n%s\n", recipient, identity)
	if err = errors.Join(err, made.Sync(), made.Close()); err != nil {
		return err
	}
	if err = os.Link(made.Name(), path); errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
