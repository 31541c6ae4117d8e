package graph

import (
	"context"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

// reread gives the entity that a use case has changed, as it was committed: a
// payload shows what everybody else sees from now on. pick queries the one row.
func reread[T siblings.Row](ctx context.Context, pick func(*ent.Client) (T, error)) (T, error) {
	var none T
	q, err := store.Reader(ctx)
	if err != nil {
		return none, err
	}
	v, err := pick(q.Ent())
	if err != nil {
		if ent.IsNotFound(err) {
			// It was changed and lies outside what the actor may read.
			return none, fault.Missing("")
		}
		return none, err
	}
	siblings.Join([]T{v})
	switch any(v).(type) {
	case *ent.Contact, *ent.Follow:
		err = shows(ctx, contacts.name, 1)
	case *ent.Group:
		err = shows(ctx, groups.name, 1)
	}
	return v, err
}

func handoverOf(ctx context.Context, id nid.ID) (*ent.Handover, error) {
	return reread(ctx, func(c *ent.Client) (*ent.Handover, error) { return c.Handover.Get(ctx, id) })
}

func approvalOf(ctx context.Context, id nid.ID) (*ent.Approval, error) {
	return reread(ctx, func(c *ent.Client) (*ent.Approval, error) { return c.Approval.Get(ctx, id) })
}

func memberOf(ctx context.Context, id nid.ID) (*ent.Member, error) {
	return reread(ctx, func(c *ent.Client) (*ent.Member, error) { return c.Member.Get(ctx, id) })
}

func contactOf(ctx context.Context, id nid.ID) (*ent.Contact, error) {
	return reread(ctx, func(c *ent.Client) (*ent.Contact, error) { return c.Contact.Get(ctx, id) })
}

func followOf(ctx context.Context, id nid.ID) (*ent.Follow, error) {
	return reread(ctx, func(c *ent.Client) (*ent.Follow, error) { return c.Follow.Get(ctx, id) })
}

func groupOf(ctx context.Context, id nid.ID) (*ent.Group, error) {
	return reread(ctx, func(c *ent.Client) (*ent.Group, error) { return c.Group.Get(ctx, id) })
}

func ruleSetOf(ctx context.Context, id nid.ID) (*ent.RuleSet, error) {
	return reread(ctx, func(c *ent.Client) (*ent.RuleSet, error) { return c.RuleSet.Get(ctx, id) })
}

func tokenOf(ctx context.Context, id nid.ID) (*ent.ServiceToken, error) {
	return reread(ctx, func(c *ent.Client) (*ent.ServiceToken, error) { return c.ServiceToken.Get(ctx, id) })
}

// text is a pointer's value, for inputs that use cases take as plain values.
func text[T ~string](v *T) *string {
	if v == nil {
		return nil
	}
	s := string(*v)
	return &s
}

// handoverPayload re-reads a handover and its edge.
func handoverPayload(ctx context.Context, id nid.ID, failed error) (*ent.Handover, *model.HandoverEdge, error) {
	if failed != nil {
		return nil, nil, failed
	}
	h, err := handoverOf(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	return h, edgeOf(h), nil
}

// orZero is an optional argument's value.
func orZero[T any](v *T) T {
	if v == nil {
		var none T
		return none
	}
	return *v
}
