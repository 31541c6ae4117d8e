// Package checkpoint makes and reads signed heads of a corp's audit log: the root of
// the Merkle tree of RFC 6962 over its leaves, as a C2SP tlog-checkpoint
// (c2sp.org/tlog-checkpoint) in a signed note (c2sp.org/signed-note) with Ed25519.
// It knows no database.
package checkpoint

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/openhandover/openhandover/internal/nid"
)

// Keys sign. The first is the one in use; the others are former ones, which sign along
// the first checkpoint of their successor.
type Keys []ed25519.PrivateKey

// KeyBytes is the size of a key in the key file, which has two hexadecimal digits for
// each byte: an Ed25519 seed (RFC 8032).
const KeyBytes = ed25519.SeedSize

// ReadKeys reads a key file: one key a line, the one in use first.
func ReadKeys(path string) (Keys, error) {
	b, err := os.ReadFile(path) // #nosec G304 -- the operator's file
	if err != nil {
		return nil, err
	}
	var keys Keys
	for i, line := range bytes.Fields(b) {
		seed, err := hex.DecodeString(string(line))
		if err != nil || len(seed) != KeyBytes {
			return nil, fmt.Errorf("%s: key %d is not %d hexadecimal digits", path, i+1, 2*KeyBytes)
		}
		keys = append(keys, ed25519.NewKeyFromSeed(seed))
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no key", path)
	}
	return keys, nil
}

// Origin names a corp's log, in checkpoints and as the name of its keys.
func Origin(corp nid.ID) string { return "openhandover/" + corp.String() }

// algorithm is Ed25519's in signed notes.
const algorithm = 1

// signer is a key under the name of one corp's log.
type signer struct {
	name string
	key  ed25519.PrivateKey
}

func (s signer) Name() string                        { return s.name }
func (s signer) KeyHash() uint32                     { return keyHash(s.name, public(s.key)) }
func (s signer) Sign(message []byte) ([]byte, error) { return ed25519.Sign(s.key, message), nil }

func public(k ed25519.PrivateKey) []byte {
	return append([]byte{algorithm}, k.Public().(ed25519.PublicKey)...)
}

func keyHash(name string, public []byte) uint32 {
	h := sha256.Sum256(append([]byte(name+"\n"), public...))
	return binary.BigEndian.Uint32(h[:])
}

// Public is the first key's verifier key for a corp's log, to be kept by whoever
// checks the log. It is no secret.
func (k Keys) Public(corp nid.ID) string { return k.public(corp, 0) }

func (k Keys) public(corp nid.ID, i int) string {
	name, key := Origin(corp), public(k[i])
	return fmt.Sprintf("%s+%08x+%s", name, keyHash(name, key), base64.StdEncoding.EncodeToString(key))
}

// Has reports whether one of the keys has this verifier key.
func (k Keys) Has(corp nid.ID, public string) bool {
	for i := range k {
		if k.public(corp, i) == public {
			return true
		}
	}
	return false
}

// timeFormat is that of the log: RFC 3339 in UTC, always six decimals.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// Sign makes a checkpoint, signed with the key in use and, where former is set, with
// the former ones too. The time is in an extension line, so that the signature covers it.
func (k Keys) Sign(corp nid.ID, size int64, root [32]byte, at time.Time, former bool) (string, error) {
	return k.note(corp, fmt.Sprintf("%s\n%d\n%s\ntime %s\n", Origin(corp), size, base64.StdEncoding.EncodeToString(root[:]), at.UTC().Format(timeFormat)), former)
}

// Statement signs a text that is no checkpoint: its first line is not the log's origin.
func (k Keys) Statement(corp nid.ID, text string) (string, error) {
	if len(k) == 0 || strings.HasPrefix(text, Origin(corp)+"\n") {
		return "", errors.New("checkpoint: no key, or no statement")
	}
	return k.note(corp, text, false)
}

// OpenStatement gives a statement's text, and the verifier key, of those given, that it is
// signed with.
func OpenStatement(text string, corp nid.ID, keys []string) (said, key string, err error) {
	n, of, err := open(text, corp, keys)
	if err != nil {
		return "", "", err
	}
	return n.Text, of[n.Sigs[0].Hash], nil
}

func (k Keys) note(corp nid.ID, text string, former bool) (string, error) {
	var signers []note.Signer
	for i, key := range k {
		if i == 0 || former {
			signers = append(signers, signer{Origin(corp), key})
		}
	}
	b, err := note.Sign(&note.Note{Text: text}, signers...)
	return string(b), err
}

// Checkpoint is what a signed one says.
type Checkpoint struct {
	Corp nid.ID
	Size int64
	Root [32]byte
	// At is when it was signed, by the database's clock. Zero: it does not say, see parse.
	At time.Time
	// Keys are the verifier keys, of those given, that it is signed with.
	Keys []string
}

// ErrFormat is a text that is no checkpoint.
var ErrFormat = errors.New("checkpoint: not a checkpoint of this log")

// Open reads a checkpoint of a corp's log, which one of the verifier keys must have
// signed. It fails with ErrFormat, or with note.UnverifiedNoteError where none has.
func Open(text string, corp nid.ID, keys []string) (Checkpoint, error) {
	n, of, err := open(text, corp, keys)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := parse(n.Text, corp)
	for _, s := range n.Sigs {
		c.Keys = append(c.Keys, of[s.Hash])
	}
	return c, err
}

// open checks a note's signatures; of are the verifier keys by their hashes.
func open(text string, corp nid.ID, keys []string) (n *note.Note, of map[uint32]string, err error) {
	var known []note.Verifier
	of = map[uint32]string{}
	for _, k := range keys {
		v, err := note.NewVerifier(k)
		if err != nil {
			return nil, nil, fmt.Errorf("verifier key %q: %w", k, err)
		}
		if _, twice := of[v.KeyHash()]; twice || v.Name() != Origin(corp) {
			continue
		}
		known, of[v.KeyHash()] = append(known, v), k
	}
	n, err = note.Open([]byte(text), note.VerifierList(known...))
	return n, of, err
}

// Read reads a checkpoint that nobody need have signed: one's own copy, whose keys may
// be gone. It fails with ErrFormat.
func Read(text string, corp nid.ID) (Checkpoint, error) {
	said, _, ok := strings.Cut(text, "\n\n")
	if !ok {
		return Checkpoint{}, ErrFormat
	}
	return parse(said+"\n", corp)
}

// parse reads a checkpoint's text. The line behind the root is an extension, which the
// format allows: the time. Earlier versions of this program signed checkpoints without
// it. Nobody can take the line off: the signature is then wrong.
func parse(text string, corp nid.ID) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || len(lines) > 5 || lines[0] != Origin(corp) || lines[len(lines)-1] != "" {
		return Checkpoint{}, ErrFormat
	}
	var signed time.Time
	if len(lines) == 5 {
		at, timed := strings.CutPrefix(lines[3], "time ")
		var err error
		if signed, err = time.Parse(timeFormat, at); !timed || err != nil || signed.IsZero() || signed.Format(timeFormat) != at {
			return Checkpoint{}, ErrFormat
		}
	}
	c := Checkpoint{Corp: corp, At: signed}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if _, bad := fmt.Sscanf(lines[1], "%d", &c.Size); bad != nil || fmt.Sprint(c.Size) != lines[1] || c.Size < 0 || err != nil || len(root) != 32 {
		return Checkpoint{}, ErrFormat
	}
	c.Root = [32]byte(root)
	return c, nil
}
