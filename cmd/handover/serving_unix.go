//go:build darwin || linux

package main

import (
	"errors"
	"os"
	"syscall"
)

// exclusive locks a file for this process, or fails with errTaken.
func exclusive(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) // #nosec G115 -- a descriptor is small
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errTaken
	}
	return err
}

// names is how many names a file has: its hard links.
func names(path string) uint64 {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil { // not there yet
		return 0
	}
	return uint64(st.Nlink) //nolint:unconvert // its type differs between systems
}
