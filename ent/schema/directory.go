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

// Corp is one enterprise, the tenant. Its corp_id is its own id.
type Corp struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Corp) Mixin() []ent.Mixin { return []ent.Mixin{row{kind: nid.Corp}, edited{}} }

// Fields are the stored columns.
func (Corp) Fields() []ent.Field {
	return []ent.Field{
		field.String("name").MaxLen(128),
		field.String("time_zone").Default("Asia/Shanghai"),
		maybeID("fallback_id"),
	}
}

// Indexes are the ways rows are found.
func (Corp) Indexes() []ent.Index { return []ent.Index{index.Fields("name").Unique()} }

// Department is a node of the corp's tree. The subtree is kept in department_closure.
type Department struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Department) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.Department}, edited{}, archived{}}
}

// Fields are the stored columns.
func (Department) Fields() []ent.Field {
	return []ent.Field{
		field.String("external_id").Optional().Nillable(),
		field.String("name"),
		maybeID("parent_id"),
		maybeID("manager_id"),
	}
}

// Edges are the foreign keys.
func (Department) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("children", Department.Type).From("parent").Unique().Field("parent_id"),
		edge.To("manager", Member.Type).Unique().Field("manager_id"),
	}
}

// Indexes are the ways rows are found.
func (Department) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "external_id").Unique().Annotations(entsql.IndexWhere("archived_at IS NULL")),
		index.Fields("corp_id", "parent_id"),
		index.Fields("corp_id", "manager_id"),
	}
}

// Member is an employee.
type Member struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Member) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.Member}, edited{}, archived{}}
}

// Fields are the stored columns.
func (Member) Fields() []ent.Field {
	return []ent.Field{
		field.String("user_id"),
		field.String("name"),
		field.String("name_key").Comment("The name as searched and sorted: NFC, lower case."),
		field.Enum("status").Values("ACTIVE", "LEAVING", "DISABLED", "DEPARTED", "INACTIVE"),
		field.Bool("answers").Comment("Whether the member can be accountable for contacts and groups: true exactly while ACTIVE or LEAVING. Contacts and groups refer to (corp, id, true)."),
		field.Bool("customer_contact_enabled").Default(true),
		field.Int("contact_limit").Default(5000),
		field.String("last_day").Optional().Nillable().Comment("YYYY-MM-DD in the corp's time zone."),
		moment("departed_at"),
		moment("departure_held_at"),
		maybeID("departure_by_id"),
		field.Bool("suspended").Default(false).Comment("Whether a departure that is held back has taken the member's access until somebody decides: no sign-in, session or token."),
		maybeID("caretaker_id"),
		moment("last_login_at"),
		field.Int("epoch").Default(1).Comment("Raised when the member is deactivated: sessions of an older epoch are void."),
	}
}

// Edges are the foreign keys.
func (Member) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("charges", Member.Type).From("caretaker").Unique().Field("caretaker_id"),
		edge.To("departures", Member.Type).From("departure_by").Unique().Field("departure_by_id"),
	}
}

// Annotations are the table's checks.
func (Member) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Checks: map[string]string{
		"members_answers":   "answers = (status IN ('ACTIVE', 'LEAVING'))",
		"members_suspended": "NOT suspended OR departure_held_at IS NOT NULL",
	}}}
}

// Indexes are the ways rows are found.
func (Member) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "user_id").Unique().Annotations(entsql.IndexWhere("archived_at IS NULL")),
		index.Fields("corp_id", "id", "answers").Unique(),
		index.Fields("corp_id", "name_key", "id"),
		index.Fields("corp_id", "status", "id"),
		index.Fields("corp_id", "created_at", "id"),
		index.Fields("corp_id", "updated_at", "id"),
		index.Fields("corp_id", "caretaker_id"),
		index.Fields("corp_id", "departure_by_id"),
	}
}

// Contact is a customer: the corp's, never a member's.
type Contact struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Contact) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.Contact}, scoped{table: "contacts"}, edited{}, archived{}}
}

