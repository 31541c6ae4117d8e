package evidence

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// known are names by id.
type known map[nid.ID]string

func (k known) person(id nid.ID) Person { return Person{ID: id.String(), Name: k[id]} }

// names reads today's names of members, contacts or groups.
func names(ctx context.Context, q *store.Read, table string, ids []nid.ID) (known, error) {
	type row struct {
		id   nid.ID
		name string
	}
	slices.SortFunc(ids, func(a, b nid.ID) int { return slices.Compare(a[:], b[:]) })
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.id, &r.name} },
		`SELECT id, name FROM `+table+` WHERE corp_id = $1 AND id `+q.DB().In(2), access.From(ctx).Corp, q.DB().IDs(slices.Compact(ids)))
	out := known{}
	for _, r := range rows {
		out[r.id] = r.name
	}
	return out, err
}

// Transfer is what was decided about one contact or group, and what became of it.
type Transfer struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"`
	Item     Person     `json:"item"`
	From     Person     `json:"from"`
	To       Person     `json:"to"`
	Status   string     `json:"status"`
	Reason   string     `json:"reason,omitempty"`
	Because  string     `json:"because,omitempty"`
	Merged   bool       `json:"merged"`
	Version  int        `json:"expectedVersion"`
	Assigned *time.Time `json:"assignedAt"`
	Finished *time.Time `json:"finishedAt"`
	RevertOf string     `json:"revertOf,omitempty"`
}

// reported is how many transfers the report shows; the rest are in transfers.jsonl.
const reported = 1000

func (c *Case) transfers(ctx context.Context, q *store.Read, w io.Writer) error {
	type row struct {
		Transfer
		position                               int
		id, contact, group, from, to, revertOf nid.ID
		reason, because                        *string
	}
	for from := 0; ; {
		rows, err := store.Select(ctx, q, func(r *row) []any {
			return []any{&r.position, &r.id, &r.Kind, &r.contact, &r.group, &r.from, &r.to, &r.Status, &r.reason, &r.because, &r.Merged, &r.Version, &r.Assigned, &r.Finished, &r.revertOf}
		}, `SELECT position, id, kind, contact_id, group_id, from_id, to_id, status, reason, because, merged, expected_version, assigned_at, finished_at, revert_of_id
			FROM transfers WHERE corp_id = $1 AND handover_id = $2 AND position >= $3 ORDER BY position LIMIT $4`, access.From(ctx).Corp, c.id, from, batch)
		if err != nil {
			return err
		}
		var people, contacts, groups []nid.ID
		for _, r := range rows {
			people, contacts, groups = append(people, r.from, r.to), append(contacts, r.contact), append(groups, r.group)
		}
		who, err := names(ctx, q, "members", people)
		if err != nil {
			return err
		}
		what, err := names(ctx, q, "contacts", contacts)
		if err != nil {
			return err
		}
		chats, err := names(ctx, q, "groups", groups)
		if err != nil {
			return err
		}
		for _, r := range rows {
			t := r.Transfer
			t.ID, t.From, t.To, t.RevertOf = r.id.String(), who.person(r.from), who.person(r.to), shown(r.revertOf)
			t.Item = what.person(r.contact)
			if !r.group.IsZero() {
				t.Item = chats.person(r.group)
			}
			if r.reason != nil {
				t.Reason = *r.reason
			}
			if r.because != nil {
				t.Because = *r.because
			}
			t.Assigned, t.Finished = utc(t.Assigned), utc(t.Finished)
			if len(c.shown) < reported {
				c.shown = append(c.shown, t)
			}
			if err := line(w, t); err != nil {
				return err
			}
		}
		if len(rows) < batch {
			return nil
		}
		from = rows[len(rows)-1].position + 1
	}
}

// before is less than any id; the zero id is NULL in the database, and less than nothing.
var before = nid.ID{15: 1}

// Period is who looked after a contact or group, from when to when.
type Period struct {
	Item     string     `json:"item"`
	Member   Person     `json:"member"`
	From     time.Time  `json:"from"`
	Until    *time.Time `json:"until"`
	Transfer string     `json:"transfer,omitempty"`
}

