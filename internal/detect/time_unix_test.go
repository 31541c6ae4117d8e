//go:build unix

package detect_test

import (
	"syscall"
	"time"
)

// spent is the processor time of the program so far: a busy machine does not lengthen it.
func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
