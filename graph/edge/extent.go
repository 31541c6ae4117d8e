package edge

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/openhandover/openhandover/internal/fault"
)

// written counts a document as it is written and stops at the first limit it passes.
type written struct {
	Limits
	fault                                   *fault.Error
	selections, aliases, directives, values int
}

func (w *written) refuse(f *fault.Error) {
	if w.fault == nil {
		w.fault = f
	}
}

func (w *written) operation(o *ast.OperationDefinition) {
	if len(o.VariableDefinitions) > w.Variables {
		w.refuse(shape("an operation has more than %d variables", "操作的变量超过 %d 个", w.Variables))
	}
	for _, v := range o.VariableDefinitions {
		w.value(v.DefaultValue, 1)
		w.directive(v.Directives)
	}
	w.directive(o.Directives)
	w.set(o.SelectionSet, "", map[string]int{})
}

// set counts a selection set. keys are the response keys of the whole set: inline
// fragments on one type share them, while the types of a union each have their own.
func (w *written) set(set ast.SelectionSet, on string, keys map[string]int) {
	for _, s := range set {
		if w.selections++; w.selections > w.Selections {
			w.refuse(shape("the document has more than %d selections", "文档中的选择超过 %d 个", w.Selections))
		}
		if w.fault != nil {
			return
		}
		switch n := s.(type) {
		case *ast.Field:
			w.key(keys, on+"."+n.Alias)
			if n.Alias != n.Name {
				if w.aliases++; w.aliases > w.Aliases {
					w.refuse(shape("the document has more than %d aliases", "文档中的别名超过 %d 个", w.Aliases))
				}
			}
			for _, a := range n.Arguments {
				w.value(a.Value, 1)
			}
			w.directive(n.Directives)
			w.set(n.SelectionSet, "", map[string]int{})
		case *ast.InlineFragment:
			w.directive(n.Directives)
			inner := n.TypeCondition
			if inner == "" {
				inner = on
			}
			w.set(n.SelectionSet, inner, keys)
		case *ast.FragmentSpread:
			w.key(keys, on+"..."+n.Name)
			w.directive(n.Directives)
		}
	}
}

func (w *written) key(keys map[string]int, k string) {
	if keys[k]++; keys[k] > w.SameKey {
		w.refuse(shape("a selection set has the same response key more than %d times", "同一选择集中相同的响应键超过 %d 次", w.SameKey))
	}
}

func (w *written) directive(ds ast.DirectiveList) {
	if w.directives += len(ds); w.directives > w.Directives {
		w.refuse(shape("the document has more than %d directives", "文档中的指令超过 %d 个", w.Directives))
		return
	}
	for _, d := range ds {
		if d.Name == "defer" {
			// No transport here sends an answer in parts, so part of it would be lost.
			w.refuse(shape("@defer is not served here", "此处不支持 @defer"))
		}
		for _, a := range d.Arguments {
			w.value(a.Value, 1)
		}
	}
}

func (w *written) value(v *ast.Value, depth int) {
	if v == nil || w.fault != nil {
		return
	}
	if depth > w.ValueDepth {
		w.refuse(tooDeepValue(w.ValueDepth))
		return
	}
	if w.values++; w.values > w.LiteralNodes {
		w.refuse(shape("the document has more than %d values; use variables", "文档中的字面值超过 %d 个,请使用变量", w.LiteralNodes))
		return
	}
	for _, c := range v.Children {
		w.value(c.Value, depth+1)
	}
}

// extent is the size of a selection with its fragments spread out.
type extent struct {
	depth, fields int
	width         int  // fields of the selection itself
	introspection int  // how many __schema and __type
	lists         int  // introspection lists within each other
	aliased       bool // has an alias somewhere
	refused       bool // asks introspection for what it may not
}

// plenty is past every limit and far from overflow when it is added up.
const plenty = 1 << 20

// expanded measures selections, each fragment once.
type expanded struct {
	fragments map[string]*ast.FragmentDefinition
	memo      map[string]extent
	cycle     bool
}

// set measures a selection; meta says that it is on the types of introspection.
func (x *expanded) set(set ast.SelectionSet, meta bool) (out extent) {
	for _, s := range set {
		var c extent
		switch n := s.(type) {
		case *ast.Field:
			c = x.field(n, meta)
		case *ast.InlineFragment:
			c = x.set(n.SelectionSet, meta || isMeta(n.TypeCondition))
		case *ast.FragmentSpread:
			c = x.fragment(n.Name)
		}
		out.depth = max(out.depth, c.depth)
		out.fields = min(out.fields+c.fields, plenty)
		out.width = min(out.width+c.width, plenty)
		out.introspection = min(out.introspection+c.introspection, plenty)
		out.lists = max(out.lists, c.lists)
		out.aliased = out.aliased || c.aliased
		out.refused = out.refused || c.refused
	}
	return out
}

func (x *expanded) field(n *ast.Field, meta bool) extent {
	root := n.Name == "__schema" || n.Name == "__type"
	c := x.set(n.SelectionSet, meta || root)
	c.fields++
	c.width = 1
	// ofType only unwraps lists and non-null: tools ask for nine of them in a row.
	if !meta || n.Name != "ofType" {
		c.depth++
	}
	switch n.Name {
	case "types", "fields", "inputFields", "interfaces", "possibleTypes", "enumValues":
		c.lists++
	}
	if root {
		c.introspection++
		c.refused = c.refused || c.aliased || c.lists > introspectionLists || n.Name == "__schema" && n.Alias != n.Name
		c.aliased, c.lists = false, 0
	}
	c.aliased = c.aliased || n.Alias != n.Name
	return c
}

// fragment measures a fragment once. What is not defined measures nothing: validation says so.
func (x *expanded) fragment(name string) extent {
	e, known := x.memo[name]
	f := x.fragments[name]
	if known || f == nil {
		// A fragment that is being measured stands in the memo as plenty.
		x.cycle = x.cycle || e.depth == plenty
		return e
	}
	x.memo[name] = extent{depth: plenty, fields: plenty}
	e = x.set(f.SelectionSet, isMeta(f.TypeCondition))
	x.memo[name] = e
	return e
}

// isMeta reports whether a type belongs to introspection, whose names are reserved.
func isMeta(typeName string) bool { return strings.HasPrefix(typeName, "__") }
