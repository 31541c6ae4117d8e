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
