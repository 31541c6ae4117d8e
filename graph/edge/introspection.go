package edge

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// introspection answers __schema and __type with null, and without an error, for
// whoever may not read the schema: tools that look first go on working.
type introspection struct{ allowed func(context.Context) bool }

func (introspection) ExtensionName() string                   { return "Introspection" }
func (introspection) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext takes the decision away from gqlgen, which would answer with an error.
func (introspection) MutateOperationContext(_ context.Context, oc *graphql.OperationContext) *gqlerror.Error {
	oc.DisableIntrospection = false
	return nil
}

func (i introspection) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	switch graphql.GetFieldContext(ctx).Field.Name {
	case "__schema", "__type":
		if i.allowed == nil || !i.allowed(ctx) {
			return nil, nil
		}
	}
	return next(ctx)
}
