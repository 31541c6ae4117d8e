//go:build !unix

package edge_test

import "time"

// processorTime is not known here: each request takes the same.
func processorTime() time.Duration { return 0 }
