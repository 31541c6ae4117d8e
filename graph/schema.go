package graph

import (
	"strings"

	"github.com/vektah/gqlparser/v2/formatter"

	"github.com/openhandover/openhandover/graph/generated"
)

// SDL is the served schema with its descriptions, types in the order of their
// names: what docs/schema.graphql holds.
func SDL() string {
	var b strings.Builder
	formatter.NewFormatter(&b, formatter.WithIndent("  ")).FormatSchema(generated.NewExecutableSchema(generated.Config{}).Schema())
	return b.String()
}
