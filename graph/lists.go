package graph

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/group"
	"github.com/openhandover/openhandover/internal/siblings"
)

// The orders of lists: only columns that an index has together with the id.
var (
	memberKeys = map[model.MemberOrderField]key[*ent.Member]{
		model.MemberOrderFieldName:      textKey("NAME", "members.name_key", func(v *ent.Member) string { return v.NameKey }),
		model.MemberOrderFieldCreatedAt: timeKey("CREATED_AT", "members.created_at", func(v *ent.Member) time.Time { return v.CreatedAt }),
		model.MemberOrderFieldUpdatedAt: timeKey("UPDATED_AT", "members.updated_at", func(v *ent.Member) time.Time { return v.UpdatedAt }),
	}
	contactKeys = map[model.ContactOrderField]key[*ent.Contact]{
		model.ContactOrderFieldName:       textKey("NAME", "contacts.name_key", func(v *ent.Contact) string { return v.NameKey }),
		model.ContactOrderFieldImportance: textKey("IMPORTANCE", "contacts.importance", func(v *ent.Contact) string { return string(v.Importance) }),
		model.ContactOrderFieldCreatedAt:  timeKey("CREATED_AT", "contacts.created_at", func(v *ent.Contact) time.Time { return v.CreatedAt }),
		model.ContactOrderFieldUpdatedAt:  timeKey("UPDATED_AT", "contacts.updated_at", func(v *ent.Contact) time.Time { return v.UpdatedAt }),
	}
	groupKeys = map[model.GroupOrderField]key[*ent.Group]{
		model.GroupOrderFieldName:      textKey("NAME", "groups.name_key", func(v *ent.Group) string { return v.NameKey }),
		model.GroupOrderFieldCreatedAt: timeKey("CREATED_AT", "groups.created_at", func(v *ent.Group) time.Time { return v.CreatedAt }),
		model.GroupOrderFieldUpdatedAt: timeKey("UPDATED_AT", "groups.updated_at", func(v *ent.Group) time.Time { return v.UpdatedAt }),
	}
	handoverKeys = map[model.HandoverOrderField]key[*ent.Handover]{
		model.HandoverOrderFieldCreatedAt: timeKey("CREATED_AT", "handovers.created_at", func(v *ent.Handover) time.Time { return v.CreatedAt }),
		model.HandoverOrderFieldUpdatedAt: timeKey("UPDATED_AT", "handovers.updated_at", func(v *ent.Handover) time.Time { return v.UpdatedAt }),
	}
	transferKeys = map[model.TransferOrderField]key[*ent.Transfer]{
		model.TransferOrderFieldCreatedAt: timeKey("CREATED_AT", "transfers.created_at", func(v *ent.Transfer) time.Time { return v.CreatedAt }),
	}
	inPlanOrder = order[*ent.Transfer]{key: numberKey("POSITION", "transfers.position", func(v *ent.Transfer) int64 { return int64(v.Position) })}
	inLogOrder  = order[*ent.AuditEntry]{key: numberKey("INDEX", `audit_entries."index"`, func(v *ent.AuditEntry) int64 { return v.Index })}
	newest      = order[*ent.Handover]{key: handoverKeys[model.HandoverOrderFieldCreatedAt], desc: true}
)

// byAge sorts by id: rows come in the order in which they were made.
func byAge[T any]() order[T] { return order[T]{key: idKey[T]()} }

// list reads a page unless something is wrong with the filter.
func list[T siblings.Row](ctx context.Context, n *narrow, t *table[T], o order[T], s span) (*model.Connection[T], error) {
	if err := n.bad.Err(); err != nil {
		return nil, err
	}
	return page(ctx, t, &n.Where, o, s)
}

func (r *Resolver) listDepartments(ctx context.Context, f *model.DepartmentFilter, s span) (*model.DepartmentConnection, error) {
	n := r.narrow()
	n.departments(f)
	return list(ctx, n, departments, byAge[*ent.Department](), s)
}

