package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

type tagsOf struct{ table string }

// tagNames gives the names of the tags on rows of a table, sorted; join is the
// table that attaches them, by the column of.
func tagNames[T siblings.Row](ctx context.Context, row T, t *table[T], join, of string) ([]string, error) {
	found, err := siblings.Load(ctx, row, tagsOf{join}, func(ctx context.Context, rows []T) (map[nid.ID][]string, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		type tag struct {
			of   nid.ID
			name string
		}
		tags, err := store.Select(ctx, q, func(t *tag) []any { return []any{&t.of, &t.name} }, fmt.Sprintf(`SELECT j.%[1]s, t.name FROM %[2]s AS j
			JOIN tags AS t ON t.corp_id = j.corp_id AND t.id = j.tag_id WHERE j.corp_id = $1 AND j.%[1]s %[3]s`, of, join, q.DB().In(2)),
			corpOf(ctx), q.DB().IDs(idsOf(rows, t.id)))
		out := make(map[nid.ID][]string, len(rows))
		for _, t := range tags {
			out[t.of] = append(out[t.of], t.name)
		}
		for id := range out {
			slices.Sort(out[id]) // here, so that both engines sort alike
		}
		return out, err
	})
	return orEmpty(found[t.id(row)]), err
}

func orEmpty(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

// followTags is the column in which follows that are loaded for their contacts
// bring the names of their tags along, a JSON array.
const followTags = "tag_names"

type followsWith struct{ tags bool }

// followsOf gives everybody who looks after a contact now, the longest first.
func followsOf(ctx context.Context, c *ent.Contact) ([]*ent.Follow, error) {
	tags := selected(ctx, "tags")
	found, err := siblings.Load(ctx, c, followsWith{tags}, func(ctx context.Context, rows []*ent.Contact) (map[nid.ID][]*ent.Follow, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		var w store.Where
		w.And("follows.contact_id "+q.DB().InList(), q.DB().IDs(idsOf(rows, contacts.id)))
		w.And("follows.ended_at IS NULL")
		all, err := follows.load(ctx, &w, func(s *sql.Selector) {
			s.OrderBy(s.C("since"), s.C("id"))
			if tags {
				s.AppendSelectExprAs(sql.Raw(`(SELECT `+q.DB().JSONArray("t.name")+` FROM follow_tags AS j JOIN tags AS t ON t.corp_id = j.corp_id AND t.id = j.tag_id
					WHERE j.corp_id = follows.corp_id AND j.follow_id = follows.id)`), followTags)
			}
		})
		out := make(map[nid.ID][]*ent.Follow, len(rows))
		for _, f := range all {
			if len(out[f.ContactID]) < maxFollows {
				out[f.ContactID] = append(out[f.ContactID], f)
			}
		}
		return out, err
	})
	return found[c.ID], err
}

type readableOf struct{}

// readable reports whether the viewer may read what a follower noted.
func readable(ctx context.Context, f *ent.Follow) (bool, error) {
	scope, args := rule.InScope(access.From(ctx), "m.corp_id", "m.id", access.ViewContacts)
	if scope == "" {
		return true, nil
	}
	found, err := siblings.Load(ctx, f, readableOf{}, func(ctx context.Context, rows []*ent.Follow) (map[nid.ID]bool, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		var w store.Where
		w.And("m.corp_id = ?", corpOf(ctx))
		w.And("m.id "+q.DB().InList(), q.DB().IDs(idsOf(rows, func(f *ent.Follow) nid.ID { return f.MemberID })))
		w.And(scope, args...)
		where, args := w.SQL(1)
		in, err := store.Select(ctx, q, func(id *nid.ID) []any { return []any{id} }, `SELECT m.id FROM members AS m WHERE `+where, args...)
		out := make(map[nid.ID]bool, len(in))
		for _, id := range in {
			out[id] = true
		}
		return out, err
	})
	return found[f.MemberID], err
}

// noted gives a text of a follow where the viewer may read it.
func noted(ctx context.Context, f *ent.Follow, text *string) (*string, error) {
	if text == nil {
		return nil, nil
	}
	if ok, err := readable(ctx, f); !ok {
		return nil, err
	}
	return text, nil
}

// tagsOn gives the names of a follow's tags where the viewer may read them.
func tagsOn(ctx context.Context, f *ent.Follow) ([]string, error) {
	if ok, err := readable(ctx, f); !ok {
		return []string{}, err
	}
	v, err := f.Value(followTags)
	if err != nil { // not loaded for its contact
		return tagNames(ctx, f, follows, "follow_tags", "follow_id")
	}
	names := []string{}
	if err := json.Unmarshal([]byte(plainText(v)), &names); err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

// plainText is a text column as ent keeps one that it has no field for.
func plainText(v any) string {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case *sql.NullString:
		return v.String
	}
	return fmt.Sprint(v)
}

// ownershipOf gives who had a contact or group, from when to when; column names
// which of the two.
func ownershipOf[T siblings.Row](ctx context.Context, row T, t *table[T], column string, of func(*ent.OwnershipPeriod) nid.ID) ([]*ent.OwnershipPeriod, error) {
	newest, err := many(ctx, row, "ownership", t.id, maxOwnership, of, func(ctx context.Context, ids []nid.ID) ([]*ent.OwnershipPeriod, error) {
		var w store.Where
		if err := in(ctx, &w, "ownership_periods."+column, ids); err != nil {
			return nil, err
		}
		return periods.load(ctx, &w, func(s *sql.Selector) { s.OrderBy(sql.Desc(s.C("from_at")), sql.Desc(s.C("id"))) })
	})
	oldest := slices.Clone(newest)
	slices.Reverse(oldest)
	return oldest, err
}

type ownersAt struct {
	column string
	at     time.Time
}

// ownersOf gives who had a contact or group at a moment.
func ownersOf[T siblings.Row](ctx context.Context, row T, t *table[T], column string, of func(*ent.OwnershipPeriod) nid.ID, at time.Time) ([]*ent.Member, error) {
	found, err := siblings.Load(ctx, row, ownersAt{column, at}, func(ctx context.Context, rows []T) (map[nid.ID][]*ent.Member, error) {
		var w store.Where
		if err := in(ctx, &w, "ownership_periods."+column, idsOf(rows, t.id)); err != nil {
			return nil, err
		}
		w.And("ownership_periods.from_at <= ?", at)
		w.And("(ownership_periods.until_at IS NULL OR ownership_periods.until_at > ?)", at)
		all, err := periods.load(ctx, &w, func(s *sql.Selector) { s.OrderBy(s.C("from_at"), s.C("id")) })
		if err != nil {
			return nil, err
		}
		people, err := members.byID(ctx, idsOf(all, func(p *ent.OwnershipPeriod) nid.ID { return p.MemberID })...)
		out := make(map[nid.ID][]*ent.Member, len(rows))
		for _, p := range all {
			if m := people[p.MemberID]; m != nil && len(out[of(p)]) < maxFollows {
				out[of(p)] = append(out[of(p)], m)
			}
		}
		return out, err
	})
	return found[t.id(row)], err
}
