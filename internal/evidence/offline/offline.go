// Package offline defines the format of an evidence package and checks one: with the
// standard library alone, no server, no database and no secret. Anybody can read it in an
// hour, or write it again in another language from docs/evidence.md.
//
//	offline.go    Verify, and what a package proves
//	format.go     the files of a package and their members
//	container.go  the ZIP archive around them
//	note.go       checkpoints, keys and inclusion proofs
//	leaf.go       entries of the log, and the personal values in them
//	openings.go   openings of these values
//	claims.go     what the entries say of the case; the four-eyes rule
//	rows.go       transfers and grants, held against that
//	report.go     the reports
package offline

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Summary is what a package proves.
type Summary struct {
	Corp, Handover, State, Digest string
	Entries, Transfers            int
	// Size is how many entries of the log the checkpoint covers, At when it was signed.
	Size int64
	At   time.Time
	// Last is the index of the newest entry in the package, LastAt its time: the package
	// shows the case as of then. Whether later entries are about it too, signed or not, it
	// cannot tell: its newest ones can be left out, and the rest put under a newer checkpoint.
	Last   int64
	LastAt time.Time
	// FourEyes says what the entries show of the four-eyes rule.
	FourEyes FourEyes
	// Key is the verifier key that signed the checkpoint; Trusted: it was one of those
	// that the caller knew, or one of those introduced it.
	Key     string
	Trusted bool
}

// Unproven is what nobody can tell from a package.
const Unproven = "what happened after that entry, also before the signing; when a grant of history ended"

// id and state are how ids and states are written: Summary shows them.
var (
	id    = regexp.MustCompile(`^[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}$`)
	state = regexp.MustCompile(`^[A-Z_]+$`)
)

// ErrUntrusted is a package that is in order and signed with a key that the caller does
// not know: anybody can make such a package.
var ErrUntrusted = errors.New("the package is in order, but signed with a key that only the package itself names; it proves nothing until the key is known from elsewhere")

// Verify checks a package: that it has exactly its files, in their one spelling; the
// checkpoint's signature; every entry's place in the signed log; and that all that the
// files tell is what the entries say: who asked, answers for it, voted and executed, that
// enough other people approved, the plan and its digest, the state, every transfer with
// its outcome, every grant of history that came of it, every name by an opening of the
// commitment in an entry, and the reports by rendering them again. What is left is Unproven.
//
// keys are verifier keys known from elsewhere; a newer key that one of them introduced is
// known by that. Where none of them signed the checkpoint, it fails. Without any, the
// package's own is taken, and Summary.Trusted is false.
func Verify(file io.ReaderAt, length int64, keys ...string) (Summary, error) {
	s, err := verify(file, length, keys)
	if err != nil { // nothing that whoever made it wrote moves a cursor or begins a line
		err = errors.New(strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return '�'
			}
			return r
		}, err.Error()))
	}
	return s, err
}

func verify(file io.ReaderAt, length int64, keys []string) (s Summary, err error) {
	p, err := open(file, length)
	if err != nil {
		return s, err
	}
	if err := p.manifest(); err != nil {
		return s, err
	}
	var f Case
	b, err := p.read(CaseFile)
	if err == nil {
		err = exact(b, &f)
	}
	if err != nil {
		return s, about(CaseFile, err)
	}
	if !id.MatchString(f.Corp) || !id.MatchString(f.Handover.ID) || !state.MatchString(f.Handover.State) {
		return s, about(CaseFile, errors.New("corp, handover or state is none"))
	}
	s.Corp, s.Handover, s.State, s.Digest, s.Key = f.Corp, f.Handover.ID, f.Handover.State, f.Handover.Digest, f.Key
	note, err := p.read(CheckpointFile)
	if err != nil {
		return s, err
	}
	signed, err := parse(string(note), f.Corp)
	if err == nil {
		err = signed.signedBy(f.Key)
	}
	if err != nil {
		return s, about(CheckpointFile, err)
	}
	s.Size, s.At = signed.size, signed.at
	known, err := p.introduced(f.Corp, keys)
	if err != nil {
		return s, err
	}
	s.Trusted = slices.ContainsFunc(known, func(key string) bool { return signed.signedBy(key) == nil })
	if len(keys) > 0 && !s.Trusted {
		return s, errors.New(CheckpointFile + ": signed with a key that is none of those given, and that none of them introduced")
	}
	return s, p.hold(&f, signed, &s)
}

