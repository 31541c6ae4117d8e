package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/openhandover/openhandover/internal/nid"
)

// Webhook is an address that is told what happens. What was sent to it is in the
// plain table webhook_deliveries.
type Webhook struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Webhook) Mixin() []ent.Mixin { return []ent.Mixin{row{kind: nid.Webhook}, edited{}, archived{}} }

// Fields are the stored columns.
func (Webhook) Fields() []ent.Field {
	return []ent.Field{
		field.String("name"),
		field.String("url"),
		field.JSON("events", []string{}).Comment("Which events it is told; empty: all."),
		field.Bool("active").Default(true),
		field.Bytes("secret").Sensitive().Comment("What its requests are signed with, sealed with the secret key."),
	}
}

// Indexes are the ways rows are found.
func (Webhook) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "name").Unique().Annotations(entsql.IndexWhere("archived_at IS NULL")),
		index.Fields("corp_id", "created_at", "id"),
	}
}
