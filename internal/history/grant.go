// Package history decides what of a leaver's chat history a successor may read.
package history

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Scope is a window of messages, From included and Until not, and when it ends to be
// readable; nil parts are open.
type Scope struct{ From, Until, ExpiresAt *time.Time }

// Grant lets one successor read one contact's or group's messages. Scope bounds what of
// them; Write cuts it to what it stores.
type Grant struct {
	ID, Successor, Leaver, Contact, Group, Transfer nid.ID
	Scope
}

// Write stores the grants of a handover in the executing transaction, within the
// handover's scope, and returns them.
//
// Nobody passes on more than they had. Of a contact a grant covers only the leaver's own
// conversations anyway. A group's messages are everybody's, so what its grants cover is
// cut to what the leaver could read: from when they joined on, if a handover brought
// them there, and what earlier grants let them read. Where these are several windows,
// several grants are written, and none where nothing is left.
func Write(ctx context.Context, tx *store.Tx, handover nid.ID, s Scope, grants []Grant) ([]Grant, error) {
	reach, err := readReach(ctx, tx, grants)
	if err != nil {
		return nil, err
	}
	var written []Grant
	var rows []map[string]any
	for _, g := range grants {
		windows := []Scope{{}}
		if !g.Group.IsZero() {
			windows = reach[pair{g.Leaver, g.Group}]
		}
		for i, had := range windows {
			g := g
			if i > 0 {
				g.ID = tx.NewID(nid.HistoryGrant)
			}
			if g.Scope = had.within(s).within(g.Scope); g.empty(tx.Now()) {
				continue
			}
			written = append(written, g)
			rows = append(rows, map[string]any{"id": g.ID, "successor": g.Successor, "leaver": g.Leaver, "contact": g.Contact, "grp": g.Group, "transfer": g.Transfer,
				"since": stored(g.From), "until": stored(g.Until), "expires": stored(g.ExpiresAt)})
		}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	_, err = tx.Change(ctx, "history_grants", `INSERT INTO history_grants (id, corp_id, created_at, successor_id, leaver_id, contact_id, group_id, handover_id, transfer_id, from_at, until_at, expires_at)
		SELECT id, $2, $3, successor, leaver, contact, grp, $4, transfer, since, until, expires
		FROM `+tx.DB().Rows(1, "g", "id uuid", "successor uuid", "leaver uuid", "contact uuid", "grp uuid", "transfer uuid", "since time", "until time", "expires time")+` WHERE true RETURNING id`,
		tx.DB().Batch(rows), tx.Corp(), tx.Now(), handover)
	return written, err
}

// pair is a member and a group.
type pair struct{ member, group nid.ID }

// readReach reads which parts of the groups' messages the leavers could read: while they
// are at work, or when they went, which ended what had been granted to them.
func readReach(ctx context.Context, tx *store.Tx, grants []Grant) (map[pair][]Scope, error) {
	var batch []map[string]any
	for _, g := range grants {
		if !g.Group.IsZero() {
			batch = append(batch, map[string]any{"leaver": g.Leaver, "grp": g.Group})
		}
	}
	out := map[pair][]Scope{}
	if len(batch) == 0 {
		return out, nil
	}
	type row struct {
		pair
		Scope
	}
	db := tx.DB()
	moved := db.Rows(2, "v", "leaver uuid", "grp uuid")
	rows, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.member, &r.group, &r.From, &r.Until, &r.ExpiresAt} }, `
		SELECT v.leaver, v.grp, history_grants.from_at, history_grants.until_at, history_grants.expires_at
		FROM `+moved+db.Lookup("history_grants", `history_grants.corp_id = $1 AND history_grants.successor_id = v.leaver AND history_grants.group_id = v.grp`)+`
		JOIN members AS m ON m.corp_id = $1 AND m.id = v.leaver
		WHERE history_grants.ended_at IS NULL OR history_grants.ended_at >= m.departed_at
		UNION ALL
		SELECT v.leaver, v.grp, CASE WHEN group_members.added_by_id IS NOT NULL THEN group_members.joined_at END, NULL, NULL
		FROM `+moved+db.Lookup("group_members", `group_members.corp_id = $1 AND group_members.group_id = v.grp AND group_members.member_id = v.leaver`)+`
		ORDER BY 3`, tx.Corp(), db.Batch(batch))
	for _, r := range rows {
		if had := out[r.pair]; r.Scope == (Scope{}) || len(had) == 0 || had[0] != (Scope{}) {
			if r.Scope == (Scope{}) {
				had = nil // all, and the rest with it
			}
			out[r.pair] = append(had, r.Scope)
		}
	}
	return out, err
}

// within is what lies in both.
func (s Scope) within(other Scope) Scope {
	return Scope{From: later(s.From, other.From), Until: earlier(s.Until, other.Until), ExpiresAt: earlier(s.ExpiresAt, other.ExpiresAt)}
}

// empty says that nothing can be read by it, now or ever.
func (s Scope) empty(now time.Time) bool {
	return s.From != nil && s.Until != nil && !s.From.Before(*s.Until) || s.ExpiresAt != nil && !s.ExpiresAt.After(now)
}

func later(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.After(*a) {
		return b
	}
	return a
}

func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

// stored is a time as the database keeps it: in microseconds.
func stored(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UTC().Truncate(time.Microsecond)
}
