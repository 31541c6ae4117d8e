package export

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/evidence"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// file is one that is being made, under a name that nothing else uses: the export's id
// and the run.
type file struct {
	part, path string
	size       int64
	sum        []byte
}

func (s *Service) folder(corp nid.ID) string { return filepath.Join(s.Folder, corp.UUID()) }

func (s *Service) at(corp, export nid.ID, token int) string {
	return filepath.Join(s.folder(corp), fmt.Sprintf("%s.%d", export.UUID(), token))
}

const partial = ".part"

func (f file) publish() error { return os.Rename(f.part, f.path) }

func (s *Service) remove(ctx context.Context, corp nid.ID, j *job) {
	at := s.at(corp, j.id, j.token)
	for _, name := range []string{at, at + partial} {
		_ = os.Remove(name) // what stays is tidied up
	}
	_ = os.RemoveAll(at + temporary)
}

const temporary = ".tmp"

// full reports whether the data folder takes no more.
func full(err error) bool {
	_, path := errors.AsType[*fs.PathError](err)
	return path || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, io.ErrShortWrite)
}

// make writes the file, readable by its owner only.
func (s *Service) make(ctx context.Context, corp nid.ID, j *job) (out file, err error) {
	out.path = s.at(corp, j.id, j.token)
	out.part = out.path + partial
	if err := os.MkdirAll(s.folder(corp), 0o700); err != nil {
		return out, err
	}
	f, err := os.OpenFile(out.part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // #nosec G304 -- made of ids
	if err != nil {
		return out, err
	}
	w := &writer{file: f, hash: sha256.New(), beat: func() error { return s.beat(ctx, j) }, last: time.Now()}
	buffered := bufio.NewWriterSize(w, 64<<10)
	if err = s.write(ctx, corp, j, buffered); err == nil {
		err = buffered.Flush()
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return out, err
	}
	out.size, out.sum = w.size, w.hash.Sum(nil)
	return out, nil
}

// writer measures what is written and holds the claim while it takes long.
type writer struct {
	file io.Writer
	hash hash.Hash
	size int64
	beat func() error
	last time.Time
}

func (w *writer) Write(b []byte) (int, error) {
	if time.Since(w.last) > lease/10 {
		if err := w.beat(); err != nil {
			return 0, err
		}
		w.last = time.Now()
	}
	w.hash.Write(b)
	w.size += int64(len(b))
	return w.file.Write(b)
}

// write writes what the requester may have, out of one snapshot.
func (s *Service) write(ctx context.Context, corp nid.ID, j *job, w io.Writer) error {
	as := access.With(ctx, j.actor)
	if j.subject == Evidence {
		if s.Seal == nil {
			return errUnsealed
		}
		if err := s.Seal(ctx, corp); err != nil { // so that a checkpoint covers the case
			return errors.Join(errUnsealed, err)
		}
		err := s.DB.View(as, func(as context.Context, q *store.Read) error { return evidence.Write(as, q, s.Reader, j.handover, w) })
		if errors.Is(err, evidence.ErrUnsealed) {
			err = errors.Join(errUnsealed, err)
		}
		return err
	}
	src, err := s.sourceOf(as, j)
	if err != nil {
		return err
	}
	// In a snapshot of its own: a count that takes too long costs only the count.
	_ = s.DB.View(as, func(as context.Context, q *store.Read) (err error) { j.total, err = src.count(as, q); return err })
	if j.format == XLSX && j.total > MaxSheetRows {
		return errTooLarge
	}
	if err := s.beat(ctx, j); err != nil {
		return err
	}
	out, err := s.sink(corp, j, src.columns, w)
	if err != nil {
		return err
	}
	err = s.DB.View(as, func(as context.Context, q *store.Read) error {
		for {
			rows, err := src.next(as, q)
			if err != nil || len(rows) == 0 {
				return err
			}
			for _, r := range rows {
				if err := out.row(r); err != nil {
					return err
				}
			}
			j.rows += len(rows)
			if err := s.beat(ctx, j); err != nil {
				return err
			}
		}
	})
	if err == nil {
		return out.close(j.rows)
	}
	if x, ok := out.(*xlsxSink); ok {
		x.discard()
	}
	return err
}

func (s *Service) sink(corp nid.ID, j *job, columns []column, w io.Writer) (sink, error) {
	switch j.format {
	case CSV:
		return newCSV(w, columns, j.language, j.mark)
	case JSONL:
		return newJSONL(w, columns, j.mark), nil
	case XLSX:
		folder := s.at(corp, j.id, j.token) + temporary
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
		return newXLSX(w, folder, columns, j.language, j.mark)
	}
	return nil, fmt.Errorf("export: no format %q", j.format)
}

// tidy deletes the files in a corp's folder that no READY export has and no running one
// is making: expired ones, those of members who were deactivated, and what a crash left.
func (s *Service) tidy(ctx context.Context, corp nid.ID) error {
	found, err := os.ReadDir(s.folder(corp))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(found) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	// Read after the folder: what is made meanwhile is not in the list.
	live := map[string]State{}
	err = s.DB.View(ctx, func(ctx context.Context, q *store.Read) error {
		type row struct {
			id    nid.ID
			token int
			state State
		}
		rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.id, &r.token, &r.state} },
			`SELECT id, run_token, state FROM exports WHERE corp_id = $1 AND state IN ('RUNNING', 'READY')`, corp)
		for _, r := range rows {
			live[filepath.Base(s.at(corp, r.id, r.token))] = r.state
		}
		return err
	})
	if err != nil {
		return err
	}
	var bad error
	for _, f := range found {
		name := strings.TrimSuffix(strings.TrimSuffix(f.Name(), partial), temporary)
		if state, ok := live[name]; ok && (state == Running || name == f.Name()) {
			continue
		}
		bad = errors.Join(bad, os.RemoveAll(filepath.Join(s.folder(corp), f.Name())))
	}
	return bad
}

// Sweep deletes files that are nobody's, as the context's actor: for replicas that work
// in a data folder of their own.
func (s *Service) Sweep(ctx context.Context) error { return s.tidy(ctx, access.From(ctx).Corp) }
