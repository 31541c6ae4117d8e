//go:build !unix

package detect_test

import "time"

var began = time.Now()

// spent is how long the program has run: its processor time is not known here.
func spent() time.Duration { return time.Since(began) }
