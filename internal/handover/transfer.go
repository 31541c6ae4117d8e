package handover

import (
	"context"
	"encoding/json"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/history"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// store writes a plan as a new handover, or over the one that is replanned, and
// its transfers, which it gives. Requester and responsible person are those of the plan
// that stands; the authors of earlier ones stay authors, and cannot approve it either.
func (p *planned) store(ctx context.Context, tx *store.Tx, id, requester nid.ID, state State, old *record) ([]Transfer, error) {
	plan, err := json.Marshal(p.Input)
	if err != nil {
		return nil, err
	}
	reasons, err := json.Marshal(p.Need.Reasons)
	if err != nil {
		return nil, err
	}
	authors := some(p.Responsible)
	if old != nil {
		authors = old.by(p.Responsible)
	}
	by, err := json.Marshal(authors)
	if err != nil {
		return nil, err
	}
	h := p.history()
	now := tx.Now()
	args := []any{
		tx.Corp(), id, now, string(p.Kind), string(state), p.LeaverID, p.Reason, p.Message, h.Mode, nullTime(h.From), nullTime(h.Until),
		nullTime(h.ExpiresAt), p.Digest, string(plan), p.Need.Votes, string(reasons), len(p.Items), requester, nullTime(p.StartAt), p.RevertOf, p.FollowUpOf,
		p.Responsible, string(by),
	}
	if old == nil {
		_, err = tx.Change(ctx, "handovers", `INSERT INTO handovers (corp_id, id, created_at, updated_at, version, kind, state, leaver_id, reason, message,
			history_mode, history_from, history_until, history_expires_at, digest, plan, approvals_required, approval_reasons, total, planned, requested_by_id,
			start_at, revert_of_id, follow_up_of_id, responsible_id, authors, run_token, waiting, completed, refused, limit_reached, failed, skipped, cancelled, reverted)
			VALUES ($1, $2, $3, $3, 1, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17, $18, $19, $20, $21, $22, $23, 0, 0, 0, 0, 0, 0, 0, 0, 0) RETURNING id`, args...)
	} else {
		_, err = tx.Change(ctx, "handovers", `UPDATE handovers SET updated_at = $3, version = version + 1, kind = $4, state = $5, leaver_id = $6, reason = $7,
			message = $8, history_mode = $9, history_from = $10, history_until = $11, history_expires_at = $12, digest = $13, plan = $14,
			approvals_required = $15, approval_reasons = $16, total = $17, planned = $17, requested_by_id = $18, start_at = $19,
			revert_of_id = $20, follow_up_of_id = $21, responsible_id = $22, authors = $23, submitted_at = NULL, hold_reason = NULL
			WHERE corp_id = $1 AND id = $2 RETURNING id`, args...)
	}
	if err != nil {
		return nil, err
	}
	transfers := make([]Transfer, len(p.Items))
	for i, it := range p.Items {
		transfers[i] = Transfer{ID: tx.NewID(nid.Transfer), Item: it, Position: i, Status: TransferPlanned, FromDepartment: p.People[it.From].department(), ToDepartment: p.People[it.To].department()}
	}
	for from := 0; from < len(transfers); from += insertSize {
		if err := insert(ctx, tx, id, transfers[from:min(from+insertSize, len(transfers))]); err != nil {
			return nil, err
		}
	}
	return transfers, nil
}

// insertSize bounds the memory and the time of one INSERT.
const insertSize = 5000

// insert writes transfers as planned.
func insert(ctx context.Context, tx *store.Tx, handover nid.ID, ts []Transfer) error {
	rows := make([]map[string]any, len(ts))
	for i, t := range ts {
		row := map[string]any{
			"id": t.ID, "n": t.Position, "kind": string(t.Kind), "follow": t.Follow, "from_id": t.From, "to_id": t.To, "because": t.Because,
			"version": t.Version, "from_department": t.FromDepartment, "to_department": t.ToDepartment, "importance": t.Importance,
			"rule_set": t.RuleSet, "revert_of": t.RevertOf,
		}
		if !t.RuleSet.IsZero() && t.Rule >= 0 {
			row["rule"] = t.Rule
		}
		row[map[ItemKind]string{Contact: "contact", Group: "grp"}[t.Kind]] = t.Item.ID
		rows[i] = row
	}
	_, err := tx.Change(ctx, "transfers", `INSERT INTO transfers (id, corp_id, created_at, updated_at, handover_id, position, kind, contact_id, group_id, follow_id,
		from_id, to_id, status, because, merged, attempt, expected_version, from_department_id, to_department_id, importance, rule_set_id, rule_index, revert_of_id)
		SELECT id, $2, $3, $3, $4, n, kind, contact, grp, follow, from_id, to_id, 'PLANNED', because, false, 0, version, from_department, to_department, importance,
		rule_set, rule, revert_of
		FROM `+tx.DB().Rows(1, "t", "id uuid", "n int", "kind text", "contact uuid", "grp uuid", "follow uuid", "from_id uuid", "to_id uuid",
		"because text", "version int", "from_department uuid", "to_department uuid", "importance text", "rule_set uuid", "rule int", "revert_of uuid")+` WHERE true RETURNING id`,
		tx.DB().Batch(rows), tx.Corp(), tx.Now(), handover)
	return err
}

// Transfer is one item of a stored plan.
type Transfer struct {
	ID nid.ID
	Item
	// Position is its place in the plan, from 0.
	Position                     int
	FromDepartment, ToDepartment nid.ID
	Attempt                      int
	// What became of it.
	Status             Status
	Reason             Reason
	Undo               *undo
	Assigned, Finished *time.Time
	// Granted is what of the chats the successor may read, once it is carried out.
	Granted []history.Grant
	// Back is the transfer that this one takes back; nil in an ordinary handover.
	Back *Transfer
}

// undo is what a revert takes back beyond the owner.
type undo struct {
	// Tags and Remark are what a merge added to the successor's follow.
	Tags   []nid.ID `json:"tags,omitzero"`
	Remark bool     `json:"remark,omitzero"`
	// Kept is the successor's follow that a merge kept.
	Kept nid.ID `json:"kept,omitzero"`
	// Reopened: a merge was undone, and the follow that it had ended is open again.
	Reopened bool `json:"reopened,omitzero"`
	// Joined: the successor became a member of the group through the handover.
	Joined bool `json:"joined,omitzero"`
}

func (u *undo) json() json.RawMessage {
	b, _ := json.Marshal(u)
	return b
}

// transfers reads a handover's transfers of a status, in plan order.
func transfers(ctx context.Context, q store.Querier, handover nid.ID, status Status) ([]Transfer, error) {
	return chosen(ctx, q, `handover_id = $2 AND status = $3 ORDER BY position`, handover, string(status))
}

// nextTransfers reads the first n that are planned, from a place in the plan on: what
// lies before it would be read only to be passed over. CASE as in items.
func nextTransfers(ctx context.Context, q store.Querier, handover nid.ID, from, n int) ([]Transfer, error) {
	return chosen(ctx, q, `handover_id = $2 AND position >= $3 AND CASE WHEN status = 'PLANNED' THEN true ELSE false END ORDER BY position LIMIT $4`, handover, from, n)
}

// chosen reads the transfers that a condition finds; its arguments begin at $2.
func chosen(ctx context.Context, q store.Querier, condition string, args ...any) ([]Transfer, error) {
	type row struct {
		Transfer
		contact, group nid.ID
		because        *string
		reason         *string
		rule           *int
		undo           []byte
	}
	rows, err := store.Select(ctx, q, func(r *row) []any {
		return []any{
			&r.Transfer.ID, &r.Kind, &r.contact, &r.group, &r.Follow, &r.From, &r.To, &r.Version, &r.Importance, &r.because, &r.FromDepartment, &r.ToDepartment, &r.Attempt,
			&r.RuleSet, &r.rule, &r.RevertOf, &r.Merged, &r.Status, &r.reason, &r.Assigned, &r.Finished, &r.undo, &r.Position,
		}
	}, `SELECT id, kind, contact_id, group_id, follow_id, from_id, to_id, expected_version, importance, because, from_department_id, to_department_id, attempt,
		rule_set_id, rule_index, revert_of_id, merged, status, reason, assigned_at, finished_at, undo, position
		FROM transfers WHERE corp_id = $1 AND `+condition, append([]any{access.From(ctx).Corp}, args...)...)
	if err != nil {
		return nil, err
	}
	out := make([]Transfer, len(rows))
	for i, r := range rows {
		t := r.Transfer
		t.Item.ID, t.Rule = r.contact, -1
		if t.Kind == Group {
			t.Item.ID = r.group
		}
		if r.because != nil {
			t.Because = *r.because
		}
		if r.reason != nil {
			t.Reason = Reason(*r.reason)
		}
		if r.rule != nil {
			t.Rule = *r.rule
		}
		if r.undo != nil {
			t.Undo = &undo{}
			if err := json.Unmarshal(r.undo, t.Undo); err != nil {
				return nil, err
			}
		}
		out[i] = t
	}
	return out, nil
}
