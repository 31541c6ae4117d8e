package graph

import (
	"context"

	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

// table is how rows of one entity are read. Every read goes through ent, whose
// rules leave out what the viewer may not see.
type table[T siblings.Row] struct {
	name  string
	kind  nid.Kind
	id    func(T) nid.ID
	rows  func(context.Context, *ent.Client, func(*sql.Selector)) ([]T, error)
	count func(context.Context, *ent.Client, func(*sql.Selector)) (int, error)
}

// query is what ent's generated queries have in common.
type query[Q, T, P any] interface {
	Where(...P) Q
	All(context.Context) ([]T, error)
	Count(context.Context) (int, error)
}

func tableOf[Q query[Q, T, P], T siblings.Row, P ~func(*sql.Selector)](name string, kind nid.Kind, id func(T) nid.ID, begin func(*ent.Client) Q) *table[T] {
	return &table[T]{
		name: name, kind: kind, id: id,
		rows: func(ctx context.Context, c *ent.Client, f func(*sql.Selector)) ([]T, error) {
			return begin(c).Where(P(f)).All(ctx)
		},
		count: func(ctx context.Context, c *ent.Client, f func(*sql.Selector)) (int, error) {
			return begin(c).Where(P(f)).Count(ctx)
		},
	}
}

// The tables of the API.
var (
	corps = tableOf("corps", nid.Corp, func(v *ent.Corp) nid.ID { return v.ID },
		func(c *ent.Client) *ent.CorpQuery { return c.Corp.Query() })
	departments = tableOf("departments", nid.Department, func(v *ent.Department) nid.ID { return v.ID },
		func(c *ent.Client) *ent.DepartmentQuery { return c.Department.Query() })
	members = tableOf("members", nid.Member, func(v *ent.Member) nid.ID { return v.ID },
		func(c *ent.Client) *ent.MemberQuery { return c.Member.Query() })
	contacts = tableOf("contacts", nid.Contact, func(v *ent.Contact) nid.ID { return v.ID },
		func(c *ent.Client) *ent.ContactQuery { return c.Contact.Query() })
	follows = tableOf("follows", nid.Follow, func(v *ent.Follow) nid.ID { return v.ID },
		func(c *ent.Client) *ent.FollowQuery { return c.Follow.Query() })
	groups = tableOf("groups", nid.Group, func(v *ent.Group) nid.ID { return v.ID },
		func(c *ent.Client) *ent.GroupQuery { return c.Group.Query() })
	periods = tableOf("ownership_periods", nid.Period, func(v *ent.OwnershipPeriod) nid.ID { return v.ID },
		func(c *ent.Client) *ent.OwnershipPeriodQuery { return c.OwnershipPeriod.Query() })
	handovers = tableOf("handovers", nid.Handover, func(v *ent.Handover) nid.ID { return v.ID },
		func(c *ent.Client) *ent.HandoverQuery { return c.Handover.Query() })
	transfers = tableOf("transfers", nid.Transfer, func(v *ent.Transfer) nid.ID { return v.ID },
		func(c *ent.Client) *ent.TransferQuery { return c.Transfer.Query() })
	approvals = tableOf("approvals", nid.Approval, func(v *ent.Approval) nid.ID { return v.ID },
		func(c *ent.Client) *ent.ApprovalQuery { return c.Approval.Query() })
	ruleSets = tableOf("rule_sets", nid.RuleSet, func(v *ent.RuleSet) nid.ID { return v.ID },
		func(c *ent.Client) *ent.RuleSetQuery { return c.RuleSet.Query() })
	roles = tableOf("roles", nid.Role, func(v *ent.Role) nid.ID { return v.ID },
		func(c *ent.Client) *ent.RoleQuery { return c.Role.Query() })
	grants = tableOf("grants", nid.Grant, func(v *ent.Grant) nid.ID { return v.ID },
		func(c *ent.Client) *ent.GrantQuery { return c.Grant.Query() })
	tokens = tableOf("service_tokens", nid.Token, func(v *ent.ServiceToken) nid.ID { return v.ID },
		func(c *ent.Client) *ent.ServiceTokenQuery { return c.ServiceToken.Query() })
	entries = tableOf("audit_entries", nid.Audit, func(v *ent.AuditEntry) nid.ID { return v.ID },
		func(c *ent.Client) *ent.AuditEntryQuery { return c.AuditEntry.Query() })
)

// load reads all rows that match, as siblings.
func (t *table[T]) load(ctx context.Context, w *store.Where, also ...func(*sql.Selector)) ([]T, error) {
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := t.rows(ctx, q.Ent(), func(s *sql.Selector) {
		w.Apply(s)
		for _, f := range also {
			f(s)
		}
	})
	if err == nil {
		err = shows(ctx, t.name, len(rows))
	}
	return siblings.Join(rows), err
}

// byID reads rows by their ids, archived ones too, as siblings.
func (t *table[T]) byID(ctx context.Context, ids ...nid.ID) (map[nid.ID]T, error) {
	wanted := make([]nid.ID, 0, len(ids))
	seen := make(map[nid.ID]bool, len(ids))
	for _, id := range ids {
		if id.Kind() == t.kind && !seen[id] {
			seen[id] = true
			wanted = append(wanted, id)
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	var w store.Where
	if err := in(ctx, &w, t.name+".id", wanted); err != nil {
		return nil, err
	}
	rows, err := t.load(ctx, &w)
	out := make(map[nid.ID]T, len(rows))
	for _, row := range rows {
		out[t.id(row)] = row
	}
	return out, err
}

// in adds the condition that a column is one of the ids.
func in(ctx context.Context, w *store.Where, column string, ids []nid.ID) error {
	q, err := store.Reader(ctx)
	if err == nil {
		w.And(column+" "+q.DB().InList(), q.DB().IDs(ids))
	}
	return err
}

// idsOf gathers the ids that rows refer to.
func idsOf[T any](rows []T, of func(T) nid.ID) []nid.ID {
	out := make([]nid.ID, 0, len(rows))
	for _, row := range rows {
		if id := of(row); !id.IsZero() {
			out = append(out, id)
		}
	}
	return out
}

type oneOf struct{ field string }

// one gives the row that a field of another row refers to, loaded for all
// siblings at once; nil where it refers to none, or none that is visible.
func one[P, T siblings.Row](ctx context.Context, row P, field string, t *table[T], id func(P) nid.ID) (T, error) {
	var none T
	if id(row).IsZero() {
		return none, nil
	}
	found, err := siblings.Load(ctx, row, oneOf{field}, func(ctx context.Context, rows []P) (map[nid.ID]T, error) {
		return t.byID(ctx, idsOf(rows, id)...)
	})
	return found[id(row)], err
}

type manyOf struct{ field string }

// many gives the rows that belong to another, loaded for all siblings at once. to
// names the row that each belongs to; no more than most are given, the first ones.
func many[P, T siblings.Row](ctx context.Context, row P, field string, id func(P) nid.ID, most int, to func(T) nid.ID, load func(ctx context.Context, parents []nid.ID) ([]T, error)) ([]T, error) {
	found, err := siblings.Load(ctx, row, manyOf{field}, func(ctx context.Context, rows []P) (map[nid.ID][]T, error) {
		all, err := load(ctx, idsOf(rows, id))
		out := make(map[nid.ID][]T, len(rows))
		for _, r := range all {
			if p := to(r); len(out[p]) < most {
				out[p] = append(out[p], r)
			}
		}
		return out, err
	})
	return found[id(row)], err
}

// corpOf is the corp of who is asking; row-level security sees to it as well.
func corpOf(ctx context.Context) nid.ID { return access.From(ctx).Corp }
