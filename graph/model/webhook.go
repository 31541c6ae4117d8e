package model

import (
	"time"

	"github.com/google/uuid"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/webhook"
)

// WebhookDelivery is one message to one webhook.
type WebhookDelivery struct {
	Key                nid.ID // of the row; no id of ours to clients
	State              webhook.State
	Event              string
	SubjectID          nid.ID
	Attempts           int
	Status             *int
	Problem            *webhook.Problem
	CreatedAt          time.Time
	NextAt, FinishedAt *time.Time

	siblings.Kin
}

// ID is the delivery's id. It has a form of its own, so that nobody takes it for
// one that node(id) answers.
func (d *WebhookDelivery) ID() string { return d.Key.UUID() }

// ReplayDeliveryInput says which delivery.
type ReplayDeliveryInput struct{ ID string }

// Key is the id of the row; zero, which no row has, for text that is no such id.
func (in ReplayDeliveryInput) Key() nid.ID {
	id, err := uuid.Parse(in.ID)
	if err != nil || id.String() != in.ID {
		return nid.ID{}
	}
	return nid.ID(id)
}
