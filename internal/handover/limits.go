package handover

import (
	"context"
	"math"
	"time"

	"github.com/openhandover/openhandover/internal/corp"
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
	groupsLeft, groupsPerDay int

	owner    nid.ID
	day      string
	tomorrow time.Time
}

// limitsOf reads what limits a handover's transfers today. A reverse handover has none.
func limitsOf(ctx context.Context, q store.Querier, now time.Time, r *record, ts []Transfer) (limits, error) {
	if r.reverse() {
		return limits{groupsLeft: math.MaxInt}, nil
	}
	var contacts []nid.ID
	groups := false
	for _, t := range ts {
		if t.Kind == Group {
			groups = true
		} else if r.Kind == OnJob {
			contacts = append(contacts, t.Item.ID)
		}
	}
	var zone *time.Location
	if groups {
		var err error
		if zone, err = corp.Zone(ctx, q); err != nil {
			return limits{}, err
		}
	}
	return today(ctx, q, now, zone, r.Leaver, contacts, groups)
}

// today reads what limits an owner's transfers on the day of now: of contacts in
// service, and of groups, if there are any (only then zone is needed).
func today(ctx context.Context, q store.Querier, now time.Time, zone *time.Location, owner nid.ID, contacts []nid.ID, groups bool) (limits, error) {
	l := limits{groupsLeft: math.MaxInt, owner: owner}
	if len(contacts) == 0 && !groups {
		return l, nil
	}
	settings, err := setting.Load(ctx, q)
	if err != nil {
		return l, err
	}
	if len(contacts) > 0 {
		if l.cooling, err = cooling(ctx, q, settings, now, contacts); err != nil {
			return l, err
		}
	}
	if !groups {
		return l, nil
	}
	l.day, l.tomorrow = dayOf(now, zone), dayAfter(now, zone)
	given, _, err := store.SelectOne(ctx, q, func(n *int) []any { return []any{n} },
		`SELECT n FROM group_quotas WHERE corp_id = $1 AND member_id = $2 AND day = $3`, corpOf(ctx), l.owner, l.day)
	l.groupsLeft, l.groupsPerDay = max(settings.GroupsPerDay-given, 0), settings.GroupsPerDay
	return l, err
}

// dayOf is the day of a time, as it is written.
func dayOf(t time.Time, zone *time.Location) string { return t.In(zone).Format(time.DateOnly) }

// dayAfter is when the day after begins.
func dayAfter(t time.Time, zone *time.Location) time.Time {
	local := t.In(zone)
	return time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, zone).UTC()
}

// cooling finds the contacts that moved too often in service, and when each may move again.
func cooling(ctx context.Context, q store.Querier, s setting.Settings, now time.Time, contacts []nid.ID) (map[nid.ID]time.Time, error) {
	type row struct {
		contact nid.ID
		at      time.Time
	}
	db := store.EngineOf(q)
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.contact, &r.at} }, `
		SELECT t.contact_id, t.finished_at FROM transfers AS t`+db.Lookup("handovers", "handovers.corp_id = t.corp_id AND handovers.id = t.handover_id")+`
		WHERE t.corp_id = $1 AND t.contact_id `+db.In(2)+` AND t.status IN ('COMPLETED', 'REVERTED') AND t.finished_at > $3
		  AND handovers.kind = 'ON_JOB' AND handovers.revert_of_id IS NULL ORDER BY t.contact_id, t.finished_at DESC`,
		corpOf(ctx), db.IDs(contacts), now.AddDate(0, 0, -s.MovesWithinDays))
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
