package report

import (
	"context"
	"database/sql"
	"time"

	"github.com/openhandover/openhandover/ent/contact"
	"github.com/openhandover/openhandover/ent/handover"
	"github.com/openhandover/openhandover/ent/transfer"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

// Item is one transfer as statistics count it: what it was like at assignment and
// what became of it. Items of one list are siblings.
type Item struct {
	siblings.Kin
	ID           nid.ID
	HandoverID   nid.ID
	Kind         transfer.Kind
	HandoverKind handover.Kind
	Importance   contact.Importance
	Status       transfer.Status
	Reason       *transfer.Reason
	// Because is the stored code of why the successor was chosen; empty for none.
	Because                          string
	ContactID, GroupID               nid.ID
	FromID, ToID                     nid.ID
	FromDepartmentID, ToDepartmentID nid.ID
	// Rule is as in Row.
	Rule       *string
	AssignedAt time.Time
	FinishedAt *time.Time
}

// TakeoverHours is from assignment to completion; nil unless it is completed.
func (i *Item) TakeoverHours() *float64 {
	if i.Status != transfer.StatusCOMPLETED || i.FinishedAt == nil {
		return nil
	}
	return new(i.FinishedAt.Sub(i.AssignedAt).Hours())
}

// Items is the list of all transfers that statistics count for an actor, in the
// order of assignment, then of ids.
type Items struct {
	q     store.Querier
	where store.Where
}

// ListItems begins a list with the same filter and scope as Statistics; From and
// Until bound the moment of assignment itself. Fails as Statistics does.
func ListItems(ctx context.Context, q store.Querier, f Filter) (*Items, error) {
	actor := access.From(ctx)
	scope, err := mayCount(actor)
	if err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	l := &Items{q: q}
	l.where.And("transfers.corp_id = ? AND transfers.assigned_at IS NOT NULL", actor.Corp)
	if f.From != nil {
		l.where.And("transfers.assigned_at >= ?", f.From.UTC())
	}
	if f.Until != nil {
		l.where.And("transfers.assigned_at < ?", f.Until.UTC())
	}
	if f.HandoverID != nil {
		l.where.And("transfers.handover_id = ?", *f.HandoverID)
	}
	return l, narrow(ctx, q, &l.where, f, scope, stored{"transfers.to_department_id", "transfers.from_department_id", "transfers.kind", "handovers.kind"})
}

const itemTables = ` FROM transfers JOIN handovers ON handovers.corp_id = transfers.corp_id AND handovers.id = transfers.handover_id`

// Count counts the whole list.
func (l *Items) Count(ctx context.Context) (int, error) {
	condition, args := l.where.SQL(1)
	n, _, err := store.SelectOne(ctx, l.q, func(n *int) []any { return []any{n} }, `SELECT COUNT(*)`+itemTables+` WHERE `+condition, args...)
	return n, err
}

// After reads the next items, at most so many, behind the one of that moment and
// id; the zero moment begins.
func (l *Items) After(ctx context.Context, assigned time.Time, id nid.ID, limit int) ([]*Item, error) {
	where := l.where
	if !assigned.IsZero() {
		where.And("(transfers.assigned_at, transfers.id) > (?, ?)", assigned.UTC(), id)
	}
	condition, args := where.SQL(2)
	type row struct {
		Item
		reason   *transfer.Reason
		because  sql.NullString
		finished sql.NullTime
		set      sql.NullString
		place    int
	}
	rows, err := store.Select(ctx, l.q, func(r *row) []any {
		return []any{&r.ID, &r.HandoverID, &r.Kind, &r.HandoverKind, &r.Importance, &r.Status, &r.reason, &r.because, &r.ContactID, &r.GroupID,
			&r.FromID, &r.ToID, &r.FromDepartmentID, &r.ToDepartmentID, &r.set, &r.place, &r.AssignedAt, &r.finished}
	}, `SELECT transfers.id, transfers.handover_id, transfers.kind, handovers.kind, transfers.importance, transfers.status, transfers.reason, transfers.because,
			transfers.contact_id, transfers.group_id, transfers.from_id, transfers.to_id, transfers.from_department_id, transfers.to_department_id,
			rule_sets.name, COALESCE(transfers.rule_index + 1, 0), transfers.assigned_at, transfers.finished_at`+itemTables+`
			LEFT JOIN rule_sets ON rule_sets.corp_id = transfers.corp_id AND rule_sets.id = transfers.rule_set_id
		WHERE `+condition+` ORDER BY transfers.assigned_at, transfers.id LIMIT $1`, append([]any{limit}, args...)...)
	out := make([]*Item, len(rows))
	for i := range rows {
		r := &rows[i]
		r.Item.Reason, r.Item.Because = r.reason, r.because.String
		if r.set.Valid {
			r.Rule = new(ruleLabel(r.set.String, r.place))
		}
		if r.finished.Valid {
			r.FinishedAt = new(r.finished.Time.UTC())
		}
		r.AssignedAt = r.AssignedAt.UTC()
		out[i] = &r.Item
	}
	return siblings.Join(out), err
}
