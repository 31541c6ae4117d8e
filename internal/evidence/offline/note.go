package offline

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checkpoint is a signed note (c2sp.org/signed-note) with the head of a corp's log
// (c2sp.org/tlog-checkpoint).
type checkpoint struct {
	text       string            // what is signed
	signatures map[uint32][]byte // by the hash of the key
	root       [32]byte
	size       int64
	at         time.Time // zero: it does not say, as earlier versions signed
}

// timeFormat is that of the log: RFC 3339 in UTC, always six decimals.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// parse reads a checkpoint of a corp's log: the origin, the number of entries, the root,
// and the time in an extension line, which earlier versions did not write. Nothing is
// checked that a key is needed for.
func parse(note, corp string) (c checkpoint, err error) {
	text, signatures, ok := strings.Cut(note, "\n\n")
	lines := strings.Split(text, "\n")
	if !ok || len(lines) < 3 || len(lines) > 4 || lines[0] != "openhandover/"+corp || !strings.HasSuffix(signatures, "\n") {
		return c, errors.New("not a checkpoint of this log")
	}
	if c.signatures, err = signatureLines(lines[0], strings.TrimSuffix(signatures, "\n")); err != nil {
		return c, err
	}
	c.text = text + "\n"
	root, bad := base64.StdEncoding.Strict().DecodeString(lines[2])
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || bad != nil || size < 1 || len(root) != 32 || fmt.Sprint(size) != lines[1] {
		return c, errors.New("malformed")
	}
	if len(lines) == 4 {
		at, timed := strings.CutPrefix(lines[3], "time ")
		if c.at, err = time.Parse(timeFormat, at); !timed || err != nil || c.at.IsZero() || at != c.at.Format(timeFormat) {
			return c, errors.New("malformed")
		}
	}
	c.root, c.size = [32]byte(root), size
	return c, nil
}

// signatureLines reads the lines below a checkpoint. Each is a signature by a key of the
// log: nothing else can be written there, which nobody would have signed.
func signatureLines(origin, lines string) (map[uint32][]byte, error) {
	out := map[uint32][]byte{}
	for line := range strings.SplitSeq(lines, "\n") {
		encoded, ok := strings.CutPrefix(line, "— "+origin+" ")
		raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if !ok || err != nil || len(raw) != 4+ed25519.SignatureSize || base64.StdEncoding.EncodeToString(raw) != encoded {
			return nil, errors.New("a line below the checkpoint is no signature of this log")
		}
		of := binary.BigEndian.Uint32(raw)
		if out[of] != nil {
			return nil, errors.New("a signature stands twice")
		}
		out[of] = raw[4:]
	}
	return out, nil
}

// signedBy checks the signature of a verifier key: the name, the hash of what follows, and
// base64 of a byte 1 and the 32 bytes of an Ed25519 key, joined by +.
func (c checkpoint) signedBy(key string) error {
	name, rest, _ := strings.Cut(key, "+")
	hash, encoded, _ := strings.Cut(rest, "+")
	public, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") || len(public) != 1+ed25519.PublicKeySize || public[0] != 1 {
		return errors.New("the verifier key is malformed")
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), public...))
	if hash != hex.EncodeToString(sum[:4]) {
		return errors.New("the verifier key's hash is wrong")
	}
	if origin, _, _ := strings.Cut(c.text, "\n"); name != origin {
		return errors.New("the verifier key is that of another log")
	}
	switch signature := c.signatures[binary.BigEndian.Uint32(sum[:])]; {
	case signature == nil:
		return errors.New("not signed with the key")
	case !ed25519.Verify(public[1:], []byte(c.text), signature):
		return errors.New("the signature is wrong")
	}
	return nil
}

// introduced adds to keys those that they introduced, one after the other: the log names
// a new key in an entry, and the former key signs a checkpoint over that entry.
func (p pack) introduced(corp string, keys []string) ([]string, error) {
	keys = slices.Clone(keys)
	err := p.lines(KeysFile, func(line []byte) error {
		var k KeyEntry
		if err := exact(line, &k); err != nil {
			return err
		}
		c, err := parse(k.Checkpoint, corp)
		if err != nil {
			return err
		}
		l, err := readLeaf(k.Leaf)
		if err != nil {
			return err
		}
		if l.Corp != corp || l.Index != k.Index || l.Action != "checkpoint.key" || !k.in(c.root, c.size) {
			return errors.New("the entry is not in the log that its checkpoint signs, or names no key")
		}
		if err := errors.Join(c.signedBy(l.after.Former), c.signedBy(l.after.Key)); err != nil {
			return err
		}
		if slices.Contains(keys, l.after.Former) && !slices.Contains(keys, l.after.Key) {
			keys = append(keys, l.after.Key)
		}
		return nil
	})
	return keys, err
}

// in checks an inclusion proof (RFC 9162 §2.1.3.2, the algorithm for RFC 6962's trees).
func (e Entry) in(root [32]byte, size int64) bool {
	if e.Index < 0 || e.Index >= size {
		return false
	}
	inner := bits.Len64(uint64(e.Index ^ (size - 1)))    // #nosec G115 -- not negative
	border := bits.OnesCount64(uint64(e.Index) >> inner) // #nosec G115 -- not negative
	if len(e.Proof) != inner+border {
		return false
	}
	hash := sha256.Sum256(append([]byte{0}, e.Leaf...))
	for i, p := range e.Proof {
		other, err := hex.DecodeString(p)
		if err != nil || len(other) != 32 || hex.EncodeToString(other) != p {
			return false
		}
		var b bytes.Buffer
		b.WriteByte(1)
		if i < inner && e.Index>>i&1 == 0 {
			b.Write(hash[:])
			b.Write(other)
		} else {
			b.Write(other)
			b.Write(hash[:])
		}
		hash = sha256.Sum256(b.Bytes())
	}
	return hash == root
}
