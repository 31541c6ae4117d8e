package model

import (
	"time"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/internal/siblings"
)

// LeakFinding is a finding of the chat audit as the viewer may see it.
type LeakFinding struct {
	siblings.Kin
	*ent.LeakFinding
	// Message is the message with what the corp's settings hide outside of the marks;
	// nil where there is none (any more).
	Message *Message
}

// FoundAt is when it was stored.
func (f *LeakFinding) FoundAt() time.Time { return f.CreatedAt }
