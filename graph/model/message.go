package model

import (
	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/internal/siblings"
)

// Message is an archived message as the viewer may read it.
type Message struct {
	siblings.Kin
	*ent.Message
	// Text is the text with what the corp's settings hide.
	Text *string
	// Through is the grant by which the viewer reads it; nil: the viewer's own.
	Through *ent.HistoryGrant
}
