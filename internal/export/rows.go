package export

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/ent/predicate"
	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/intake"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// pageRows is how many rows are read at once: memory does not grow with a file.
const pageRows = 500

// column is one of a file. Its name is the import's where the import has it.
type column struct {
	name  string
	label fault.Text
}

func (c column) in(lang string) string { return c.label.In(lang) }

// imported is a column that an import reads back.
func imported(file, name string) column {
	return column{name, fault.Text{EN: name, ZH: intake.Header(file, name, "zh-CN")}}
}

func own(name, zh string) column { return column{name, fault.Text{EN: name, ZH: zh}} }

// source gives the rows of one subject, as the context's actor sees them. Values are
// string, int, int64, bool, []string, json.RawMessage (of an object) and nil.
type source struct {
	columns []column
	// count says how many rows there are.
	count func(ctx context.Context, q *store.Read) (int, error)
	// next gives the next page; an empty one is the end.
	next func(ctx context.Context, q *store.Read) ([][]any, error)
}

// narrowed is what leaves in a file: what lists show (ent sees to that), as far as it
// may be exported and was asked for.
func narrowed(ctx context.Context, table string) *store.Where {
	w := &store.Where{}
	if condition, args := rule.Exportable(access.From(ctx), table); condition != "" {
		w.And(condition, args...)
	}
	return w
}

// from is where the next page begins: after a row, in the order of ids.
func from(w *store.Where, table string, last nid.ID) func(*sql.Selector) {
	page := *w
	if !last.IsZero() {
		page.And(table+".id > ?", last)
	}
	return func(s *sql.Selector) {
		page.Apply(s)
		s.OrderBy(s.C("id")).Limit(pageRows)
	}
}

func byID(id nid.ID) predicate.Handover {
	return func(s *sql.Selector) { s.Where(sql.EQ(s.C("id"), id)) }
}

// sourceOf makes the source of an export as the context's actor.
func (s *Service) sourceOf(ctx context.Context, j *job) (*source, error) {
	switch j.subject {
	case Contacts:
		var f *contact.Filter
		if len(j.filter) > 0 {
			if err := json.Unmarshal(j.filter, &f); err != nil {
				return nil, err
			}
		}
		return s.contacts(ctx, f), nil
	case Groups:
		return s.groups(ctx), nil
	case Transfers:
		return s.transfers(ctx, j.handover, j.language), nil
	case AuditLog:
		return s.entries(ctx, j.handover), nil
	}
	return nil, fmt.Errorf("export: %s has no rows", j.subject)
}

func (s *Service) contacts(ctx context.Context, f *contact.Filter) *source {
	w := narrowed(ctx, "contacts")
	w.And("contacts.archived_at IS NULL")
	f.Where(s.DB, w)
	const file = intake.ContactsFile
	var last nid.ID
	return &source{
		columns: []column{
			imported(file, "external_userid"), imported(file, "name"), imported(file, "type"), imported(file, "company"), imported(file, "importance"),
			imported(file, "tags"), imported(file, "accountable_userid"), imported(file, "chat_consent"),
			own("follower_userids", "跟进人账号列表"), own("protected", "待交接"), own("created_at", "创建时间"), own("contact_id", "系统编号"),
		},
		count: func(ctx context.Context, q *store.Read) (int, error) {
			return q.Ent().Contact.Query().Where(predicate.Contact(w.Apply)).Count(ctx)
		},
		next: func(ctx context.Context, q *store.Read) ([][]any, error) {
			rows, err := q.Ent().Contact.Query().Where(predicate.Contact(from(w, "contacts", last))).All(ctx)
			if err != nil || len(rows) == 0 {
				return nil, err
			}
			last = rows[len(rows)-1].ID
			ids := each(rows, func(c *ent.Contact) nid.ID { return c.ID })
			tags, err := named(ctx, q, `SELECT j.contact_id, t.name FROM contact_tags AS j JOIN tags AS t ON t.corp_id = j.corp_id AND t.id = j.tag_id
				WHERE j.corp_id = $1 AND j.contact_id `+s.DB.In(2), ids)
			if err != nil {
				return nil, err
			}
			followers, err := named(ctx, q, `SELECT f.contact_id, m.user_id FROM follows AS f JOIN members AS m ON m.corp_id = f.corp_id AND m.id = f.member_id
				WHERE f.corp_id = $1 AND f.ended_at IS NULL AND f.contact_id `+s.DB.In(2), ids)
			if err != nil {
				return nil, err
			}
			people, err := userIDs(ctx, q, each(rows, func(c *ent.Contact) nid.ID { return c.AccountableID }))
			return each(rows, func(c *ent.Contact) []any {
				return []any{
					orNil(c.ExternalUserID), c.Name, string(c.Type), orNil(c.Company), string(c.Importance), tags[c.ID], people[c.AccountableID], string(c.ChatConsent),
					followers[c.ID], c.Protected, moment(&c.CreatedAt), c.ID.String(),
				}
			}), err
		},
	}
}

