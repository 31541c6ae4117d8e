//go:build darwin || linux

package main

import "syscall"

// free is how many bytes the program may still write in a folder.
func free(folder string) (bytes uint64, known bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true // #nosec G115 -- a block has a size
}
