package member

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/store"
)

// WorkDepartures is the kind of work that Depart does, for store.Tx.Wake.
const WorkDepartures = "departures"

// WorkPlans is the work that a departure is the occasion of: handover.WorkHandovers,
// by its name, since the packages of the domain talk through jobs.
const WorkPlans = "handovers"

// WorkExports is the work that deletes a leaver's files: export.WorkExports, which is
// not imported for a name.
const WorkExports = "exports"

// errNotDue: somebody else was quicker, or changed the plan.
var errNotDue = errors.New("member: the departure is not due")

// Depart lets the members go whose last day has passed in the corp's time zone, each
// in a transaction of its own, through Deactivate. It may run anywhere, at any time
// and in several replicas at once. next is when the next departure is due; zero: none
// is known.
//
// What cannot go through without a person is held back: an implausible number within
// an hour, all of them; and somebody whom nobody could follow, such as the only
// administrator. Such a member stays LEAVING with departure_held_at set, until
// somebody deactivates them, schedules anew, or takes the departure back. An error
// says what did not work out this time and is worth another try soon; the other
// departures have been made.
func (s *Service) Depart(ctx context.Context, corp nid.ID) (next time.Time, err error) {
	ctx = store.System(ctx, corp, "the last day has passed")
	var due []nid.ID
	today := ""
	if err := s.DB.View(ctx, func(ctx context.Context, r *store.Read) error {
		zone, _, err := corpOf(ctx, r)
		if err != nil {
			return err
		}
		today = s.DB.Now().In(zone).Format(time.DateOnly)
		type row struct {
			id  nid.ID
			day string
		}
		rows, err := store.Select(ctx, r, func(r *row) []any { return []any{&r.id, &r.day} }, `SELECT id, last_day FROM members
			WHERE corp_id = $1 AND status = 'LEAVING' AND last_day IS NOT NULL AND departure_held_at IS NULL ORDER BY last_day, id`, corp)
		for _, m := range rows {
			if m.day >= today {
				next = after(m.day, zone)
				break
			}
			due = append(due, m.id)
		}
		return err
	}); err != nil {
		return time.Time{}, err
	}
	var failed []error
	held := 0
	for _, id := range due {
		stays, err := s.depart(ctx, id, today)
		if err != nil {
			failed = append(failed, err)
		}
		if stays {
			held++
		}
		if ctx.Err() != nil {
			break
		}
	}
	if held > 0 {
		slog.WarnContext(ctx, "departures are held back until a person decides", "corp", corp, "departures", held)
	}
	return next, errors.Join(failed...)
}

// depart lets one member go, or holds the departure back.
func (s *Service) depart(ctx context.Context, id nid.ID, today string) (held bool, err error) {
	_, err = s.Deactivate(ctx, DeactivateInput{MemberID: id, Mode: Depart, today: today})
	if errors.Is(err, errNotDue) {
		return false, nil
	}
	// A CONFLICT about a field is ours and needs a person; one about none is the
	// database's, which was busy.
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Code == fault.Conflict && f.Field != "" {
		return s.hold(ctx, id, today, f)
	}
	return false, err
}

// hold keeps a departure for a person to decide on, where it still is one.
func (s *Service) hold(ctx context.Context, id nid.ID, today string, because *fault.Error) (held bool, err error) {
	err = s.Log.Tx(ctx, s.DB, access.DepartureHold, func(ctx context.Context, tx *store.Tx) error {
		held = false // the transaction may run again
		was, err := lockOne(ctx, tx, id)
		if err != nil || !was.due(today) {
			return err
		}
		held = true
		return s.keep(ctx, tx, was, was.lastDay.String, because)
	})
	return held && err == nil, err
}

// lockOne keeps a member as they are. They exist.
func lockOne(ctx context.Context, tx *store.Tx, id nid.ID) (person, error) {
	was, _, err := store.SelectOne(ctx, tx, (*person).columns,
		`SELECT `+personColumns+` FROM members AS m WHERE m.corp_id = $1 AND m.id = $2`+tx.DB().ForNoKeyUpdate(), tx.Corp(), id)
	return was, err
}

// keep makes somebody at work one whose departure is held back.
func (s *Service) keep(ctx context.Context, tx *store.Tx, was person, lastDay string, because *fault.Error) error {
	if _, err := tx.Change(ctx, "members", `UPDATE members SET status = 'LEAVING', last_day = $4, departure_held_at = $3, version = version + 1, updated_at = $3
		WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), was.id, tx.Now(), lastDay); err != nil {
		return err
	}
	if err := notify.Emit(ctx, tx, notify.DepartureHeld, was.id, nil); err != nil {
		return err
	}
	after := map[string]any{"status": leaving, "lastDay": lastDay, "heldAt": tx.Now(), "because": because.Text.EN}
	maps.Copy(after, because.Details)
	return s.Log.Append(ctx, tx, audit.Entry{Action: access.DepartureHold, Subject: was.id, Before: was.schedule(), After: after})
}

// due reports whether somebody's last day is before today and nothing holds them.
func (p person) due(today string) bool {
	return p.status == leaving && p.lastDay.Valid && p.lastDay.String < today && !p.heldAt.Valid
}
