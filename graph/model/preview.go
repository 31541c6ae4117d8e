package model

import (
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/siblings"
)

// HandoverPreview is what a plan would do.
type HandoverPreview struct {
	*handover.Preview
	// Rows are the items, Loads the successors: siblings among themselves.
	Rows  []*PlanItem
	Loads []*SuccessorLoad
	Snags []*PlanProblem
	// Marked are the contacts whose key mark was taken off.
	Marked *FormerKeyContacts
}

// FormerKeyContacts are the contacts of a plan that count as KEY and are not.
type FormerKeyContacts struct {
	Total    int
	Contacts []*FormerKeyContact
}

// FormerKeyContact is one of them.
type FormerKeyContact struct {
	siblings.Kin
	handover.FormerKey
}

// ApprovalReasons says why the plan needs approvals.
func (p *HandoverPreview) ApprovalReasons() []string { return append([]string{}, p.Need.Reasons...) }

// SuccessorLoad is what a plan means for one successor.
type SuccessorLoad struct {
	siblings.Kin
	handover.Load
}

// PlanItem is one contact or group of a plan.
type PlanItem struct {
	siblings.Kin
	handover.Item
	Position int
	Snag     *PlanProblem
}

// PlanProblem is what stands in the way of some items.
type PlanProblem struct {
	siblings.Kin
	*handover.Problem
}
