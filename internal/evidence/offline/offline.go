// Package offline checks an evidence package: with the standard library alone, no
// server, no database and no secret. Whoever doubts it can read it in half an hour, or
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

// Unproven is what of a package the signed entries do not prove, for whoever reads it.
const Unproven = "names, reasons in words, the reports, entries-readable.jsonl, who owned what by other handovers, when a grant ended; and that nothing happened after the last entry"

// Verify checks a package: every file against the manifest, the checkpoint's signature,
// every entry's place in the signed log, and what the other files say against what the
// entries say: who asked, voted and executed, the plan and its digest, the state, every
// transfer with its outcome, every period of ownership and grant of history that came of
// it. What is left is Unproven. keys are verifier keys known from elsewhere; without any,
// the package's own is taken, and Summary.Trusted is false.
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
	var c caseFile
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
	said := newClaims(c.Corp, c.Handover.ID)
	next := int64(0)
	if err := p.lines("entries.jsonl", func(line []byte) error {
		s.Entries++
		var e entry
		if err := decode(line, &e); err != nil {
			return err
		}
		if e.Index < next {
			return errors.New("the entry is out of order")
		}
		next = e.Index + 1
		if !included(sha256.Sum256(append([]byte{0}, e.Leaf...)), e.Index, size, e.Proof, root) {
			return errors.New("the entry is not in the signed log")
		}
		return said.entry(e)
	}); err != nil {
		return s, err
	}
	if err := said.hold(&c); err != nil {
		return s, fmt.Errorf("case.json: %w", err)
	}
	plan, err := p.read("plan.json")
	if err == nil {
		err = said.plan(plan)
	}
	if err != nil {
		return s, fmt.Errorf("plan.json: %w", err)
	}
	for _, part := range []struct {
		name string
		line func([]byte) error
		end  func() error
	}{
		{"transfers.jsonl", said.transfer, func() error { return said.transfersEnd(&c) }},
		{"ownership.jsonl", said.period, said.periodsEnd},
		{"history-grants.jsonl", said.grant, said.grantsEnd},
	} {
		if err := p.lines(part.name, part.line); err != nil {
			return s, err
		}
		if err := part.end(); err != nil {
			return s, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	s.Transfers = len(said.transfers)
	return s, nil
}

type pack struct{ files map[string]*zip.File }

// biggest is more than any part has; mostRead than any that is read as a whole, of which
// the plan of 100,000 transfers has 20 MB.
const biggest, mostRead = 4 << 30, 64 << 20

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
	b, err := io.ReadAll(io.LimitReader(r, mostRead+1))
	if err == nil && len(b) > mostRead {
		err = errors.New("it is too long")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

func (p pack) json(name string, into any) error {
	b, err := p.read(name)
	if err == nil {
		err = decode(b, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// decode reads one JSON value in which no name stands twice, in whatever case: a reader
// would see one value and this program another.
func decode(b []byte, into any) error {
	if err := json.Unmarshal(b, into); err != nil { // first: it knows how deep is too deep
		return err
	}
	return single(json.NewDecoder(bytes.NewReader(b)))
}

func single(d *json.Decoder) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, _ := t.(json.Delim)
	seen := map[string]bool{}
	for open != 0 && d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			folded := strings.ToLower(fmt.Sprint(name))
			if seen[folded] {
				return fmt.Errorf("%q stands twice", name)
			}
			seen[folded] = true
		}
		if err := single(d); err != nil {
			return err
		}
	}
	if open != 0 {
		_, err = d.Token()
	}
	return err
}

func (p pack) lines(name string, do func(line []byte) error) error {
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
		if err := do(lines.Bytes()); err != nil {
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
