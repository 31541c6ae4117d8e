package notice

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Field is a part of a contact, or of what the member wrote about it, that is kept.
type Field string

// The fields.
const (
	Remark      Field = "REMARK"
	Description Field = "DESCRIPTION"
	Tags        Field = "TAGS"
	Importance  Field = "IMPORTANCE"
	ContactTags Field = "CONTACT_TAGS"
	Name        Field = "NAME"
	Company     Field = "COMPANY"
)

// Fields lists them in the order in which the changes of one contact are shown. ofFollow are
// the first ones: those of the follow, not of the contact.
var Fields = []Field{Remark, Description, Tags, Importance, ContactTags, Name, Company}

const ofFollow = 3

// logged is what a field is called in the entries of the log.
var logged = map[Field]string{
	Remark: "remark", Description: "description", Tags: "tags", Importance: "importance", ContactTags: "tags", Name: "name", Company: "company",
}

// Change is one field that differs from the baseline.
type Change struct {
	FollowID, ContactID nid.ID
	Field               Field
	// Was and Is are texts, or ids of tags.
	Was, Is []string
	// Version is that of the follow, or of the contact for what is the contact's.
	Version   int
	ChangedAt time.Time
	// ChangedBy is the actor of the newest entry about it; zero where an import or the
	// system did it.
	ChangedBy nid.ID
}

// state is a follow with its baseline, side by side.
type state struct {
	follow, contact               nid.ID
	followVersion, contactVersion int
	followAt, contactAt, takenAt  time.Time
	was, is                       [7]sql.NullString // as Fields
}

func (s *state) dest() []any {
	out := []any{&s.follow, &s.contact, &s.followVersion, &s.contactVersion, &s.followAt, &s.contactAt, &s.takenAt}
	for i := range s.was {
		out = append(out, &s.was[i], &s.is[i])
	}
	return out
}

// pairs are the expressions of each field in the baseline and now.
func pairs(db *store.DB) [7][2]string {
	return [7][2]string{
		{"b.remark", "follows.remark"}, {"b.description", "follows.description"}, {"b.tags", tags(db, "follow_tags", "follow_id", "follows")},
		{"b.importance", "contacts.importance"}, {"b.contact_tags", tags(db, "contact_tags", "contact_id", "contacts")},
		{"b.name", "contacts.name"}, {"b.company", "contacts.company"},
	}
}

// from joins the baseline of the member $2 with what there is now. What was handed over,
// ended, archived or erased is left out. Every row is compared: times are of several replicas'
// clocks, and a version says nothing of who forgot to raise it.
func from(db *store.DB) string {
	return ` FROM notice_baselines AS b` +
		db.Lookup("follows", `follows.corp_id = b.corp_id AND follows.id = b.follow_id
			AND CASE WHEN follows.ended_at IS NULL THEN follows.member_id = b.member_id ELSE false END`) +
		db.Lookup("contacts", "contacts.corp_id = b.corp_id AND contacts.id = b.contact_id AND "+present) +
		` WHERE b.corp_id = $1 AND b.member_id = $2`
}

// states is the statement for the rows that differ.
func states(db *store.DB) string {
	columns := `b.follow_id, b.contact_id, follows.version, contacts.version, follows.updated_at, contacts.updated_at, b.taken_at`
	for _, p := range pairs(db) {
		columns += ", " + p[0] + ", " + p[1]
	}
	return `SELECT ` + columns + from(db) + ` AND (` + strings.Join(differ(db), " OR ") + `)`
}

// differ are the conditions that a field is another than in the baseline.
func differ(db *store.DB) (out []string) {
	for _, p := range pairs(db) {
		out = append(out, "COALESCE("+p[0]+", '') <> COALESCE("+p[1]+", '')")
	}
	return out
}

// changes are the fields of a row that differ.
func (s *state) changes() (out []Change) {
	for i, f := range Fields {
		if s.was[i].String == s.is[i].String {
			continue
		}
		c := Change{FollowID: s.follow, ContactID: s.contact, Field: f, Was: values(f, s.was[i]), Is: values(f, s.is[i]), Version: s.followVersion,
			ChangedAt: s.followAt}
		if i >= ofFollow {
			c.Version, c.ChangedAt = s.contactVersion, s.contactAt
		}
		out = append(out, c)
	}
	return out
}

func values(f Field, v sql.NullString) []string {
	switch {
	case v.String == "":
		return []string{}
	case f == Tags || f == ContactTags:
		return strings.Split(v.String, ",")
	}
	return []string{v.String}
}

// Place is where a page of changes begins: after this one.
type Place struct {
	FollowID nid.ID
	Field    Field
}

