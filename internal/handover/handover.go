// Package handover is what the product exists for: it plans who takes over a
// leaver's contacts and groups, has the plan approved, moves ownership and
// records it, in one transaction.
//
//	DRAFT ─submit→ AWAITING_APPROVAL ─votes→ READY ─execute→ RUNNING ─→ COMPLETED | PARTIAL | FAILED
//
// state.go has the whole state machine. A plan is stored once with its digest;
// approving and executing name that digest. Every use case locks in the order of
// semantics.md: key, actor, handover, members, items, and the audit head last.
package handover

import (
	"time"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/group"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/rule"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	// MaxAtOnce is how many transfers take effect in one transaction: up to so many
	// inside the mutation, and each chunk of a larger handover in the background.
	MaxAtOnce = 200
	// MaxTransfers is how many transfers one handover may have.
	MaxTransfers = 100_000
)

// Service is the use cases of handovers.
type Service struct {
	DB  *store.DB
	Log *audit.Log
	// Platform says whether a corp's transfers go through a platform, which takes
	// up to a day to tell their outcome. nil: the product is its own system of
	// record and every transfer takes effect at once.
	Platform func(corp nid.ID) bool
	// AtOnce is how many transfers take effect in one transaction; 0 is MaxAtOnce.
	AtOnce int
}

func (s *Service) atOnce() int {
	if s.AtOnce > 0 {
		return s.AtOnce
	}
	return MaxAtOnce
}

// Kind of a handover: of somebody who has left, or of somebody still at work.
type Kind string

// The kinds.
const (
	Resigned Kind = "RESIGNED"
	OnJob    Kind = "ON_JOB"
)

// ItemKind is what moves.
type ItemKind string

// The kinds of items.
const (
	Contact ItemKind = "CONTACT"
	Group   ItemKind = "GROUP"
)

// Status of one transfer. The names are the API's.
type Status string

// The statuses.
const (
	TransferPlanned      Status = "PLANNED"
	TransferWaiting      Status = "WAITING"
	TransferCompleted    Status = "COMPLETED"
	TransferRefused      Status = "REFUSED"
	TransferLimitReached Status = "LIMIT_REACHED"
	TransferSkipped      Status = "SKIPPED"
	TransferFailed       Status = "FAILED"
	TransferCancelled    Status = "CANCELLED"
	TransferReverted     Status = "REVERTED"
)

// Reason says why a transfer did not simply complete.
type Reason string

// The reasons that this package gives.
const (
	OwnerChanged             Reason = "OWNER_CHANGED"
	NotFollowed              Reason = "NOT_FOLLOWED"
	InProgress               Reason = "IN_PROGRESS"
	SuccessorFull            Reason = "SUCCESSOR_FULL"
	SuccessorNotActive       Reason = "SUCCESSOR_NOT_ACTIVE"
	SuccessorContactDisabled Reason = "SUCCESSOR_CONTACT_DISABLED"
	SuccessorOutOfScope      Reason = "SUCCESSOR_OUT_OF_SCOPE"
	NeedsApproval            Reason = "NEEDS_APPROVAL"
	CustomerRefused          Reason = "CUSTOMER_REFUSED"
	PlatformError            Reason = "PLATFORM_ERROR"
	CoolDown                 Reason = "COOL_DOWN"
	ChangedSince             Reason = "CHANGED_SINCE"
	NoSuccessor              Reason = "NO_SUCCESSOR"
	// LeaverStatus: the leaver is still at work, so a RESIGNED plan waits.
	LeaverStatus Reason = "LEAVER_STATUS"
	// SuccessorCannotRead: the corp's settings let no successor read a leaver's chats.
	SuccessorCannotRead Reason = "SUCCESSOR_CANNOT_READ"
	// NotPermitted: who executes may not any more, or the leaver's status no longer allows it.
	NotPermitted Reason = "NOT_PERMITTED"
	// Unexpected: carrying it out failed by a mistake of the program or of the data.
	Unexpected Reason = "UNEXPECTED"
)

// Input is a plan as somebody gives it.
type Input struct {
	Kind       Kind          `json:"kind"`
	LeaverID   nid.ID        `json:"leaverId"`
	Select     *Selection    `json:"select,omitzero"`
	Successors Choice        `json:"successors"`
	History    *HistoryScope `json:"history,omitzero"`
	Message    *string       `json:"message,omitzero"`
	Reason     *string       `json:"reason,omitzero"`
}

// Selection says which of the leaver's things move. Nil parts do not restrict; an
// empty list selects nothing.
type Selection struct {
	Kinds      []ItemKind      `json:"kinds,omitzero"`
	ContactIDs []nid.ID        `json:"contactIds,omitzero"`
	GroupIDs   []nid.ID        `json:"groupIds,omitzero"`
	Contacts   *contact.Filter `json:"contacts,omitzero"`
	Groups     *group.Filter   `json:"groups,omitzero"`
}

// Choice names the successors: one for all, each with what is theirs, some who share,
// or those whom preset rules choose.
type Choice struct {
	MemberID    *nid.ID      `json:"memberId,omitzero"`
	Assignments []Assignment `json:"assignments,omitzero"`
	Split       *Split       `json:"split,omitzero"`
	RuleSetID   *nid.ID      `json:"ruleSetId,omitzero"`
}

// Split shares the items out among some members.
type Split struct {
	Method    rule.Method `json:"method"` // EVEN, LEAST_LOADED or WEIGHTED
	MemberIDs []nid.ID    `json:"memberIds"`
	Weights   []int       `json:"weights,omitzero"`
}

// Assignment gives some contacts and groups to one successor.
type Assignment struct {
	MemberID   nid.ID   `json:"memberId"`
	ContactIDs []nid.ID `json:"contactIds,omitzero"`
	GroupIDs   []nid.ID `json:"groupIds,omitzero"`
}

// HistoryScope is what of the leaver's chat history the successors may read.
type HistoryScope struct {
	Mode      string     `json:"mode"` // NONE, ALL or WINDOW
	From      *time.Time `json:"from,omitzero"`
	Until     *time.Time `json:"until,omitzero"`
	ExpiresAt *time.Time `json:"expiresAt,omitzero"`
}
