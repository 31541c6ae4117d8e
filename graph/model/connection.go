// Package model holds the Go side of the API's own types: scalars, connections
// and inputs that neither rows nor use cases have a type for.
package model

import (
	"context"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/internal/report"
)

// Connection is one page of a list, whatever is in it.
type Connection[T any] struct {
	Nodes    []T
	PageInfo *PageInfo
	// Place gives the cursor of a row.
	Place func(T) string
	// Count counts the whole list; it runs only when totalCount is asked for.
	Count func(context.Context) (int, error)
}

// Edges are the rows with their cursors.
func (c *Connection[T]) Edges() []*Edge[T] {
	out := make([]*Edge[T], len(c.Nodes))
	for i, n := range c.Nodes {
		out[i] = &Edge[T]{Node: n, Cursor: c.Place(n)}
	}
	return out
}

// TotalCount counts the whole list.
func (c *Connection[T]) TotalCount(ctx context.Context) (int, error) { return c.Count(ctx) }

// Edge is one row of a page with its cursor.
type Edge[T any] struct {
	Node   T
	Cursor string
}

// PageInfo is where a page stands in its list.
type PageInfo struct {
	HasNextPage, HasPreviousPage bool
	StartCursor, EndCursor       *string
}

// The connections and edges of the API.
type (
	DepartmentConnection   = Connection[*ent.Department]
	DepartmentEdge         = Edge[*ent.Department]
	MemberConnection       = Connection[*ent.Member]
	MemberEdge             = Edge[*ent.Member]
	ContactConnection      = Connection[*ent.Contact]
	ContactEdge            = Edge[*ent.Contact]
	GroupConnection        = Connection[*ent.Group]
	GroupEdge              = Edge[*ent.Group]
	HandoverConnection     = Connection[*ent.Handover]
	HandoverEdge           = Edge[*ent.Handover]
	TransferConnection     = Connection[*ent.Transfer]
	TransferEdge           = Edge[*ent.Transfer]
	RuleSetConnection      = Connection[*ent.RuleSet]
	RuleSetEdge            = Edge[*ent.RuleSet]
	RoleConnection         = Connection[*ent.Role]
	RoleEdge               = Edge[*ent.Role]
	GrantConnection        = Connection[*ent.Grant]
	GrantEdge              = Edge[*ent.Grant]
	AuditEntryConnection   = Connection[*ent.AuditEntry]
	AuditEntryEdge         = Edge[*ent.AuditEntry]
	PlanItemConnection     = Connection[*PlanItem]
	PlanItemEdge           = Edge[*PlanItem]
	WebhookConnection      = Connection[*ent.Webhook]
	WebhookEdge            = Edge[*ent.Webhook]
	MessageConnection      = Connection[*Message]
	LeakFindingConnection  = Connection[*LeakFinding]
	NoticeChangeConnection = Connection[*NoticeChange]
	LeakFindingEdge        = Edge[*LeakFinding]
	NoticeChangeEdge       = Edge[*NoticeChange]
	MessageEdge            = Edge[*Message]
	ExportConnection       = Connection[*ent.Export]
	ExportEdge             = Edge[*ent.Export]

	ServiceTokenConnection = Connection[*ent.ServiceToken]
	ServiceTokenEdge       = Edge[*ent.ServiceToken]
	HistoryGrantConnection = Connection[*ent.HistoryGrant]
	HistoryGrantEdge       = Edge[*ent.HistoryGrant]
	ReadReceiptConnection  = Connection[*ReadReceipt]
	ReadReceiptEdge        = Edge[*ReadReceipt]

	TokenReviewItemConnection = Connection[*TokenReviewItem]
	TokenReviewItemEdge       = Edge[*TokenReviewItem]

	AccessReviewConnection = Connection[*ent.AccessReview]
	AccessReviewEdge       = Edge[*ent.AccessReview]
	ReviewItemConnection   = Connection[*ent.ReviewItem]
	ReviewItemEdge         = Edge[*ent.ReviewItem]
	DataPolicyConnection   = Connection[*ent.DataPolicy]
	DataPolicyEdge         = Edge[*ent.DataPolicy]

	WebhookDeliveryConnection = Connection[*WebhookDelivery]
	WebhookDeliveryEdge       = Edge[*WebhookDelivery]

	SessionConnection = Connection[*Session]
	SessionEdge       = Edge[*Session]

	TransferItemConnection = Connection[*report.Item]
	TransferItemEdge       = Edge[*report.Item]
)
