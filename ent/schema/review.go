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

// AccessReview asks of the grants that were in force when it was opened whether they
// are still needed.
type AccessReview struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (AccessReview) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.Review}, scoped{table: "access_reviews"}}
}

// Fields are the stored columns.
func (AccessReview) Fields() []ent.Field {
	return []ent.Field{
		field.Time("due_at").Immutable(),
		moment("closed_at"),
		field.String("month").Optional().Nillable().Immutable().Comment("Such as 2026-03 in the corp's time zone, where it opened by itself."),
		maybeID("started_by_id"),
	}
}

// Edges are the foreign keys.
func (AccessReview) Edges() []ent.Edge {
	return []ent.Edge{edge.To("started_by", Member.Type).Unique().Field("started_by_id")}
}

// Indexes are the ways rows are found.
func (AccessReview) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "month").Unique().Annotations(entsql.IndexWhere("month IS NOT NULL")),
		index.Fields("corp_id", "created_at", "id"),
		index.Fields("corp_id", "started_by_id"),
	}
}

// ReviewItem is one grant or service token of a review.
type ReviewItem struct{ ent.Schema }

// Mixin is what the entity shares with others.
func (ReviewItem) Mixin() []ent.Mixin {
	return []ent.Mixin{row{kind: nid.ReviewItem}, scoped{table: "review_items"}}
}

// Fields are the stored columns.
func (ReviewItem) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("review_id", nid.ID{}).Immutable(),
		field.UUID("grant_id", nid.ID{}).Optional().Immutable(),
		field.UUID("member_id", nid.ID{}).Optional().Immutable().Comment("Whose grant it is: it says who may see the item. A token's item is seen by where the token reaches."),
		field.UUID("token_id", nid.ID{}).Optional().Immutable(),
		field.Int("rank").Immutable().Comment("0 where the role or token is sensitive, 1 otherwise."),
		field.Enum("decision").Values("KEEP", "REVOKE").Optional().Nillable(),
		maybeID("decided_by_id"),
		moment("decided_at"),
		field.String("note").Optional().Nillable(),
		moment("overdue_at"),
	}
}

// Edges are the foreign keys.
func (ReviewItem) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("review", AccessReview.Type).Unique().Required().Immutable().Field("review_id"),
		edge.To("grant", Grant.Type).Unique().Immutable().Field("grant_id"),
		edge.To("member", Member.Type).Unique().Immutable().Field("member_id"),
		edge.To("token", ServiceToken.Type).Unique().Immutable().Field("token_id"),
		edge.To("decided_by", Member.Type).Unique().Field("decided_by_id"),
	}
}

// Annotations are the table's checks.
func (ReviewItem) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Checks: map[string]string{
		"review_items_one": "(grant_id IS NOT NULL AND member_id IS NOT NULL AND token_id IS NULL) OR (grant_id IS NULL AND member_id IS NULL AND token_id IS NOT NULL)",
	}}}
}

// Indexes are the ways rows are found.
func (ReviewItem) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("corp_id", "review_id", "rank", "id"),
		index.Fields("corp_id", "grant_id", "review_id").Unique(),
		index.Fields("corp_id", "token_id", "review_id").Unique(),
		index.Fields("corp_id", "member_id"),
		index.Fields("corp_id", "decided_by_id"),
	}
}
