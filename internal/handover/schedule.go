package handover

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/store"
)

// maxAhead is how far ahead a start may lie.
const maxAhead = 2 * 365 * 24 * time.Hour

// checkStart checks a start time; nil is at once.
func checkStart(at *time.Time, now time.Time) error {
	switch {
	case at == nil:
		return nil
	case !at.After(now):
		return fault.Bad("input.startAt", "the start must lie ahead", "开始时间必须在将来")
	case at.Sub(now) > maxAhead:
		return fault.Bad("input.startAt", "the start may lie two years ahead at most", "开始时间最多为两年之后")
	}
	return nil
}

// later makes the handover RUNNING for the background to carry out, or SCHEDULED.
func (s *Service) later(ctx context.Context, tx *store.Tx, r *record, e Event) ([]audit.Entry, error) {
	before, at, action := r.State, tx.Now(), access.HandoverExecute
	if e == Schedule {
		at, action = *r.StartAt, access.HandoverSchedule
	}
	if _, err := r.move(ctx, tx, e); err != nil {
		return nil, err
	}
	var started *time.Time
	if r.State == Running {
		started = &at
	}
	if _, err := tx.Change(ctx, "handovers", `UPDATE handovers SET executed_by_id = $3, responsible_id = $5, started_at = coalesce(started_at, $4), hold_reason = NULL,
		cancel_requested_at = NULL, resume_at = NULL, finished_at = NULL WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), r.ID, r.Executor, nullTime(started), r.Responsible); err != nil {
		return nil, err
	}
	if err := tx.Wake(ctx, WorkHandovers, at); err != nil {
		return nil, err
	}
	tx.Tell(Topic(r.ID))
	if r.State == Running {
		if err := r.emit(ctx, tx, notify.HandoverStarted); err != nil {
			return nil, err
		}
	}
	return []audit.Entry{{Action: action, Subject: r.ID, Handover: r.ID, Before: map[string]any{"state": string(before)},
		After: r.executed(map[string]any{"state": string(r.State), "digest": r.Digest, "transfers": r.Totals.Total, "startAt": stamp(r.StartAt)})}}, nil
}

// due lists the handovers of a state for which the time has come, oldest first.
func (s *Service) due(ctx context.Context, condition string, at time.Time) (ids []nid.ID, err error) {
	err = s.DB.View(ctx, func(ctx context.Context, q *store.Read) error {
		ids, err = store.Select(ctx, q, func(id *nid.ID) []any { return []any{id} },
			`SELECT id FROM handovers WHERE corp_id = $1 AND `+condition+` ORDER BY id LIMIT 1000`, corpOf(ctx), at)
		return err
	})
	return ids, err
}

// expireAll makes handovers that waited too long for votes DRAFT again.
func (s *Service) expireAll(ctx context.Context) error {
	var policy approval.Policy
	if err := s.DB.View(ctx, func(ctx context.Context, q *store.Read) (err error) {
		policy, err = approval.Load(ctx, q)
		return err
	}); err != nil {
		return err
	}
	ids, err := s.due(ctx, `state = 'AWAITING_APPROVAL' AND submitted_at < $2`, s.DB.Now().Add(-policy.Expiry()))
	for _, id := range ids {
		err = errors.Join(err, s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			r, err := lockCase(ctx, tx, access.From(ctx), id, "handover")
			if err != nil || !r.expired(policy, tx.Now()) {
				return err
			}
			before, err := r.move(ctx, tx, Expire)
			if err != nil {
				return err
			}
			tx.Tell(Topic(r.ID))
			return s.Log.Append(ctx, tx, audit.Entry{Action: access.HandoverExpire, Subject: r.ID, Handover: r.ID,
				Before: map[string]any{"state": string(before)}, After: map[string]any{"state": string(r.State), "digest": r.Digest}})
		}))
	}
	return err
}

// beginAll begins the SCHEDULED handovers whose time has come.
func (s *Service) beginAll(ctx context.Context) error {
	ids, err := s.due(ctx, `state = 'SCHEDULED' AND start_at <= $2`, s.DB.Now())
	for _, id := range ids {
		failed := s.begin(ctx, id)
		if f, ok := errors.AsType[*fault.Error](failed); ok && !passing(failed) && f.Code != fault.Internal {
			failed = s.holdBack(ctx, id, f)
		}
		err = errors.Join(err, failed)
	}
	return err
}

// begin starts a scheduled handover in the name of who scheduled it: their rights,
// the votes and who can take over are looked at again.
func (s *Service) begin(ctx context.Context, id nid.ID) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		r, err := lockCase(ctx, tx, access.From(ctx), id, "handover")
		if err != nil || r.State != Scheduled || r.StartAt.After(tx.Now()) {
			return err
		}
		if departing, err := r.departing(ctx, tx); err != nil || departing {
			return err
		}
		if err := r.lockOrigin(ctx, tx); err != nil {
			return err
		}
		if err := approval.Lock(ctx, tx, r.ID); err != nil {
			return err
		}
		executor, err := identity.Standing(ctx, tx, r.Executor)
		if err != nil {
			return err
		}
		if executor == nil {
			return fault.Denied("who scheduled it is no longer at work", "安排该交接的人员已不在职")
		}
		o, err := outlineOf(ctx, tx, r)
		if err != nil {
			return err
		}
		if err := s.mayExecute(ctx, tx, executor, r, o); err != nil {
			return err
		}
		if !r.reverse() {
			who, err := people(ctx, tx, access.Scope{All: true}, "", o.successors...)
			if err != nil {
				return err
			}
			for _, to := range o.successors {
				if why := who[to].unfit(); why != "" {
					return fault.New(fault.Conflict, "", why.Text()).With("successorId", to.String()).With("reason", string(why))
				}
			}
		}
		entries, err := s.start(ctx, tx, executor, r, o, Begin, nil)
		if err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, entries...)
	})
}

// departing reports whether the leaver's last day has passed and the departure is on its
// way: it wakes this work when it is done.
func (r *record) departing(ctx context.Context, tx *store.Tx) (bool, error) {
	who, err := people(ctx, tx, access.Scope{All: true}, "", r.Leaver)
	if err != nil || r.reverse() {
		return false, err
	}
	n, err := noticeOf(ctx, tx, r.Kind, who[r.Leaver])
	return n != nil && n.over(), err
}

// holdBack makes a scheduled handover READY again, with the reason.
func (s *Service) holdBack(ctx context.Context, id nid.ID, why *fault.Error) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		r, err := lockCase(ctx, tx, access.From(ctx), id, "handover")
		if err != nil || r.State != Scheduled {
			return err
		}
		before, err := r.move(ctx, tx, HoldBack)
		if err != nil {
			return err
		}
		reason, err := json.Marshal(held{string(why.Code), why.Text.EN, why.Text.ZH})
		if err != nil {
			return err
		}
		if _, err := tx.Change(ctx, "handovers", `UPDATE handovers SET hold_reason = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), r.ID, string(reason)); err != nil {
			return err
		}
		tx.Tell(Topic(r.ID))
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.HandoverHold, Subject: r.ID, Handover: r.ID,
			Before: map[string]any{"state": string(before)}, After: map[string]any{"state": string(r.State), "code": string(why.Code)}})
	})
}

// held is why a handover was held back, as stored.
type held struct {
	Code string `json:"code"`
	EN   string `json:"en"`
	ZH   string `json:"zh"`
}

// HeldBecause puts a stored reason in words; false: there is none.
func HeldBecause(stored *string) (fault.Text, bool) {
	var h held
	if stored == nil || json.Unmarshal([]byte(*stored), &h) != nil {
		return fault.Text{}, false
	}
	return fault.Text{EN: h.EN, ZH: h.ZH}, true
}

// lockOrigin locks the handover that this one takes back, before any member.
func (r *record) lockOrigin(ctx context.Context, tx *store.Tx) error {
	if !r.reverse() {
		return nil
	}
	_, err := store.Select(ctx, tx, func(id *nid.ID) []any { return []any{id} },
		`SELECT id FROM handovers WHERE corp_id = $1 AND id = $2`+tx.DB().ForUpdate(), tx.Corp(), r.RevertOf)
	return err
}
