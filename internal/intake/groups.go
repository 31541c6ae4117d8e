package intake

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
)

// putGroups adds groups and changes those that are there, not protected; their
// owners stay.
func (l *loading) putGroups() error {
	var added, changed []map[string]any
	for i := range l.c.Groups {
		g := &l.c.Groups[i]
		owner, status := l.people[g.Owner], g.Status
		if owner.status.Gone() && (status == GroupNormal || status == Inherited) {
			status = OwnerLeft // as a deactivation says it
		}
		was := l.items.chats[l.groups[g.ChatID]]
		if was == nil {
			id := l.tx.NewID(nid.Group)
			l.groups[g.ChatID] = id
			row := groupRow(id, g.Name, status, g.MemberCount)
			row["external"], row["owner"], row["accountable"], row["protected"], row["period"] = g.ChatID, owner.id, owner.id, owner.status.Gone(), l.tx.NewID(nid.Period)
			if !owner.status.Answers() {
				care := l.caretaker(owner)
				if row["accountable"] = care; care.IsZero() {
					l.bad(GroupsFile, i, "owner_userid", fault.T("the owner is not at work, and there is nobody to take care of the group", "群主不在职,且无人代管该群"))
				}
			}
			added = append(added, row)
			l.delta(owner.id).groups++
			continue
		}
		next := *was
		next.name = g.Name
		if l.c.Has(GroupsFile, "member_count") {
			next.members = g.MemberCount
		}
		if l.c.Has(GroupsFile, "status") {
			next.status = status
		}
		switch {
		case was.owner != owner.id:
			l.keep(GroupsFile, i, "owner_userid", useHandover("the group has another owner, and an import does not change that", "该群的群主不同,导入不能更改群主"))
			continue
		case next == *was:
			continue
		case was.protected:
			l.keep(GroupsFile, i, "", useHandover("the group is protected until it has been handed over", "该群受保护,交接之前不能修改"))
			continue
		}
		changed = append(changed, groupRow(was.id, next.name, next.status, next.members))
	}
	if err := l.refuse(); err != nil {
		return err
	}
	l.tally(GroupsFile).Added, l.tally(GroupsFile).Updated = len(added), len(changed)
	const columns = "id uuid, external text, title text, fold text, status text, members int, protected bool, owner uuid, accountable uuid, period uuid"
	for _, s := range []struct{ table, query string }{
		{"groups", `INSERT INTO groups (id, corp_id, created_at, updated_at, version, chat_id, name, name_key, status, member_count, protected, owner_id, accountable_id, accountable_answers, owner_version)
			SELECT id, $2, $3, $3, 1, external, title, fold, status, members, protected, owner, accountable, true, 1 FROM ROWS WHERE true RETURNING id`},
		{"group_members", `INSERT INTO group_members (corp_id, group_id, member_id, joined_at) SELECT $2, id, owner, $3 FROM ROWS WHERE true RETURNING group_id`},
		{"ownership_periods", `INSERT INTO ownership_periods (id, corp_id, created_at, group_id, member_id, from_at) SELECT period, $2, $3, id, owner, $3 FROM ROWS WHERE true RETURNING id`},
	} {
		if err := l.change(GroupsFile, s.table, s.query, columns, added, l.tx.Now()); err != nil {
			return err
		}
	}
	l.progress(GroupsFile, len(l.c.Groups), len(l.c.Groups))
	return l.change(GroupsFile, "groups", `UPDATE groups SET name = v.title, name_key = v.fold, status = v.status, member_count = v.members,
		version = groups.version + 1, updated_at = $3 FROM ROWS WHERE groups.corp_id = $2 AND groups.id = v.id RETURNING groups.id`, columns, changed, l.tx.Now())
}

func groupRow(id nid.ID, title, status string, members int) map[string]any {
	return map[string]any{"id": id, "title": title, "fold": name.Fold(title), "status": status, "members": members}
}

// delta is what a load adds to a member's counters.
type delta struct{ contacts, keys, groups int }

func (l *loading) delta(member nid.ID) *delta {
	if l.deltas[member] == nil {
		l.deltas[member] = &delta{}
	}
	return l.deltas[member]
}

