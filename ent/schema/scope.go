package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/mixin"

	"github.com/openhandover/openhandover/ent/rule"
)

// scoped is what entities have that not everybody in the corp may see. It names
// the table, by which rule.Visible knows who may.
type scoped struct {
	mixin.Schema
	table string
}

// Interceptors keep every query to what the actor may see.
func (s scoped) Interceptors() []ent.Interceptor { return []ent.Interceptor{rule.Scoped(s.table)} }
