package model

import (
	"encoding/json"

	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
)

// PendingChange is a change that waits for a second person, or for its time.
type PendingChange struct {
	siblings.Kin
	identity.Pending
}

// SubjectID is what changes.
func (p *PendingChange) SubjectID() nid.ID { return p.Subject }

// Asked is what was asked for.
func (p *PendingChange) Asked() (asked json.RawMessage, err error) {
	return asked, p.Pending.Asked(&asked)
}
