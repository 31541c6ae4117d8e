package edge

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/lexer"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/openhandover/openhandover/internal/fault"
)

// Limits bound what one request may ask for. Every limit is the largest value
// that is still allowed.
type Limits struct {
	BodyBytes  int64 // of a POST
	QueryBytes int
	Tokens     int
	Operations int
	Fragments  int
	// Selections are counted as written, Expanded with every fragment spread out.
	Selections, Expanded int
	Depth                int // of fields; a type's wrappers in introspection do not count
	Aliases              int
	Directives           int
	RootFields           int
	// SameKey is how often one response key may stand in a selection set: merging
	// and comparing fields of one key is quadratic.
	SameKey   int
	Variables int
	// ValueDepth bounds both literals and variables.
	ValueDepth                  int
	LiteralNodes, VariableNodes int
	Cost                        int // nodes, by page sizes; see costLimit
	// Open streams at one time in this process.
	StreamsPerSession, StreamsPerCorp int
}

// Defaults are our limits (safety.md, 1).
var Defaults = Limits{
	BodyBytes: 1 << 20, QueryBytes: 64 << 10, Tokens: 4000, Operations: 5, Fragments: 50,
	Selections: 500, Expanded: 1000, Depth: 12, Aliases: 30, Directives: 20, RootFields: 20, SameKey: 3,
	Variables: 50, ValueDepth: 12, LiteralNodes: 2000, VariableNodes: 12_000, Cost: 5000,
	StreamsPerSession: 5, StreamsPerCorp: 100,
}

// What introspection may ask for, however deep: a schema is one answer of known
// size, but each of these multiplies it.
const (
	introspectionFields = 5 // __schema and __type, together
	introspectionLists  = 2 // lists of types, fields or values within each other
)

// guard refuses a document that is too large, before anything works on it that
// costs more than its length. Its own work is linear: a fragment is measured once.
type guard struct {
	Limits
	known *documentCache
}

func (guard) ExtensionName() string                   { return "Guard" }
func (guard) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters fails with GRAPHQL_VALIDATION_FAILED.
func (g guard) MutateOperationParameters(ctx context.Context, p *graphql.RawParams) *gqlerror.Error {
	if f := g.check(ctx, p); f != nil {
		return gqlerror.Wrap(f)
	}
	return nil
}

func (g guard) check(ctx context.Context, p *graphql.RawParams) *fault.Error {
	if len(p.Query) > g.QueryBytes {
		return shape("the document has more than %d bytes", "文档超过 %d 字节", g.QueryBytes)
	}
	nodes := 0
	for _, v := range p.Variables {
		if f := g.variable(v, 1, &nodes); f != nil {
			return f
		}
	}
	if _, ok := g.known.Get(ctx, p.Query); ok {
		return nil // it has been through here
	}
	if moreTokens(p.Query, g.Tokens) {
		return shape("the document has more than %d tokens", "文档超过 %d 个词法单元", g.Tokens)
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: p.Query}, g.Tokens)
	if err != nil {
		return nil //nolint:nilerr // the executor parses again and says what is wrong
	}
	return g.document(doc)
}

// variable counts the nodes of one variable's value.
func (g guard) variable(v any, depth int, nodes *int) *fault.Error {
	if *nodes++; *nodes > g.VariableNodes {
		return shape("the variables have more than %d values", "变量中的值超过 %d 个", g.VariableNodes)
	}
	if depth > g.ValueDepth {
		return tooDeepValue(g.ValueDepth)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, c := range v {
			if f := g.variable(c, depth+1, nodes); f != nil {
				return f
			}
		}
	case []any:
		for _, c := range v {
			if f := g.variable(c, depth+1, nodes); f != nil {
				return f
			}
		}
	}
	return nil
}

func (g guard) document(doc *ast.QueryDocument) *fault.Error {
	if len(doc.Operations) > g.Operations {
		return shape("the document has more than %d operations", "文档中的操作超过 %d 个", g.Operations)
	}
	if len(doc.Fragments) > g.Fragments {
		return shape("the document has more than %d fragments", "文档中的片段超过 %d 个", g.Fragments)
	}
	w := written{Limits: g.Limits}
	for _, f := range doc.Fragments {
		w.directive(f.Directives)
		w.set(f.SelectionSet, f.TypeCondition, map[string]int{})
	}
	for _, o := range doc.Operations {
		w.operation(o)
	}
	if w.fault != nil {
		return w.fault
	}
	x := expanded{memo: map[string]extent{}, fragments: map[string]*ast.FragmentDefinition{}}
	for _, f := range doc.Fragments {
		// The executor takes the first of a name, so measure that one.
		if x.fragments[f.Name] == nil {
			x.fragments[f.Name] = f
		}
	}
	for _, f := range doc.Fragments {
		x.fragment(f.Name)
	}
	if x.cycle {
		return shape("a fragment spreads itself", "片段不能引用自身")
	}
	for _, o := range doc.Operations {
		if f := g.extent(x.set(o.SelectionSet, false)); f != nil {
			return f
		}
	}
	return nil
}

func (g guard) extent(e extent) *fault.Error {
	switch {
	case e.depth > g.Depth:
		return shape("the selection is more than %d fields deep", "选择集嵌套超过 %d 层", g.Depth)
	case e.width > g.RootFields:
		return shape("an operation has more than %d root fields", "操作的根字段超过 %d 个", g.RootFields)
	case e.fields > g.Expanded:
		return shape("the selection has more than %d fields with its fragments", "展开片段后的字段超过 %d 个", g.Expanded)
	case e.introspection > introspectionFields:
		return shape("introspection is asked for more than %d times", "内省查询超过 %d 次", introspectionFields)
	case e.refused:
		return shape("introspection takes no aliases and at most %d lists within each other", "内省查询不能使用别名,且列表嵌套不得超过 %d 层", introspectionLists)
	}
	return nil
}

// moreTokens reports whether the text has more tokens than allowed. It stops at what
// is no token: the parser says so better.
func moreTokens(text string, limit int) bool {
	l := lexer.New(&ast.Source{Input: text})
	for n := 0; n <= limit; n++ {
		if t, err := l.ReadToken(); err != nil || t.Kind == lexer.EOF {
			return false
		}
	}
	return true
}

func shape(en, zh string, args ...any) *fault.Error {
	return fault.New(ValidationFailed, "", fault.T(en, zh, args...))
}

func tooDeepValue(limit int) *fault.Error {
	return shape("a value is more than %d levels deep", "取值嵌套超过 %d 层", limit)
}