func (s *Service) groups(ctx context.Context) *source {
	w := narrowed(ctx, "groups")
	w.And("groups.archived_at IS NULL")
	const file = intake.GroupsFile
	var last nid.ID
	return &source{
		columns: []column{
			imported(file, "chat_id"), imported(file, "name"), imported(file, "owner_userid"), imported(file, "member_count"), imported(file, "status"),
			own("accountable_userid", "负责人账号"), own("protected", "待交接"), own("created_at", "创建时间"), own("group_id", "系统编号"),
		},
		count: func(ctx context.Context, q *store.Read) (int, error) {
			return q.Ent().Group.Query().Where(predicate.Group(w.Apply)).Count(ctx)
		},
		next: func(ctx context.Context, q *store.Read) ([][]any, error) {
			rows, err := q.Ent().Group.Query().Where(predicate.Group(from(w, "groups", last))).All(ctx)
			if err != nil || len(rows) == 0 {
				return nil, err
			}
			last = rows[len(rows)-1].ID
			people, err := userIDs(ctx, q, append(each(rows, func(g *ent.Group) nid.ID { return g.OwnerID }), each(rows, func(g *ent.Group) nid.ID { return g.AccountableID })...))
			return each(rows, func(g *ent.Group) []any {
				return []any{
					orNil(g.ChatID), g.Name, people[g.OwnerID], g.MemberCount, string(g.Status), people[g.AccountableID], g.Protected, moment(&g.CreatedAt), g.ID.String(),
				}
			}), err
		},
	}
}

// entries are the log from its first entry on, in its own order.
func (s *Service) entries(ctx context.Context, handover nid.ID) *source {
	w := narrowed(ctx, "audit_entries")
	if !handover.IsZero() {
		w.And("audit_entries.handover_id = ?", handover)
	}
	next := int64(0)
	return &source{
		columns: []column{
			own("index", "序号"), own("at", "时间"), own("action", "操作"), own("actor_kind", "操作者类型"), own("actor_id", "操作者编号"), own("actor", "操作者"),
			own("subject_id", "对象编号"), own("handover_id", "交接编号"), own("request_id", "请求编号"), own("address", "网络地址"),
			own("before", "变更前"), own("after", "变更后"), own("hash", "哈希值"), own("entry_id", "系统编号"),
		},
		count: func(ctx context.Context, q *store.Read) (int, error) {
			return q.Ent().AuditEntry.Query().Where(predicate.AuditEntry(w.Apply)).Count(ctx)
		},
		next: func(ctx context.Context, q *store.Read) ([][]any, error) {
			page := *w
			page.And(`audit_entries."index" >= ?`, next)
			rows, err := q.Ent().AuditEntry.Query().Where(func(s *sql.Selector) {
				page.Apply(s)
				s.OrderBy(s.C("index")).Limit(pageRows)
			}).All(ctx)
			if err != nil || len(rows) == 0 {
				return nil, err
			}
			next = rows[len(rows)-1].Index + 1
			views, err := s.Reader.Values(ctx, q, each(rows, func(e *ent.AuditEntry) []byte { return e.Leaf }))
			if err != nil {
				return nil, err
			}
			people, err := userIDs(ctx, q, each(rows, func(e *ent.AuditEntry) nid.ID { return e.ActorID }))
			out := make([][]any, len(rows))
			for i, e := range rows {
				out[i] = entry(e, views[i], people[e.ActorID])
			}
			return out, err
		},
	}
}

func entry(e *ent.AuditEntry, v audit.View, actor any) []any {
	if v.ActorLabel != "" {
		actor = v.ActorLabel
	}
	side := func(m map[string]any) any {
		if m == nil {
			return nil
		}
		b, err := json.Marshal(m)
		if err != nil {
			return nil // it came from JSON
		}
		return json.RawMessage(b)
	}
	return []any{
		e.Index, moment(&e.At), e.Action, e.ActorKind, id(e.ActorID), actor, id(e.SubjectID), id(e.HandoverID), orNil(&e.RequestID), orNil(&v.Address),
		side(v.Before), side(v.After), fmt.Sprintf("%x", e.Hash), e.ID.String(),
	}
}

// named gathers names that belong to rows, sorted.
func named(ctx context.Context, q *store.Read, query string, ids []nid.ID) (map[nid.ID][]string, error) {
	type row struct {
		of   nid.ID
		name string
	}
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.of, &r.name} }, query, access.From(ctx).Corp, q.DB().IDs(ids))
	out := map[nid.ID][]string{}
	for _, r := range rows {
		out[r.of] = append(out[r.of], r.name)
	}
	for _, names := range out {
		slices.Sort(names)
	}
	return out, err
}

// userIDs gives the accounts of members; nil for who is none.
func userIDs(ctx context.Context, q *store.Read, ids []nid.ID) (map[nid.ID]any, error) {
	found, err := named(ctx, q, `SELECT id, user_id FROM members WHERE corp_id = $1 AND id `+q.DB().In(2), ids)
	out := map[nid.ID]any{}
	for of, names := range found {
		out[of] = names[0]
	}
	return out, err
}

func each[T, U any](rows []T, of func(T) U) []U {
	out := make([]U, len(rows))
	for i, r := range rows {
		out[i] = of(r)
	}
	return out
}

func orNil(s *string) any {
	if s == nil || *s == "" {
		return nil
	}
	return *s
}

func id(v nid.ID) any {
	if v.IsZero() {
		return nil
	}
	return v.String()
}

func moment(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}
