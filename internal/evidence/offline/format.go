package offline

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"time"
)

// Version is the format's, in manifest.json. The texts of the reports and of README.txt
// belong to it: a package is verified only by a program that renders the same ones.
const Version = 2

// The files of a package.
const (
	CaseFile       = "case.json"
	CheckpointFile = "checkpoint.txt"
	KeysFile       = "keys.jsonl"
	PlanFile       = "plan.json"
	TransfersFile  = "transfers.jsonl"
	GrantsFile     = "history-grants.jsonl"
	EntriesFile    = "entries.jsonl"
	OpeningsFile   = "openings.jsonl"
	ReportFile     = "report."
	ReadmeFile     = "README.txt"
	ManifestFile   = "manifest.json"
)

// Files are the files of a package, all of them, in their order.
var Files = []string{CaseFile, CheckpointFile, KeysFile, PlanFile, TransfersFile, GrantsFile, EntriesFile, OpeningsFile,
	ReportFile + "en.html", ReportFile + "zh-CN.html", ReadmeFile, ManifestFile}

// Languages are those of the reports.
var Languages = []string{"en", "zh-CN"}

// Case is case.json. People, contacts and groups stand in all files as ids; their names
// are in openings.jsonl.
type Case struct {
	Corp string `json:"corp"`
	// Key is the verifier key of whoever signed the checkpoint.
	Key       string     `json:"key"`
	Handover  Handover   `json:"handover"`
	Approvals []Approval `json:"approvals"`
}

// Handover is the case itself. What is empty does not apply.
type Handover struct {
	ID          string     `json:"id"`
	Kind        string     `json:"kind"`
	State       string     `json:"state"`
	Digest      string     `json:"digest"`
	Leaver      string     `json:"leaver"`
	Requester   string     `json:"requester,omitempty"`
	Responsible string     `json:"responsible,omitempty"`
	Executor    string     `json:"executor,omitempty"`
	RevertOf    string     `json:"revertOf,omitempty"`
	RevertedBy  string     `json:"revertedBy,omitempty"`
	FollowUpOf  string     `json:"followUpOf,omitempty"`
	Created     time.Time  `json:"createdAt"`
	Started     *time.Time `json:"startedAt"`
	Finished    *time.Time `json:"finishedAt"`
	Total       int        `json:"total"`
	Completed   int        `json:"completed"`
}

// Approval is a vote.
type Approval struct {
	Approver string    `json:"approver"`
	Decision string    `json:"decision"`
	Digest   string    `json:"digest"`
	At       time.Time `json:"at"`
}

// Transfer is a line of transfers.jsonl: what was decided about one contact or group, and
// what became of it.
type Transfer struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"`
	Item     string     `json:"item"`
	From     string     `json:"from"`
	To       string     `json:"to"`
	Status   string     `json:"status"`
	Reason   string     `json:"reason,omitempty"`
	Merged   bool       `json:"merged"`
	Version  int        `json:"expectedVersion"`
	Finished *time.Time `json:"finishedAt"`
}

// Grant is a line of history-grants.jsonl: chats of the leaver that a successor may read.
type Grant struct {
	ID        string     `json:"id"`
	Successor string     `json:"successor"`
	Item      string     `json:"item"`
	Transfer  string     `json:"transfer"`
	From      *time.Time `json:"from"`
	Until     *time.Time `json:"until"`
	Expires   *time.Time `json:"expiresAt"`
}

// Entry is a line of entries.jsonl: an entry of the log as it was hashed, and the proof
// that leads from it to the checkpoint's root.
type Entry struct {
	Index int64    `json:"index"`
	Leaf  string   `json:"leaf"`
	Proof []string `json:"proof"`
}

// KeyEntry is a line of keys.jsonl: an entry that names a new key, with a checkpoint over
// it that the former key signed and the new one too.
type KeyEntry struct {
	Entry
	Checkpoint string `json:"checkpoint"`
}

// Opening is a line of openings.jsonl: a personal value that an entry holds the salted
// commitment of.
type Opening struct {
	Entry      int64  `json:"entry"`
	Commitment string `json:"c"`
	Salt       string `json:"salt"`
	Value      string `json:"value"`
}

// Manifest is manifest.json.
type Manifest struct {
	Files map[string]string `json:"files"`
	V     int               `json:"v"`
}

// Line writes a value as one line of JSON: the only spelling of it that verifies.
func Line(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// exact reads a value that Line wrote. Every other spelling is refused: members that the
// format does not name, a member twice or in another case, other white space, a time
// that is finer than a microsecond or not in UTC.
func exact(b []byte, into any) error {
	if err := crowded(b); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	var again bytes.Buffer
	if err := Line(&again, into); err != nil {
		return err
	}
	if !bytes.Equal(again.Bytes(), b) {
		return errors.New("not in the only spelling that the format has")
	}
	return plainTimes(reflect.ValueOf(into).Elem())
}

// crowded refuses more objects than any file has, before they take memory: a few bytes of
// an archive can unpack to millions of empty ones.
func crowded(b []byte) error {
	if bytes.Count(b, []byte("{")) > mostLines {
		return errors.New("it holds too much")
	}
	return nil
}

// plainTimes refuses the other spellings of a moment in a value.
func plainTimes(v reflect.Value) error {
	if at, ok := v.Interface().(time.Time); ok {
		if at.Location() != time.UTC || at.Nanosecond()%1000 != 0 {
			return errors.New("a time is not in UTC, or finer than a microsecond")
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return plainTimes(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if err := plainTimes(v.Field(i)); err != nil {
				return err
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if err := plainTimes(v.Index(i)); err != nil {
				return err
			}
		}
	}
	return nil
}
