package model

import (
	"time"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
)

// ReadReceipt is that somebody read a member's messages by a grant.
type ReadReceipt struct {
	siblings.Kin
	Key                nid.ID // not served
	At                 time.Time
	ReaderID           nid.ID
	ContactID, GroupID *nid.ID
	Messages           int
}
