package member

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notice"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/store"
)

// ScheduleInput says whose last day at work is which.
type ScheduleInput struct {
	MemberID nid.ID
	// LastDay is YYYY-MM-DD in the corp's time zone.
	LastDay string
}

// maxNotice is how many years ahead a last day may be.
const maxNotice = 2

// Schedule sets a member's last day: LEAVING until its end, then Depart makes them
// DEPARTED. Setting it again moves it; of a departure that is held back it ends the hold
// and gives access back. From then on the notice period protects what the member has
// written (package notice). It needs DEACTIVATE_MEMBER over the member, and a fresh proof
// of identity for a member who holds a grant, for today, and for a departure that is held
// back.
//
// Fails with NOT_FOUND, FORBIDDEN, STEP_UP_REQUIRED, INVALID for a day that is past or far off and for
// oneself, and CONFLICT for somebody who is not at work and for the corp's fallback
// member.
func (s *Service) Schedule(ctx context.Context, in ScheduleInput) error {
	return s.Log.Tx(ctx, s.DB, access.DepartureSet, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if err := reach(ctx, tx, actor, in.MemberID); err != nil {
			return err
		}
		if actor.Kind == access.Person && actor.ID == in.MemberID {
			return fault.Bad("input.memberId", "nobody can deactivate themselves", "不能停用自己")
		}
		zone, fallback, err := corpOf(ctx, tx)
		if err != nil {
			return err
		}
		if err := in.check(tx.Now().In(zone)); err != nil {
			return err
		}
		was, _, err := store.SelectOne(ctx, tx, (*person).columns,
			`SELECT `+personColumns+` FROM members AS m WHERE m.corp_id = $1 AND m.id = $2`+tx.DB().ForNoKeyUpdate(), tx.Corp(), in.MemberID)
		switch {
		case err != nil:
			return err
		case !was.answers:
			return fault.Clash("input.memberId", "this member is not at work", "该成员不在职").With("status", was.status)
		case was.id == fallback:
			return isFallback()
		}
		granted, err := holdsGrant(ctx, tx, in.MemberID)
		if err != nil {
			return err
		}
		if granted || was.heldAt.Valid || in.LastDay <= tx.Now().In(zone).Format(time.DateOnly) {
			if err := identity.Fresh(actor, tx.Now()); err != nil {
				return err
			}
		}
		if _, err := tx.Change(ctx, "members", `UPDATE members SET status = 'LEAVING', last_day = $3, departure_held_at = NULL, departure_by_id = $5, suspended = false,
			version = version + 1, updated_at = $4 WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), in.MemberID, in.LastDay, tx.Now(), actor.ID); err != nil {
			return err
		}
		if err := notice.Begin(ctx, tx, in.MemberID); err != nil {
			return err
		}
		departs := after(in.LastDay, zone)
		if err := tx.Wake(ctx, WorkDepartures, departs); err != nil {
			return err
		}
		if err := notify.Emit(ctx, tx, notify.DepartureScheduled, in.MemberID, map[string]any{"departsAt": departs}); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.DepartureSet, Subject: in.MemberID, Before: was.schedule(),
			After: map[string]any{"status": leaving, "lastDay": in.LastDay}})
	})
}

// holdsGrant reports whether a grant of the member's is in force.
func holdsGrant(ctx context.Context, tx *store.Tx, member nid.ID) (bool, error) {
	_, holds, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} }, `SELECT id FROM grants
		WHERE corp_id = $1 AND member_id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3) LIMIT 1`, tx.Corp(), member, tx.Now())
	return holds, err
}

// check holds the day against the corp's today. Days of this form compare as text.
func (in ScheduleInput) check(now time.Time) error {
	const field = "input.lastDay"
	day, err := time.Parse(time.DateOnly, in.LastDay)
	switch today := now.Format(time.DateOnly); {
	case err != nil || day.Format(time.DateOnly) != in.LastDay:
		return fault.Bad(field, "a date is YYYY-MM-DD", "日期格式为 YYYY-MM-DD")
	case in.LastDay < today:
		return fault.Bad(field, "this day is past; deactivate the member instead", "该日期已过,请直接停用该成员")
	case in.LastDay > now.AddDate(maxNotice, 0, 0).Format(time.DateOnly):
		return fault.Bad(field, "the last day is %d years ahead at most", "最后工作日最多可提前 %d 年设定", maxNotice)
	}
	return nil
}

// schedule is what the log keeps of somebody's planned departure.
func (p person) schedule() map[string]any {
	out := map[string]any{"status": p.status}
	if p.lastDay.Valid {
		out["lastDay"] = p.lastDay.String
	}
	if p.heldAt.Valid {
		out["heldAt"] = p.heldAt.Time
	}
	return out
}

// corpOf reads in which zone the corp's days begin and who answers where nobody else does.
func corpOf(ctx context.Context, q store.Querier) (*time.Location, nid.ID, error) {
	type row struct {
		zone     string
		fallback nid.ID
	}
	r, _, err := store.SelectOne(ctx, q, func(r *row) []any { return []any{&r.zone, &r.fallback} },
		`SELECT time_zone, fallback_id FROM corps WHERE corp_id = $1`, access.From(ctx).Corp)
	if err != nil {
		return nil, nid.ID{}, err
	}
	zone, err := time.LoadLocation(r.zone)
	return zone, r.fallback, err
}

// after is when the day after a day begins in a zone.
func after(day string, zone *time.Location) time.Time {
	t, err := time.ParseInLocation(time.DateOnly, day, zone)
	if err != nil {
		return time.Time{}
	}
	t = t.AddDate(0, 0, 1)
	// Where a clock goes forward at midnight, that midnight is not there, and what is
	// made of it may still be the evening before.
	for t.Format(time.DateOnly) <= day {
		t = t.Add(15 * time.Minute)
	}
	return t.UTC()
}