// hold holds the files against the entries.
func (p pack) hold(f *Case, signed checkpoint, s *Summary) error {
	said := newClaims(f.Corp, f.Handover.ID)
	plan, err := p.read(PlanFile)
	if err == nil {
		err = about(PlanFile, said.planned(plan))
	}
	if err != nil {
		return err
	}
	if err := p.entries(said, signed, s); err != nil {
		return err
	}
	if err := said.same(); err != nil {
		return about(PlanFile, err)
	}
	if err := said.hold(f); err != nil {
		return about(CaseFile, err)
	}
	r := Reporter{said: said}
	if err := p.lines(TransfersFile, func(line []byte) error {
		var t Transfer
		if err := exact(line, &t); err != nil {
			return err
		}
		r.Transfer(t)
		return said.transfer(&t)
	}); err != nil {
		return err
	}
	if err := said.transfersEnd(f); err != nil {
		return about(TransfersFile, err)
	}
	if err := p.lines(GrantsFile, func(line []byte) error {
		var g Grant
		if err := exact(line, &g); err != nil {
			return err
		}
		r.Grant()
		return said.grant(&g)
	}); err != nil {
		return err
	}
	if err := said.grantsEnd(); err != nil {
		return about(GrantsFile, err)
	}
	s.Transfers, s.FourEyes = len(said.transfers), said.fourEyes
	for _, lang := range Languages {
		if err := p.same(ReportFile+lang+".html", func(w io.Writer) error { return r.report(w, lang, f, signed) }); err != nil {
			return err
		}
	}
	return p.same(ReadmeFile, func(w io.Writer) error { _, err := io.WriteString(w, HowTo); return err })
}

// entries takes up the entries, each of which must be in the signed log, and the personal
// values in them that are open.
func (p pack) entries(said *claims, signed checkpoint, s *Summary) error {
	next, open := int64(0), p.openings()
	if err := p.lines(EntriesFile, func(line []byte) error {
		s.Entries++
		var e Entry
		if err := exact(line, &e); err != nil {
			return err
		}
		if e.Index < next {
			return errors.New("the entry is out of order")
		}
		next, s.Last = e.Index+1, e.Index
		if !e.in(signed.root, signed.size) {
			return errors.New("the entry is not in the signed log")
		}
		l, err := readLeaf(e.Leaf)
		if err != nil {
			return err
		}
		s.LastAt = l.At
		values, err := open.of(e.Index, l)
		if err != nil {
			return about(OpeningsFile, err)
		}
		said.name(l, values)
		if err := said.act(l, values); err != nil {
			return err
		}
		return said.entry(e, l)
	}); err != nil {
		return err
	}
	return about(OpeningsFile, open.over())
}

// manifest checks that every file is as it was listed.
func (p pack) manifest() error {
	b, err := p.read(ManifestFile)
	if err != nil {
		return err
	}
	if len(b) > 64*len(Files)*4 { // a name and a sum each
		return errors.New(ManifestFile + ": it is too long")
	}
	var m Manifest
	if err := exact(append(b, '\n'), &m); err != nil {
		return about(ManifestFile, err)
	}
	if m.V != Version {
		return fmt.Errorf("%s: version %d of the format is not known here", ManifestFile, m.V)
	}
	if len(m.Files) != len(Files)-1 {
		return errors.New(ManifestFile + ": it does not list exactly the files of a package")
	}
	for _, name := range Files[:len(Files)-1] {
		h := sha256.New()
		if _, err := io.Copy(h, p.open(name)); err != nil {
			return about(name, err)
		}
		if hex.EncodeToString(h.Sum(nil)) != m.Files[name] {
			return fmt.Errorf("%s is not as the manifest says", name)
		}
	}
	return nil
}

// same holds a file against what it should be.
func (p pack) same(name string, write func(io.Writer) error) error {
	var want bytes.Buffer
	if err := write(&want); err != nil {
		return about(name, err)
	}
	b, err := p.read(name)
	if err == nil && !bytes.Equal(b, want.Bytes()) {
		err = fmt.Errorf("%s: it is not what the entries say, or of another version of this program", name)
	}
	return err
}

// Reporter renders the reports of a package. Whoever writes one uses it as Verify does.
type Reporter struct {
	said      *claims
	transfers []Transfer
	grants    int
}

// NewReporter makes the reporter of a case; plan is its plan.json.
func NewReporter(corp, handover string, plan []byte) (*Reporter, error) {
	r := &Reporter{said: newClaims(corp, handover)}
	err := r.said.planned(plan)
	r.said.items = nil // nobody asks
	return r, err
}

// Entry takes up an entry and the openings of its personal values. Whether it makes sense
// is Verify's business.
func (r *Reporter) Entry(text []byte, openings []Opening) error {
	l, err := readLeaf(string(text))
	if err != nil {
		return err
	}
	values := opened{}
	for _, o := range openings {
		values[o.Commitment] = o.Value
	}
	r.said.name(l, values)
	if l.Subject != r.said.handover {
		return nil
	}
	_ = r.said.step(l)
	return r.said.act(l, values)
}

// Transfer takes up a line of transfers.jsonl.
func (r *Reporter) Transfer(t Transfer) {
	if len(r.transfers) < shown {
		r.transfers = append(r.transfers, t)
	}
}

// Grant takes up a line of history-grants.jsonl.
func (r *Reporter) Grant() { r.grants++ }

// Report writes the report in a language, under a checkpoint.
func (r *Reporter) Report(w io.Writer, lang string, f *Case, note string) error {
	signed, err := parse(note, f.Corp)
	if err != nil {
		return err
	}
	return r.report(w, lang, f, signed)
}

func (r *Reporter) report(w io.Writer, lang string, f *Case, signed checkpoint) error {
	return report(w, lang, r.said, f, r.transfers, r.grants, Summary{Size: signed.size, At: signed.at, FourEyes: r.said.fourEyes})
}
