package handover

import (
	"context"
	"encoding/json"
	"slices"
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
	Requester nid.ID // zero for a plan that a rule made
	Digest    string
	Need      approval.Need
	History   HistoryScope
	Submitted *time.Time
	Version   int
	Totals    totals
	reasons   []byte
}

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
			&r.ID, &r.Kind, &r.State, &r.Leaver, &r.Requester, &r.Digest, &r.Need.Votes, &r.reasons, &r.History.Mode, &r.History.From,
			&r.History.Until, &r.History.ExpiresAt, &r.Submitted, &r.Version, &t.Total, &t.Planned, &t.Waiting, &t.Completed, &t.Refused,
			&t.LimitReached, &t.Failed, &t.Skipped, &t.Cancelled, &t.Reverted,
		}
	}, `SELECT id, kind, state, leaver_id, requested_by_id, digest, approvals_required, approval_reasons, history_mode, history_from,
		history_until, history_expires_at, submitted_at, version, total, planned, waiting, completed, refused, limit_reached, failed, skipped, cancelled, reverted
		FROM handovers WHERE corp_id = $1 AND id = $2`+tx.DB().ForUpdate(), tx.Corp(), id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.Missing(field)
	}
	if r.reasons != nil {
		if err := json.Unmarshal(r.reasons, &r.Need.Reasons); err != nil {
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
	return r.State == AwaitingApproval && r.Submitted != nil && now.After(r.Submitted.Add(p.ExpiresAfter))
}

// store writes a plan as a new handover, or over the one that is replanned, and
// its transfers, which it gives. The requester is who made the plan that stands:
// whoever replans somebody else's handover cannot approve what came of it.
func (p *planned) store(ctx context.Context, tx *store.Tx, id, requester nid.ID, state State, old *record) ([]Transfer, error) {
	plan, err := json.Marshal(p.Input)
	if err != nil {
		return nil, err
	}
	reasons, err := json.Marshal(p.Need.Reasons)
	if err != nil {
		return nil, err
	}
	h := HistoryScope{Mode: "NONE"}
	if p.History != nil {
		h = *p.History
	}
	now := tx.Now()
	args := []any{
		tx.Corp(), id, now, string(p.Kind), string(state), p.LeaverID, p.Reason, p.Message, h.Mode, nullTime(h.From), nullTime(h.Until),
		nullTime(h.ExpiresAt), p.Digest, string(plan), p.Need.Votes, string(reasons), len(p.Items), requester,
	}
	if old == nil {
		_, err = tx.Change(ctx, "handovers", `INSERT INTO handovers (corp_id, id, created_at, updated_at, version, kind, state, leaver_id, reason, message,
			history_mode, history_from, history_until, history_expires_at, digest, plan, approvals_required, approval_reasons, total, planned, requested_by_id,
			run_token, waiting, completed, refused, limit_reached, failed, skipped, cancelled, reverted)
			VALUES ($1, $2, $3, $3, 1, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17, $18, 0, 0, 0, 0, 0, 0, 0, 0, 0) RETURNING id`, args...)
	} else {
		_, err = tx.Change(ctx, "handovers", `UPDATE handovers SET updated_at = $3, version = version + 1, kind = $4, state = $5, leaver_id = $6, reason = $7,
			message = $8, history_mode = $9, history_from = $10, history_until = $11, history_expires_at = $12, digest = $13, plan = $14,
			approvals_required = $15, approval_reasons = $16, total = $17, planned = $17, requested_by_id = $18, submitted_at = NULL
			WHERE corp_id = $1 AND id = $2 RETURNING id`, args...)
	}
	if err != nil {
		return nil, err
	}
	transfers := make([]Transfer, len(p.Items))
	rows := make([]map[string]any, len(p.Items))
	for i, it := range p.Items {
		t := Transfer{ID: tx.NewID(nid.Transfer), Item: it, FromDepartment: p.People[it.From].Department, ToDepartment: p.People[it.To].Department}
		transfers[i] = t
		row := map[string]any{
			"id": t.ID, "n": i, "kind": string(it.Kind), "follow": it.Follow, "from_id": it.From, "to_id": it.To, "because": it.Because,
			"version": it.Version, "from_department": t.FromDepartment, "to_department": t.ToDepartment, "importance": it.Importance,
		}
		row[map[ItemKind]string{Contact: "contact", Group: "grp"}[it.Kind]] = it.ID
		rows[i] = row
	}
	_, err = tx.Change(ctx, "transfers", `INSERT INTO transfers (id, corp_id, created_at, updated_at, handover_id, position, kind, contact_id, group_id, follow_id,
		from_id, to_id, status, because, merged, attempt, expected_version, from_department_id, to_department_id, importance)
		SELECT id, $2, $3, $3, $4, n, kind, contact, grp, follow, from_id, to_id, 'PLANNED', because, false, 0, version, from_department, to_department, importance
		FROM `+tx.DB().Rows(1, "t", "id uuid", "n int", "kind text", "contact uuid", "grp uuid", "follow uuid", "from_id uuid", "to_id uuid",
		"because text", "version int", "from_department uuid", "to_department uuid", "importance text")+` WHERE true RETURNING id`,
		tx.DB().Batch(rows), tx.Corp(), now, id)
	return transfers, err
}

// Transfer is one item of a stored plan.
type Transfer struct {
	ID nid.ID
	Item
	FromDepartment, ToDepartment nid.ID
	Attempt                      int
	// What became of it.
	Status Status
	Reason Reason
	Undo   *undo
}

// undo is what a revert takes back beyond the owner.
type undo struct {
	// Tags and Remark are what a merge added to the successor's follow.
	Tags   []nid.ID `json:"tags,omitzero"`
	Remark bool     `json:"remark,omitzero"`
	// Joined: the successor became a member of the group through the handover.
	Joined bool `json:"joined,omitzero"`
}

// transfers reads a handover's transfers of a status, in plan order.
func transfers(ctx context.Context, tx *store.Tx, handover nid.ID, status Status) ([]Transfer, error) {
	type row struct {
		Transfer
		contact, group nid.ID
		because        *string
	}
	rows, err := store.Select(ctx, tx, func(r *row) []any {
		return []any{
			&r.Transfer.ID, &r.Kind, &r.contact, &r.group, &r.Follow, &r.From, &r.To, &r.Version, &r.Importance, &r.because, &r.FromDepartment, &r.ToDepartment, &r.Attempt,
		}
	}, `SELECT id, kind, contact_id, group_id, follow_id, from_id, to_id, expected_version, importance, because, from_department_id, to_department_id, attempt
		FROM transfers WHERE corp_id = $1 AND handover_id = $2 AND status = $3 ORDER BY position`, tx.Corp(), handover, string(status))
	out := make([]Transfer, len(rows))
	for i, r := range rows {
		out[i] = r.Transfer
		out[i].Item.ID = r.contact
		if r.Kind == Group {
			out[i].Item.ID = r.group
		}
		if r.because != nil {
			out[i].Because = *r.because
		}
	}
	return out, err
}

// successorsOf lists the members that transfers go to, in id order.
func successorsOf(ts []Transfer) (ids []nid.ID) {
	for _, t := range ts {
		if !slices.Contains(ids, t.To) {
			ids = append(ids, t.To)
		}
	}
	slices.SortFunc(ids, func(a, b nid.ID) int { return slices.Compare(a[:], b[:]) })
	return ids
}
