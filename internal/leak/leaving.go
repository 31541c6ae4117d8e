package leak

import (
	"context"
	"time"
)

// leaving looks at what members who are leaving export and read, once a day.
func (s *Service) leaving(ctx context.Context) (next time.Time, err error) {
	return s.DB.Now().Add(24 * time.Hour), nil
}
