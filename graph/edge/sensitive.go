package edge

import (
	"context"
	"fmt"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// standAlone makes sensitive mutation fields the only root field of their document.
// A proof of identity, a rate limit and an audit entry are for one act: nobody tries
// thirty codes in one request or hides an approval behind a harmless name.
type standAlone map[string]bool

func newStandAlone(fields []string) standAlone {
	s := standAlone{}
	for _, f := range fields {
		s[f] = true
	}
	return s
}

func (standAlone) ExtensionName() string { return "StandAlone" }

// Validate refuses fields that the schema does not have.
func (s standAlone) Validate(es graphql.ExecutableSchema) error {
	for f := range s {
		if m := es.Schema().Mutation; m == nil || m.Fields.ForName(f) == nil {
			return fmt.Errorf("edge: mutation field %q must stand alone, but the schema has no such field", f)
		}
	}
	return nil
}

// MutateOperationContext fails with GRAPHQL_VALIDATION_FAILED.
func (s standAlone) MutateOperationContext(_ context.Context, oc *graphql.OperationContext) *gqlerror.Error {
	var roots []string
	sensitive := ""
	for _, o := range oc.Doc.Operations {
		for _, name := range rootFields(o.SelectionSet, nil, map[string]bool{}) {
			roots = append(roots, name)
			if o.Operation == ast.Mutation && s[name] {
				sensitive = name
			}
		}
	}
	if sensitive == "" || len(roots) == 1 && len(oc.Doc.Operations) == 1 {
		return nil
	}
	return gqlerror.Wrap(shape("%s must be the only root field of its document", "%s 必须是文档中唯一的根字段", sensitive))
}

// rootFields lists the fields of a root selection. A fragment that is spread again
// adds nothing: its fields merge with those it gave before.
func rootFields(set ast.SelectionSet, out []string, seen map[string]bool) []string {
	for _, s := range set {
		switch n := s.(type) {
		case *ast.Field:
			out = append(out, n.Name)
		case *ast.InlineFragment:
			out = rootFields(n.SelectionSet, out, seen)
		case *ast.FragmentSpread:
			if !seen[n.Name] {
				seen[n.Name] = true
				out = rootFields(n.Definition.SelectionSet, out, seen)
			}
		}
	}
	return out
}
