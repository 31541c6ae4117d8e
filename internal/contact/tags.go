package contact

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// tagged is a join table of tags and the column of what has them.
type tagged struct{ table, column string }

var (
	ofContacts = tagged{"contact_tags", "contact_id"}
	ofFollows  = tagged{"follow_tags", "follow_id"}
)

func checkTags(names []string) error {
	if len(names) > maxTags {
		return fault.Bad("input.tags", "%d tags; %d are allowed", "共 %d 个标签,最多允许 %d 个", len(names), maxTags)
	}
	for i, n := range names {
		if problem, ok := name.Check(n); !ok {
			return fault.New(fault.Invalid, fmt.Sprintf("input.tags.%d", i), problem)
		}
	}
	return nil
}

// retag replaces the tags of one contact or follow by those of the names, notes the
// tags' ids in before and after where they change, and gives the rows it touched.
// Nil names keep what is there.
func retag(ctx context.Context, tx *store.Tx, actor *access.Actor, t tagged, of nid.ID, names []string, before, after map[string]any) ([]nid.ID, error) {
	if names == nil {
		return nil, nil
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	had, err := store.Select(ctx, tx, func(id *nid.ID) []any { return []any{id} },
		`SELECT tag_id FROM `+t.table+` WHERE corp_id = $1 AND `+t.column+` = $2 ORDER BY tag_id`, tx.Corp(), of)
	if err != nil {
		return nil, err
	}
	want, made, err := resolve(ctx, tx, actor, names, had)
	if err != nil || slices.Equal(had, want) {
		return made, err
	}
	if actor.Leaving && slices.ContainsFunc(had, func(id nid.ID) bool { return !slices.Contains(want, id) }) {
		return nil, leaverDeletes()
	}
	before["tags"], after["tags"] = had, want
	db := tx.DB()
	gone, err := tx.Change(ctx, t.table, `DELETE FROM `+t.table+` WHERE corp_id = $1 AND `+t.column+` = $2 AND NOT (tag_id `+db.In(3)+`) RETURNING `+t.column,
		tx.Corp(), of, db.IDs(want))
	if err != nil {
		return nil, err
	}
	rows := make([]map[string]any, len(want))
	for i, id := range want {
		rows[i] = map[string]any{"tag": id}
	}
	added, err := tx.Change(ctx, t.table, `INSERT INTO `+t.table+` (corp_id, `+t.column+`, tag_id) SELECT $2, $3, tag FROM `+db.Rows(1, "v", "tag uuid")+`
		WHERE true ON CONFLICT DO NOTHING RETURNING `+t.column, db.Batch(rows), tx.Corp(), of)
	if len(gone)+len(added) > 0 {
		made = append(made, of)
	}
	return made, err
}

// resolve finds the tags of the names, and makes those that are not there where the
// actor may. Of tags that share a name those that are attached already win, then
// the one without a group.
func resolve(ctx context.Context, tx *store.Tx, actor *access.Actor, names []string, had []nid.ID) (ids, made []nid.ID, err error) {
	known, err := tagsNamed(ctx, tx, names)
	if err != nil {
		return nil, nil, err
	}
	var rows []map[string]any
	for _, n := range names {
		if len(known[n]) > 0 {
			continue
		}
		if !actor.Can(access.ManageTags) {
			return nil, nil, fault.Bad("input.tags", "there is no tag %q, and making one needs MANAGE_TAGS", "没有标签 %q,新建标签需要 MANAGE_TAGS 权限", n)
		}
		rows = append(rows, map[string]any{"id": tx.NewID(nid.Tag), "name": n})
	}
	if len(rows) > 0 {
		if made, err = tx.Change(ctx, "tags", `INSERT INTO tags (id, corp_id, created_at, group_name, name)
			SELECT id, $2, $3, '', name FROM `+tx.DB().Rows(1, "v", "id uuid", "name text")+` WHERE true ON CONFLICT DO NOTHING RETURNING id`,
			tx.DB().Batch(rows), tx.Corp(), tx.Now()); err != nil {
			return nil, nil, err
		}
		// Somebody may have made one of them meanwhile: it is there now as well.
		if known, err = tagsNamed(ctx, tx, names); err != nil {
			return nil, nil, err
		}
	}
	for _, n := range names {
		of := known[n]
		kept := slices.DeleteFunc(slices.Clone(of), func(id nid.ID) bool { return !slices.Contains(had, id) })
		if len(kept) == 0 {
			kept = of[:1]
		}
		ids = append(ids, kept...)
	}
	slices.SortFunc(ids, func(a, b nid.ID) int { return bytes.Compare(a[:], b[:]) })
	return ids, made, nil
}

// tagsNamed reads the ids of tags by name, those without a group first.
func tagsNamed(ctx context.Context, tx *store.Tx, names []string) (map[string][]nid.ID, error) {
	type tag struct {
		id   nid.ID
		name string
	}
	rows, err := store.Select(ctx, tx, func(t *tag) []any { return []any{&t.id, &t.name} },
		`SELECT id, name FROM tags WHERE corp_id = $1 AND name `+tx.DB().InText(2)+` ORDER BY group_name, id`, tx.Corp(), tx.DB().Texts(names))
	out := map[string][]nid.ID{}
	for _, t := range rows {
		out[t.name] = append(out[t.name], t.id)
	}
	return out, err
}
