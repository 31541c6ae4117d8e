package member

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Unassigned is what of a leaver still waits for a successor. What a platform is
// deciding about is not part of it.
type Unassigned struct {
	Contacts, Groups, KeyContacts int
	// Since is when the member was deactivated.
	Since time.Time
	// Deadline is the end of the year after departure in which WeCom lets contacts
	// and groups be assigned; nil while the member is only disabled.
	Deadline *time.Time
	// CaretakerID answers for what nobody at work follows; zero where none was named.
	CaretakerID nid.ID
}

// UnassignedOf gives what waits for each of the leavers, from the counters that are
// kept with every change: nothing is counted. Members at work, and leavers of whom
// nothing waits, are not in the map.
func UnassignedOf(ctx context.Context, q store.Querier, leavers []nid.ID) (map[nid.ID]Unassigned, error) {
	if len(leavers) == 0 {
		return nil, nil
	}
	type row struct {
		person
		Unassigned
		updated time.Time
	}
	db, corp := store.EngineOf(q), access.From(ctx).Corp
	rows, err := store.Select(ctx, q, func(r *row) []any {
		return []any{&r.id, &r.status, &r.departedAt, &r.CaretakerID, &r.updated, &r.Contacts, &r.Groups, &r.KeyContacts}
	}, `SELECT m.id, m.status, m.departed_at, m.caretaker_id, m.updated_at,
		c.contacts - c.waiting_contacts, c.groups - c.waiting_groups, c.key_contacts - c.waiting_key_contacts
		FROM members AS m JOIN member_counters AS c ON c.corp_id = m.corp_id AND c.member_id = m.id
		WHERE m.corp_id = $1 AND m.id `+db.In(2)+` AND m.status IN ('DISABLED', 'DEPARTED')
		  AND (c.contacts > c.waiting_contacts OR c.groups > c.waiting_groups)`, corp, db.IDs(leavers))
	if err != nil {
		return nil, err
	}
	out := make(map[nid.ID]Unassigned, len(rows))
	var undated []nid.ID
	for _, r := range rows {
		u := r.Unassigned
		u.Since = r.updated
		if r.departedAt.Valid {
			u.Since = r.departedAt.Time.UTC()
		} else {
			undated = append(undated, r.id)
		}
		if r.status == departed && r.departedAt.Valid {
			end := u.Since.AddDate(1, 0, 0)
			u.Deadline = &end
		}
		out[r.id] = u
	}
	if len(undated) == 0 {
		return out, nil
	}
	// Of the disabled only the log knows since when.
	type since struct {
		member nid.ID
		at     time.Time
	}
	dates, err := store.Select(ctx, q, func(s *since) []any { return []any{&s.member, &s.at} },
		`SELECT subject_id, at FROM audit_entries WHERE corp_id = $1 AND subject_id `+db.In(2)+` AND action = $3 ORDER BY "index"`,
		corp, db.IDs(undated), string(access.MemberDeactivate))
	for _, d := range dates {
		u := out[d.member]
		u.Since = d.at.UTC()
		out[d.member] = u
	}
	return out, err
}
