// Package schema says what is stored: one file per entity.
//
// Edges point from the row that holds the foreign key to the row it names, and
// only that way: lists go through queries that are paged and scoped. Every row
// belongs to one corp, and migrations make every foreign key composite with
// corp_id (ent/migrate/tables.go), so that no row can ever point across corps.
// Join tables, counters, rollups, sessions and the like are plain SQL in
// ent/migrate/migrations; nothing in the API is one of them.
package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"entgo.io/ent/schema/mixin"

	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/internal/nid"
)

// row is what every entity has.
type row struct {
	mixin.Schema
	kind nid.Kind
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Fields are the id, the corp and when the row was made.
func (r row) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", nid.ID{}).Default(func() nid.ID { return nid.New(r.kind) }).Immutable(),
		field.UUID("corp_id", nid.ID{}).Immutable(),
		field.Time("created_at").Default(now).Immutable(),
	}
}

// Interceptors keep every query to the actor's corp.
func (row) Interceptors() []ent.Interceptor { return []ent.Interceptor{rule.Corp()} }

// Hooks record every write.
func (row) Hooks() []ent.Hook { return []ent.Hook{rule.Recorded()} }

// Indexes let composite foreign keys point here.
func (row) Indexes() []ent.Index {
	return []ent.Index{index.Fields("corp_id", "id").Unique()}
}

// edited is what entities have that people change: a version that the caller
// must have seen, and when it was changed last.
type edited struct{ mixin.Schema }

// Fields are the version and the time of the last change.
func (edited) Fields() []ent.Field {
	return []ent.Field{
		field.Int("version").Default(1),
		field.Time("updated_at").Default(now),
	}
}

// archived is what entities have that leave lists but never the database.
type archived struct{ mixin.Schema }

// Fields are when the row left the lists and when its personal columns were emptied.
func (archived) Fields() []ent.Field {
	return []ent.Field{
		field.Time("archived_at").Optional().Nillable(),
		field.Time("erased_at").Optional().Nillable(),
	}
}

// maybeID is a reference that may be absent; absent reads as the zero id.
func maybeID(name string) ent.Field { return field.UUID(name, nid.ID{}).Optional() }

// moment is a time that may be absent.
func moment(name string) ent.Field { return field.Time(name).Optional().Nillable() }
