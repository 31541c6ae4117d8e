package intake_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"testing/fstest"

	"github.com/openhandover/openhandover/internal/intake"
)

var errBroken = errors.New("the disk is broken")

// broken is a folder whose files fail in the middle.
type broken struct{ fstest.MapFS }

func (b broken) Open(name string) (fs.File, error) {
	f, err := b.MapFS.Open(name)
	return brokenFile{f}, err
}

type brokenFile struct{ fs.File }

func (f brokenFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p[:min(len(p), 10)])
	if err == nil {
		err = errBroken
	}
	return n, err
}

// rejects gathers what is left out.
type rejects map[string]*rejected

type rejected struct {
	bytes.Buffer
	closed bool
}

func (r *rejected) Close() error { r.closed = true; return nil }

func (r rejects) create(file string) (io.WriteCloser, error) {
	r[file] = &rejected{}
	return r[file], nil
}

// skipping are options that leave bad rows out.
func skipping(r rejects) intake.Options {
	o := options
	o.SkipBad, o.Rejects = true, r.create
	return o
}

// noSpace is a list that cannot be written.
type noSpace struct{}

func (noSpace) create(string) (io.WriteCloser, error) { return noSpace{}, nil }
func (noSpace) Write([]byte) (int, error)             { return 0, errBroken }
func (noSpace) Close() error                          { return nil }