// Fields are the stored columns.
func (Contact) Fields() []ent.Field {
	return []ent.Field{
		field.String("external_user_id").Optional().Nillable(),
		field.String("name"),
		field.String("name_key").Comment("The name as searched and sorted: NFC, lower case."),
		field.Enum("type").Values("WECHAT", "WECOM", "OTHER").Default("WECHAT"),
		field.String("company").Optional().Nillable(),
		field.Enum("importance").Values("NORMAL", "KEY").Default("NORMAL"),
		field.Time("key_until").Optional().Nillable().Comment("When it last stopped being KEY: it counts as KEY for approval for a while after."),
		maybeID("key_changed_by_id"),
		field.Enum("chat_consent").Values("UNKNOWN", "AGREED", "REFUSED").Default("UNKNOWN").Comment("Whether the contact agreed to having chats archived."),
		field.UUID("accountable_id", nid.ID{}),
		field.Bool("accountable_answers").Default(true).Immutable(),
		field.Bool("protected").Default(false).Comment("Whether a leaver follows it: nothing but a handover changes it."),
	}
}

// Edges are the foreign keys.
func (Contact) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("accountable", Member.Type).Unique().Required().Field("accountable_id"),
		edge.To("key_changed_by", Member.Type).Unique().Field("key_changed_by_id"),
	}
}

// Annotations are the table's checks.
func (Contact) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Checks: map[string]string{"contacts_accountable": "accountable_answers"}}}
}

// Indexes are the ways rows are found.
func (Contact) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "external_user_id").Unique().Annotations(entsql.IndexWhere("archived_at IS NULL")),
		index.Fields("corp_id", "name_key", "id"),
		index.Fields("corp_id", "importance", "id"),
		index.Fields("corp_id", "created_at", "id"),
		index.Fields("corp_id", "updated_at", "id"),
		index.Fields("corp_id", "accountable_id"),
		index.Fields("corp_id", "key_changed_by_id"),
		index.Fields("corp_id", "protected", "id").Annotations(entsql.IndexWhere("protected")),
	}
}

// Follow is one period of one member looking after one contact: what a handover
// moves. It is never deleted, only ended.
type Follow struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Follow) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.Follow}, scoped{table: "follows"}, edited{}}
}

// Fields are the stored columns.
func (Follow) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("contact_id", nid.ID{}),
		field.UUID("member_id", nid.ID{}),
		field.String("remark").Optional().Nillable(),
		field.String("description").Optional().Nillable(),
		field.Int("add_way").Optional().Nillable(),
		field.Time("since"),
		moment("ended_at"),
		maybeID("ended_by_id"),
		field.Bool("protected").Default(false),
		field.Int("owner_version").Default(1).Comment("Raised only when the owner changes; what a plan expects."),
		maybeID("reserved_by_id"),
	}
}

// Edges are the foreign keys.
func (Follow) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("contact", Contact.Type).Unique().Required().Field("contact_id"),
		edge.To("member", Member.Type).Unique().Required().Field("member_id"),
		edge.To("ended_by", Transfer.Type).Unique().Field("ended_by_id"),
		edge.To("reserved_by", Transfer.Type).Unique().Field("reserved_by_id"),
	}
}

// Indexes are the ways rows are found.
func (Follow) Indexes() []ent.Index {
	open := entsql.IndexWhere("ended_at IS NULL")
	return []ent.Index{
		index.Fields("corp_id", "member_id", "contact_id").Unique().Annotations(open),
		index.Fields("corp_id", "contact_id", "id"),
		index.Fields("corp_id", "member_id", "id"),
		index.Fields("corp_id", "ended_by_id"),
		index.Fields("corp_id", "reserved_by_id"),
	}
}

// Tag is one tag of the corp; contact_tags and follow_tags attach it.
type Tag struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Tag) Mixin() []ent.Mixin { return []ent.Mixin{row{kind: nid.Tag}} }

