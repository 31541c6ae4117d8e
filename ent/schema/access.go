package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
)

// Role is a named set of permissions.
type Role struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Role) Mixin() []ent.Mixin { return []ent.Mixin{row{kind: nid.Role}, edited{}, archived{}} }

// Fields are the stored columns.
func (Role) Fields() []ent.Field {
	return []ent.Field{
		field.String("name"),
		field.JSON("permissions", []access.Permission{}),
		field.Bool("sensitive"),
		field.Bool("built_in"),
	}
}

// Indexes are the ways rows are found.
func (Role) Indexes() []ent.Index {
	return []ent.Index{index.Fields("corp_id", "name").Unique().Annotations(entsql.IndexWhere("archived_at IS NULL"))}
}

// Grant gives a role to a member within a department subtree. Revoking keeps the row.
type Grant struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Grant) Mixin() []ent.Mixin { return []ent.Mixin{row{kind: nid.Grant}, scoped{table: "grants"}} }

// Fields are the stored columns.
func (Grant) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("member_id", nid.ID{}),
		field.UUID("role_id", nid.ID{}),
		maybeID("department_id"),
		moment("expires_at"),
		maybeID("granted_by_id"),
		moment("last_reviewed_at"),
		moment("revoked_at"),
	}
}

// Edges are the foreign keys.
func (Grant) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("member", Member.Type).Unique().Required().Field("member_id"),
		edge.To("role", Role.Type).Unique().Required().Field("role_id"),
		edge.To("department", Department.Type).Unique().Field("department_id"),
		edge.To("granted_by", Member.Type).Unique().Field("granted_by_id"),
	}
}

// Indexes are the ways rows are found.
func (Grant) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "member_id", "id"),
		index.Fields("corp_id", "role_id", "id"),
		index.Fields("corp_id", "department_id"),
		index.Fields("corp_id", "granted_by_id"),
	}
}

// ServiceToken lets a program in, with permissions of its own and no identity proof.
type ServiceToken struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (ServiceToken) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.Token}, scoped{table: "service_tokens"}}
}

// Fields are the stored columns.
func (ServiceToken) Fields() []ent.Field {
	return []ent.Field{
		field.String("name"),
		field.JSON("permissions", []access.Permission{}),
		maybeID("department_id"),
		field.Time("expires_at"),
		moment("last_used_at"),
		moment("revoked_at"),
		field.Bytes("secret_hash").Sensitive().Comment("SHA-256 of the secret, which is shown once."),
		maybeID("created_by_id"),
	}
}

// Edges are the foreign keys.
func (ServiceToken) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("department", Department.Type).Unique().Field("department_id"),
		edge.To("created_by", Member.Type).Unique().Field("created_by_id"),
	}
}

// Indexes are the ways rows are found.
func (ServiceToken) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("secret_hash").Unique(),
		index.Fields("corp_id", "department_id"),
		index.Fields("corp_id", "created_by_id"),
	}
}

// AuditEntry is one recorded action. The leaf is the record; the other columns
// repeat parts of it so that it can be found, and verification compares them.
type AuditEntry struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (AuditEntry) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.Audit}, scoped{table: "audit_entries"}}
}

// Fields are the stored columns.
func (AuditEntry) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("index").Immutable(),
		field.Time("at").Immutable(),
		field.UUID("actor_id", nid.ID{}).Optional().Immutable(),
		field.String("actor_kind").Immutable(),
		field.String("action").Immutable(),
		field.UUID("subject_id", nid.ID{}).Optional().Immutable(),
		field.UUID("handover_id", nid.ID{}).Optional().Immutable(),
		field.String("request_id").Optional().Immutable(),
		field.Bytes("leaf").Immutable(),
		field.Bytes("hash").Immutable(),
	}
}

// Indexes are the ways rows are found.
func (AuditEntry) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "index").Unique(),
		index.Fields("corp_id", "actor_id", "index"),
		index.Fields("corp_id", "subject_id", "index"),
		index.Fields("corp_id", "handover_id", "index"),
		index.Fields("corp_id", "action", "index"),
		index.Fields("corp_id", "at", "index"),
		// How somebody's credentials changed hands: few entries, read whenever somebody votes.
		index.Fields("corp_id", "subject_id", "index").StorageKey("audit_entries_hands").
			Annotations(entsql.IndexWhere("action IN ('credential.reset', 'credential.set', 'credential.enrol', 'identity.link')")),
	}
}
