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