// May demands that the actor may see what a member noted: NOT_FOUND on memberId,
// FORBIDDEN outside of their VIEW_CONTACTS.
func May(ctx context.Context, q store.Querier, member nid.ID) error {
	a := access.From(ctx)
	return reach(ctx, q, a, a.Scope(access.ViewContacts), member, "memberId")
}

func reach(ctx context.Context, q store.Querier, a *access.Actor, scope access.Scope, member nid.ID, field string) error {
	_, ok, err := store.SelectOne(ctx, q, func(id *nid.ID) []any { return []any{id} }, `SELECT id FROM members WHERE corp_id = $1 AND id = $2`, a.Corp, member)
	if err != nil {
		return err
	}
	if !ok {
		return fault.Missing(field)
	}
	outside, err := store.OutOfScope(ctx, q, scope, member)
	if err == nil && len(outside) > 0 {
		err = fault.Denied("this member is outside of the part of the corp you look after", "该成员不在您的管理范围内")
	}
	return err
}

// Changes gives what differs from a member's baseline, by follow and field, limit+1 at most.
func Changes(ctx context.Context, q *store.Read, member nid.ID, after Place, limit int) ([]Change, error) {
	corp := access.From(ctx).Corp
	rows, err := store.Select(ctx, q, (*state).dest, states(q.DB())+` AND b.follow_id >= $3 ORDER BY b.follow_id LIMIT $4`,
		corp, member, after.FollowID.UUID(), limit+2)
	if err != nil {
		return nil, err
	}
	var out []Change
	since := time.Time{}
	for i := range rows {
		if since.IsZero() || rows[i].takenAt.Before(since) {
			since = rows[i].takenAt
		}
		for _, c := range rows[i].changes() {
			if c.FollowID == after.FollowID && rank(c.Field) <= rank(after.Field) {
				continue
			}
			out = append(out, c)
		}
	}
	out = out[:min(len(out), limit+1)]
	return out, attribute(ctx, q, out, since)
}

// Count counts what differs.
func Count(ctx context.Context, q *store.Read, member nid.ID) (int, error) {
	differing := `CASE WHEN ` + strings.Join(differ(q.DB()), ` THEN 1 ELSE 0 END + CASE WHEN `) + ` THEN 1 ELSE 0 END`
	n, _, err := store.SelectOne(ctx, q, func(n *int) []any { return []any{n} },
		`SELECT COALESCE(SUM(`+differing+`), 0)`+from(q.DB()), access.From(ctx).Corp, member)
	return n, err
}

func rank(f Field) int {
	for i, known := range Fields {
		if f == known {
			return i
		}
	}
	return -1
}

// latest is how many of the newest entries about a follow or contact are searched for who
// changed a field.
const latest = 100

// attribute finds who changed what, in the log: the newest entry since the baseline that
// names the field.
func attribute(ctx context.Context, q *store.Read, changes []Change, since time.Time) error {
	if len(changes) == 0 {
		return nil
	}
	var ids []nid.ID
	seen := map[nid.ID]bool{}
	for _, c := range changes {
		for _, id := range []nid.ID{c.FollowID, c.ContactID} {
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	type row struct {
		subject, actor nid.ID
		kind           string
		at             time.Time
		leaf           []byte
	}
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.subject, &r.actor, &r.kind, &r.at, &r.leaf} }, `
		SELECT subject_id, actor_id, actor_kind, at, leaf FROM (SELECT e.*, ROW_NUMBER() OVER (PARTITION BY e.subject_id ORDER BY e."index" DESC) AS n
			FROM audit_entries AS e WHERE e.corp_id = $1 AND e.subject_id `+q.DB().In(2)+` AND e.at >= $3 AND e.action IN ('`+
		string(access.FollowUpdate)+`', '`+string(access.ContactUpdate)+`', '`+string(access.NoticeRestore)+`')) AS numbered
		WHERE n <= $4 ORDER BY "index" DESC`, access.From(ctx).Corp, q.DB().IDs(ids), since, latest)
	if err != nil {
		return err
	}
	type what struct {
		subject nid.ID
		field   string
	}
	newest := map[what]row{}
	for _, r := range rows {
		var entry struct{ After map[string]json.RawMessage }
		if err := json.NewDecoder(bytes.NewReader(r.leaf)).Decode(&entry); err != nil {
			return err
		}
		for field := range entry.After {
			if _, ok := newest[what{r.subject, field}]; !ok {
				newest[what{r.subject, field}] = r
			}
		}
	}
	for i := range changes {
		c := &changes[i]
		subject := c.FollowID
		if rank(c.Field) >= ofFollow {
			subject = c.ContactID
		}
		if r, ok := newest[what{subject, logged[c.Field]}]; ok {
			c.ChangedAt = r.at
			if r.kind == string(access.Person) {
				c.ChangedBy = r.actor
			}
		}
	}
	return nil
}
