// Package export makes the files that people take out of the system, and gives them to
// who asked for them and to nobody else.
//
// Somebody asks (create.go), the background makes the file as that somebody, with the
// rights of that moment (work.go, rows.go and the formats in csv.go, jsonl.go and
// xlsx.go), and a signed link fetches it (link.go, download.go). What a file may hold
// is decided where lists decide it: by ent's rules (rule.Visible) and, beside them,
// rule.Exportable.
package export

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	// WorkExports is the kind of work (store.Tx.Wake) that Work does.
	WorkExports = "exports"
	// Keep is how long a file can be fetched. Then it is deleted.
	Keep = 24 * time.Hour
	// LinkLife is how long a link works.
	LinkLife = 5 * time.Minute
	// MaxOpen is how many exports of one member may wait or run.
	MaxOpen = 5
	// MaxSheetRows is how many rows an XLSX file may have.
	MaxSheetRows = 500_000
)

// Service holds the use cases and the work.
type Service struct {
	DB  *store.DB
	Log *audit.Log
	// Reader opens the entries of the audit log.
	Reader *audit.Reader
	// Links signs links; it is the secret.ForDownloads signer.
	Links *secret.Signer
	// Folder is where the files are: of one replica, or shared by all of them.
	Folder string
	// Seal makes a checkpoint of a corp's log, for evidence; nil: nobody does here.
	Seal func(ctx context.Context, corp nid.ID) error
}

// Subject is what is exported.
type Subject string

// The subjects.
const (
	Contacts  Subject = "CONTACTS"
	Groups    Subject = "GROUPS"
	Transfers Subject = "TRANSFERS"
	AuditLog  Subject = "AUDIT_LOG"
	Evidence  Subject = "EVIDENCE"
)

// Format is how rows are written.
type Format string

// The formats. Evidence has none: it is a ZIP archive of its own kind.
const (
	CSV   Format = "CSV"
	XLSX  Format = "XLSX"
	JSONL Format = "JSONL"
)

// State is where an export stands.
type State string

// The states.
const (
	Queued  State = "QUEUED"
	Running State = "RUNNING"
	Ready   State = "READY"
	Failed  State = "FAILED"
	Expired State = "EXPIRED"
)

// Problem says why an export FAILED.
type Problem string

// The problems.
const (
	NotPermitted Problem = "NOT_PERMITTED" // the requester's rights ended or shrank before it was done
	Cancelled    Problem = "CANCELLED"     // the requester was deactivated
	TooLarge     Problem = "TOO_LARGE"     // more rows, or a longer text, than the format holds
	NoSpace      Problem = "NO_SPACE"      // the data folder takes no file
	NotSealed    Problem = "NOT_SEALED"    // no checkpoint could be made that covers the case
	Unexpected   Problem = "UNEXPECTED"    // the server's log has it
)

// needs are the permissions of which one lets somebody ask for a subject.
var needs = map[Subject][]access.Permission{
	Contacts:  {access.ExportContacts},
	Groups:    {access.ExportGroups},
	Transfers: {access.ExportContacts, access.ExportGroups, access.ReadAuditLog},
	AuditLog:  {access.ReadAuditLog},
	Evidence:  {access.ReadAuditLog},
}

// may reports whether an actor may export a subject at all; rows decide the rest. The
// log is read whole or not at all.
func may(a *access.Actor, s Subject) bool {
	if a.Leaving {
		return false // docs/leaving.md
	}
	scope := a.Scope(needs[s]...)
	if s == AuditLog || s == Evidence {
		return scope.All
	}
	return !scope.Empty()
}

// reach is what each permission of an actor reaches. It decides what is in a file, so
// it is kept beside the file.
type reach map[access.Permission]access.Scope

func reachOf(a *access.Actor) reach {
	out := reach{}
	for _, p := range access.Permissions {
		if s := a.Scope(p); !s.Empty() {
			out[p] = s
		}
	}
	return out
}

// deciding are the permissions that decide what is in the file of a subject.
var deciding = map[Subject][]access.Permission{
	Contacts: {access.ExportContacts, access.ViewContacts, access.ExecuteResignedContacts},
	Groups:   {access.ExportGroups, access.ViewGroups, access.ExecuteResignedGroups},
	Transfers: {
		access.ExportContacts, access.ExportGroups, access.ReadAuditLog, access.ViewContacts, access.ViewGroups, access.PlanHandover,
		access.ExecuteResignedContacts, access.ExecuteResignedGroups, access.ExecuteOnJob, access.ApproveHandover, access.RevertHandover,
	},
	AuditLog: {access.ReadAuditLog},
	Evidence: {access.ReadAuditLog},
}

// covers reports whether whoever reaches r now may have a file that was made by who
// reached then.
func (r reach) covers(then reach, s Subject) bool {
	for _, p := range deciding[s] {
		was, is := then[p], r[p]
		if is.All {
			continue
		}
		if was.All || slices.ContainsFunc(was.Departments, func(d nid.ID) bool { return !slices.Contains(is.Departments, d) }) {
			return false
		}
	}
	return true
}

func (r reach) text() string {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // words and ids
	}
	return string(b)
}
