package intake

import (
	"cmp"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notice"
	"github.com/openhandover/openhandover/internal/store"
)

// useHandover is why a row, or part of it, is not stored.
func useHandover(en, zh string, args ...any) fault.Text {
	t := fault.T(en, zh, args...)
	return fault.Text{EN: t.EN + ": use a handover", ZH: t.ZH + ":请使用交接"}
}

// putTags makes the tags that are not there yet. Of those that share a name the
// one without a group is meant.
func (l *loading) putTags() error {
	named := map[string][]string{} // by the file that brings them first
	seen := map[string]bool{}
	add := func(file string, tags []string) {
		for _, t := range tags {
			if !seen[t] {
				seen[t] = true
				named[file] = append(named[file], t)
			}
		}
	}
	for i := range l.c.Contacts {
		add(ContactsFile, l.c.Contacts[i].Tags)
	}
	for i := range l.c.Follows {
		add(FollowsFile, l.c.Follows[i].Tags)
	}
	if err := l.readTagIDs(); err != nil {
		return err
	}
	for file, tags := range named {
		var rows []map[string]any
		for _, t := range tags {
			if _, ok := l.tags[t]; !ok {
				rows = append(rows, map[string]any{"id": l.tx.NewID(nid.Tag), "title": t})
			}
		}
		if err := l.change(file, "tags", `INSERT INTO tags (id, corp_id, created_at, group_name, name)
			SELECT id, $2, $3, '', title FROM ROWS WHERE true ON CONFLICT DO NOTHING RETURNING id`, "id uuid, title text", rows, l.tx.Now()); err != nil {
			return err
		}
	}
	return l.readTagIDs() // somebody may have made one of them meanwhile
}

func (l *loading) readTagIDs() error {
	type row struct {
		id   nid.ID
		name string
	}
	rows, err := store.Select(l.ctx, l.tx, func(r *row) []any { return []any{&r.id, &r.name} },
		`SELECT id, name FROM tags WHERE corp_id = $1 ORDER BY group_name, id`, l.tx.Corp())
	l.tags = make(map[string]nid.ID, len(rows))
	for _, r := range rows {
		if _, ok := l.tags[r.name]; !ok {
			l.tags[r.name] = r.id
		}
	}
	return err
}

// retagging gathers which tags go from and come to contacts or follows.
type retagging struct{ gone, come []map[string]any }

// replace notes what turns the tags that are there into those wanted, and reports
// whether they differ. What is there stays, whichever tag of the name it is.
func (r *retagging) replace(of nid.ID, have map[string]nid.ID, want []string, ids map[string]nid.ID) (differ bool) {
	for t, id := range have {
		if !slices.Contains(want, t) {
			r.gone, differ = append(r.gone, map[string]any{"id": of, "tag": id}), true
		}
	}
	seen := map[string]bool{}
	for _, t := range want {
		if _, ok := have[t]; !ok && !seen[t] {
			seen[t] = true
			r.come, differ = append(r.come, map[string]any{"id": of, "tag": ids[t]}), true
		}
	}
	return differ
}

func (l *loading) retag(file, table, column string, r *retagging) error {
	const columns = "id uuid, tag uuid"
	if err := l.change(file, table, `DELETE FROM `+table+` WHERE corp_id = $2 AND (`+column+`, tag_id) IN (SELECT id, tag FROM ROWS) RETURNING `+column, columns, r.gone); err != nil {
		return err
	}
	return l.change(file, table, `INSERT INTO `+table+` (corp_id, `+column+`, tag_id) SELECT $2, id, tag FROM ROWS WHERE true ON CONFLICT DO NOTHING RETURNING `+column, columns, r.come)
}

