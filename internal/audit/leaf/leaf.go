// Package leaf is the format of the audit log: what one entry's bytes are, how
// entries are chained, and how a chain is checked. It is pure. The format is
// final from the first entry and written down, with test vectors, in
// docs/audit-log.md; a change would be a new "v" beside this one.
//
// A leaf is canonical JSON (package canon, RFC 8785) and holds the hash of the
// leaf before it. No personal value stands in it in clear: see Personal.
package leaf

import (
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
)

// Version is the "v" of every leaf.
const Version = 1

// MaxBytes is the greatest length of a leaf. Long lists belong into a Set.
const MaxBytes = 256 << 10

// TimeFormat is how times stand in leaves: RFC 3339 in UTC, always six decimals.
const TimeFormat = "2006-01-02T15:04:05.000000Z"

var (
	// ErrEntry is wrapped by every error of Encode that is about the entry itself.
	ErrEntry = errors.New("not an audit entry")
	// ErrNotLeaf is wrapped by every error of Decode.
	ErrNotLeaf = errors.New("not a leaf")
)

// Entry is one recorded action. What is zero is left out of the leaf, but for
// ID, Corp, Index, At, Actor.Kind, Action and Prev.
type Entry struct {
	// ID is the entry's own id (kind nid.Audit).
	ID   nid.ID
	Corp nid.ID
	// Index is the position in the corp's log, from 0 without gaps.
	Index int64
	// At is when it happened, whole microseconds.
	At    time.Time
	Actor Actor
	// Action is noun.verb.
	Action string
	// Subject is what the action was done to; zero if that is no single thing of ours.
	Subject nid.ID
	// Handover is the case it belongs to.
	Handover nid.ID
	// Request is the id that the answer and the log lines carry.
	Request string
	// Address is the network address the request came from.
	Address Private
	// Cause is the handover that a system actor works for, and Reason, in the
	// program's own words, why it acts. Only for access.System.
	Cause  nid.ID
	Reason string
	// Before and After are the values the action changed. They hold what canon
	// holds (string, int, int64, bool, nil, []any, map[string]any), Personal or
	// Sealed, and for convenience nid.ID, []nid.ID, []string and time.Time, which
	// Decode gives back as text.
	Before, After map[string]any
	// Set is what the entry accounts for beyond its subject.
	Set *Set
	// Prev is the Hash of the leaf before, all zero at index 0.
	Prev [sha256.Size]byte
}

// Actor is who did it.
type Actor struct {
	Kind access.ActorKind
	// ID is the member's or token's id; zero for the system and for nobody known.
	ID nid.ID
	// Label is what is shown beside the id: the login or the token's name.
	Label Private
}

// Set names many rows by number and digest, so that an entry for a whole import
// or plan stays small and can still be held against the rows.
type Set struct {
	N      int64
	Digest [sha256.Size]byte
}

// SetOf is the set of the given ids: SHA-256 over the 16-byte ids in the order of
// their bytes, each once.
func SetOf(ids []nid.ID) *Set {
	sorted := slices.Clone(ids)
	slices.SortFunc(sorted, func(a, b nid.ID) int { return slices.Compare(a[:], b[:]) })
	sorted = slices.Compact(sorted)
	h := sha256.New()
	for i := range sorted {
		h.Write(sorted[i][:])
	}
	return &Set{N: int64(len(sorted)), Digest: [sha256.Size]byte(h.Sum(nil))}
}

// Hash is the leaf hash of RFC 6962 §2.1: SHA-256 over a zero byte and the leaf.
func Hash(leaf []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(leaf)
	return [sha256.Size]byte(h.Sum(nil))
}

// Columns are the parts of an entry that the database repeats beside the leaf, so
// that it can be found. They prove nothing; Verify holds them against the leaf.
type Columns struct {
	ID, Corp nid.ID
	Index    int64
	// Created is when the row was made. It says the same as At.
	Created, At time.Time
	ActorKind   access.ActorKind
	Actor       nid.ID
	Action      string
	Subject     nid.ID
	Handover    nid.ID
	Request     string
	Hash        [sha256.Size]byte
}

// Columns are the ones that belong to an entry whose leaf has the given hash.
func (e *Entry) Columns(hash [sha256.Size]byte) Columns {
	return Columns{
		ID: e.ID, Corp: e.Corp, Index: e.Index, Created: e.At, At: e.At, ActorKind: e.Actor.Kind, Actor: e.Actor.ID,
		Action: e.Action, Subject: e.Subject, Handover: e.Handover, Request: e.Request, Hash: hash,
	}
}
