package notice

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// MaxRestored is how many changes one call puts back.
const MaxRestored = 1000

// Pick is one change to put back, and the version in which it was seen.
type Pick struct {
	FollowID nid.ID
	Field    Field
	Version  int
}

// RestoreInput says what is put back. Without picks it is everything that differs, MaxRestored
// changes at a time.
type RestoreInput struct {
	MemberID nid.ID
	Picks    []Pick
}

// Outcome is what became of one change.
type Outcome string

// The outcomes.
const (
	Restored Outcome = "RESTORED"
	// Unchanged: it is as in the baseline already, or has none any more.
	Unchanged Outcome = "UNCHANGED"
	// Stale: somebody has changed it again since it was seen.
	Stale Outcome = "STALE"
	// Kept: a contact that has become KEY stays KEY.
	Kept Outcome = "KEPT"
)

// Done is one change and what became of it.
type Done struct {
	Pick
	ContactID nid.ID
	Outcome   Outcome
}

// Restore puts back what has changed since a member's notice began, while they are LEAVING and
// until the handover. Key marks are put back and never taken away. It needs MANAGE_CONTACTS
// over the member and a fresh proof of identity, and is not for somebody who is LEAVING
// themselves. There is an entry in the log for each follow and contact that changes.
//
// Fails with NOT_FOUND, FORBIDDEN, STEP_UP_REQUIRED, and INVALID for more than MaxRestored
// picks.
func (s *Service) Restore(ctx context.Context, in RestoreInput) (out []Done, err error) {
	err = s.Log.Tx(ctx, s.DB, access.NoticeRestore, func(ctx context.Context, tx *store.Tx) error {
		out = nil // the transaction may run again
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if len(in.Picks) > MaxRestored {
			return fault.Bad("input.changes", "must contain at most %d changes, not %d", "每次最多恢复 %d 项，当前为 %d 项", MaxRestored, len(in.Picks))
		}
		if err := reach(ctx, tx, actor, actor.Scope(access.ManageContacts), in.MemberID, "input.memberId"); err != nil {
			return err
		}
		if actor.Leaving {
			return fault.Denied("a member who is leaving cannot restore a baseline", "离职流程中的成员不能恢复备份内容")
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		r := &restoring{ctx: ctx, tx: tx, member: in.MemberID}
		for _, step := range []func() error{
			func() error { return r.lock(in.Picks) }, func() error { return r.choose(in.Picks) }, r.follows, r.contacts, r.tags, r.count,
		} {
			if err := step(); err != nil {
				return err
			}
		}
		out = r.done
		return s.Log.Append(ctx, tx, r.entries()...)
	})
	return out, err
}

// restoring is one Restore under way.
type restoring struct {
	ctx    context.Context
	tx     *store.Tx
	member nid.ID
	states []state
	done   []Done
	back   map[nid.ID]map[Field]Change // by follow: what is put back
}

// lock locks the follows that differ with their contacts, in the one order in which everybody
// does, and reads them.
func (r *restoring) lock(picks []Pick) error {
	db := r.tx.DB()
	query, args := states(db)+` ORDER BY b.follow_id LIMIT $3`, []any{r.tx.Corp(), r.member, MaxRestored}
	if picks != nil {
		ids := make([]nid.ID, len(picks))
		for i, p := range picks {
			ids[i] = p.FollowID
		}
		query, args = states(db)+` AND b.follow_id `+db.In(3), []any{r.tx.Corp(), r.member, db.IDs(ids)}
	}
	found, err := store.Select(r.ctx, r.tx, (*state).dest, query, args...)
	if err != nil || len(found) == 0 {
		return err
	}
	ids := make([]nid.ID, len(found))
	for i, s := range found {
		ids[i] = s.follow
	}
	both := ""
	if db.Postgres() {
		both = db.ForUpdate() + " OF follows, contacts"
	}
	if _, err := store.Select(r.ctx, r.tx, func(id *nid.ID) []any { return []any{id} }, `SELECT follows.id FROM follows
		JOIN contacts ON contacts.corp_id = follows.corp_id AND contacts.id = follows.contact_id
		WHERE follows.corp_id = $1 AND follows.id `+db.In(2)+` ORDER BY follows.contact_id, follows.id`+both, r.tx.Corp(), db.IDs(ids)); err != nil {
		return err
	}
	r.states, err = store.Select(r.ctx, r.tx, (*state).dest, states(db)+` AND b.follow_id `+db.In(3)+` ORDER BY b.follow_id`, r.tx.Corp(), r.member, db.IDs(ids))
	return err
}

// choose decides for each change.
func (r *restoring) choose(picks []Pick) error {
	r.back = map[nid.ID]map[Field]Change{}
	differ := map[Pick]Change{}
	var all []Pick
	for i := range r.states {
		for _, c := range r.states[i].changes() {
			differ[Pick{c.FollowID, c.Field, 0}] = c
			all = append(all, Pick{c.FollowID, c.Field, c.Version})
		}
	}
	if picks == nil {
		picks = all[:min(len(all), MaxRestored)]
	}
	seen := map[Pick]bool{}
	for _, p := range picks {
		key := Pick{p.FollowID, p.Field, 0}
		if seen[key] {
			continue
		}
		seen[key] = true
		c, ok := differ[key]
		d := Done{Pick: p, ContactID: c.ContactID, Outcome: Restored}
		switch {
		case !ok:
			d.Outcome = Unchanged
		case c.Version != p.Version:
			d.Outcome = Stale
		case c.Field == Importance && !slices.Equal(c.Was, []string{"KEY"}):
			d.Outcome = Kept
		default:
			if r.back[c.FollowID] == nil {
				r.back[c.FollowID] = map[Field]Change{}
			}
			r.back[c.FollowID][c.Field] = c
		}
		r.done = append(r.done, d)
	}
	return nil
}

// one is the text of a field after restoring.
func (r *restoring) one(s *state, f Field) any {
	v := s.is[rank(f)]
	if _, ok := r.back[s.follow][f]; ok {
		v = s.was[rank(f)]
	}
	if !v.Valid {
		return nil
	}
	return v.String
}

// touched gives the rows of which one of the fields is put back.
func (r *restoring) touched(fields []Field) (out []*state) {
	for i := range r.states {
		s := &r.states[i]
		if slices.ContainsFunc(fields, func(f Field) bool { _, ok := r.back[s.follow][f]; return ok }) {
			out = append(out, s)
		}
	}
	return out
}

func (r *restoring) follows() error {
	var rows []map[string]any
	for _, s := range r.touched(Fields[:ofFollow]) {
		rows = append(rows, map[string]any{"id": s.follow, "remark": r.one(s, Remark), "description": r.one(s, Description)})
	}
	if len(rows) == 0 {
		return nil
	}
	_, err := r.tx.Change(r.ctx, "follows", `UPDATE follows SET remark = v.remark, description = v.description, version = follows.version + 1, updated_at = $3
		FROM `+r.tx.DB().Rows(1, "v", "id uuid", "remark text", "description text")+` WHERE follows.corp_id = $2 AND follows.id = v.id RETURNING follows.id`,
		r.tx.DB().Batch(rows), r.tx.Corp(), r.tx.Now())
	return err
}

func (r *restoring) contacts() error {
	var rows []map[string]any
	for _, s := range r.touched(Fields[ofFollow:]) {
		title, _ := r.one(s, Name).(string)
		rows = append(rows, map[string]any{"id": s.contact, "title": title, "fold": name.Fold(title), "company": r.one(s, Company),
			"importance": r.one(s, Importance)})
	}
	if len(rows) == 0 {
		return nil
	}
	_, err := r.tx.Change(r.ctx, "contacts", `UPDATE contacts SET name = v.title, name_key = v.fold, company = v.company, importance = v.importance,
		version = contacts.version + 1, updated_at = $3
		FROM `+r.tx.DB().Rows(1, "v", "id uuid", "title text", "fold text", "company text", "importance text")+`
		WHERE contacts.corp_id = $2 AND contacts.id = v.id RETURNING contacts.id`, r.tx.DB().Batch(rows), r.tx.Corp(), r.tx.Now())
	return err
}

func (r *restoring) tags() error {
	for _, t := range []struct {
		field         Field
		table, column string
	}{{Tags, "follow_tags", "follow_id"}, {ContactTags, "contact_tags", "contact_id"}} {
		var gone, come []map[string]any
		for _, back := range r.back {
			c, ok := back[t.field]
			if !ok {
				continue
			}
			of := c.FollowID
			if t.field == ContactTags {
				of = c.ContactID
			}
			for _, id := range c.Is {
				if !slices.Contains(c.Was, id) {
					gone = append(gone, map[string]any{"id": of, "tag": id})
				}
			}
			for _, id := range c.Was {
				if !slices.Contains(c.Is, id) {
					come = append(come, map[string]any{"id": of, "tag": id})
				}
			}
		}
		db := r.tx.DB()
		rows := db.Rows(1, "v", "id uuid", "tag uuid")
		for _, q := range []struct {
			batch []map[string]any
			sql   string
		}{
			{gone, fmt.Sprintf(`DELETE FROM %[1]s WHERE corp_id = $2 AND (%[2]s, tag_id) IN (SELECT v.id, v.tag FROM %[3]s) RETURNING %[2]s`, t.table, t.column, rows)},
			{come, fmt.Sprintf(`INSERT INTO %[1]s (corp_id, %[2]s, tag_id) SELECT $2, v.id, v.tag FROM %[3]s WHERE true ON CONFLICT DO NOTHING RETURNING %[2]s`, t.table, t.column, rows)},
		} {
			if len(q.batch) == 0 {
				continue
			}
			if _, err := r.tx.Change(r.ctx, t.table, q.sql, db.Batch(q.batch), r.tx.Corp()); err != nil {
				return err
			}
		}
	}
	return nil
}

// count keeps the followers' numbers of key contacts, and of those that wait for a platform.
func (r *restoring) count() error {
	var rows []map[string]any
	for _, s := range r.touched([]Field{Importance}) {
		rows = append(rows, map[string]any{"id": s.contact})
	}
	if len(rows) == 0 {
		return nil
	}
	_, err := r.tx.Keep(r.ctx, "member_counters", `UPDATE member_counters SET key_contacts = key_contacts + d.n, waiting_key_contacts = waiting_key_contacts + d.waiting
		FROM (SELECT f.member_id AS id, count(*) AS n, sum(CASE WHEN f.reserved_by_id IS NULL THEN 0 ELSE 1 END) AS waiting
			FROM follows AS f JOIN `+r.tx.DB().Rows(1, "v", "id uuid")+` ON f.contact_id = v.id WHERE f.corp_id = $2 AND f.ended_at IS NULL GROUP BY f.member_id) AS d
		WHERE member_counters.corp_id = $2 AND member_counters.member_id = d.id`, r.tx.DB().Batch(rows), r.tx.Corp())
	return err
}

// entries say of each follow and contact what was put back, sealed under the contact's key.
func (r *restoring) entries() []audit.Entry {
	var out []audit.Entry
	for i := range r.states {
		s := &r.states[i]
		for _, part := range []struct {
			subject nid.ID
			fields  []Field
		}{{s.follow, Fields[:ofFollow]}, {s.contact, Fields[ofFollow:]}} {
			before, after := map[string]any{}, map[string]any{}
			for _, f := range part.fields {
				if c, ok := r.back[s.follow][f]; ok {
					before[logged[f]], after[logged[f]] = told(c, c.Is), told(c, c.Was)
				}
			}
			if len(after) > 0 {
				out = append(out, audit.Entry{Action: access.NoticeRestore, Subject: part.subject, Before: before, After: after})
			}
		}
	}
	return out
}

// told is a value as the log keeps it; none stays none.
func told(c Change, values []string) any {
	switch {
	case c.Field == Tags || c.Field == ContactTags:
		ids := make([]nid.ID, 0, len(values))
		for _, v := range values {
			if id, err := nid.FromUUID(v); err == nil {
				ids = append(ids, id)
			}
		}
		return ids
	case len(values) == 0:
		return nil
	case c.Field == Importance:
		return values[0]
	}
	return audit.Personal{Subject: c.ContactID, Value: strings.Join(values, "")}
}