// Fields are the stored columns.
func (Tag) Fields() []ent.Field {
	return []ent.Field{
		field.String("external_id").Optional().Nillable(),
		field.String("group_name").Default(""),
		field.String("name"),
	}
}

// Indexes are the ways rows are found.
func (Tag) Indexes() []ent.Index {
	return []ent.Index{index.Fields("corp_id", "name", "group_name").Unique()}
}

// Group is a customer group chat with one owner.
type Group struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Group) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.Group}, scoped{table: "groups"}, edited{}, archived{}}
}

// Fields are the stored columns.
func (Group) Fields() []ent.Field {
	return []ent.Field{
		field.String("chat_id").Optional().Nillable(),
		field.String("name"),
		field.String("name_key").Comment("The name as searched and sorted: NFC, lower case."),
		field.UUID("owner_id", nid.ID{}),
		field.Enum("status").Values("NORMAL", "OWNER_LEFT", "INHERITING", "INHERITED").Default("NORMAL"),
		field.Int("member_count").Default(0),
		field.Bool("protected").Default(false),
		field.UUID("accountable_id", nid.ID{}),
		field.Bool("accountable_answers").Default(true).Immutable(),
		field.Int("owner_version").Default(1).Comment("Raised only when the owner changes; what a plan expects."),
		maybeID("reserved_by_id"),
	}
}

// Edges are the foreign keys.
func (Group) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("owner", Member.Type).Unique().Required().Field("owner_id"),
		edge.To("accountable", Member.Type).Unique().Required().Field("accountable_id"),
		edge.To("reserved_by", Transfer.Type).Unique().Field("reserved_by_id"),
	}
}

// Annotations are the table's checks.
func (Group) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Checks: map[string]string{"groups_accountable": "accountable_answers"}}}
}

// Indexes are the ways rows are found.
func (Group) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "chat_id").Unique().Annotations(entsql.IndexWhere("archived_at IS NULL")),
		index.Fields("corp_id", "owner_id", "id"),
		index.Fields("corp_id", "name_key", "id"),
		index.Fields("corp_id", "created_at", "id"),
		index.Fields("corp_id", "updated_at", "id"),
		index.Fields("corp_id", "accountable_id"),
		index.Fields("corp_id", "reserved_by_id"),
	}
}

// OwnershipPeriod says who looked after one contact or group, from when to when.
type OwnershipPeriod struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (OwnershipPeriod) Mixin() []ent.Mixin { return []ent.Mixin{row{kind: nid.Period}} }

// Fields are the stored columns.
func (OwnershipPeriod) Fields() []ent.Field {
	return []ent.Field{
		maybeID("contact_id"),
		maybeID("group_id"),
		field.UUID("member_id", nid.ID{}),
		field.Time("from_at"),
		moment("until_at"),
		maybeID("transfer_id"),
	}
}

// Edges are the foreign keys.
func (OwnershipPeriod) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("contact", Contact.Type).Unique().Field("contact_id"),
		edge.To("group", Group.Type).Unique().Field("group_id"),
		edge.To("member", Member.Type).Unique().Required().Field("member_id"),
		edge.To("transfer", Transfer.Type).Unique().Field("transfer_id"),
	}
}

// Annotations are the table's checks.
func (OwnershipPeriod) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Checks: map[string]string{
		"ownership_periods_one": "(contact_id IS NULL) <> (group_id IS NULL)",
	}}}
}

// Indexes are the ways rows are found.
func (OwnershipPeriod) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "contact_id", "member_id").Unique().Annotations(entsql.IndexWhere("until_at IS NULL AND contact_id IS NOT NULL")),
		index.Fields("corp_id", "group_id").Unique().Annotations(entsql.IndexWhere("until_at IS NULL AND group_id IS NOT NULL")).StorageKey("ownership_periods_open_group"),
		index.Fields("corp_id", "contact_id", "from_at"),
		index.Fields("corp_id", "group_id", "from_at"),
		index.Fields("corp_id", "member_id"),
		index.Fields("corp_id", "transfer_id"),
	}
}
