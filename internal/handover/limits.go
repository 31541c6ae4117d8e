package handover

import (
	"context"
	"math"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
)

// limits are those of in-service handovers and of groups: a contact is moved at most
// so often in so many days, and an owner gives away at most so many groups a day
// (WeCom: path/96325 and path/96334; a corp may set its own).
type limits struct {
	// cooling are the contacts that were moved too often; they may move again later.
	cooling map[nid.ID]time.Time
	// groupsLeft is how many groups the owner may still give away today.
	groupsLeft int
	owner      nid.ID
	day        string
	tomorrow   time.Time
}

// limitsOf reads what limits a handover's transfers today. A reverse handover has none.
func limitsOf(ctx context.Context, q store.Querier, now time.Time, r *record, ts []Transfer) (limits, error) {
	l := limits{groupsLeft: math.MaxInt, owner: r.Leaver}
	if r.reverse() {
		return l, nil
	}
	var contacts []nid.ID
	groups := 0
	for _, t := range ts {
		if t.Kind == Contact {
			contacts = append(contacts, t.Item.ID)
		} else {
			groups++
		}
	}
	if groups == 0 && (r.Kind != OnJob || len(contacts) == 0) {
		return l, nil
	}
	settings, err := setting.Load(ctx, q)
	if err != nil {
		return l, err
	}
	if r.Kind == OnJob && len(contacts) > 0 {
		if l.cooling, err = cooling(ctx, q, settings, now, contacts); err != nil {
			return l, err
		}
	}
	if groups == 0 {
		return l, nil
	}
	zone, err := zoneOf(ctx, q)
	if err != nil {
		return l, err
	}
	local := now.In(zone)
	l.day = local.Format(time.DateOnly)
	l.tomorrow = time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, zone).UTC()
	given, _, err := store.SelectOne(ctx, q, func(n *int) []any { return []any{n} },
		`SELECT n FROM group_quotas WHERE corp_id = $1 AND member_id = $2 AND day = $3`, corpOf(ctx), l.owner, l.day)
	l.groupsLeft = max(settings.GroupsPerDay-given, 0)
	return l, err
}

// cooling finds the contacts that moved too often in service, and when each may move again.
func cooling(ctx context.Context, q store.Querier, s setting.Settings, now time.Time, contacts []nid.ID) (map[nid.ID]time.Time, error) {
	type row struct {
		contact nid.ID
		at      time.Time
	}
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.contact, &r.at} }, `
		SELECT t.contact_id, t.finished_at FROM transfers AS t JOIN handovers AS h ON h.corp_id = t.corp_id AND h.id = t.handover_id
		WHERE t.corp_id = $1 AND t.contact_id `+store.EngineOf(q).In(2)+` AND t.status IN ('COMPLETED', 'REVERTED') AND t.finished_at > $3
		  AND h.kind = 'ON_JOB' AND h.revert_of_id IS NULL ORDER BY t.contact_id, t.finished_at DESC`,
		corpOf(ctx), store.EngineOf(q).IDs(contacts), now.AddDate(0, 0, -s.MovesWithinDays))
	if err != nil {
		return nil, err
	}
	out, moves := map[nid.ID]time.Time{}, map[nid.ID]int{}
	for _, r := range rows {
		// The newest come first: the one that makes it too many is the one to wait for.
		if moves[r.contact]++; moves[r.contact] == s.MovesPerContact {
			out[r.contact] = r.at.AddDate(0, 0, s.MovesWithinDays)
		}
	}
	return out, nil
}

// resume is when what was left for another day goes on; nil: nothing was.
func (l *limits) resume(ts []Transfer) *time.Time {
	for _, t := range ts {
		if t.Status == TransferPlanned {
			return &l.tomorrow
		}
	}
	return nil
}

// use counts the groups that were given away.
func (l *limits) use(ctx context.Context, tx *store.Tx, ts []Transfer) error {
	n := 0
	for _, t := range ts {
		if t.Kind == Group && (t.Status == TransferCompleted || t.Status == TransferWaiting) {
			n++
		}
	}
	if n == 0 || l.day == "" {
		return nil
	}
	_, err := tx.Keep(ctx, "group_quotas", `INSERT INTO group_quotas (corp_id, member_id, day, n) VALUES ($1, $2, $3, $4)
		ON CONFLICT (corp_id, member_id, day) DO UPDATE SET n = group_quotas.n + excluded.n`, tx.Corp(), l.owner, l.day, n)
	return err
}

// zoneOf is the corp's time zone.
func zoneOf(ctx context.Context, q store.Querier) (*time.Location, error) {
	name, _, err := store.SelectOne(ctx, q, func(s *string) []any { return []any{s} }, `SELECT time_zone FROM corps WHERE id = $1`, corpOf(ctx))
	if err != nil {
		return nil, err
	}
	return time.LoadLocation(name)
}
