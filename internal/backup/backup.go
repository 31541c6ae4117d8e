// Package backup takes a corp's rows out of a database and puts them into another.
//
// A backup is one file: JSON lines (RFC 8259), compressed (RFC 1952) and encrypted to
// age recipients (age-encryption.org/v1). The first line is the Header. Each table
// follows: a line that names it with its columns, a line for each row, a line that
// counts them and carries a digest over them. A line ends the rows; the last one is signed
// with the key that signs the corp's checkpoints, for anybody can encrypt to a recipient.
// It says nothing of the engine, so what PostgreSQL wrote SQLite reads.
//
//	rows.go      rows as lines, and their digest
//	write.go     making one
//	read.go      opening one
//	restore.go   putting one back
//	schedule.go  making them by themselves, and throwing old ones away
package backup

import (
	"fmt"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	format  = "openhandover-backup"
	version = 1
)

// Header says what a backup is of.
type Header struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Corp    nid.ID    `json:"corp"`
	Name    string    `json:"name"`
	At      time.Time `json:"at"`
	// Entries and Head are the corp's log: how many entries, and the hash of the last.
	Entries int64  `json:"entries"`
	Head    string `json:"head"`
	// Sealed is a value under the installation's secret key, which only that opens.
	Sealed []byte `json:"sealed,omitempty"`
}

// begin and end are the lines around a table's rows.
type begin struct {
	Table   string         `json:"table"`
	Columns []store.Column `json:"columns"`
}

type end struct {
	Rows   int64  `json:"rows"`
	Digest string `json:"digest"`
}

// last is the line behind all rows.
type last struct {
	End  bool  `json:"end"`
	Rows int64 `json:"rows"`
}

// signature is the last line.
type signature struct {
	// Note is a signed note with the statement; empty: nobody signed.
	Note string `json:"note"`
}

// statement is what is signed: that these are the lines of a backup of this corp. It is no
// checkpoint, whose first line is the log's origin.
func statement(corp nid.ID, sum []byte) string {
	return fmt.Sprintf("openhandover backup\n%s\n%x\n", corp, sum)
}

// Summary is what a backup holds.
type Summary struct {
	Header
	Rows int64 `json:"rows"`
	// Tables are the rows of each.
	Tables map[string]int64 `json:"tables"`
	// SignedBy is the verifier key that signed it; empty: none that the corp's log names.
	// Trusted: it is one that the caller knows, or that such a key introduced.
	SignedBy string `json:"signedBy,omitempty"`
	Trusted  bool   `json:"trusted"`
	// Unknown are rows that give rights and that the log does not know, a sentence each.
	Unknown []string `json:"unknown,omitempty"`
	// Erased are the people that a restore erased again.
	Erased []nid.ID `json:"erased,omitempty"`
}

// LeftOut are the tables with rows of corps that no backup has: who is signed in, what
// was tried lately, and what triggers write themselves.
var LeftOut = []string{"denials", "idempotency_keys", "lockouts", "name_grams", "sessions", "spent_challenges"}

// wanted are the tables of a backup, with their columns by name: that is the order in
// which rows are written, whatever order an engine has.
func wanted(all []store.Table) []store.Table {
	all = slices.DeleteFunc(all, func(t store.Table) bool { return slices.Contains(LeftOut, t.Name) })
	for i := range all {
		slices.SortFunc(all[i].Columns, func(a, b store.Column) int {
			if a.Name < b.Name {
				return -1
			}
			return 1
		})
	}
	return all
}
