package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/openhandover/openhandover/internal/nid"
)

// LeakFinding is a sign that a member moves customers to a private account: one for
// each message and kind, or for each day of exports. The message may be gone by now.
type LeakFinding struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (LeakFinding) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.LeakFinding}, edited{}, scoped{table: "leak_findings"}}
}

// Fields are the stored columns.
func (LeakFinding) Fields() []ent.Field {
	return []ent.Field{
		field.Enum("kind").Values("PERSONAL_ACCOUNT", "CONTACT_CARD", "PHONE_NUMBER", "QR_CODE", "OUTSIDE_LINK", "EXPORT_BEFORE_LEAVING", "READING_BEFORE_LEAVING"),
		field.UUID("member_id", nid.ID{}).Immutable(),
		maybeID("contact_id"),
		maybeID("message_id"),
		field.Time("at").Comment("When the message was sent, or the day of the exports began."),
		field.Float("score"),
		field.String("why_en"),
		field.String("why_zh"),
		field.JSON("marks", []map[string]any{}).Comment("Bytes [start, end) of TEXT or ATTACHMENT."),
		field.Enum("verdict").Values("CONFIRMED", "HARMLESS").Optional().Nillable(),
		field.String("note").Optional().Nillable(),
		maybeID("reviewed_by_id"),
		moment("reviewed_at"),
	}
}

// Edges are the foreign keys. The message is none: it goes when its time is over.
func (LeakFinding) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("member", Member.Type).Unique().Required().Immutable().Field("member_id"),
		edge.To("contact", Contact.Type).Unique().Field("contact_id"),
		edge.To("reviewed_by", Member.Type).Unique().Field("reviewed_by_id"),
	}
}

// Annotations are the table's checks.
func (LeakFinding) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Checks: map[string]string{
		"leak_findings_reviewed": "(verdict IS NULL) = (reviewed_at IS NULL)",
	}}}
}

// Indexes are the ways rows are found.
func (LeakFinding) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "message_id", "kind").Unique().Annotations(entsql.IndexWhere("message_id IS NOT NULL")),
		index.Fields("corp_id", "member_id", "at", "kind").Unique().Annotations(entsql.IndexWhere("message_id IS NULL")),
		index.Fields("corp_id", "at", "id"),
		index.Fields("corp_id", "member_id", "at", "id"),
		index.Fields("corp_id", "contact_id"),
		index.Fields("corp_id", "reviewed_by_id"),
	}
}
