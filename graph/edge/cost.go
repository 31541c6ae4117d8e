package edge

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/openhandover/openhandover/internal/fault"
)

const (
	defaultPage = 25 // what a connection gives when neither first nor last is asked for
	defaultList = 10 // the length of a list nobody declared
)

// costLimit refuses an operation that could return too many nodes. The cost of a
// field is its page size times the cost of what is selected in it, and sizes of
// siblings add up. A field of costs adds what it computes to what it returns. It runs after the variables are known, since a page size in a
// variable costs what one in the document does. It is linear: a fragment costs the
// same wherever it is spread.
type costLimit struct {
	limit        int
	sizes, costs map[string]int
}

func (costLimit) ExtensionName() string { return "CostLimit" }

// Validate refuses sizes and costs of fields that the schema does not have.
func (c costLimit) Validate(s graphql.ExecutableSchema) error {
	for what, declared := range map[string]map[string]int{"size": c.sizes, "cost": c.costs} {
		for _, name := range slices.Sorted(maps.Keys(declared)) {
			typeName, field, _ := strings.Cut(name, ".")
			if def := s.Schema().Types[typeName]; def == nil || def.Fields.ForName(field) == nil {
				return fmt.Errorf("edge: the %s of %q is declared, but the schema has no such field", what, name)
			}
			if declared[name] < 1 {
				return fmt.Errorf("edge: the %s of %q must be at least 1", what, name)
			}
		}
	}
	return nil
}

// MutateOperationContext fails with LIMIT, whose details are cost, limit and field.
func (c costLimit) MutateOperationContext(_ context.Context, oc *graphql.OperationContext) *gqlerror.Error {
	t := tally{sizes: c.sizes, costs: c.costs, vars: oc.Variables, memo: map[string]weight{}}
	w := t.set(oc.Operation.SelectionSet)
	if w.nodes <= c.limit {
		return nil
	}
	cost := fmt.Sprint(w.nodes)
	if w.nodes >= plenty {
		cost = fmt.Sprintf("%d or more", plenty)
	}
	f := fault.New(fault.Limit, "", fault.Text{
		EN: fmt.Sprintf("the operation costs %s nodes, more than the %d allowed; ask for smaller pages (first, last) or less at once at %s", cost, c.limit, w.at),
		ZH: fmt.Sprintf("该操作的开销为 %d 个节点，超过允许的 %d 个；请减小 %s 的分页大小（first、last）或分次查询", w.nodes, c.limit, w.at),
	})
	return gqlerror.Wrap(f.With("cost", w.nodes).With("limit", c.limit).With("at", w.at))
}

// weight is a cost, and the path of the lists that make up most of it.
type weight struct {
	nodes int
	at    string
	most  int // the nodes at that path
}

type tally struct {
	sizes, costs map[string]int
	vars         map[string]any
	memo         map[string]weight
}

func (t *tally) set(set ast.SelectionSet) (out weight) {
	for _, s := range set {
		var w weight
		switch n := s.(type) {
		case *ast.Field:
			if t.included(n.Directives) {
				w = t.field(n)
			}
		case *ast.InlineFragment:
			if t.included(n.Directives) {
				w = t.set(n.SelectionSet)
			}
		case *ast.FragmentSpread:
			if t.included(n.Directives) {
				w = t.fragment(n)
			}
		}
		out.nodes = min(out.nodes+w.nodes, plenty)
		if w.most > out.most {
			out.at, out.most = w.at, w.most
		}
	}
	return out
}

func (t *tally) fragment(n *ast.FragmentSpread) weight {
	w, ok := t.memo[n.Name]
	if !ok {
		w = t.set(n.Definition.SelectionSet) // validation has made sure that it ends
		t.memo[n.Name] = w
	}
	return w
}

func (t *tally) field(n *ast.Field) weight {
	// A leaf is part of its node. Introspection is the guard's.
	if len(n.SelectionSet) == 0 || isMeta(n.Name) {
		return weight{}
	}
	w := t.set(n.SelectionSet)
	size, list := t.size(n)
	own := 0
	if n.ObjectDefinition != nil {
		own = t.costs[n.ObjectDefinition.Name+"."+n.Name]
	}
	if !list && w.nodes+own == 0 {
		return weight{}
	}
	if w.at == "" {
		w.at = n.Name
	} else {
		w.at = n.Name + "." + w.at
	}
	if list {
		w.nodes = min(size*max(w.nodes, 1), plenty)
		w.most = min(size*max(w.most, 1), plenty)
	}
	w.nodes = min(w.nodes+own, plenty)
	if own > w.most {
		w.at, w.most = n.Name, own
	}
	return w
}

// size is the number of nodes a field may give; list is false for a single object,
// and for the rows of a connection, which were counted with it.
func (t *tally) size(n *ast.Field) (size int, list bool) {
	switch {
	case isConnection(n.Definition.Type):
		return t.page(n), true
	case n.Definition.Type.Elem == nil:
		return 1, false
	case n.ObjectDefinition != nil && strings.HasSuffix(n.ObjectDefinition.Name, "Connection") && (n.Name == "edges" || n.Name == "nodes"):
		return 1, false
	}
	if ids, ok := t.argument(n, "ids").([]any); ok {
		return min(max(len(ids), 1), plenty), true
	}
	if n.ObjectDefinition != nil {
		if s, ok := t.sizes[n.ObjectDefinition.Name+"."+n.Name]; ok {
			return min(s, plenty), true
		}
	}
	return defaultList, true
}

func isConnection(t *ast.Type) bool {
	return t.Elem == nil && strings.HasSuffix(t.NamedType, "Connection")
}

func (t *tally) page(n *ast.Field) int {
	size := 0
	for _, name := range []string{"first", "last"} {
		if v := t.argument(n, name); v != nil {
			// What is no number fails in the field itself.
			if i, err := graphql.UnmarshalInt(v); err == nil {
				size = max(size, i, 1)
			}
		}
	}
	if size == 0 {
		return defaultPage
	}
	return min(size, plenty)
}

// argument is the value of an argument: what is given, else the variable's default,
// else the schema's; nil where there is none.
func (t *tally) argument(n *ast.Field, name string) any {
	var given *ast.Value
	if a := n.Arguments.ForName(name); a != nil {
		given = a.Value
	}
	if given == nil || t.unset(given) {
		def := n.Definition.Arguments.ForName(name)
		if def == nil {
			return nil
		}
		given = def.DefaultValue
	}
	v, err := given.Value(t.vars)
	if err != nil {
		return nil
	}
	return v
}

func (t *tally) unset(v *ast.Value) bool {
	if v.Kind != ast.Variable {
		return false
	}
	_, ok := t.vars[v.Raw] // defaults are in it already
	return !ok
}

// included evaluates @skip and @include, which have been validated.
func (t *tally) included(ds ast.DirectiveList) bool {
	for _, d := range ds {
		if d.Name != "skip" && d.Name != "include" {
			continue
		}
		a := d.Arguments.ForName("if")
		if a == nil {
			continue
		}
		if on, err := a.Value.Value(t.vars); err == nil && on == (d.Name == "skip") {
			return false
		}
	}
	return true
}