// count brings the members' counters up to date.
func (l *loading) count() error {
	var rows []map[string]any
	for _, p := range l.folk() { // one order for everybody who locks them
		if d := l.deltas[p.id]; d != nil {
			rows = append(rows, map[string]any{"id": p.id, "contacts": d.contacts, "keys": d.keys, "chats": d.groups})
		}
	}
	return l.bookkeep("member_counters", `UPDATE member_counters SET contacts = member_counters.contacts + v.contacts,
		key_contacts = member_counters.key_contacts + v.keys, groups = member_counters.groups + v.chats
		FROM ROWS WHERE member_counters.corp_id = $2 AND member_counters.member_id = v.id`, "id uuid, contacts int, keys int, chats int", rows)
}

// putMessages stores the archived chat as it comes, a thousand at a time. What is
// there already, by its id, stays as it is; what a contact takes part in who has not
// agreed to the archive is left out.
func (l *loading) putMessages() error {
	if l.c.Messages == nil {
		return nil
	}
	n, ids, total := l.tally(MessagesFile), newIDSet(), 0
	if f, ok := l.given(MessagesFile); ok {
		total = f.Rows - f.Bad
	}
	rows := make([]map[string]any, 0, chunk)
	flush := func() error {
		before := len(l.covers[MessagesFile])
		err := l.change(MessagesFile, "messages", `INSERT INTO messages (id, corp_id, created_at, external_id, kind, sent_at, author_id, from_contact, member_id, contact_id, group_id, text, attachment)
			SELECT v.id, $2, $3, v.external, v.kind, v.sent, v.author, v.from_contact, v.member, v.contact, v.chat, v.body, v.attachment FROM ROWS
			WHERE NOT EXISTS (SELECT 1 FROM messages AS m WHERE m.corp_id = $2 AND m.external_id = v.external)
			AND (v.spoke IS NULL OR EXISTS (SELECT 1 FROM contacts AS c WHERE c.corp_id = $2 AND c.id = v.spoke AND c.chat_consent = 'AGREED')) ON CONFLICT DO NOTHING RETURNING id`,
			"id uuid, external text, kind text, sent time, author uuid, from_contact bool, member uuid, contact uuid, chat uuid, body text, attachment json, spoke uuid", rows, l.tx.Now())
		n.Added += len(l.covers[MessagesFile]) - before
		rows = rows[:0]
		l.progress(MessagesFile, n.Rows, total)
		return err
	}
	first := len(l.covers[MessagesFile])
	for m, err := range l.c.Messages {
		if err != nil {
			return err
		}
		n.Rows++
		l.checker.message(&m, ids, func(column string, text fault.Text) { l.found.add(MessagesFile, n.Rows, column, text) })
		if err := l.refuse(); err != nil {
			return err
		}
		row, err := l.messageRow(&m)
		if err != nil {
			return err
		}
		if rows = append(rows, row); len(rows) == chunk {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	added := l.covers[MessagesFile][first:]
	if len(added) == 0 {
		return nil
	}
	byAge := func(a, b nid.ID) int { return bytes.Compare(a[:], b[:]) }
	return setting.LookLater(l.ctx, l.tx, slices.MinFunc(added, byAge), slices.MaxFunc(added, byAge))
}

// messageRow turns external ids into ours. A group's message names no member and
// contact: its conversation is the group.
func (l *loading) messageRow(m *Message) (map[string]any, error) {
	row := map[string]any{
		"id": l.tx.NewID(nid.Message), "external": m.MsgID, "kind": m.Kind, "sent": plain(m.SentAt), "from_contact": m.AuthorContact != "",
		"chat": l.groups[m.ChatID], "body": orNull(m.Text),
	}
	if m.AuthorContact != "" {
		row["author"] = l.contacts[m.AuthorContact]
	} else {
		row["author"] = l.people[m.Author].id
	}
	if userID, contact := m.Pair(); userID != "" {
		row["member"], row["contact"] = l.people[userID].id, l.contacts[contact]
		row["spoke"] = row["contact"]
	} else if m.AuthorContact != "" {
		row["spoke"] = row["author"]
	}
	if m.Attachment != nil {
		b, err := json.Marshal(m.Attachment)
		if err != nil {
			return nil, err
		}
		row["attachment"] = json.RawMessage(b)
	}
	return row, nil
}
