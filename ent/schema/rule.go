package schema

import (
	"encoding/json"

	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/openhandover/openhandover/internal/nid"
)

// RuleSet is preset rules that choose the successor of each contact and group.
type RuleSet struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (RuleSet) Mixin() []ent.Mixin { return []ent.Mixin{row{kind: nid.RuleSet}, edited{}} }

// Fields are the stored columns.
func (RuleSet) Fields() []ent.Field {
	return []ent.Field{
		field.String("name"),
		field.JSON("rules", json.RawMessage{}).SchemaType(map[string]string{dialect.Postgres: "json"}).Comment("In the order in which they are tried."),
		maybeID("fallback_id"),
		field.Bool("automatic").Default(false).Comment("Plans by itself when a member departs."),
		maybeID("department_id"),
		field.JSON("history", json.RawMessage{}).Optional().SchemaType(map[string]string{dialect.Postgres: "json"}).Comment("What of a leaver's chats the successors may read, in days; absent: nothing."),
	}
}

// Edges are the foreign keys.
func (RuleSet) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("fallback", Member.Type).Unique().Field("fallback_id"),
		edge.To("department", Department.Type).Unique().Field("department_id"),
	}
}

// Indexes are the ways rows are found.
func (RuleSet) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "name").Unique(),
		index.Fields("corp_id", "fallback_id"),
		index.Fields("corp_id", "department_id"),
		index.Fields("corp_id", "created_at", "id"),
	}
}
