package model

import (
	"github.com/openhandover/openhandover/ent/transfer"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
)

// TransferOutcome is how many transfers of a handover ended alike.
type TransferOutcome struct {
	siblings.Kin
	HandoverID nid.ID
	Status     transfer.Status
	Reason     *handover.Reason
	Transfers  int
}
