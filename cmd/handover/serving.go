package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// An SQLite file has one server: streams, rates and jobs know only what happens in their
// own process. Other commands may run beside it.

// errTaken says that another process holds the lock.
var errTaken = errors.New("another process holds it")

// serving is the lock of a server on its SQLite file: one of the operating system on a
// file beside it, which ends with the process. nil is no lock.
type serving struct{ file *os.File }

// served takes the lock on the SQLite file that is to be served.
func (e *env) served(demo bool) (*serving, error) {
	path, sqlite := strings.CutPrefix(e.config.Database().Reveal(), "sqlite:")
	if demo {
		path, sqlite = e.demoFile(), true
	}
	if !sqlite {
		return nil, nil
	}
	return lockServing(filepath.FromSlash(path))
}

func lockServing(path string) (*serving, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil { // one file, whatever it is called by
		path = real
	}
	if n := names(path); n > 1 { // SQLite's own journal goes by the name, too, and so would lose writes
		return nil, fmt.Errorf("%s has %d hard links; an SQLite file needs one name, remove the others", path, n)
	}
	f, err := os.OpenFile(path+".serving", os.O_CREATE|os.O_RDWR, 0o600) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, err
	}
	if err := exclusive(f); err != nil {
		_ = f.Close()
		if errors.Is(err, errTaken) {
			return nil, fmt.Errorf("another server already serves %s; an SQLite file has one server, stop that one first or use PostgreSQL for several", path)
		}
		return nil, fmt.Errorf("lock %s.serving: %w", path, err)
	}
	return &serving{f}, nil
}

func (s *serving) release() {
	if s != nil {
		_ = s.file.Close()
	}
}
