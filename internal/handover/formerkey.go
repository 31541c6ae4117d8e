package handover

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// maxFormerKeys is how many FormerKeys are named.
const maxFormerKeys = 100

// FormerKeys are the contacts of a plan that count as KEY for approval though they are
// not KEY any more. Approvers see who took the mark off, and when.
type FormerKeys struct {
	Total int
	First []FormerKey // in the order of the plan, maxFormerKeys at most
}

// FormerKey is one of them.
type FormerKey struct {
	Contact nid.ID
	// Until is when it stopped being KEY.
	Until time.Time
	// ChangedBy took the mark off; zero: an import did.
	ChangedBy nid.ID
}

// formerKeys are those of a plan at hand.
func formerKeys(ctx context.Context, q store.Querier, items []Item) (out FormerKeys, err error) {
	var ids []nid.ID
	for _, it := range items {
		if it.Key && it.Importance != "KEY" {
			if out.Total++; len(ids) < maxFormerKeys {
				ids = append(ids, it.ID)
			}
		}
	}
	if len(ids) == 0 {
		return out, nil
	}
	db := store.EngineOf(q)
	out.First, err = store.Select(ctx, q, func(k *FormerKey) []any { return []any{&k.Contact, &k.Until, &k.ChangedBy} },
		`SELECT id, key_until, key_changed_by_id FROM contacts WHERE corp_id = $1 AND id `+db.In(2)+` ORDER BY id`, corpOf(ctx), db.IDs(ids))
	return out, err
}

// FormerKeysOf gives those of stored handovers, among what is still to be carried out.
func FormerKeysOf(ctx context.Context, q store.Querier, handovers []nid.ID) (map[nid.ID]FormerKeys, error) {
	db := store.EngineOf(q)
	type row struct {
		handover nid.ID
		FormerKey
		total int
	}
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.handover, &r.Contact, &r.Until, &r.ChangedBy, &r.total} }, `
		SELECT handover, contact, until, by_id, total FROM (SELECT h.id AS handover, contacts.id AS contact, contacts.key_until AS until,
			contacts.key_changed_by_id AS by_id, count(*) OVER (PARTITION BY h.id) AS total,
			row_number() OVER (PARTITION BY h.id ORDER BY transfers.position) AS n FROM handovers AS h`+
		db.Lookup("transfers", "transfers.corp_id = h.corp_id AND transfers.handover_id = h.id")+
		db.Lookup("contacts", "contacts.corp_id = transfers.corp_id AND contacts.id = transfers.contact_id")+`
		WHERE h.corp_id = $1 AND h.id `+db.In(2)+` AND h.planned > 0 AND transfers.status = 'PLANNED' AND `+contact.FormerKey("contacts", "$3")+`) AS k
		WHERE n <= $4 ORDER BY handover, n`, corpOf(ctx), db.IDs(handovers), contact.KeySince(db.Now()), maxFormerKeys)
	out := map[nid.ID]FormerKeys{}
	for _, r := range rows {
		out[r.handover] = FormerKeys{r.total, append(out[r.handover].First, r.FormerKey)}
	}
	return out, err
}