// putContacts adds contacts, each with who answers for it, and changes those that
// are there and not protected.
func (l *loading) putContacts() error {
	followers := map[string][]*Follow{}
	for i := range l.c.Follows {
		f := &l.c.Follows[i]
		followers[f.ExternalUserID] = append(followers[f.ExternalUserID], f)
	}
	var added, changed, turned []map[string]any
	var tags retagging
	for i := range l.c.Contacts {
		x := &l.c.Contacts[i]
		c := l.items.contacts[l.contacts[x.ExternalUserID]]
		if c == nil {
			c = &customer{id: l.tx.NewID(nid.Contact), name: x.Name, kind: x.Type, company: x.Company, importance: x.Importance, consent: cmp.Or(x.ChatConsent, ConsentUnknown)}
			l.contacts[x.ExternalUserID], l.items.contacts[c.id] = c.id, c
			c.accountable, c.protected = l.answers(x, followers[x.ExternalUserID])
			if c.accountable.IsZero() {
				l.bad(ContactsFile, i, "accountable_userid", fault.T("nobody at work follows this contact, and there is nobody to take care of it", "没有在职成员跟进该客户,也无人代管"))
			}
			tags.replace(c.id, nil, x.Tags, l.tags)
			row := c.row()
			row["external"] = x.ExternalUserID
			added = append(added, row)
			continue
		}
		next := *c
		next.name = x.Name
		l.overlay(&next, x)
		if x.Accountable != "" {
			if to := l.people[x.Accountable].id; to != c.accountable && !c.protected {
				if c.followed {
					l.keep(ContactsFile, i, "accountable_userid", useHandover("who answers for a contact follows from who follows it", "客户的负责人由跟进关系决定"))
				} else {
					next.accountable = to
				}
			}
		}
		var r retagging
		differs := l.c.Has(ContactsFile, "tags") && r.replace(c.id, c.tags, x.Tags, l.tags)
		if !differs && next.same(c) {
			continue
		}
		agreed := *c // what people agreed to is theirs to change, whoever looks after them
		agreed.consent = next.consent
		if c.protected && (differs || !next.same(&agreed)) {
			l.keep(ContactsFile, i, "", useHandover("the contact is protected until it has been handed over", "该客户受保护,交接之前不能修改"))
			continue
		}
		tags.gone, tags.come = append(tags.gone, r.gone...), append(tags.come, r.come...)
		if next.importance != c.importance {
			n := -1
			if next.importance == Key {
				n = 1
			}
			turned = append(turned, map[string]any{"id": c.id, "n": n})
		}
		*c = next
		changed = append(changed, c.row())
	}
	if err := l.refuse(); err != nil {
		return err
	}
	l.tally(ContactsFile).Added, l.tally(ContactsFile).Updated = len(added), len(changed)
	const columns = "id uuid, external text, title text, fold text, kind text, company text, importance text, accountable uuid, protected bool, consent text"
	if err := l.change(ContactsFile, "contacts", `INSERT INTO contacts (id, corp_id, created_at, updated_at, version, external_user_id, name, name_key, type, company,
		importance, accountable_id, accountable_answers, protected, chat_consent)
		SELECT id, $2, $3, $3, 1, external, title, fold, kind, company, importance, accountable, true, protected, consent FROM ROWS WHERE true RETURNING id`,
		columns, added, l.tx.Now()); err != nil {
		return err
	}
	if err := l.change(ContactsFile, "contacts", `UPDATE contacts SET name = v.title, name_key = v.fold, type = v.kind, company = v.company, importance = v.importance,
		accountable_id = v.accountable, chat_consent = v.consent, version = contacts.version + 1, updated_at = $3,
		`+contact.Unmarks("contacts.importance = 'KEY' AND v.importance <> 'KEY'", "$3", "NULL")+`
		FROM ROWS WHERE contacts.corp_id = $2 AND contacts.id = v.id RETURNING contacts.id`, columns, changed, l.tx.Now()); err != nil {
		return err
	}
	if err := l.bookkeep("member_counters", `UPDATE member_counters SET key_contacts = key_contacts + d.n, waiting_key_contacts = waiting_key_contacts + d.waiting
		FROM (SELECT f.member_id AS id, sum(v.n) AS n, sum(CASE WHEN f.reserved_by_id IS NULL THEN 0 ELSE v.n END) AS waiting
			FROM follows AS f JOIN ROWS ON f.contact_id = v.id WHERE f.corp_id = $2 AND f.ended_at IS NULL GROUP BY f.member_id) AS d
		WHERE member_counters.corp_id = $2 AND member_counters.member_id = d.id`, "id uuid, n int", turned); err != nil {
		return err
	}
	l.progress(ContactsFile, len(l.c.Contacts), len(l.c.Contacts))
	return l.retag(ContactsFile, "contact_tags", "contact_id", &tags)
}

// overlay puts what the file says of a contact over what there is.
func (l *loading) overlay(c *customer, x *Contact) {
	if l.c.Has(ContactsFile, "type") {
		c.kind = x.Type
	}
	if l.c.Has(ContactsFile, "company") {
		c.company = x.Company
	}
	if l.c.Has(ContactsFile, "importance") {
		c.importance = x.Importance
	}
	if l.c.Has(ContactsFile, "chat_consent") {
		c.consent = cmp.Or(x.ChatConsent, ConsentUnknown)
	}
}

func (c *customer) row() map[string]any {
	return map[string]any{
		"id": c.id, "title": c.name, "fold": name.Fold(c.name), "kind": c.kind, "company": orNull(c.company), "importance": c.importance,
		"accountable": c.accountable, "protected": c.protected, "consent": c.consent,
	}
}

func (c *customer) same(d *customer) bool {
	return c.name == d.name && c.kind == d.kind && c.company == d.company && c.importance == d.importance && c.accountable == d.accountable && c.consent == d.consent
}

// answers finds who answers for a new contact: who the file says, else its oldest
// follower at work, else the caretaker of its oldest follower. It is protected
// where a follower is gone.
func (l *loading) answers(x *Contact, followers []*Follow) (who nid.ID, protected bool) {
	var oldest, atWork *Follow
	for _, f := range followers {
		s := l.people[f.UserID].status
		protected = protected || s.Gone()
		if oldest == nil || f.Since.Before(oldest.Since) {
			oldest = f
		}
		if s.Answers() && (atWork == nil || f.Since.Before(atWork.Since)) {
			atWork = f
		}
	}
	switch {
	case x.Accountable != "":
		return l.people[x.Accountable].id, protected
	case atWork != nil:
		return l.people[atWork.UserID].id, protected
	case oldest != nil:
		return l.caretaker(l.people[oldest.UserID]), protected
	}
	return who, protected
}

