package handover

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/corp"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Forecast says when a plan's transfers would pass if it were executed now, or as soon
// as the leaver has left, as far as the limits of a day and cool-downs go. What a problem
// blocks is left out.
type Forecast struct {
	// Later is any day after tomorrow. A contact that cools down passes only if it
	// is retried then; groups go on by themselves.
	Today, Tomorrow, Later Share
	// LastDay is the day on which the last passes, in the corp's time zone, as
	// YYYY-MM-DD; nil where nothing would.
	LastDay *string
}

// Share is how much of a plan passes in a span of time.
type Share struct{ Contacts, Groups int }

// forecast works out when items pass, and marks contacts that cool down.
func forecast(ctx context.Context, q store.Querier, p *planned) (f Forecast, err error) {
	var contacts []nid.ID
	groups := 0
	for _, it := range p.Items {
		switch {
		case it.Kind == Contact && p.Kind == OnJob:
			contacts = append(contacts, it.ID)
		case it.Kind == Group && it.trouble == "":
			groups++
		}
	}
	zone, err := corp.Zone(ctx, q)
	if err != nil {
		return f, err
	}
	now := store.EngineOf(q).Now()
	l, err := today(ctx, q, now, zone, p.LeaverID, contacts, groups > 0)
	if err != nil {
		return f, err
	}
	c := calendar{tomorrow: dayAfter(now, zone)}
	c.after = dayAfter(c.tomorrow, zone)
	day, left := now, l.groupsLeft
	if at := p.notice.start(); at != nil && !at.Before(c.tomorrow) {
		day, left = *at, l.groupsPerDay
	}
	for i := range p.Items {
		it := &p.Items[i]
		switch {
		case it.Kind != Contact || it.trouble != "":
		case l.cooling[it.ID].IsZero():
			c.share(&f, day).Contacts++
		default:
			it.trouble = CoolDown
			c.share(&f, l.cooling[it.ID]).Contacts++
		}
	}
	for groups > 0 {
		if n := min(groups, left); n > 0 {
			c.share(&f, day).Groups += n
			groups -= n
		}
		day, left = dayAfter(day, zone), l.groupsPerDay
	}
	if !c.last.IsZero() {
		last := dayOf(c.last, zone)
		f.LastDay = &last
	}
	return f, nil
}

// calendar puts times into today, tomorrow and later, and keeps the last.
type calendar struct {
	tomorrow, after time.Time // when these days begin
	last            time.Time
}

func (c *calendar) share(f *Forecast, at time.Time) *Share {
	if at.After(c.last) {
		c.last = at
	}
	switch {
	case at.Before(c.tomorrow):
		return &f.Today
	case at.Before(c.after):
		return &f.Tomorrow
	}
	return &f.Later
}
