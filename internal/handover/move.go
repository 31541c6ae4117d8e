package handover

import (
	"context"
	"slices"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// application is the set-based work of one transaction: one statement for each
// step, however many items.
type application struct {
	ctx                   context.Context
	tx                    *store.Tx
	moved, merged, groups []map[string]any
	// What a reverse handover opens again, and the transfers that do.
	reopened        []map[string]any
	undone          []*Transfer
	of              map[nid.ID]nid.ID // transfer by item, follow or transfer
	covers          map[nid.ID][]nid.ID
	tags            map[nid.ID][]nid.ID // by transfer
	remarks, joined map[nid.ID]bool     // by transfer
}

// cover notes that an id changed for the transfer of the item.
func (a *application) cover(item, id nid.ID) {
	t := a.of[item]
	a.covers[t] = append(a.covers[t], id)
}

type changed struct{ id, item nid.ID }

func ids(c *changed) []any        { return []any{&c.id, &c.item} }
func changedID(c *changed) nid.ID { return c.id }

// rows is the batch's table for the FROM clause. The corp is a column of it: compared
// with a constant, SQLite takes the corp for a handful of rows and reads them all.
func (a *application) rows() string {
	return a.tx.DB().Rows(1, "v", "corp uuid", "item uuid", "follow uuid", "kept uuid", "from_id uuid", "to_id uuid", "version int", "transfer uuid", "back uuid", "period uuid", "answers bool", "caretaker uuid")
}

// change runs one statement over a batch; it returns (id, item).
func (a *application) change(table, query string, batch []map[string]any, args ...any) ([]changed, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	out, err := store.ChangeInto(a.ctx, a.tx, ids, changedID, table, query, append([]any{a.tx.DB().Batch(batch)}, args...)...)
	for _, c := range out {
		a.cover(c.item, c.id)
	}
	return out, err
}

// endMerged ends the leaver's follows of contacts that the successor follows already.
func (a *application) endMerged() error {
	done, err := a.change("follows", `UPDATE follows SET ended_at = $2, ended_by_id = v.transfer, protected = false, version = follows.version + 1,
		owner_version = follows.owner_version + 1, updated_at = $2
		FROM `+a.rows()+` WHERE follows.corp_id = v.corp AND follows.id = v.follow AND follows.member_id = v.from_id
		  AND follows.owner_version = v.version AND follows.ended_at IS NULL
		RETURNING follows.id, follows.contact_id`, a.merged, a.tx.Now())
	return expectAll(err, len(done), len(a.merged), "follows")
}

// uniteTags gives the successor's follow the tags of the leaver's.
func (a *application) uniteTags() error {
	a.tags = map[nid.ID][]nid.ID{}
	if len(a.merged) == 0 {
		return nil
	}
	type added struct{ follow, tag nid.ID }
	of := map[nid.ID]nid.ID{}
	for _, m := range a.merged {
		kept, _ := nid.FromUUID(m["kept"])
		transfer, _ := nid.FromUUID(m["transfer"])
		of[kept] = transfer
	}
	rows, err := store.ChangeInto(a.ctx, a.tx, func(r *added) []any { return []any{&r.follow, &r.tag} }, func(r *added) nid.ID { return r.follow },
		"follow_tags", `INSERT INTO follow_tags (corp_id, follow_id, tag_id)
		SELECT v.corp, v.kept, t.tag_id FROM `+a.rows()+` JOIN follow_tags AS t ON t.corp_id = v.corp AND t.follow_id = v.follow WHERE true
		ON CONFLICT DO NOTHING RETURNING follow_id, tag_id`, a.tx.DB().Batch(a.merged))
	for _, r := range rows {
		t := of[r.follow]
		a.tags[t] = append(a.tags[t], r.tag)
		a.covers[t] = append(a.covers[t], r.follow)
	}
	return err
}

// fillRemarks gives the successor's follow the leaver's remark where it has none.
func (a *application) fillRemarks() error {
	a.remarks = map[nid.ID]bool{}
	rows, err := a.change("follows", `UPDATE follows SET remark = old.remark, version = follows.version + 1, updated_at = $2
		FROM `+a.rows()+` JOIN follows AS old ON old.corp_id = v.corp AND old.id = v.follow
		WHERE follows.corp_id = v.corp AND follows.id = v.kept AND coalesce(follows.remark, '') = '' AND coalesce(old.remark, '') <> ''
		RETURNING follows.id, follows.contact_id`, a.merged, a.tx.Now())
	for _, c := range rows {
		a.remarks[a.of[c.item]] = true
	}
	return err
}

// moveFollows is the handover itself: the row stays, its member changes, guarded
// by owner and version.
func (a *application) moveFollows() error {
	done, err := a.change("follows", `UPDATE follows SET member_id = v.to_id, since = $2, protected = NOT v.answers, reserved_by_id = NULL,
		version = follows.version + 1, owner_version = follows.owner_version + 1, updated_at = $2
		FROM `+a.rows()+` WHERE follows.corp_id = v.corp AND follows.id = v.follow AND follows.member_id = v.from_id
		  AND follows.owner_version = v.version AND follows.ended_at IS NULL
		RETURNING follows.id, follows.contact_id`, a.moved, a.tx.Now())
	return expectAll(err, len(done), len(a.moved), "follows")
}

// moveGroups changes the owner only; what the group's status becomes depends on why.
func (a *application) moveGroups() error {
	done, err := a.change("groups", `UPDATE groups SET owner_id = v.to_id, protected = NOT v.answers, reserved_by_id = NULL,
		accountable_id = CASE WHEN v.answers THEN v.to_id ELSE coalesce(v.caretaker, groups.accountable_id) END,
		status = CASE WHEN NOT v.answers THEN 'OWNER_LEFT' WHEN groups.status = 'OWNER_LEFT' THEN 'INHERITED' ELSE 'NORMAL' END,
		version = groups.version + 1, owner_version = groups.owner_version + 1, updated_at = $2
		FROM `+a.rows()+` WHERE groups.corp_id = v.corp AND groups.id = v.item AND groups.owner_id = v.from_id AND groups.owner_version = v.version
		RETURNING groups.id, groups.id`, a.groups, a.tx.Now())
	return expectAll(err, len(done), len(a.groups), "groups")
}

// joinGroups makes successors members of the groups they get.
func (a *application) joinGroups() error {
	a.joined = map[nid.ID]bool{}
	rows, err := a.change("group_members", `INSERT INTO group_members (corp_id, group_id, member_id, joined_at, added_by_id)
		SELECT v.corp, v.item, v.to_id, $2, v.transfer FROM `+a.rows()+` WHERE true ON CONFLICT DO NOTHING RETURNING group_id, group_id`, a.groups, a.tx.Now())
	for _, c := range rows {
		a.joined[a.of[c.item]] = true
	}
	return err
}

func (a *application) contacts() []map[string]any { return slices.Concat(a.moved, a.merged) }

// closePeriods ends the leaver's time as owner. CASE as in items.
func (a *application) closePeriods() error {
	for column, batch := range map[string][]map[string]any{"contact_id": a.contacts(), "group_id": a.groups} {
		done, err := a.change("ownership_periods", `UPDATE ownership_periods SET until_at = $2
			FROM `+a.rows()+` WHERE ownership_periods.corp_id = v.corp AND ownership_periods.`+column+` = v.item
			  AND CASE WHEN ownership_periods.until_at IS NULL THEN ownership_periods.member_id = v.from_id ELSE false END
			RETURNING ownership_periods.id, ownership_periods.`+column, batch, a.tx.Now())
		if err := expectAll(err, len(done), len(batch), "periods"); err != nil {
			return err
		}
	}
	return nil
}

// openPeriods begins the successor's, but where the merged contact was theirs already.
func (a *application) openPeriods() error {
	_, err := a.change("ownership_periods", `INSERT INTO ownership_periods (id, corp_id, created_at, contact_id, group_id, member_id, from_at, transfer_id)
		SELECT v.period, v.corp, $2, CASE WHEN v.follow IS NULL THEN NULL ELSE v.item END, CASE WHEN v.follow IS NULL THEN v.item END, v.to_id, $2, v.transfer
		FROM `+a.rows()+` WHERE true RETURNING id, coalesce(contact_id, group_id)`, slices.Concat(a.moved, a.reopened, a.groups), a.tx.Now())
	return err
}

// freeContacts makes the successor accountable, or whoever deactivation would have
// chosen where they have left meanwhile, and lifts the protection, unless a leaver
// follows the contact. CASE as in items.
func (a *application) freeContacts() error {
	_, err := a.change("contacts", `UPDATE contacts SET updated_at = $2,
		accountable_id = CASE WHEN v.answers THEN v.to_id ELSE coalesce(
			(SELECT f.member_id FROM follows AS f JOIN members AS m ON m.corp_id = f.corp_id AND m.id = f.member_id
				WHERE f.corp_id = contacts.corp_id AND f.contact_id = contacts.id AND CASE WHEN f.ended_at IS NULL THEN m.answers ELSE false END ORDER BY f.since, f.id LIMIT 1),
			v.caretaker, contacts.accountable_id) END,
		protected = EXISTS (SELECT 1 FROM follows AS f WHERE f.corp_id = contacts.corp_id AND f.contact_id = contacts.id AND CASE WHEN f.ended_at IS NULL THEN f.protected ELSE false END)
		FROM `+a.rows()+` WHERE contacts.corp_id = v.corp AND contacts.id = v.item RETURNING contacts.id, contacts.id`,
		slices.Concat(a.contacts(), a.reopened), a.tx.Now())
	return err
}

// endHistory ends what those who give an item away could read of earlier owners' chats
// about it: a grant holds while its successor owns the item. Who gives back what a merge
// added still follows the contact, and loses only what the merge gave.
func (a *application) endHistory() error {
	for _, step := range []struct {
		batch []map[string]any
		of    string
	}{
		{a.contacts(), "history_grants.successor_id = v.from_id AND history_grants.contact_id = v.item"},
		{a.groups, "history_grants.successor_id = v.from_id AND history_grants.group_id = v.item"},
		{a.reopened, "history_grants.transfer_id = v.back"},
	} {
		if _, err := a.change("history_grants", `UPDATE history_grants SET ended_at = $2, ended_by_id = v.transfer FROM `+a.rows()+`
			WHERE history_grants.corp_id = v.corp AND `+step.of+` AND history_grants.ended_at IS NULL
			RETURNING history_grants.id, coalesce(history_grants.contact_id, history_grants.group_id)`, step.batch, a.tx.Now()); err != nil {
			return err
		}
	}
	return nil
}
