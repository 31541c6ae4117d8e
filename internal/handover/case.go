package handover

import (
	"context"
	"encoding/json"
	"time"

	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// record is the stored case that a use case works on, locked.
type record struct {
	ID        nid.ID
	Kind      Kind
	State     State
	Leaver    nid.ID
	Requester nid.ID // zero for a plan that a rule or a service token made
	// Responsible stands behind the plan; see identity.Responsible. Zero for a plan that
	// a rule made, or a token made at the machine, until somebody executes it.
	Responsible nid.ID
	// Authors are all who created, replanned or submitted it, or whose tokens did.
	Authors   []nid.ID
	Digest    string
	Need      approval.Need
	History   HistoryScope
	Submitted *time.Time
	StartAt   *time.Time
	// Executor is who had it executed, or scheduled.
	Executor nid.ID
	// RevertOf is the handover that this one takes back.
	RevertOf nid.ID
	// Token is that of the newest claim; see background.go.
	Token      int
	Cancel     *time.Time // asked for while it ran
	Resume     *time.Time // not before
	Revertible *time.Time
	Version    int
	Totals     totals
	reasons    []byte
	authors    []byte
}

// reverse reports whether it takes another handover back.
func (r *record) reverse() bool { return !r.RevertOf.IsZero() }

// totals are the counters of a handover; they sum to Total.
type totals struct {
	Total, Planned, Waiting, Completed, Refused, LimitReached, Failed, Skipped, Cancelled, Reverted int
}

// add counts n transfers of a status.
func (t *totals) add(s Status, n int) {
	*map[Status]*int{
		TransferPlanned: &t.Planned, TransferWaiting: &t.Waiting, TransferCompleted: &t.Completed, TransferRefused: &t.Refused,
		TransferLimitReached: &t.LimitReached, TransferFailed: &t.Failed, TransferSkipped: &t.Skipped, TransferCancelled: &t.Cancelled,
		TransferReverted: &t.Reverted,
	}[s] += n
}

// lockCase reads a handover FOR UPDATE. One that is unknown, or that the actor may
// not see, is NOT_FOUND: a handover that cannot be seen must not be told from one
// that is not there.
func lockCase(ctx context.Context, tx *store.Tx, actor *access.Actor, id nid.ID, field string) (*record, error) {
	r, ok, err := store.SelectOne(ctx, tx, func(r *record) []any {
		t := &r.Totals
		return []any{
			&r.ID, &r.Kind, &r.State, &r.Leaver, &r.Requester, &r.Responsible, &r.authors, &r.Digest, &r.Need.Votes, &r.reasons, &r.History.Mode, &r.History.From,
			&r.History.Until, &r.History.ExpiresAt, &r.Submitted, &r.StartAt, &r.Executor, &r.RevertOf, &r.Token, &r.Cancel, &r.Resume, &r.Revertible, &r.Version, &t.Total, &t.Planned, &t.Waiting, &t.Completed, &t.Refused,
			&t.LimitReached, &t.Failed, &t.Skipped, &t.Cancelled, &t.Reverted,
		}
	}, `SELECT id, kind, state, leaver_id, requested_by_id, responsible_id, authors, digest, approvals_required, approval_reasons, history_mode, history_from,
		history_until, history_expires_at, submitted_at, start_at, executed_by_id, revert_of_id,
		run_token, cancel_requested_at, resume_at, revertible_until, version, total, planned, waiting, completed, refused, limit_reached, failed, skipped, cancelled, reverted
		FROM handovers WHERE corp_id = $1 AND id = $2`+tx.DB().ForUpdate(), tx.Corp(), id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.Missing(field)
	}
	for stored, into := range map[*[]byte]any{&r.reasons: &r.Need.Reasons, &r.authors: &r.Authors} {
		if *stored == nil {
			continue
		}
		if err := json.Unmarshal(*stored, into); err != nil {
			return nil, err
		}
	}
	condition, args := rule.Visible(actor, "handovers")
	if condition == "" {
		return &r, nil
	}
	var w store.Where
	w.And("handovers.corp_id = ?", tx.Corp())
	w.And("handovers.id = ?", r.ID)
	w.And(condition, args...)
	where, args := w.SQL(1)
	_, seen, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} }, `SELECT handovers.id FROM handovers WHERE `+where, args...)
	if err == nil && !seen {
		err = fault.Missing(field)
	}
	return &r, err
}

// may checks one of the permissions over the leaver; FORBIDDEN without.
func (r *record) may(ctx context.Context, tx *store.Tx, actor *access.Actor, any ...access.Permission) error {
	outside, err := store.OutOfScope(ctx, tx, actor.Scope(any...), r.Leaver)
	if err == nil && len(outside) > 0 {
		err = fault.Denied("you may not do this to handovers of this member", "您无权对该成员的交接执行此操作")
	}
	return err
}

// expect compares the version that the caller saw.
func (r *record) expect(version int) error {
	if version != r.Version {
		return fault.Stale("input.version", r.Version)
	}
	return nil
}

// move changes the state and raises the version.
func (r *record) move(ctx context.Context, tx *store.Tx, e Event) (from State, err error) {
	from = r.State
	if r.State, err = Next(r.State, e); err != nil {
		return from, err
	}
	r.Version++
	_, err = tx.Change(ctx, "handovers", `UPDATE handovers SET state = $3, version = $4, updated_at = $5 WHERE corp_id = $1 AND id = $2 RETURNING id`,
		tx.Corp(), r.ID, string(r.State), r.Version, tx.Now())
	return from, err
}

// expired reports whether the time for votes has run out.
func (r *record) expired(p approval.Policy, now time.Time) bool {
	return r.State == AwaitingApproval && r.Submitted != nil && now.After(r.Submitted.Add(p.Expiry()))
}
