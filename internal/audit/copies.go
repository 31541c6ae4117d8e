package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// copied is a line of a file of checkpoints.
type copied struct {
	Size int64     `json:"size"`
	Note string    `json:"note"`
	At   time.Time `json:"at"`
	// Stamp is a time-stamp authority's reply about the note (RFC 3161, DER).
	Stamp []byte `json:"stamp,omitempty"`
}

// File is where a corp's checkpoints are copied to.
func File(folder string, corp nid.ID) string { return filepath.Join(folder, corp.String()+".jsonl") }

// Witnessed is where a corp's checkpoints are kept that a witness has cosigned.
func Witnessed(folder string, corp nid.ID) string {
	return filepath.Join(folder, corp.String()+".witnessed.jsonl")
}

// Stamped is where a corp's checkpoints are kept with their time-stamps.
func Stamped(folder string, corp nid.ID) string {
	return filepath.Join(folder, corp.String()+".stamped.jsonl")
}

// Erased is the file that lists a corp's erased people by id, so that an older backup
// does not bring them back.
func Erased(folder string, corp nid.ID) string {
	return filepath.Join(folder, corp.String()+".erased.jsonl")
}

// Known are the corps of which a folder has checkpoints, in the order of their ids. A
// corp that somebody removed from the database, log and all, is still among them.
func Known(folder string) (corps []nid.ID, err error) {
	files, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, f := range files { // by name; CORP.witnessed.jsonl stands beside CORP.jsonl
		name, _, _ := strings.Cut(f.Name(), ".")
		id, err := nid.Parse(name)
		if err == nil && id.Kind() == nid.Corp && strings.HasSuffix(f.Name(), ".jsonl") && !slices.Contains(corps, id) {
			corps = append(corps, id)
		}
	}
	return corps, err
}

// copy appends to the file what it does not have yet.
func (s *Sealer) copy(ctx context.Context, corp nid.ID) error {
	if s.Folder == "" {
		return nil
	}
	last, err := lastCopy(File(s.Folder, corp))
	if err != nil {
		return err
	}
	var rows []Checkpoint
	err = s.DB.View(ctx, func(ctx context.Context, q *store.Read) error {
		rows, err = store.Select(ctx, q, (*Checkpoint).dest, `SELECT `+checkpointColumns+` AND size > $2 ORDER BY size`, corp, last.Size)
		return err
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	more := make([]copied, len(rows))
	for i, r := range rows {
		more[i] = copied{Size: r.Size, Note: r.Note, At: r.At.UTC()}
	}
	return keep(File(s.Folder, corp), more...)
}

// keep appends checkpoints to a file.
func keep(path string, more ...copied) error {
	lines := make([]any, len(more))
	for i, c := range more {
		lines[i] = c
	}
	return AppendLines(path, lines...)
}

// AppendLines appends each value to a file as a line of JSON, and waits until they are
// on the disk.
func AppendLines(path string, more ...any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600) // #nosec G304 -- the operator's folder
	if err != nil {
		return err
	}
	defer f.Close()
	var lines bytes.Buffer
	isNew := fileSize(f) == 0
	if end := make([]byte, 1); fileSize(f) > 0 {
		if _, err := f.ReadAt(end, fileSize(f)-1); err != nil {
			return err
		}
		if end[0] != '\n' { // a crash cut the last line off
			lines.WriteByte('\n')
		}
	}
	for _, c := range more {
		if err := json.NewEncoder(&lines).Encode(c); err != nil {
			return err
		}
	}
	if _, err := f.Write(lines.Bytes()); err != nil {
		return err
	}
	err = f.Sync()
	if isNew { // else a power cut could take the file with its name
		store.SyncFolder(filepath.Dir(path))
		store.SyncFolder(filepath.Dir(filepath.Dir(path)))
	}
	return err
}

func fileSize(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// longestLine is more than a checkpoint with its time-stamp takes.
const longestLine = 256 << 10

// copies reads a file. A line that was cut off by a crash is left out: the next one
// repeats it.
func copies(path string) ([]copied, error) {
	f, err := os.Open(path) // #nosec G304 -- the operator's folder
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseCopies(f)
}

func parseCopies(r io.Reader) (out []copied, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		var c copied
		if json.Unmarshal(lines.Bytes(), &c) == nil && c.Size > 0 {
			out = append(out, c)
		}
	}
	return out, lines.Err()
}

// lastCopy is the last line of a file, which grows by a line a minute and is not read
// as a whole each time; the zero one where there is none.
func lastCopy(path string) (copied, error) {
	f, err := os.Open(path) // #nosec G304 -- the operator's folder
	if errors.Is(err, fs.ErrNotExist) {
		return copied{}, nil
	}
	if err != nil {
		return copied{}, err
	}
	defer f.Close()
	from := max(fileSize(f)-longestLine, 0)
	have, err := parseCopies(io.NewSectionReader(f, from, longestLine))
	if err != nil || len(have) == 0 {
		return copied{}, err
	}
	return have[len(have)-1], nil
}
