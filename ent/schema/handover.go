package schema

import (
	"encoding/json"

	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/openhandover/openhandover/internal/nid"
)

// Handover is one case: a leaver, a plan, a history scope, approvals, a result.
type Handover struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Handover) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.Handover}, scoped{table: "handovers"}, edited{}}
}

// Fields are the stored columns.
func (Handover) Fields() []ent.Field {
	return []ent.Field{
		field.Enum("kind").Values("RESIGNED", "ON_JOB"),
		field.Enum("state").Values("DRAFT", "AWAITING_APPROVAL", "READY", "SCHEDULED", "RUNNING", "COMPLETED", "PARTIAL", "FAILED", "REJECTED", "CANCELLED", "REVERTED"),
		field.UUID("leaver_id", nid.ID{}),
		maybeID("requested_by_id"),
		maybeID("responsible_id"),
		field.JSON("authors", []nid.ID{}).Optional().Comment("Everybody who created, replanned or submitted the handover, or whose service token did."),
		field.String("reason").Optional().Nillable(),
		field.String("message").Optional().Nillable(),
		field.Enum("history_mode").Values("NONE", "ALL", "WINDOW").Default("NONE"),
		moment("history_from"),
		moment("history_until"),
		moment("history_expires_at"),
		field.String("digest").Comment("SHA-256 of the canonical plan, hex; computed once, when the plan is stored."),
		field.JSON("plan", json.RawMessage{}).SchemaType(map[string]string{dialect.Postgres: "json"}).Comment("The plan as last given, to the letter."),
		field.Int("approvals_required").Default(0),
		field.JSON("approval_reasons", []string{}).Optional(),
		moment("start_at"),
		maybeID("executed_by_id"),
		moment("resume_at"),
		field.String("hold_reason").Optional().Nillable().Comment("Why a start or a run was held back, as a code."),
		moment("cancel_requested_at"),
		moment("submitted_at"),
		moment("started_at"),
		moment("finished_at"),
		moment("revertible_until"),
		maybeID("reverted_by_id"),
		maybeID("revert_of_id"),
		maybeID("follow_up_of_id"),
		field.Int("run_token").Default(0).Comment("Raised on every claim; a chunk of an older claim writes nothing."),
		moment("lease_until"),
		field.Int("total").Default(0),
		field.Int("planned").Default(0),
		field.Int("waiting").Default(0),
		field.Int("completed").Default(0),
		field.Int("refused").Default(0),
		field.Int("limit_reached").Default(0),
		field.Int("failed").Default(0),
		field.Int("skipped").Default(0),
		field.Int("cancelled").Default(0),
		field.Int("reverted").Default(0),
	}
}

// Edges are the foreign keys.
func (Handover) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("leaver", Member.Type).Unique().Required().Field("leaver_id"),
		edge.To("requested_by", Member.Type).Unique().Field("requested_by_id"),
		edge.To("responsible", Member.Type).Unique().Field("responsible_id"),
		edge.To("executed_by", Member.Type).Unique().Field("executed_by_id"),
		edge.To("reverts", Handover.Type).From("reverted_by").Unique().Field("reverted_by_id"),
		edge.To("reversals", Handover.Type).From("revert_of").Unique().Field("revert_of_id"),
		edge.To("follow_ups", Handover.Type).From("follow_up_of").Unique().Field("follow_up_of_id"),
	}
}

// Annotations are the table's checks.
func (Handover) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Checks: map[string]string{
		"handovers_progress":  "total = planned + waiting + completed + refused + limit_reached + failed + skipped + cancelled + reverted",
		"handovers_requester": "requested_by_id IS NULL OR responsible_id IS NOT NULL AND requested_by_id = responsible_id",
		"handovers_history":   "(history_mode = 'WINDOW') = (history_from IS NOT NULL AND history_until IS NOT NULL)",
	}}}
}

// Indexes are the ways rows are found.
func (Handover) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "created_at", "id"),
		index.Fields("corp_id", "updated_at", "id"),
		index.Fields("corp_id", "state", "id"),
		index.Fields("corp_id", "leaver_id", "id"),
		index.Fields("corp_id", "requested_by_id", "created_at"),
		index.Fields("corp_id", "responsible_id", "updated_at"),
		index.Fields("corp_id", "executed_by_id", "updated_at"),
		index.Fields("corp_id", "reverted_by_id"),
		index.Fields("corp_id", "revert_of_id"),
		index.Fields("corp_id", "follow_up_of_id"),
	}
}