func (r *Resolver) listMembers(ctx context.Context, f *model.MemberFilter, search *string, by *model.MemberOrder, s span) (*model.MemberConnection, error) {
	n, o := r.narrow(), byAge[*ent.Member]()
	n.members(ctx, f)
	n.search("members", search)
	if by != nil {
		o = order[*ent.Member]{memberKeys[by.Field], by.Direction == model.OrderDirectionDesc}
	}
	return list(ctx, n, members, o, s)
}

func (r *Resolver) listContacts(ctx context.Context, f *contact.Filter, search *string, by *model.ContactOrder, s span) (*model.ContactConnection, error) {
	n, o := r.narrow(), byAge[*ent.Contact]()
	n.contacts(f)
	n.search("contacts", search)
	if by != nil {
		o = order[*ent.Contact]{contactKeys[by.Field], by.Direction == model.OrderDirectionDesc}
	}
	return list(ctx, n, contacts, o, s)
}

func (r *Resolver) listGroups(ctx context.Context, f *group.Filter, search *string, by *model.GroupOrder, s span) (*model.GroupConnection, error) {
	n, o := r.narrow(), byAge[*ent.Group]()
	n.groups(f)
	n.search("groups", search)
	if by != nil {
		o = order[*ent.Group]{groupKeys[by.Field], by.Direction == model.OrderDirectionDesc}
	}
	return list(ctx, n, groups, o, s)
}

func (r *Resolver) listHandovers(ctx context.Context, f *model.HandoverFilter, by *model.HandoverOrder, s span) (*model.HandoverConnection, error) {
	n, o := r.narrow(), newest
	n.handovers(ctx, f)
	if by != nil {
		o = order[*ent.Handover]{handoverKeys[by.Field], by.Direction == model.OrderDirectionDesc}
	}
	return list(ctx, n, handovers, o, s)
}

func (r *Resolver) listTransfers(ctx context.Context, f *model.TransferFilter, by *model.TransferOrder, s span) (*model.TransferConnection, error) {
	n, o := r.narrow(), byAge[*ent.Transfer]()
	n.transfers(f)
	if by != nil {
		o = order[*ent.Transfer]{transferKeys[by.Field], by.Direction == model.OrderDirectionDesc}
	}
	return list(ctx, n, transfers, o, s)
}

func (r *Resolver) listGrants(ctx context.Context, f *model.GrantFilter, s span) (*model.GrantConnection, error) {
	n := r.narrow()
	n.grants(f)
	return list(ctx, n, grants, byAge[*ent.Grant](), s)
}

func (r *Resolver) listEntries(ctx context.Context, f *model.AuditFilter, s span) (*model.AuditEntryConnection, error) {
	n := r.narrow()
	n.entries(f)
	return list(ctx, n, entries, inLogOrder, s)
}

// listOwn reads a list inside another object.
func listOwn[P, T siblings.Row](ctx context.Context, n *narrow, parent *table[P], of P, b branch, t *table[T], o order[T], s span) (*model.Connection[T], error) {
	if err := n.bad.Err(); err != nil {
		return nil, err
	}
	return nested(ctx, of, parent.id, b, t, &n.Where, o, s)
}

// followed is how contacts hang on the members who look after them.
var followed = branch{
	field:  "followed",
	from:   "contacts JOIN follows AS pf ON pf.corp_id = contacts.corp_id AND pf.contact_id = contacts.id AND pf.ended_at IS NULL",
	parent: "pf.member_id",
	of:     "EXISTS (SELECT 1 FROM follows AS pf WHERE pf.corp_id = contacts.corp_id AND pf.contact_id = contacts.id AND pf.ended_at IS NULL AND pf.member_id = ?)",
}

// edgeOf is a new handover's edge in the list of handovers, newest first.
func edgeOf(h *ent.Handover) *model.HandoverEdge { return newEdge(handovers, newest, h) }

// grantEdgeOf is a new grant's edge in the list of grants.
func grantEdgeOf(g *ent.Grant) *model.GrantEdge { return newEdge(grants, byAge[*ent.Grant](), g) }

func newEdge[T siblings.Row](t *table[T], o order[T], row T) *model.Edge[T] {
	return &model.Edge[T]{Node: row, Cursor: place{o.text(row), t.id(row)}.cursor(o.stamp(t.name))}
}
