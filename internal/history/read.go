package history

import (
	"context"
	"slices"
	"time"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/ent/predicate"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
)

// Readable narrows a statement over messages to what the actor may read at a time:
// their own conversations, and what grants to them that are in force cover. A grant needs
// no role: it is the right to read what it names. Of contacts that do not agree to the
// archive (any more), or were erased, nobody reads anything.
//
// A member's own conversations are those with their contacts, and what is said in
// groups they are in; who came into a group by a handover reads it from then on.
func Readable(w *store.Where, a *access.Actor, now time.Time) {
	if a.Kind != access.Person {
		w.And("1 = 0") // chats are for people
		return
	}
	w.And("("+own+` OR EXISTS (SELECT 1 FROM history_grants AS hg WHERE hg.corp_id = messages.corp_id AND hg.successor_id = ? AND `+covers+` AND `+inForce+`))`,
		a.ID, a.ID, a.ID, now)
	Agreed(w)
}

// Agreed narrows a statement over messages to what only contacts take part in who agree
// to the archive.
func Agreed(w *store.Where) {
	w.And(`(messages.contact_id IS NULL OR ` + agreed("messages.contact_id") + `)`)
	w.And(`(NOT messages.from_contact OR ` + agreed("messages.author_id") + `)`)
}

// Own narrows a statement over messages to the actor's own conversations.
func Own(w *store.Where, a *access.Actor) { w.And(own, a.ID, a.ID) }

const own = `messages.member_id = ? OR EXISTS (SELECT 1 FROM group_members AS gm WHERE gm.corp_id = messages.corp_id
	AND gm.group_id = messages.group_id AND gm.member_id = ? AND (gm.added_by_id IS NULL OR gm.joined_at <= messages.sent_at))`

// covers is the condition that a grant hg is about a row of messages.
const covers = `(hg.contact_id = messages.contact_id AND hg.leaver_id = messages.member_id OR hg.group_id = messages.group_id)
	AND (hg.from_at IS NULL OR hg.from_at <= messages.sent_at) AND (hg.until_at IS NULL OR messages.sent_at < hg.until_at)`

// inForce is the condition of a grant hg at a time ?: it has not ended or expired, its
// successor still looks after the contact or owns the group, and the corp's settings let
// successors read.
const inForce = `hg.ended_at IS NULL AND (hg.expires_at IS NULL OR hg.expires_at > ?)
	AND (EXISTS (SELECT 1 FROM follows AS hf WHERE hf.corp_id = hg.corp_id AND hf.contact_id = hg.contact_id AND hf.member_id = hg.successor_id AND hf.ended_at IS NULL)
		OR EXISTS (SELECT 1 FROM groups AS ho WHERE ho.corp_id = hg.corp_id AND ho.id = hg.group_id AND ho.owner_id = hg.successor_id))
	AND NOT EXISTS (SELECT 1 FROM corp_settings AS hs WHERE hs.corp_id = hg.corp_id AND NOT hs.history_for_successors)`

func agreed(contact string) string {
	return `EXISTS (SELECT 1 FROM contacts AS hc WHERE hc.corp_id = messages.corp_id AND hc.id = ` + contact + `
		AND hc.chat_consent = 'AGREED' AND hc.erased_at IS NULL)`
}