// Transfer is one contact or group moving from one member to another.
type Transfer struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Transfer) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.Transfer}, scoped{table: "transfers"}}
}

// Fields are the stored columns.
func (Transfer) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("handover_id", nid.ID{}),
		field.Int("position").Comment("Place in the plan, from 0."),
		field.Enum("kind").Values("CONTACT", "GROUP"),
		maybeID("contact_id"),
		maybeID("group_id"),
		maybeID("follow_id"),
		field.UUID("from_id", nid.ID{}),
		field.UUID("to_id", nid.ID{}),
		field.Enum("status").Values("PLANNED", "WAITING", "COMPLETED", "REFUSED", "LIMIT_REACHED", "SKIPPED", "FAILED", "CANCELLED", "REVERTED").Default("PLANNED"),
		field.Enum("reason").Values("OWNER_CHANGED", "NOT_FOLLOWED", "SUCCESSOR_INELIGIBLE", "SUCCESSOR_FULL", "CUSTOMER_REFUSED", "COOL_DOWN", "IN_PROGRESS", "WINDOW_CLOSED", "PLATFORM_ERROR", "CHANGED_SINCE", "SUCCESSOR_NOT_ACTIVE", "SUCCESSOR_CONTACT_DISABLED", "SUCCESSOR_OUT_OF_SCOPE", "NO_SUCCESSOR", "LEAVER_STATUS", "SUCCESSOR_CANNOT_READ", "GROUP_FULL", "NEEDS_APPROVAL", "NOT_PERMITTED", "UNEXPECTED").Optional().Nillable(),
		field.String("detail").Optional().Nillable(),
		field.String("because").Optional().Nillable(),
		field.Bool("merged").Default(false),
		field.Int("attempt").Default(0),
		field.Int("expected_version").Comment("The item's ownership version when it was planned."),
		maybeID("from_department_id"),
		maybeID("to_department_id"),
		field.Enum("importance").Values("NORMAL", "KEY").Default("NORMAL"),
		maybeID("rule_set_id"),
		maybeID("revert_of_id"),
		field.Int("rule_index").Optional().Nillable(),
		field.JSON("undo", json.RawMessage{}).Optional().Comment("What a revert takes back: the follow that ended, tags and remark that a merge added."),
		moment("assigned_at"),
		moment("auto_accept_at"),
		moment("finished_at"),
		field.Time("updated_at").Default(now),
	}
}

// Edges are the foreign keys.
func (Transfer) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("handover", Handover.Type).Unique().Required().Field("handover_id"),
		edge.To("contact", Contact.Type).Unique().Field("contact_id"),
		edge.To("group", Group.Type).Unique().Field("group_id"),
		edge.To("follow", Follow.Type).Unique().Field("follow_id"),
		edge.To("from", Member.Type).Unique().Required().Field("from_id"),
		edge.To("to", Member.Type).Unique().Required().Field("to_id"),
		edge.To("rule_set", RuleSet.Type).Unique().Field("rule_set_id"),
		edge.To("reversals", Transfer.Type).From("revert_of").Unique().Field("revert_of_id"),
		edge.To("from_department", Department.Type).Unique().Field("from_department_id"),
		edge.To("to_department", Department.Type).Unique().Field("to_department_id"),
	}
}

// Annotations are the table's checks.
func (Transfer) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Checks: map[string]string{
		"transfers_one": "(kind = 'CONTACT' AND contact_id IS NOT NULL AND follow_id IS NOT NULL AND group_id IS NULL) OR (kind = 'GROUP' AND group_id IS NOT NULL AND contact_id IS NULL AND follow_id IS NULL)",
	}}}
}

// Indexes are the ways rows are found.
func (Transfer) Indexes() []ent.Index {
	waiting := "status = 'WAITING'"
	return []ent.Index{
		index.Fields("corp_id", "handover_id", "position").Unique(),
		index.Fields("corp_id", "follow_id").Unique().Annotations(entsql.IndexWhere(waiting)).StorageKey("transfers_open_follow"),
		index.Fields("corp_id", "group_id").Unique().Annotations(entsql.IndexWhere(waiting)).StorageKey("transfers_open_group"),
		index.Fields("corp_id", "follow_id"),
		index.Fields("corp_id", "contact_id", "id"),
		index.Fields("corp_id", "group_id", "id"),
		index.Fields("corp_id", "from_id", "id"),
		index.Fields("corp_id", "to_id", "id"),
		index.Fields("corp_id", "status", "id"),
		index.Fields("corp_id", "created_at", "id"),
		index.Fields("corp_id", "assigned_at", "id"),
		index.Fields("corp_id", "from_department_id"),
		index.Fields("corp_id", "rule_set_id"),
		index.Fields("corp_id", "revert_of_id"),
		index.Fields("corp_id", "to_department_id"),
	}
}

