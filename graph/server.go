package graph

import (
	"context"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/openhandover/openhandover/graph/edge"
	"github.com/openhandover/openhandover/graph/generated"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/store"
)

// Options are what an installation sets about the API.
type Options struct {
	// Introspection says who may read the schema; nil: whoever is signed in.
	Introspection func(context.Context) bool
	// Documents finds trusted documents by their SHA-256; nil: there are none.
	Documents func(ctx context.Context, sha256 string) (text string, found bool)
	// TrustedOnly refuses all other documents.
	TrustedOnly bool
	// Stop ends all streams when it is closed.
	Stop <-chan struct{}
}

// compared are the mutations that compare a secret although access.Operations asks for no
// proof before them, and deactivateMember, which ends what a person has.
var compared = []string{
	"signIn", "verifyIdentity", "signInWithPasskey", "changePassword", "enrolTotp", "confirmTotp", "addPasskey", "deactivateMember",
}

// standAlone are the mutations that a document may hold only by themselves: those that
// need a fresh proof of identity, which covers one act that its author can see, and those
// that compare a secret.
var standAlone = func() []string {
	out := slices.Clone(compared)
	for name, rule := range access.Operations {
		if field, ok := strings.CutPrefix(name, "Mutation."); ok && rule.StepUp && !slices.Contains(out, field) {
			out = append(out, field)
		}
	}
	slices.Sort(out)
	return out
}()

// Handler serves the API.
func Handler(r *Resolver, o Options) *edge.Handler {
	if o.Introspection == nil {
		o.Introspection = func(ctx context.Context) bool { return access.From(ctx).SignedIn() }
	}
	return edge.New(generated.NewExecutableSchema(generated.Config{Resolvers: r}), edge.Options{
		Sizes: sizes, Costs: costs, StandAlone: standAlone, Introspection: o.Introspection, Documents: o.Documents, TrustedOnly: o.TrustedOnly,
		Read: r.DB.Reading, Stop: o.Stop, Translate: translate,
		StillAllowed: r.still,
		Extensions:   []graphql.HandlerExtension{authorizer{r}, payloads{r}, noticeReads{r}},
	})
}

// translate turns what reading rows failed with into faults.
func translate(ctx context.Context, err error) error { return store.Explain(ctx, err) }

// payloads gives each mutation of a document a snapshot of its own to read its
// payload in: opened after the use case has committed, closed before the next runs.
type payloads struct{ r *Resolver }

func (payloads) ExtensionName() string                   { return "payloads" }
func (payloads) Validate(graphql.ExecutableSchema) error { return nil }

// InterceptRootField is graphql.RootFieldInterceptor.
func (p payloads) InterceptRootField(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	if graphql.GetOperationContext(ctx).Operation.Operation != ast.Mutation {
		return next(ctx)
	}
	// Signing in and proving an identity change who acts: the payload is read as that actor.
	actor := *access.From(ctx)
	ctx, done := p.r.DB.Reading(access.With(ctx, &actor))
	defer done()
	return next(ctx)
}

// become makes the rest of a root field act as somebody else. Only what signs in or
// proves an identity does, with the copy that payloads has made for its field.
func become(ctx context.Context, a *access.Actor) { *access.From(ctx) = *a }
