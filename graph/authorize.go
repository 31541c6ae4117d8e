package graph

import (
	"context"
	"fmt"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
)

// sizes are the lengths of lists that are not connections, for the cost of an
// operation (semantics.md "Visibility"). What is short by nature, like tags, is
// declared by what can be expected.
var sizes = map[string]int{
	"Contact.follows": 5, "Contact.ownership": 20, "Contact.followersAt": 5, "Group.ownership": 20,
	"Member.departments": 3, "Member.grants": 5, "Viewer.scopeOf": 10,
	"Handover.approvals": 5, "Handover.outcomes": 5, "HandoverPreview.successors": 20, "HandoverPreview.problems": 20,
	"Query.pendingGrants": 20, "Query.pendingChanges": 20, "SaveSettingsPayload.pending": 5, "ApprovalPolicy.earlier": 3, "FormerKeyContacts.contacts": 20,
	"TransferStatistics.rows": 500, // a row counts one twentieth
}

// costs are what fields compute beside what they return, in nodes: a statistic reads
// a corp's rollups, a preview plans up to 100,000 items. They run in a small room of
// their own.
var costs = map[string]int{
	"Query.transferStatistics": 500, "Query.transferItems": 250, "Query.previewHandover": 1000,
	"Mutation.createHandover": 1000, "Mutation.replanHandover": 1000,
}

// The most entries that lists which are not connections give.
const (
	maxFollows     = 100
	maxOwnership   = 200
	maxGrants      = 100
	maxDepartments = 50
	maxApprovals   = 100
	maxOutcomes    = 100
	maxProblems    = 100
	maxNodes       = 100
)

// authorizer asks access.Operations before a root field is resolved: nobody who is
// not signed in gets further, and no query or subscription does that its viewer has
// no permission for anywhere. Mutations check permissions themselves, inside their
// transaction, and record whom they refuse; refused queries and subscriptions are
// recorded here, before anything is read: nobody holds two connections.
type authorizer struct{ r *Resolver }

func (authorizer) ExtensionName() string { return "authorizer" }

// Validate refuses a schema with a root field that has no rule.
func (authorizer) Validate(s graphql.ExecutableSchema) error {
	for _, root := range []string{"Query", "Mutation", "Subscription"} {
		for _, f := range s.Schema().Types[root].Fields {
			if _, ok := access.Operations[root+"."+f.Name]; !ok && !strings.HasPrefix(f.Name, "__") {
				return fmt.Errorf("graph: %s.%s has no rule in access.Operations", root, f.Name)
			}
		}
	}
	return nil
}

// InterceptOperation is graphql.OperationInterceptor.
func (a authorizer) InterceptOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	o, actor := graphql.GetOperationContext(ctx), access.From(ctx)
	root := map[ast.Operation]string{ast.Query: "Query", ast.Subscription: "Subscription"}[o.Operation.Operation]
	if root == "" || !actor.SignedIn() {
		return next(withAsked(ctx))
	}
	for _, f := range graphql.CollectFields(o, o.Operation.SelectionSet, []string{root}) {
		operation := root + "." + f.Name
		if rule, ok := access.Operations[operation]; !ok || rule.Open || rule.Allows(actor) {
			continue
		}
		if err := a.r.Use.Handover.Log.Deny(ctx, a.r.DB, access.Action(operation)); err != nil {
			graphql.AddError(ctx, err)
			return graphql.OneShot(&graphql.Response{Errors: graphql.GetErrors(ctx)})
		}
	}
	return next(withAsked(ctx))
}

// InterceptField is graphql.FieldInterceptor.
func (authorizer) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	f := graphql.GetFieldContext(ctx)
	if f.Object != "Query" && f.Object != "Mutation" && f.Object != "Subscription" || strings.HasPrefix(f.Field.Name, "__") {
		return next(ctx)
	}
	rule, actor := access.Operations[f.Object+"."+f.Field.Name], access.From(ctx)
	switch {
	case rule.Open:
	case !actor.SignedIn():
		return nil, identity.SignInFirst()
	case f.Object != "Mutation" && !rule.Allows(actor):
		return nil, fault.Denied("you have no permission for this", "您没有执行此操作的权限")
	}
	return next(ctx)
}
