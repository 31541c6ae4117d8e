package model

import (
	"time"

	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
)

// Session is a session in force.
type Session struct {
	ID                               nid.ID
	MemberID                         nid.ID
	Method                           identity.Method
	Secret                           []byte // hash; not served
	DeviceName, LastAddress          string
	CreatedAt, LastSeenAt, ExpiresAt time.Time

	siblings.Kin
}

// Device is on what, where it is known.
func (s *Session) Device() *string { return known(s.DeviceName) }

// Address is from where, where it is known.
func (s *Session) Address() *string { return known(s.LastAddress) }

func known(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
