package directory

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/openhandover/openhandover/graph/edge/testdata/directory/model"
	"github.com/openhandover/openhandover/internal/fault"
)

// Directory resolves the schema out of nothing: every list is as long as it was asked
// to be, and "broken" fails in the way it was asked to.
type Directory struct {
	// Ticks feeds "endless"; nil never ticks.
	Ticks <-chan int
	// Seen is told which resolvers run, with the context they run in; may be nil.
	Seen func(ctx context.Context, resolver string)
}

// Schema makes the executable schema.
func (d *Directory) Schema() graphql.ExecutableSchema {
	return NewExecutableSchema(Config{Resolvers: d})
}

func (d *Directory) Query() QueryResolver               { return query{d} }
func (d *Directory) Mutation() MutationResolver         { return mutation{d} }
func (d *Directory) Subscription() SubscriptionResolver { return subscription{d} }
func (d *Directory) Member() MemberResolver             { return member{d} }
func (d *Directory) Contact() ContactResolver           { return contact{d} }
func (d *Directory) Tag() TagResolver                   { return tag{d} }
func (d *Directory) Tick() TickResolver                 { return tick{d} }

func (d *Directory) seen(ctx context.Context, resolver string) {
	if d.Seen != nil {
		d.Seen(ctx, resolver)
	}
}

// Secret is the text of an error that no client may see.
const Secret = "dial 10.0.0.7: password of handover_app refused"

func broken(ctx context.Context, how string) (*string, error) {
	switch how {
	case "fault":
		return nil, fault.Clash("input.plan.kind", "the case is closed", "案件已关闭").With("currentVersion", 7)
	case "limited":
		return nil, fault.New(fault.RateLimited, "", fault.T("too many tries", "尝试次数过多")).After(1500 * time.Millisecond)
	case "several":
		return nil, fault.List{
			fault.Bad("input.name", "the name is empty", "名称为空"),
			fault.Bad("input.kind", "the kind is unknown", "类型未知"),
			fault.Missing("input.id"),
		}
	case "many":
		var l fault.List
		for i := range 400 {
			l = append(l, fault.Missing("input.ids."+strconv.Itoa(i)))
		}
		return nil, l
	case "wrapped":
		return nil, fmt.Errorf("plan: %w", fault.Denied("you may not", "您无权操作").Because(errors.New(Secret)))
	case "internal":
		return nil, fault.New(fault.Internal, "", fault.T(Secret, Secret)).Because(errors.New("disk"))
	case "deadline":
		return nil, fmt.Errorf("query: %w", context.DeadlineExceeded)
	case "wait":
		<-ctx.Done()
		return nil, ctx.Err()
	case "foreign":
		return nil, ErrForeign
	case "panic":
		panic(Secret)
	}
	return nil, errors.New(Secret)
}

// ErrForeign is an error of another package, for Options.Translate.
var ErrForeign = errors.New("another package's error")

func page(first, last *int) (*model.ContactConnection, error) {
	n := 25
	for _, p := range []*int{first, last} {
		if p != nil {
			n = *p
		}
	}
	c := &model.ContactConnection{TotalCount: n, PageInfo: &model.PageInfo{}}
	for i := range n {
		who := &model.Contact{ID: fmt.Sprintf("con_%d", i), Name: fmt.Sprintf("contact %d", i)}
		c.Nodes = append(c.Nodes, who)
		c.Edges = append(c.Edges, &model.ContactEdge{Cursor: strconv.Itoa(i), Node: who})
	}
	return c, nil
}

type query struct{ *Directory }

func (q query) Hello(ctx context.Context, name *string) (string, error) {
	q.seen(ctx, "hello")
	return "hello, " + *name, nil
}

func (query) Member(_ context.Context, id string) (*model.Member, error) {
	return &model.Member{ID: id, Name: "Li", State: model.MemberStateActive}, nil
}

func (query) Contacts(_ context.Context, first, last *int, _ *string) (*model.ContactConnection, error) {
	return page(first, last)
}

func (query) Node(_ context.Context, id string) (model.Node, error) {
	return &model.Contact{ID: id, Name: "contact"}, nil
}

func (query) Nodes(_ context.Context, ids []string) ([]model.Node, error) {
	out := make([]model.Node, len(ids))
	for i, id := range ids {
		out[i] = &model.Contact{ID: id}
	}
	return out, nil
}

func (query) Since(_ context.Context, at time.Time) (string, error)   { return at.String(), nil }
func (query) Broken(ctx context.Context, how string) (*string, error) { return broken(ctx, how) }
func (query) Nothing(context.Context) (string, error)                 { return "", fault.Missing("") }

type mutation struct{ *Directory }

func (m mutation) Rename(ctx context.Context, in model.RenameInput) (*model.RenamePayload, error) {
	m.seen(ctx, "rename")
	return &model.RenamePayload{Member: &model.Member{ID: in.ID, State: in.Plan.Kind}}, nil
}

func (mutation) Execute(_ context.Context, id string) (*string, error) { return &id, nil }
func (mutation) Approve(_ context.Context, id string) (*string, error) { return &id, nil }

type subscription struct{ *Directory }

func (s subscription) Count(ctx context.Context, to int) (<-chan *model.Tick, error) {
	s.seen(ctx, "count")
	out := make(chan *model.Tick)
	go func() {
		defer close(out)
		for i := range to {
			select {
			case out <- &model.Tick{Number: i + 1}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

func (s subscription) Endless(ctx context.Context) (<-chan *model.Tick, error) {
	s.seen(ctx, "endless")
	out := make(chan *model.Tick)
	go func() {
		defer close(out)
		for {
			select {
			case n := <-s.Ticks:
				select {
				case out <- &model.Tick{Number: n}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				s.seen(context.WithoutCancel(ctx), "endless over")
				return
			}
		}
	}()
	return out, nil
}

func (subscription) Refused(context.Context) (<-chan *model.Tick, error) {
	return nil, fault.Denied("you may not watch this", "您无权查看")
}

type member struct{ *Directory }

func (member) Contacts(_ context.Context, _ *model.Member, first, last *int, _ *string) (*model.ContactConnection, error) {
	return page(first, last)
}

func (member) Tags(context.Context, *model.Member) ([]*model.Tag, error) {
	return []*model.Tag{{Name: "vip"}, {Name: "new"}}, nil
}

func (member) Broken(ctx context.Context, _ *model.Member, how string) (*string, error) {
	return broken(ctx, how)
}

type contact struct{ *Directory }

func (contact) Owner(context.Context, *model.Contact) (*model.Member, error) {
	return &model.Member{ID: "mem_1", State: model.MemberStateLeft}, nil
}

func (contact) Contacts(_ context.Context, _ *model.Contact, first, last *int, _ *string) (*model.ContactConnection, error) {
	return page(first, last)
}

type tag struct{ *Directory }

func (tag) Contacts(_ context.Context, _ *model.Tag, first *int) (*model.ContactConnection, error) {
	return page(first, nil)
}

type tick struct{ *Directory }

func (t tick) Label(ctx context.Context, obj *model.Tick) (string, error) {
	t.seen(ctx, "label")
	return fmt.Sprintf("tick %d", obj.Number), nil
}

func (tick) Panics(context.Context, *model.Tick) (*string, error) { panic(Secret) }