// ownership writes the whole past of everything that the handover is about.
func (c *Case) ownership(ctx context.Context, q *store.Read, w io.Writer) error {
	type row struct {
		Period
		id, contact, group, member, transfer nid.ID
	}
	for after := before; ; {
		rows, err := store.Select(ctx, q, func(r *row) []any {
			return []any{&r.id, &r.contact, &r.group, &r.member, &r.Period.From, &r.Until, &r.transfer}
		}, `SELECT p.id, p.contact_id, p.group_id, p.member_id, p.from_at, p.until_at, p.transfer_id FROM ownership_periods AS p
			WHERE p.corp_id = $1 AND p.id > $3 AND (p.contact_id IN (SELECT t.contact_id FROM transfers AS t WHERE t.corp_id = $1 AND t.handover_id = $2)
			  OR p.group_id IN (SELECT t.group_id FROM transfers AS t WHERE t.corp_id = $1 AND t.handover_id = $2))
			ORDER BY p.id LIMIT $4`, access.From(ctx).Corp, c.id, after, batch)
		if err != nil {
			return err
		}
		people := make([]nid.ID, len(rows))
		for i, r := range rows {
			people[i] = r.member
		}
		who, err := names(ctx, q, "members", people)
		if err != nil {
			return err
		}
		for _, r := range rows {
			p := r.Period
			p.Item, p.Member, p.From, p.Until, p.Transfer = r.contact.String(), who.person(r.member), p.From.UTC(), utc(p.Until), shown(r.transfer)
			if !r.group.IsZero() {
				p.Item = r.group.String()
			}
			if len(c.periods) < 5*reported {
				c.periods = append(c.periods, p)
			}
			if err := line(w, p); err != nil {
				return err
			}
		}
		if len(rows) < batch {
			return nil
		}
		after = rows[len(rows)-1].id
	}
}

// grants writes what of the leaver's chats the successors may read.
func (c *Case) grants(ctx context.Context, q *store.Read, w io.Writer) error {
	type row struct {
		id, successor, contact, group, transfer nid.ID
		from, until, expires, ended             *time.Time
	}
	for after := before; ; {
		rows, err := store.Select(ctx, q, func(r *row) []any {
			return []any{&r.id, &r.successor, &r.contact, &r.group, &r.transfer, &r.from, &r.until, &r.expires, &r.ended}
		}, `SELECT id, successor_id, contact_id, group_id, transfer_id, from_at, until_at, expires_at, ended_at FROM history_grants
			WHERE corp_id = $1 AND handover_id = $2 AND id > $3 ORDER BY id LIMIT $4`, access.From(ctx).Corp, c.id, after, batch)
		if err != nil {
			return err
		}
		c.granted += len(rows)
		for _, r := range rows {
			item := r.contact
			if item.IsZero() {
				item = r.group
			}
			if err := line(w, map[string]any{"id": r.id, "successor": r.successor, "item": item, "transfer": r.transfer,
				"from": utc(r.from), "until": utc(r.until), "expiresAt": utc(r.expires), "endedAt": utc(r.ended)}); err != nil {
				return err
			}
		}
		if len(rows) < batch {
			return nil
		}
		after = rows[len(rows)-1].id
	}
}

// Log is what the report shows of the entries.
type Log []Act

// Act is one entry in words.
type Act struct {
	Index  int64     `json:"index"`
	At     time.Time `json:"at"`
	Action string    `json:"action"`
	Actor  Person    `json:"actor"`
	Before any       `json:"before,omitempty"`
	After  any       `json:"after,omitempty"`
}

// readable writes the entries with personal values in clear. It proves nothing; the
// leaves do.
func (c *Case) readable(ctx context.Context, q *store.Read, reader *audit.Reader, w io.Writer) (log Log, err error) {
	err = c.eachEntry(ctx, q, func(rows []row) error {
		leaves, people := make([][]byte, len(rows)), make([]nid.ID, len(rows))
		for i, r := range rows {
			leaves[i], people[i] = r.leaf, r.actor
		}
		views, err := reader.Values(ctx, q, leaves)
		if err != nil {
			return err
		}
		who, err := names(ctx, q, "members", people)
		if err != nil {
			return err
		}
		for i, r := range rows {
			a := Act{Index: r.index, At: r.at.UTC(), Action: r.action, Actor: Person{Name: views[i].ActorLabel}}
			if !r.actor.IsZero() {
				a.Actor = who.person(r.actor)
			}
			if len(views[i].Before) > 0 {
				a.Before = views[i].Before
			}
			if len(views[i].After) > 0 {
				a.After = views[i].After
			}
			if r.action != string(access.TransferFinish) && len(log) < reported {
				log = append(log, a)
			}
			if err := line(w, a); err != nil {
				return err
			}
		}
		return nil
	})
	return log, err
}
