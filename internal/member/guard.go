package member

import (
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
)

// departureWindow is the time within which departures are counted.
const departureWindow = time.Hour

// someAlways is how many departures within the window the percentage never refuses:
// in a small corp each is a large part of it.
const someAlways = 2

// implausible reports whether n departures within the window are more than the corp
// expects, of so many who were at work when it began.
func implausible(s setting.Settings, n, staff int) bool {
	return n > s.DeparturesPerHour || n > someAlways && n*100 > s.DeparturesPercent*staff
}

// plausible refuses what looks like a mistake or an attack rather than people
// leaving: a mass departure would take the whole corp's access and put its customers
// up for handing over. Only two people can say that it is meant: one asks, which holds
// the departure back (errAsked), and another one confirms.
//
// All deactivations of a corp take their turn at its administrators' lock, which
// Deactivate holds already, so none is missed that another transaction is making.
func (d *departure) plausible() error {
	n, err := d.recent()
	if err != nil || n <= 1 {
		return err // one is plausible in any corp
	}
	s, err := setting.Load(d.ctx, d.tx)
	if err != nil {
		return err
	}
	staff := 0
	if n <= s.DeparturesPerHour && n > someAlways {
		// Those who are at work, and those counted who were until just now; not newcomers
		// whom a token has made: whoever holds it could make up a crowd to hide in.
		if staff, _, err = store.SelectOne(d.ctx, d.tx, func(n *int) []any { return []any{n} },
			`SELECT count(*) FROM members AS m WHERE m.corp_id = $1 AND m.status IN ('ACTIVE', 'LEAVING')
				AND NOT EXISTS (SELECT 1 FROM scim_users AS u WHERE u.corp_id = m.corp_id AND u.member_id = m.id AND u.counts_from > $2)`, d.tx.Corp(), d.tx.Now()); err != nil {
			return err
		}
		staff += d.gone
	}
	if !implausible(s, n, staff) {
		return nil
	}
	d.mass = n
	because := fault.Clash("input.confirmMassDeparture",
		"this would be departure number %d within an hour, more than the settings take for plausible; confirm that so many are meant",
		"这将是一小时内的第 %d 次离职或停用，超出设置的合理范围；如确属实，请确认批量离职", n).
		With("departures", n).With("withinMinutes", int(departureWindow/time.Minute))
	if d.in.ConfirmMassDeparture && d.actor.Kind == access.Person {
		return d.second(because)
	}
	return because
}

// asked is that a person wants a departure which takes two people.
type asked struct{ because *fault.Error }

func (asked) Error() string { return "member: another person has to confirm the departure" }

// second lets a departure go on that somebody else has asked for. One that nobody has
// asked for yet is held back for somebody else to confirm.
func (d *departure) second(because *fault.Error) error {
	switch by := d.leaver.heldBy; {
	case !d.leaver.heldAt.Valid || d.leaver.status != leaving:
		return asked{because}
	case by.IsZero(): // the operator, or a token of theirs
		return nil
	case by == d.actor.ID:
		return fault.Clash("input.memberId", "this departure is held back on the same person's request; another person has to confirm it", "该离职由同一人提出并已暂缓，须由另一人确认").
			With("departures", d.mass)
	default:
		return identity.TwoHands(d.ctx, d.tx, d.actor.ID, by)
	}
}

// proof demands a fresh proof of identity of a person who takes the access of somebody who
// holds a grant, or confirms a mass departure.
func (d *departure) proof() error {
	if d.actor.Kind != access.Person || d.granted == 0 && !d.in.ConfirmMassDeparture {
		return nil
	}
	return identity.Fresh(d.actor, d.tx.Now())
}

// recent counts the departures and disablings within the window, this one included.
// For an automatic one those that are due with it count too, and those that were
// held back with it: either all of a plausible number depart by themselves, or none.
func (d *departure) recent() (int, error) {
	since := d.tx.Now().Add(-departureWindow)
	type counts struct{ gone, due int }
	// When somebody was disabled stands in the log alone. Every deactivation touches
	// updated_at, whose index leaves few to look at; a minute covers the wait for locks.
	c, _, err := store.SelectOne(d.ctx, d.tx, func(c *counts) []any { return []any{&c.gone, &c.due} }, `SELECT
		(SELECT count(*) FROM members AS m WHERE m.corp_id = $1 AND m.id <> $2 AND m.updated_at > $3 AND (m.departed_at > $4 OR m.status = 'DISABLED'
			AND EXISTS (SELECT 1 FROM audit_entries AS e WHERE e.corp_id = m.corp_id AND e.subject_id = m.id AND e.action = $5 AND e.at > $4))),
		(SELECT count(*) FROM members AS m WHERE m.corp_id = $1 AND m.id <> $2 AND m.status = 'LEAVING' AND m.last_day < $6
			AND (m.departure_held_at IS NULL OR m.departure_held_at > $4))`,
		d.tx.Corp(), d.in.MemberID, since.Add(-time.Minute), since, string(access.MemberDeactivate), d.in.today)
	d.gone = c.gone
	return 1 + c.gone + c.due, err
}

// due goes on with an automatic departure only while it is still one: somebody may
// have moved the day, or another replica have been quicker.
func (d *departure) due() error {
	if d.in.today == "" || d.leaver.due(d.in.today) {
		return nil
	}
	return errNotDue
}
