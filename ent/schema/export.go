package schema

import (
	"encoding/json"

	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/openhandover/openhandover/internal/nid"
)

// Export is a file that somebody asked for. The file itself is in the data folder.
type Export struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Export) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.Export}, scoped{table: "exports"}}
}

// Fields are the stored columns.
func (Export) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("requested_by_id", nid.ID{}).Immutable(),
		field.Int("epoch").Immutable().Comment("The requester's when they asked: whose access has ended since has no export any more."),
		field.Enum("subject").Values("CONTACTS", "GROUPS", "TRANSFERS", "AUDIT_LOG", "EVIDENCE").Immutable(),
		field.Enum("format").Values("CSV", "XLSX", "JSONL").Optional().Nillable().Immutable().Comment("None for a package of evidence."),
		field.Enum("state").Values("QUEUED", "RUNNING", "READY", "FAILED", "EXPIRED").Default("QUEUED"),
		maybeID("handover_id"),
		field.JSON("filter", json.RawMessage{}).Optional().Immutable().Comment("Of the contacts, as it was asked for."),
		field.String("language").Immutable(),
		field.JSON("scopes", json.RawMessage{}).Optional().Comment("What the requester's permissions reached when the file was made."),
		field.Int("rows").Optional().Nillable(),
		field.Int("total").Optional().Nillable(),
		field.Int64("size").Optional().Nillable().Comment("Bytes of the file."),
		field.Enum("problem").Values("NOT_PERMITTED", "CANCELLED", "TOO_LARGE", "NO_SPACE", "NOT_SEALED", "UNEXPECTED").Optional().Nillable(),
		moment("started_at"),
		moment("finished_at"),
		moment("expires_at"),
		field.Int("run_token").Default(0).Comment("Raised by whoever takes the work; it names the file too."),
		moment("lease_until"),
	}
}

// Edges are the foreign keys.
func (Export) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("requested_by", Member.Type).Unique().Required().Immutable().Field("requested_by_id"),
		edge.To("handover", Handover.Type).Unique().Field("handover_id"),
	}
}

// Indexes are the ways rows are found.
func (Export) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "requested_by_id", "created_at"),
		index.Fields("corp_id", "state", "expires_at"),
		index.Fields("corp_id", "handover_id"),
	}
}
