package handover

import (
	"context"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// promise notes what other open plans will bring the given people: what is put forward
// and not carried out yet. A draft promises nothing: it may never be put forward. Items
// of this plan count for this plan alone, and what has moved since it was planned for
// nobody. Executing does not look at promises: who comes first has the room.
func (p *planned) promise(ctx context.Context, q store.Querier, people map[nid.ID]*person) error {
	if len(people) == 0 {
		return nil
	}
	db := store.EngineOf(q)
	to := make([]nid.ID, 0, len(people))
	for id := range people {
		to = append(to, id)
	}
	own := make([]nid.ID, len(p.Items))
	for i, it := range p.Items {
		own[i] = it.ID
	}
	type row struct {
		to               nid.ID
		contacts, groups int
	}
	// A contact that its successor follows already takes no room.
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.to, &r.contacts, &r.groups} }, `
		SELECT transfers.to_id, count(DISTINCT transfers.contact_id), count(DISTINCT transfers.group_id) FROM handovers AS h`+
		db.Lookup("transfers", "transfers.corp_id = h.corp_id AND transfers.handover_id = h.id")+`
		WHERE h.corp_id = $1 AND h.state IN ('AWAITING_APPROVAL', 'READY', 'SCHEDULED', 'RUNNING') AND h.planned > 0
		  AND transfers.status = 'PLANNED' AND transfers.to_id `+db.In(2)+` AND NOT (coalesce(transfers.contact_id, transfers.group_id) `+db.In(3)+`)
		  AND (EXISTS (SELECT 1 FROM follows AS f WHERE f.corp_id = $1 AND f.id = transfers.follow_id AND f.ended_at IS NULL
		      AND f.member_id = transfers.from_id AND f.owner_version = transfers.expected_version)
		    AND NOT EXISTS (SELECT 1 FROM follows AS f WHERE f.corp_id = $1 AND f.contact_id = transfers.contact_id
		      AND f.member_id = transfers.to_id AND f.ended_at IS NULL)
		    OR EXISTS (SELECT 1 FROM groups AS g WHERE g.corp_id = $1 AND g.id = transfers.group_id
		      AND g.owner_id = transfers.from_id AND g.owner_version = transfers.expected_version))
		GROUP BY transfers.to_id`, corpOf(ctx), db.IDs(sorted(to)), db.IDs(own))
	for _, r := range rows {
		people[r.to].Promised, people[r.to].PromisedGroups = r.contacts, r.groups
	}
	return err
}

// load is how many contacts the person looks after once the other open plans are
// carried out.
func (p *person) load() int { return p.Contacts + p.Reserved + p.Promised }

// groupLoad is load of groups.
func (p *person) groupLoad() int { return p.Groups + p.PromisedGroups }

// free is how many contacts a plan can still give the person, other open plans counted.
func (p *person) free() int { return max(p.Limit-p.load(), 0) }