// putFollows adds follows with their periods of ownership, and changes what is
// noted on those that are there and not protected.
func (l *loading) putFollows() error {
	var added, changed, guard []map[string]any
	var tags retagging
	guarded := map[nid.ID]bool{}
	for i := range l.c.Follows {
		f := &l.c.Follows[i]
		p, contact := l.people[f.UserID], l.contacts[f.ExternalUserID]
		at := pair{p.id, contact}
		t := l.items.open[at]
		if t == nil {
			if ended, ok := l.items.ended[at]; ok && !plain(f.Since).After(ended) {
				l.keep(FollowsFile, i, "", useHandover("the member followed this contact until %s and does not any more", "该成员已于 %s 停止跟进该客户", ended.Format(time.DateOnly)))
				continue
			}
			c := l.items.contacts[contact]
			t = &tie{id: l.tx.NewID(nid.Follow), member: p.id, contact: contact, remark: f.Remark, description: f.Description, addWay: f.AddWay, protected: p.status.Gone()}
			row := t.row()
			row["period"], row["member"], row["contact"], row["since"] = l.tx.NewID(nid.Period), p.id, contact, plain(f.Since)
			added = append(added, row)
			tags.replace(t.id, nil, f.Tags, l.tags)
			d := l.delta(p.id)
			d.contacts++
			if c.importance == Key {
				d.keys++
			}
			if t.protected && !c.protected && !guarded[contact] {
				guarded[contact] = true
				guard = append(guard, map[string]any{"id": contact})
			}
			continue
		}
		next := *t
		if l.c.Has(FollowsFile, "remark") {
			next.remark = f.Remark
		}
		if l.c.Has(FollowsFile, "description") {
			next.description = f.Description
		}
		if l.c.Has(FollowsFile, "add_way") {
			next.addWay = f.AddWay
		}
		var r retagging
		differs := l.c.Has(FollowsFile, "tags") && r.replace(t.id, t.tags, f.Tags, l.tags)
		if !differs && next.remark == t.remark && next.description == t.description && next.addWay == t.addWay {
			continue
		}
		if t.protected {
			l.keep(FollowsFile, i, "", useHandover("what the member follows is protected until it has been handed over", "该成员的跟进关系受保护,交接之前不能修改"))
			continue
		}
		tags.gone, tags.come = append(tags.gone, r.gone...), append(tags.come, r.come...)
		changed = append(changed, next.row())
	}
	l.tally(FollowsFile).Added, l.tally(FollowsFile).Updated = len(added), len(changed)
	const columns = "id uuid, period uuid, member uuid, contact uuid, since time, remark text, description text, add_way int, protected bool"
	if err := l.change(FollowsFile, "follows", `INSERT INTO follows (id, corp_id, created_at, updated_at, version, contact_id, member_id, remark, description, add_way, since, protected, owner_version)
		SELECT id, $2, $3, $3, 1, contact, member, remark, description, add_way, since, protected, 1 FROM ROWS WHERE true RETURNING id`, columns, added, l.tx.Now()); err != nil {
		return err
	}
	if err := l.change(FollowsFile, "ownership_periods", `INSERT INTO ownership_periods (id, corp_id, created_at, contact_id, member_id, from_at)
		SELECT period, $2, $3, contact, member, since FROM ROWS WHERE true RETURNING id`, columns, added, l.tx.Now()); err != nil {
		return err
	}
	if err := l.change(FollowsFile, "follows", `UPDATE follows SET remark = v.remark, description = v.description, add_way = v.add_way,
		version = follows.version + 1, updated_at = $3 FROM ROWS WHERE follows.corp_id = $2 AND follows.id = v.id RETURNING follows.id`, columns, changed, l.tx.Now()); err != nil {
		return err
	}
	if err := l.change(FollowsFile, "contacts", `UPDATE contacts SET protected = true, updated_at = $3 FROM ROWS
		WHERE contacts.corp_id = $2 AND contacts.id = v.id RETURNING contacts.id`, "id uuid", guard, l.tx.Now()); err != nil {
		return err
	}
	l.progress(FollowsFile, len(l.c.Follows), len(l.c.Follows))
	return l.retag(FollowsFile, "follow_tags", "follow_id", &tags)
}

func (t *tie) row() map[string]any {
	return map[string]any{"id": t.id, "remark": orNull(t.remark), "description": orNull(t.description), "add_way": orNull(t.addWay), "protected": t.protected}
}

// notice begins the notice of those who are LEAVING, with all that the files say of their
// contacts, and ends that of those who stay.
func (l *loading) notice() error {
	if err := notice.Begin(l.ctx, l.tx); err != nil {
		return err
	}
	return notice.End(l.ctx, l.tx)
}
