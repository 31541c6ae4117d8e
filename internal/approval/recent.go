package approval

import (
	"context"
	"fmt"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Window is how long what one person moves is summed up: splitting a plan into
// many does not keep it below the threshold.
const Window = 24 * time.Hour

// Recent sums up the other handovers behind which one of some people stands, as
// responsible person (who is the requester, where there is one) or as executor, and
// that were made, submitted or begun after since, except one: how many transfers, and
// how many of them of KEY contacts. Drafts and what was rejected move nothing and do
// not count; of a cancelled handover counts what it had moved; reverse handovers move
// nothing new. A handover counts by its submission too, or plans made ahead could all
// be run on one day, and while it runs and by its end, since the background may move
// things days after the start. All of that raises updated_at, which the indexes end with.
func Recent(ctx context.Context, q store.Querier, people []nid.ID, since time.Time, except nid.ID) (transfers, keyContacts int, err error) {
	type sum struct{ transfers, key int }
	db := store.EngineOf(q)
	// That there is a last time, too, tells PostgreSQL that these are few.
	theirs := func(column string) string {
		return `SELECT id, corp_id, state, total, completed, waiting, reverted FROM handovers WHERE corp_id = $1 AND ` + column + " " + db.In(2) + `
			AND updated_at BETWEEN $3 AND $5 AND (created_at > $3 OR submitted_at > $3 OR started_at > $3 OR finished_at > $3 OR state = 'RUNNING')
			AND id IS DISTINCT FROM $4 AND revert_of_id IS NULL AND state NOT IN ('DRAFT', 'REJECTED')`
	}
	s, _, err := store.SelectOne(ctx, q, func(s *sum) []any { return []any{&s.transfers, &s.key} }, `
		SELECT CAST(coalesce(sum(moved), 0) AS bigint), CAST(coalesce(sum(keys), 0) AS bigint) FROM (SELECT
			CASE WHEN h.state = 'CANCELLED' THEN h.completed + h.waiting + h.reverted ELSE h.total END AS moved,
			(SELECT count(*) FROM transfers AS t WHERE t.corp_id = h.corp_id AND t.handover_id = h.id AND t.importance = 'KEY'
				AND (h.state <> 'CANCELLED' OR t.status IN ('COMPLETED', 'WAITING', 'REVERTED'))) AS keys
			FROM (`+theirs("responsible_id")+` UNION `+theirs("executed_by_id")+`) AS h) AS recent`,
		access.From(ctx).Corp, db.IDs(people), since, except, since.AddDate(1, 0, 0))
	return s.transfers, s.key, err
}

// OfSum works out what a plan needs that comes on top of what those behind it have
// moved within Window, as Recent counts it. The threshold is held against the sum.
// Earlier KEY contacts are no reason: each plan that moves one needs approval by
// itself, however few they are.
func (p Policy) OfSum(total, keyContacts, recentTotal, _ int) Need {
	return p.strictest(func(p Policy) Need { return p.ofSum(total, keyContacts, recentTotal) })
}

func (p Policy) ofSum(total, keyContacts, recentTotal int) Need {
	n := p.of(total, keyContacts)
	if p.Above != nil && total <= *p.Above && total+recentTotal > *p.Above {
		n.Reasons = append(n.Reasons, fmt.Sprintf("above24h:%d", *p.Above))
		n.Votes = p.Approvals
	}
	return n
}
