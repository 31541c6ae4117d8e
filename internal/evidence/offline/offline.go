// Package offline checks an evidence package: with the standard library alone, no
// server, no database and no secret. Whoever doubts it can read it in ten minutes, or
// write it again in another language from docs/evidence.md.
package offline

import (
	"archive/zip"
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Summary is what a package proves.
type Summary struct {
	Corp, Handover, State, Digest string
	Entries, Transfers            int
	// Size is how many entries of the log the checkpoint covers.
	Size int64
	// Key is the verifier key that signed the checkpoint; Trusted: it was one of those
	// that the caller knew.
	Key     string
	Trusted bool
}

// entry is a line of entries.jsonl.
type entry struct {
	Index int64    `json:"index"`
	Leaf  string   `json:"leaf"`
	Proof []string `json:"proof"`
}

// leaf is what is looked at in an entry.
type leaf struct {
	Corp, Action, Subject, Handover string
	Index                           int64
	After                           map[string]any
	Before                          map[string]any
}

// transfer is a line of transfers.jsonl.
type transfer struct {
	ID, Status string
	Item       struct{ ID string }
	From, To   struct{ ID string }
}

// Verify checks a package: every file against the manifest, the checkpoint's
// signature, every entry's place in the signed log, the plan against the digest that
// was recorded when it was made and approved, and each transfer's outcome against its
// entry. keys are verifier keys known from elsewhere; without any, the package's own
// is taken, and Summary.Trusted is false.
func Verify(file io.ReaderAt, length int64, keys ...string) (s Summary, err error) {
	z, err := zip.NewReader(file, length)
	if err != nil {
		return s, err
	}
	p := pack{files: map[string]*zip.File{}}
	for _, f := range z.File {
		if p.files[f.Name] != nil {
			return s, fmt.Errorf("%s is there twice", f.Name)
		}
		p.files[f.Name] = f
	}
	if err := p.manifest(); err != nil {
		return s, err
	}
	var c struct {
		Corp     string
		Handover struct{ ID, State, Digest string }
		Key      string
	}
	if err := p.json("case.json", &c); err != nil {
		return s, err
	}
	s.Corp, s.Handover, s.State, s.Digest = c.Corp, c.Handover.ID, c.Handover.State, c.Handover.Digest
	s.Trusted = slices.Contains(keys, c.Key)
	if len(keys) > 0 && !s.Trusted {
		return s, errors.New("checkpoint.txt: signed with a key that is none of those given")
	}
	s.Key = c.Key
	root, size, err := p.checkpoint(c.Corp, c.Key)
	if err != nil {
		return s, err
	}
	s.Size = size
	plan, err := p.read("plan.json")
	if err != nil {
		return s, err
	}
	if sum := sha256.Sum256(plan); hex.EncodeToString(sum[:]) != c.Handover.Digest {
		return s, errors.New("plan.json: its SHA-256 is not the plan's digest")
	}
	recorded := recorded{outcome: map[string]string{}}
	if err := p.lines("entries.jsonl", func(n int, line []byte) error {
		s.Entries++
		return recorded.entry(line, c.Corp, c.Handover.ID, root, size)
	}); err != nil {
		return s, err
	}
	if !slices.Contains(recorded.digests, c.Handover.Digest) {
		return s, errors.New("entries.jsonl: no entry records the plan's digest")
	}
	if err := p.lines("transfers.jsonl", func(n int, line []byte) error {
		s.Transfers++
		return recorded.transfer(line)
	}); err != nil {
		return s, err
	}
	return s, nil
}

type pack struct{ files map[string]*zip.File }

// biggest is more than any part has that is read as a whole.
const biggest = 1 << 30

func (p pack) read(name string) ([]byte, error) {
	f := p.files[name]
	if f == nil {
		return nil, fmt.Errorf("%s is missing", name)
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, biggest))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

func (p pack) json(name string, into any) error {
	b, err := p.read(name)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (p pack) lines(name string, do func(n int, line []byte) error) error {
	f := p.files[name]
	if f == nil {
		return fmt.Errorf("%s is missing", name)
	}
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer r.Close()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if err := do(n, lines.Bytes()); err != nil {
			return fmt.Errorf("%s, line %d: %w", name, n, err)
		}
	}
	return lines.Err()
}

// manifest checks that exactly the listed files are there, as they were written.
func (p pack) manifest() error {
	var m struct {
		V     int
		Files map[string]string
	}
	if err := p.json("manifest.json", &m); err != nil {
		return err
	}
	if m.V != 1 {
		return fmt.Errorf("manifest.json: version %d is not known here", m.V)
	}
	for name, f := range p.files {
		if name == "manifest.json" {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		h := sha256.New()
		_, err = io.Copy(h, io.LimitReader(r, biggest))
		_ = r.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if hex.EncodeToString(h.Sum(nil)) != m.Files[name] {
			return fmt.Errorf("%s is not as the manifest says", name)
		}
	}
	for name := range m.Files {
		if p.files[name] == nil {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

// checkpoint checks the signed note (c2sp.org/signed-note, c2sp.org/tlog-checkpoint).
func (p pack) checkpoint(corp, key string) (root [32]byte, size int64, err error) {
	bad := func(what string) error { return errors.New("checkpoint.txt: " + what) }
	b, err := p.read("checkpoint.txt")
	if err != nil {
		return root, 0, err
	}
	text, signatures, ok := strings.Cut(string(b), "\n\n")
	if text += "\n"; !ok {
		return root, 0, bad("not a signed note")
	}
	// The key: name+hash+base64 of a byte 1 and 32 bytes, where hash is of name and these.
	name, rest, _ := strings.Cut(key, "+")
	hash, encoded, _ := strings.Cut(rest, "+")
	public, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(public) != 33 || public[0] != 1 {
		return root, 0, bad("the verifier key is malformed")
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), public...))
	if hash != hex.EncodeToString(sum[:4]) {
		return root, 0, bad("the verifier key's hash is wrong")
	}
	signed := false
	for _, line := range strings.Split(strings.TrimSuffix(signatures, "\n"), "\n") {
		of, sig, _ := strings.Cut(strings.TrimPrefix(line, "— "), " ")
		raw, err := base64.StdEncoding.DecodeString(sig)
		if of != name || err != nil || len(raw) != 4+ed25519.SignatureSize || binary.BigEndian.Uint32(raw) != binary.BigEndian.Uint32(sum[:]) {
			continue
		}
		if !ed25519.Verify(public[1:], []byte(text), raw[4:]) {
			return root, 0, bad("the signature is wrong")
		}
		signed = true
	}
	if !signed {
		return root, 0, bad("not signed with the key")
	}
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[0] != name || name != "openhandover/"+corp {
		return root, 0, bad("of another log")
	}
	size, err = strconv.ParseInt(lines[1], 10, 64)
	raw, err2 := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || err2 != nil || len(raw) != 32 || size < 1 {
		return root, 0, bad("malformed")
	}
	return [32]byte(raw), size, nil
}

// recorded is what the entries say.
type recorded struct {
	last    int64
	digests []string
	outcome map[string]string // by transfer: the newest status, item and people
}

func (r *recorded) entry(line []byte, corp, handover string, root [32]byte, size int64) error {
	var e entry
	var l leaf
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(e.Leaf))
	if err := d.Decode(&l); err != nil {
		return err
	}
	if l.Index != e.Index || l.Corp != corp || l.Handover != handover {
		return errors.New("the entry is of another place, corp or handover")
	}
	if e.Index < r.last {
		return errors.New("the entry is out of order")
	}
	r.last = e.Index + 1
	if !included(sha256.Sum256(append([]byte{0}, e.Leaf...)), e.Index, size, e.Proof, root) {
		return errors.New("the entry is not in the signed log")
	}
	switch l.Action {
	case "transfer.finish":
		to, _ := l.After["owner"].(string)
		if to == "" {
			to, _ = l.After["to"].(string)
		}
		r.outcome[l.Subject] = fmt.Sprint(l.After["status"], " ", l.Before["item"], " ", l.Before["owner"], " ", to)
	default:
		if d, ok := l.After["digest"].(string); ok {
			r.digests = append(r.digests, d)
		}
	}
	return nil
}

// transfer holds an outcome against the newest entry about it. Transfers that were
// never carried out, and those that were taken back later, have none of their own here.
func (r *recorded) transfer(line []byte) error {
	var t transfer
	if err := json.Unmarshal(line, &t); err != nil {
		return err
	}
	got, ok := r.outcome[t.ID]
	status := t.Status
	switch {
	case !ok && slices.Contains([]string{"PLANNED", "CANCELLED", "WAITING"}, status):
		return nil
	case !ok:
		return errors.New("no entry records this outcome")
	case status == "REVERTED":
		status = "COMPLETED" // taken back by another handover, whose package shows that
	}
	if want := fmt.Sprint(status, " ", t.Item.ID, " ", t.From.ID, " ", t.To.ID); got != want {
		return errors.New("the log records another outcome")
	}
	return nil
}

// included checks an inclusion proof (RFC 9162 §2.1.3.2, the algorithm for RFC 6962's trees).
func included(leaf [32]byte, index, size int64, proof []string, root [32]byte) bool {
	if index < 0 || index >= size {
		return false
	}
	inner := bits.Len64(uint64(index ^ (size - 1)))    // #nosec G115 -- not negative
	border := bits.OnesCount64(uint64(index) >> inner) // #nosec G115 -- not negative
	if len(proof) != inner+border {
		return false
	}
	hash := leaf
	for i, p := range proof {
		other, err := hex.DecodeString(p)
		if err != nil || len(other) != 32 {
			return false
		}
		var b bytes.Buffer
		b.WriteByte(1)
		if i < inner && index>>i&1 == 0 {
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
