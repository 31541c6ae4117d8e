package handover

import (
	"slices"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// The steps of application that only a reverse handover has. What the handover
// added is taken back; what people changed since stays.

// reopen opens the follows again that mergers ended.
func (a *application) reopen() error {
	done, err := a.change("follows", `UPDATE follows SET ended_at = NULL, ended_by_id = NULL, since = $2, protected = NOT v.answers,
		version = follows.version + 1, owner_version = follows.owner_version + 1, updated_at = $2
		FROM `+a.rows()+` WHERE follows.corp_id = v.corp AND follows.id = v.follow AND follows.member_id = v.to_id
		  AND follows.owner_version = v.version AND follows.ended_by_id = v.back
		RETURNING follows.id, follows.contact_id`, a.reopened, a.tx.Now())
	return expectAll(err, len(done), len(a.reopened), "follows")
}

// takeTags removes the tags that mergers added to the successors' follows.
func (a *application) takeTags() error {
	var batch []map[string]any
	of := map[nid.ID]nid.ID{}
	for _, t := range a.undone {
		if u := t.Back.Undo; u != nil {
			for _, tag := range u.Tags {
				batch = append(batch, map[string]any{"corp": a.tx.Corp(), "kept": u.Kept, "tag": tag})
			}
			of[u.Kept] = t.ID
		}
	}
	if len(batch) == 0 {
		return nil
	}
	rows, err := a.tx.Change(a.ctx, "follow_tags", `DELETE FROM follow_tags WHERE (corp_id, follow_id, tag_id) IN (SELECT corp, kept, tag FROM `+
		a.tx.DB().Rows(1, "v", "corp uuid", "kept uuid", "tag uuid")+`) RETURNING follow_id`, a.tx.DB().Batch(batch))
	for _, follow := range rows {
		a.covers[of[follow]] = append(a.covers[of[follow]], follow)
	}
	return err
}

// takeRemarks empties the remarks that mergers filled, where they still say the same.
func (a *application) takeRemarks() error {
	var batch []map[string]any
	for _, t := range a.undone {
		if u := t.Back.Undo; u != nil && u.Remark {
			batch = append(batch, map[string]any{"corp": a.tx.Corp(), "item": t.Item.ID, "follow": t.Follow, "kept": u.Kept})
		}
	}
	_, err := a.change("follows", `UPDATE follows SET remark = NULL, version = follows.version + 1, updated_at = $2
		FROM `+a.rows()+` JOIN follows AS old ON old.corp_id = v.corp AND old.id = v.follow
		WHERE follows.corp_id = v.corp AND follows.id = v.kept AND follows.remark = old.remark
		RETURNING follows.id, follows.contact_id`, batch, a.tx.Now())
	return err
}

// leaveGroups removes who became a member of a group only through the handover.
func (a *application) leaveGroups() error {
	if len(a.groups) == 0 {
		return nil
	}
	rows, err := store.ChangeInto(a.ctx, a.tx, func(id *nid.ID) []any { return []any{id} }, func(id *nid.ID) nid.ID { return *id }, "group_members",
		`DELETE FROM group_members WHERE (corp_id, group_id, member_id, added_by_id) IN (SELECT corp, item, from_id, back FROM `+a.rows()+` WHERE back IS NOT NULL) RETURNING group_id`,
		a.tx.DB().Batch(a.groups))
	for _, group := range rows {
		a.cover(group, group)
	}
	return err
}

// restoreHistory gives those to whom something goes back what they could read of it when
// the handover that is taken back ended that, unless they have left meanwhile.
func (a *application) restoreHistory() error {
	var batch []map[string]any
	for _, row := range slices.Concat(a.moved, a.merged, a.groups) {
		if row["back"] != nil {
			batch = append(batch, row)
		}
	}
	_, err := a.change("history_grants", `UPDATE history_grants SET ended_at = NULL, ended_by_id = NULL FROM `+a.rows()+`
		WHERE history_grants.corp_id = v.corp AND history_grants.ended_by_id = v.back AND history_grants.successor_id = v.to_id AND v.answers
		RETURNING history_grants.id, coalesce(history_grants.contact_id, history_grants.group_id)`, slices.Concat(batch, a.reopened))
	return err
}