// Through finds for each message the oldest grant by which the actor may read it;
// messages of the actor's own conversations have none. The messages are those that
// Readable let through.
func Through(ctx context.Context, q *store.Read, now time.Time, messages []*ent.Message) (map[nid.ID]*ent.HistoryGrant, error) {
	me := access.From(ctx).ID
	type row struct{ grant, message nid.ID }
	var ids []nid.ID
	for _, m := range messages {
		if m.MemberID != me {
			ids = append(ids, m.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	db := q.DB()
	var w store.Where
	w.And("messages.corp_id = ?", access.From(ctx).Corp)
	w.And("messages.id "+db.InList(), db.IDs(ids))
	w.And("hg.successor_id = ? AND "+covers+" AND "+inForce, me, now)
	w.And(`NOT EXISTS (SELECT 1 FROM group_members AS gm WHERE gm.corp_id = messages.corp_id AND gm.group_id = messages.group_id AND gm.member_id = ?
		AND (gm.added_by_id IS NULL OR gm.joined_at <= messages.sent_at))`, me)
	where, args := w.SQL(1)
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.grant, &r.message} },
		`SELECT hg.id, messages.id FROM messages JOIN history_grants AS hg ON hg.corp_id = messages.corp_id WHERE `+where+` ORDER BY hg.id`, args...)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	by := map[nid.ID]nid.ID{}
	var grants []nid.ID
	for _, r := range rows {
		if by[r.message].IsZero() {
			by[r.message] = r.grant
			grants = append(grants, r.grant)
		}
	}
	slices.SortFunc(grants, func(a, b nid.ID) int { return slices.Compare(a[:], b[:]) })
	var used store.Where
	used.And("history_grants.id "+db.InList(), db.IDs(slices.Compact(grants)))
	found, err := q.Ent().HistoryGrant.Query().Where(predicate.HistoryGrant(used.Apply)).All(ctx)
	out := make(map[nid.ID]*ent.HistoryGrant, len(by))
	for message, grant := range by {
		for _, g := range found {
			if g.ID == grant {
				out[message] = g
			}
		}
	}
	return out, err
}

// Reading is one look at the messages of a contact or group, for the log.
type Reading struct {
	// Of is the contact or group whose messages they are. A search that finds nothing is
	// of what was searched, which may be a member's conversations.
	Of nid.ID
	// Search is what was searched for; empty: everything.
	Search      string
	Messages    int
	First, Last time.Time // of what was given
	// Through are the grants that were used; Handover is theirs, if it is one.
	Through  []nid.ID
	Handover nid.ID
	// Whose is how many messages of each member were read by a grant: those of their
	// conversation with the contact, or those that they wrote in the group.
	Whose map[nid.ID]int
}

// Readings writes down who read what.
type Readings struct {
	DB  *store.DB
	Log *audit.Log
}

// Record writes looks down, an entry for each, in a transaction of its own: what could
// not be recorded must not be shown. Where the corp's settings keep receipts, those whose
// messages were read by a grant get theirs in it.
func (r *Readings) Record(ctx context.Context, looks ...Reading) error {
	return r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		entries := make([]audit.Entry, len(looks))
		var receipts []map[string]any
		for i, l := range looks {
			entries[i] = l.entry()
			for member, n := range l.Whose {
				row := map[string]any{"id": tx.NewID(nid.HistoryGrant), "member": member, "messages": n}
				if l.Of.Kind() == nid.Contact {
					row["contact"] = l.Of
				} else {
					row["grp"] = l.Of
				}
				receipts = append(receipts, row)
			}
		}
		if err := receive(ctx, tx, receipts); err != nil {
			return err
		}
		return r.Log.Append(ctx, tx, entries...)
	})
}

func (l *Reading) entry() audit.Entry {
	action := access.HistoryRead
	after := map[string]any{"messages": l.Messages}
	if l.Messages > 0 {
		after["first"], after["last"] = l.First, l.Last
	}
	if len(l.Through) > 0 {
		after["grants"] = l.Through
	}
	if l.Search != "" {
		action = access.ChatSearch
		after["search"] = audit.Personal{Subject: l.Of, Value: l.Search}
	}
	return audit.Entry{Action: action, Subject: l.Of, Handover: l.Handover, After: after}
}

// receive stores receipts where the corp's settings keep them.
func receive(ctx context.Context, tx *store.Tx, receipts []map[string]any) error {
	if len(receipts) == 0 {
		return nil
	}
	s, err := setting.Load(ctx, tx)
	if err != nil || !s.ReadReceipts {
		return err
	}
	_, err = tx.Keep(ctx, "read_receipts", `INSERT INTO read_receipts (corp_id, id, member_id, reader_id, contact_id, group_id, messages, at)
		SELECT $2, id, member, $3, contact, grp, messages, $4
		FROM `+tx.DB().Rows(1, "r", "id uuid", "member uuid", "contact uuid", "grp uuid", "messages int")+` WHERE true`,
		tx.DB().Batch(receipts), tx.Corp(), access.From(ctx).ID, tx.Now())
	return err
}