// Approval is one person's vote on one plan, named by its digest.
type Approval struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Approval) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.Approval}, scoped{table: "approvals"}}
}

// Fields are the stored columns.
func (Approval) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("handover_id", nid.ID{}),
		field.UUID("approver_id", nid.ID{}),
		field.Enum("decision").Values("APPROVED", "REJECTED"),
		field.String("digest"),
		field.String("comment").Optional().Nillable(),
		field.Time("decided_at"),
		field.Time("expires_at"),
	}
}

// Edges are the foreign keys.
func (Approval) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("handover", Handover.Type).Unique().Required().Field("handover_id"),
		edge.To("approver", Member.Type).Unique().Required().Field("approver_id"),
	}
}

// Indexes are the ways rows are found.
func (Approval) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "handover_id", "digest", "approver_id").Unique(),
		index.Fields("corp_id", "approver_id"),
	}
}

// HistoryGrant lets a successor read some of a leaver's messages.
type HistoryGrant struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (HistoryGrant) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.HistoryGrant}, scoped{table: "history_grants"}}
}

// Fields are the stored columns.
func (HistoryGrant) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("successor_id", nid.ID{}),
		field.UUID("leaver_id", nid.ID{}),
		maybeID("contact_id"),
		maybeID("group_id"),
		field.UUID("handover_id", nid.ID{}),
		field.UUID("transfer_id", nid.ID{}),
		moment("from_at"),
		moment("until_at"),
		moment("expires_at"),
		moment("ended_at"),
		maybeID("ended_by_id"),
	}
}

// Edges are the foreign keys.
func (HistoryGrant) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("successor", Member.Type).Unique().Required().Field("successor_id"),
		edge.To("leaver", Member.Type).Unique().Required().Field("leaver_id"),
		edge.To("contact", Contact.Type).Unique().Field("contact_id"),
		edge.To("group", Group.Type).Unique().Field("group_id"),
		edge.To("handover", Handover.Type).Unique().Required().Field("handover_id"),
		edge.To("transfer", Transfer.Type).Unique().Required().Field("transfer_id"),
		edge.To("ended_by", Transfer.Type).Unique().Field("ended_by_id"),
	}
}

// Annotations are the table's checks.
func (HistoryGrant) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Checks: map[string]string{
		"history_grants_one": "(contact_id IS NULL) <> (group_id IS NULL)",
	}}}
}

// Indexes are the ways rows are found.
func (HistoryGrant) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "successor_id", "contact_id"),
		index.Fields("corp_id", "successor_id", "group_id"),
		index.Fields("corp_id", "leaver_id"),
		index.Fields("corp_id", "contact_id"),
		index.Fields("corp_id", "group_id"),
		index.Fields("corp_id", "handover_id"),
		index.Fields("corp_id", "transfer_id"),
		index.Fields("corp_id", "ended_by_id"),
	}
}

// Message is one archived message of a conversation with a contact or in a group.
// On PostgreSQL the table is partitioned by month of sent_at.
type Message struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (Message) Mixin() []ent.Mixin { return []ent.Mixin{row{kind: nid.Message}} }

// Fields are the stored columns.
func (Message) Fields() []ent.Field {
	return []ent.Field{
		field.String("external_id"),
		field.Enum("kind").Values("TEXT", "IMAGE", "VOICE", "VIDEO", "FILE", "LINK", "CARD", "LOCATION", "OTHER"),
		field.Time("sent_at"),
		maybeID("author_id"),
		field.Bool("from_contact").Default(false),
		maybeID("member_id"),
		maybeID("contact_id"),
		maybeID("group_id"),
		field.String("text").Optional().Nillable(),
		field.JSON("attachment", map[string]any{}).Optional(),
	}
}

// Indexes are the ways rows are found.
func (Message) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "external_id"),
		index.Fields("corp_id", "member_id", "sent_at", "id"),
		index.Fields("corp_id", "contact_id", "sent_at", "id"),
		index.Fields("corp_id", "group_id", "sent_at", "id"),
		index.Fields("corp_id", "sent_at", "id"), // for those whose time is over
	}
}
