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
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notice"
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
// What cannot go through without a person is held back (keep): an implausible number
// within an hour, all of them; and somebody whom nobody could follow, such as the only
// administrator. Such a member stays LEAVING with departure_held_at set, until somebody
// deactivates them, schedules a new day, or takes the departure back. An error
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
		return s.wait(ctx, id, today, f)
	}
	return false, err
}

// wait keeps a departure for a person to decide on, where it still is one.
func (s *Service) wait(ctx context.Context, id nid.ID, today string, because *fault.Error) (held bool, err error) {
	err = s.Log.Tx(ctx, s.DB, access.DepartureHold, func(ctx context.Context, tx *store.Tx) error {
		held = false // the transaction may run again
		only, err := identity.OnlyAdministrator(ctx, tx, id)
		if err != nil {
			return err
		}
		was, err := lockOne(ctx, tx, id)
		if err != nil || !was.due(today) {
			return err
		}
		held = true
		_, err = s.keep(ctx, tx, holding{was: was, lastDay: was.lastDay.String, because: because, by: was.heldBy, only: only})
		return err
	})
	return held && err == nil, err
}

// hold keeps a departure that a person has asked for, for another one to confirm.
func (s *Service) hold(ctx context.Context, tx *store.Tx, d *departure, because *fault.Error) (err error) {
	zone, _, err := corpOf(ctx, tx)
	if err != nil {
		return err
	}
	d.out.Held = true
	today := tx.Now().In(zone).Format(time.DateOnly)
	d.out.RevokedSessions, err = s.keep(ctx, tx, holding{was: d.leaver, lastDay: today, because: because, by: d.actor.ID, only: d.only})
	return err
}

// lockOne keeps a member and their access as they are. They exist.
func lockOne(ctx context.Context, tx *store.Tx, id nid.ID) (person, error) {
	if _, err := lockAccess(ctx, tx, id); err != nil {
		return person{}, err
	}
	was, _, err := store.SelectOne(ctx, tx, (*person).columns,
		`SELECT `+personColumns+` FROM members AS m WHERE m.corp_id = $1 AND m.id = $2`+tx.DB().ForNoKeyUpdate(), tx.Corp(), id)
	return was, err
}

// holding is a departure that is being held back: whose, since which last day, why, who
// asked for it (zero: no member), and whether nobody else administers the corp.
type holding struct {
	was     person
	lastDay string
	because *fault.Error
	by      nid.ID
	only    bool
}

// keep makes somebody at work one whose departure is held back. Their access ends at once:
// sessions, the tokens they made, and signing in; grants stay until somebody decides. The
// only administrator keeps access, since otherwise nobody could decide. It gives how many
// sessions ended.
func (s *Service) keep(ctx context.Context, tx *store.Tx, h holding) (sessions int, err error) {
	id, raise := h.was.id, 1
	if h.only {
		raise = 0
	}
	if _, err := tx.Change(ctx, "members", `UPDATE members SET status = 'LEAVING', last_day = $4,
		departure_held_at = $3, departure_by_id = $5, suspended = $6, epoch = epoch + $7,
		version = version + 1, updated_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), id, tx.Now(), h.lastDay, h.by, !h.only, raise); err != nil {
		return 0, err
	}
	if !h.only {
		if sessions, err = tx.Keep(ctx, "sessions", `DELETE FROM sessions WHERE corp_id = $1 AND member_id = $2`, tx.Corp(), id); err != nil {
			return 0, err
		}
	}
	if err := notice.Begin(ctx, tx, id); err != nil {
		return 0, err
	}
	if err := notify.Emit(ctx, tx, notify.DepartureHeld, id, nil); err != nil {
		return 0, err
	}
	after := map[string]any{"status": leaving, "lastDay": h.lastDay, "heldAt": tx.Now(), "because": h.because.Text.EN, "suspended": !h.only, "sessions": sessions}
	if !h.by.IsZero() {
		after["askedFor"] = h.by
	}
	maps.Copy(after, h.because.Details)
	return sessions, s.Log.Append(ctx, tx, audit.Entry{Action: access.DepartureHold, Subject: id, Before: h.was.schedule(), After: after})
}

// due reports whether somebody's last day is before today and nothing holds them.
func (p person) due(today string) bool {
	return p.status == leaving && p.lastDay.Valid && p.lastDay.String < today && !p.heldAt.Valid
}
