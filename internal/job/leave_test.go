package job

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What does not end is waited for no longer than an operator waits.
func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		r := &Runner{Log: slog.New(slog.NewTextHandler(&log, nil)), busy: map[string]int{"stuck": 1}}
		var all sync.WaitGroup
		all.Add(1)
		start := time.Now()
		r.leave(&all)
		if took := time.Since(start); took != patience {
			t.Errorf("waited %v", took)
		}
		if !strings.Contains(log.String(), "stuck") {
			t.Errorf("logged %q", log.String())
		}
		all.Done()
		log.Reset()
		start = time.Now()
		r.leave(&all)
		if time.Since(start) != 0 || log.Len() > 0 {
			t.Errorf("waited %v for nothing, logged %q", time.Since(start), log.String())
		}
	})
}
