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
	"github.com/openhandover/openhandover/internal/store"
)

// Readable narrows a statement over messages to what the actor may read at a time:
// their own conversations, and what unended grants to them cover. Of contacts that
// do not agree to the archive (any more), or were erased, nobody reads anything.
//
// A member's own conversations are those with their contacts, and what is said in
// groups they are in; who came into a group by a handover reads it from then on.
func Readable(w *store.Where, a *access.Actor, now time.Time) {
	if a.Kind != access.Person {
		w.And("1 = 0") // chats are for people
		return
	}
	mine, args := own, []any{a.ID, a.ID}
	if a.Can(access.ReadInheritedHistory) {
		mine += ` OR EXISTS (SELECT 1 FROM history_grants AS hg WHERE hg.corp_id = messages.corp_id AND hg.successor_id = ?
			AND (hg.contact_id = messages.contact_id AND hg.leaver_id = messages.member_id OR hg.group_id = messages.group_id)
			AND ` + inForce + ` AND (hg.from_at IS NULL OR hg.from_at <= messages.sent_at) AND (hg.until_at IS NULL OR messages.sent_at < hg.until_at))`
		args = append(args, a.ID, now)
	}
	w.And("("+mine+")", args...)
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

// inForce is the condition of a grant hg at a time.
const inForce = "hg.ended_at IS NULL AND (hg.expires_at IS NULL OR hg.expires_at > ?)"

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
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.grant, &r.message} }, `
		SELECT hg.id, m.id FROM messages AS m JOIN history_grants AS hg ON hg.corp_id = m.corp_id AND hg.successor_id = $3
			AND (hg.contact_id = m.contact_id AND hg.leaver_id = m.member_id OR hg.group_id = m.group_id)
		WHERE m.corp_id = $1 AND m.id `+db.In(2)+` AND hg.ended_at IS NULL AND (hg.expires_at IS NULL OR hg.expires_at > $4)
		  AND (hg.from_at IS NULL OR hg.from_at <= m.sent_at) AND (hg.until_at IS NULL OR m.sent_at < hg.until_at)
		  AND NOT EXISTS (SELECT 1 FROM group_members AS gm WHERE gm.corp_id = m.corp_id AND gm.group_id = m.group_id AND gm.member_id = $3
			AND (gm.added_by_id IS NULL OR gm.joined_at <= m.sent_at))
		ORDER BY hg.id`, access.From(ctx).Corp, db.IDs(ids), me, now)
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
	var w store.Where
	w.And("history_grants.id "+db.InList(), db.IDs(slices.Compact(grants)))
	found, err := q.Ent().HistoryGrant.Query().Where(predicate.HistoryGrant(w.Apply)).All(ctx)
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

// Reading is one look at messages, for the log.
type Reading struct {
	// Of is the contact, group or member whose messages were asked for.
	Of nid.ID
	// Search is what was searched for; empty: everything.
	Search      string
	Messages    int
	First, Last time.Time // of what was given
	// Through are the grants that were used; Handover is theirs, if it is one.
	Through  []nid.ID
	Handover nid.ID
}

// Readings writes down who read what.
type Readings struct {
	DB  *store.DB
	Log *audit.Log
}

// Record writes a look down, in a transaction of its own: what could not be recorded
// must not be shown.
func (r *Readings) Record(ctx context.Context, l Reading) error {
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
	return r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return r.Log.Append(ctx, tx, audit.Entry{Action: action, Subject: l.Of, Handover: l.Handover, After: after})
	})
}
