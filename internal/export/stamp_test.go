package export_test

import (
	"fmt"
	"time"
)

// stamp reads a time column of either engine.
type stamp struct{ time.Time }

// Scan is sql.Scanner.
func (s *stamp) Scan(v any) error {
	t, is := v.(time.Time)
	if !is {
		return fmt.Errorf("%T is no time", v)
	}
	s.Time = t.UTC()
	return nil
}
