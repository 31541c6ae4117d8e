package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	// WorkBackups is the kind of work that makes backups when they are due.
	WorkBackups = "backups"
	suffix      = ".backup.age"
	stamp       = "20060102T150405Z"
	partial     = ".partial-"
	// soon is when to look again where another replica is at it.
	soon = time.Minute
)

// Schedule makes backups by themselves and keeps the newest.
type Schedule struct {
	DB         *store.DB
	Log        *audit.Log
	Folder     string
	Recipients []age.Recipient
	// Sealer has the keys that sign backups; nil: they are not signed. A backup of a log
	// that is sealed to its end is vouched for by its checkpoints, too.
	Sealer *audit.Sealer
	// Every is how often; 0: never.
	Every time.Duration
	// Keep is how many of a corp stay.
	Keep int
}

// File is a backup that is there.
type File struct {
	Path string
	At   time.Time
	Size int64
}

// Work makes a corp's backup if it is due, throws away those that are too many, and
// says when the next is due. A backup that fails leaves nothing half-written and none of
// the older ones is thrown away for it.
func (s *Schedule) Work(ctx context.Context, corp nid.ID) (next time.Time, err error) {
	if s.Every == 0 {
		return time.Time{}, nil
	}
	all, err := s.List(corp)
	if err != nil {
		return time.Time{}, err
	}
	now := s.DB.Now()
	if len(all) > 0 {
		if due := all[0].At.Add(s.Every); due.After(now) {
			return due, nil
		}
	}
	if _, _, err := s.Take(ctx, corp, "", nil); err != nil {
		if errors.Is(err, errBusy) {
			return now.Add(soon), nil
		}
		return time.Time{}, err
	}
	return now.Add(s.Every), s.tidy(ctx, corp)
}

// List gives the backups in a corp's folder, the newest first.
func (s *Schedule) List(corp nid.ID) ([]File, error) {
	entries, err := os.ReadDir(s.folder(corp))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []File
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		at, bad := time.Parse(stamp, name)
		if !ok || bad != nil {
			continue // somebody else's
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // thrown away just now
		}
		if err != nil {
			return nil, err
		}
		all = append(all, File{filepath.Join(s.folder(corp), e.Name()), at, info.Size()})
	}
	slices.SortFunc(all, func(a, b File) int { return b.At.Compare(a.At) })
	return all, nil
}

func (s *Schedule) folder(corp nid.ID) string { return filepath.Join(s.Folder, corp.String()) }

// Take makes a backup now, at path, or in the corp's folder where that is empty. The
// file appears when it is whole. It is recorded in the log.
func (s *Schedule) Take(ctx context.Context, corp nid.ID, path string, told Progress) (f File, sum Summary, err error) {
	if path == "" {
		path = filepath.Join(s.folder(corp), s.DB.Now().Format(stamp)+suffix)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return f, sum, err
	}
	made, err := os.CreateTemp(dir, partial) // 0600
	if err != nil {
		return f, sum, err
	}
	defer os.Remove(made.Name())
	hash := sha256.New()
	var keys checkpoint.Keys
	if s.Sealer != nil {
		keys = s.Sealer.Keys
		// A log that cannot be sealed is backed up all the same, and restore verifies it.
		_, _ = s.Sealer.Work(ctx, corp)
	}
	sum, err = Write(ctx, s.DB, corp, io.MultiWriter(made, hash), s.Recipients, keys, told)
	if err == nil {
		err = made.Sync()
	}
	if err = errors.Join(err, made.Close()); err != nil {
		return f, sum, err
	}
	if err := publish(made.Name(), path); err != nil {
		return f, sum, err
	}
	store.SyncFolder(dir)
	info, err := os.Stat(path)
	if err != nil {
		return f, sum, err
	}
	f = File{path, sum.At, info.Size()}
	return f, sum, s.record(ctx, corp, access.BackupCreate, map[string]any{
		"file": filepath.Base(path), "bytes": f.Size, "rows": sum.Rows, "entries": sum.Entries, "sha256": hex.EncodeToString(hash.Sum(nil)),
	})
}

// publish gives a whole file its name, never that of another file. Not all file systems
// know links.
func publish(made, path string) error {
	err := os.Link(made, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	return os.Rename(made, path)
}

// tidy throws away the oldest backups, and what a crash has left.
func (s *Schedule) tidy(ctx context.Context, corp nid.ID) error {
	all, err := s.List(corp)
	if err != nil {
		return err
	}
	for _, f := range all[min(max(s.Keep, 1), len(all)):] {
		if err := os.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := s.record(ctx, corp, access.BackupDelete, map[string]any{"file": filepath.Base(f.Path)}); err != nil {
			return err
		}
	}
	left, err := filepath.Glob(filepath.Join(s.folder(corp), partial+"*"))
	for _, path := range left {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.Remove(path)
		}
	}
	return err
}

func (s *Schedule) record(ctx context.Context, corp nid.ID, action access.Action, after map[string]any) error {
	return s.DB.Tx(store.System(ctx, corp, "backup"), func(ctx context.Context, tx *store.Tx) error {
		return s.Log.Append(ctx, tx, audit.Entry{Action: action, Subject: corp, After: after})
	})
}
