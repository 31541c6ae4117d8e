package handover

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/corp"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/store"
)

// notice is a leaver's time until the departure: a RESIGNED handover can be planned
// in it, and is executed after it.
type notice struct {
	// from is when the leaver has left: the end of the last day in the corp's time zone.
	// nil: not known, since a person has to decide on the departure.
	from *time.Time
	now  time.Time
}

// noticeOf gives the notice that a handover of this kind has to wait for; nil: none.
func noticeOf(ctx context.Context, q store.Querier, kind Kind, leaver *person) (*notice, error) {
	if kind != Resigned || leaver == nil || leaver.Status != "LEAVING" {
		return nil, nil
	}
	n := &notice{now: store.EngineOf(q).Now()}
	if leaver.LastDay == nil || leaver.Held {
		return n, nil
	}
	zone, err := corp.Zone(ctx, q)
	if err != nil {
		return nil, err
	}
	day, err := time.ParseInLocation(time.DateOnly, *leaver.LastDay, zone)
	if err != nil {
		return nil, err
	}
	from := dayAfter(day, zone)
	n.from = &from
	return n, nil
}

// start is a start that createHandover takes: when the leaver has left, or soon where
// the departure is due any moment. nil: not known.
func (n *notice) start() *time.Time {
	if n == nil || n.from == nil {
		return nil
	}
	if n.from.After(n.now) {
		return n.from
	}
	soon := n.now.Add(90 * time.Minute).Truncate(time.Hour)
	return &soon
}

// over reports whether the last day has passed: the departure is due any moment.
func (n *notice) over() bool { return n.from != nil && !n.from.After(n.now) }

// check refuses a start before the leaver has left.
func (n *notice) check(startAt *time.Time) error {
	if n == nil || n.from == nil || startAt == nil || !startAt.Before(*n.from) {
		return nil
	}
	return fault.Bad("input.startAt", "startAt must be at or after %s, when the leaver has left", "startAt 不能早于 %s（成员离职的时间）", moment(n.from)).
		With("reason", string(LeaverStatus)).With("executableFrom", moment(n.from))
}

// refuse is the CONFLICT of executing during the notice; nil without one.
func (n *notice) refuse() error {
	if n == nil {
		return nil
	}
	f := fault.Clash("", "the leaver is still at work and the departure waits for somebody's decision: a RESIGNED handover can be executed once the leaver has left",
		"成员仍在职，其离职有待人工确认：离职后才能执行 RESIGNED 交接")
	if n.from != nil {
		f = fault.Clash("", "the leaver is still at work: a RESIGNED handover can be executed from %s on. Create it with startAt, or use ON_JOB",
			"成员仍在职：RESIGNED 交接可在 %s 之后执行。请在创建时指定 startAt，或使用 ON_JOB", moment(n.from))
	}
	return f.With("reason", string(LeaverStatus)).With("leaverStatus", "LEAVING").With("executableFrom", moment(n.from)).With("startAt", moment(n.start()))
}

// moment is a time for a client; nil for none.
func moment(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}
