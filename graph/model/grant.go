package model

import (
	"github.com/openhandover/openhandover/internal/grant"
	"github.com/openhandover/openhandover/internal/siblings"
)

// PendingGrant is a grant that waits for a second administrator.
type PendingGrant struct {
	siblings.Kin
	grant.Pending
}
