package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/openhandover/openhandover/internal/nid"
)

// DataPolicy is one revision of a text about the handling of data, which members
// acknowledge: to acknowledge a row is to acknowledge that very text. Who did is in
// the plain table policy_acknowledgements.
type DataPolicy struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (DataPolicy) Mixin() []ent.Mixin { return []ent.Mixin{row{kind: nid.Policy}} }

// Fields are the stored columns.
func (DataPolicy) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("series_id", nid.ID{}).Immutable().Comment("The id of the first revision."),
		field.Int("revision").Immutable(),
		field.String("title").Immutable(),
		field.Text("body").Immutable(),
		field.Time("published_at").Immutable(),
		field.UUID("published_by_id", nid.ID{}).Immutable(),
		moment("ended_at"),
	}
}

// Edges are the foreign keys.
func (DataPolicy) Edges() []ent.Edge {
	return []ent.Edge{edge.To("published_by", Member.Type).Unique().Required().Immutable().Field("published_by_id")}
}

// Indexes are the ways rows are found.
func (DataPolicy) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "series_id", "revision").Unique(),
		index.Fields("corp_id", "series_id").Unique().Annotations(entsql.IndexWhere("ended_at IS NULL")),
		index.Fields("corp_id", "title").Unique().Annotations(entsql.IndexWhere("ended_at IS NULL")),
		index.Fields("corp_id", "published_by_id"),
	}
}
