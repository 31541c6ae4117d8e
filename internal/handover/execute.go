package handover

import (
	"context"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Execute carries out a READY handover whose plan has the given digest. The whole
// of it takes effect in one transaction, or nothing does. What has another owner
// by now is SKIPPED, what the successor has no room for ends LIMIT_REACHED, and
// the rest goes on. Replaying the key returns the first answer.
//
// Fails with FORBIDDEN without the permission to execute this kind over the leaver,
// STEP_UP_REQUIRED without a fresh proof of identity, CONFLICT for another digest,
// a wrong state or a leaver whose status has changed, APPROVAL_REQUIRED where the
// votes that count today are too few.
func (s *Service) Execute(ctx context.Context, id nid.ID, digest, key string) error {
	return s.Log.Tx(ctx, s.DB, access.HandoverExecute, func(ctx context.Context, tx *store.Tx) error {
		if _, done, err := tx.Claim(ctx, "executeHandover", key, []any{id, digest}, id); err != nil || done {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		r, err := lockCase(ctx, tx, actor, id, "input.id")
		if err != nil {
			return err
		}
		if err := approval.Lock(ctx, tx, r.ID); err != nil {
			return err
		}
		ts, err := transfers(ctx, tx, r.ID, TransferPlanned)
		if err != nil {
			return err
		}
		if err := s.mayExecute(ctx, tx, actor, r, ts); err != nil {
			return err
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if digest != r.Digest {
			return fault.Clash("input.digest", "the plan has changed; read it again", "计划已变更,请重新读取").With("digest", r.Digest)
		}
		if r.State == AwaitingApproval || r.State == Draft && r.Need.Votes > 0 {
			have, _, err := approval.Count(ctx, tx, r.ID, r.Digest, r.Leaver, tx.Now(), r.excluded(ts))
			if err != nil {
				return err
			}
			return r.Need.Required(have)
		}
		if _, err := Next(r.State, Execute); err != nil {
			return err
		}
		entries, err := s.run(ctx, tx, actor, r, ts)
		if err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, entries...)
	})
}

// HandOver plans and executes in one transaction, where no approval is needed; it
// is what an administrator wants most of the time. It fails with what Create and
// Execute fail with, with APPROVAL_REQUIRED where somebody else has to agree, and
// with LIMIT or INVALID where a successor cannot take what the plan gives them;
// then nothing is written. Replaying the key returns the first answer.
func (s *Service) HandOver(ctx context.Context, in Input, seen *string, key string) (nid.ID, error) {
	id := nid.New(nid.Handover)
	err := s.Log.Tx(ctx, s.DB, access.HandoverExecute, func(ctx context.Context, tx *store.Tx) error {
		first, done, err := tx.Claim(ctx, "handOver", key, []any{in, seen}, id)
		if id = first; err != nil || done {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Can(whoMayPlan...) || !actor.Can(access.ExecuteResignedContacts, access.ExecuteResignedGroups, access.ExecuteOnJob) {
			return fault.Denied("you may not hand over", "您无权执行交接")
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		p, err := work(ctx, tx, actor, in, "input.plan")
		if err != nil {
			return err
		}
		if err := p.same(seen); err != nil {
			return err
		}
		if p.Need.Votes > 0 {
			return p.Need.Required(0)
		}
		if err := p.blocked("input.plan"); err != nil {
			return err
		}
		ts, err := p.store(ctx, tx, id, requester(actor), Ready, nil)
		if err != nil {
			return err
		}
		r := &record{ID: id, Kind: in.Kind, State: Ready, Leaver: in.LeaverID, Requester: requester(actor), Digest: p.Digest, Version: 1, Need: p.Need}
		r.Totals = totals{Total: len(ts), Planned: len(ts)}
		if r.History = (HistoryScope{Mode: "NONE"}); in.History != nil {
			r.History = *in.History
		}
		if err := s.mayExecute(ctx, tx, actor, r, ts); err != nil {
			return err
		}
		entries, err := s.run(ctx, tx, actor, r, ts)
		if err != nil {
			return err
		}
		created := p.entry(access.HandoverCreate, id, Ready, ts, nil)
		return s.Log.Append(ctx, tx, append([]audit.Entry{created}, entries...)...)
	})
	return id, err
}

// needs gives the permission for each kind of item that the plan moves.
func (r *record) needs(ts []Transfer) map[ItemKind]access.Permission {
	out := map[ItemKind]access.Permission{}
	for _, t := range ts {
		switch {
		case r.Kind == OnJob:
			out[t.Kind] = access.ExecuteOnJob
		case t.Kind == Contact:
			out[t.Kind] = access.ExecuteResignedContacts
		default:
			out[t.Kind] = access.ExecuteResignedGroups
		}
	}
	return out
}

// mayExecute checks the permissions for what the plan moves.
func (s *Service) mayExecute(ctx context.Context, tx *store.Tx, actor *access.Actor, r *record, ts []Transfer) error {
	for _, p := range r.needs(ts) {
		if err := r.may(ctx, tx, actor, p); err != nil {
			return err
		}
	}
	return nil
}

// run decides and carries out what is planned.
func (s *Service) run(ctx context.Context, tx *store.Tx, actor *access.Actor, r *record, ts []Transfer) ([]audit.Entry, error) {
	who, err := people(ctx, tx, access.Scope{All: true}, tx.DB().ForNoKeyUpdate(), append(successorsOf(ts), r.Leaver)...)
	if err != nil {
		return nil, err
	}
	// Contacts and groups have permissions of their own, which may reach differently far.
	outside := map[ItemKind][]nid.ID{}
	for kind, p := range r.needs(ts) {
		if outside[kind], err = store.OutOfScope(ctx, tx, actor.Scope(p), successorsOf(ts)...); err != nil {
			return nil, err
		}
	}
	if who[r.Leaver] == nil {
		return nil, fault.Clash("", "the leaver has been archived", "离开的成员已归档")
	}
	if err := r.Kind.fits(who[r.Leaver].Status, "", true); err != nil {
		return nil, err
	}
	held, err := lockItems(ctx, tx, r.Leaver, ts)
	if err != nil {
		return nil, err
	}
	// Statistics are of the time of assignment, which is now.
	held.important(ts)
	for i := range ts {
		ts[i].FromDepartment = who[r.Leaver].Department
		if to := who[ts[i].To]; to != nil {
			ts[i].ToDepartment = to.Department
		}
	}
	if err := recount(ctx, tx, actor, r, ts); err != nil {
		return nil, err
	}
	decide(ts, who, outside, held)
	before := r.State
	if r.State, err = Next(r.State, Execute); err != nil {
		return nil, err
	}
	platform := s.Platform != nil && s.Platform(tx.Corp())
	for i := range ts {
		ts[i].Attempt++
		if platform && ts[i].Status == TransferCompleted {
			ts[i].Status = TransferWaiting
		}
	}
	now := tx.Now()
	covers, err := apply(ctx, tx, r, ts, who, held)
	if err != nil {
		return nil, err
	}
	if err := hold(ctx, tx, ts, covers); err != nil {
		return nil, err
	}
	if err := finish(ctx, tx, r, ts, now); err != nil {
		return nil, err
	}
	if err := count(ctx, tx, ts, TransferPlanned); err != nil {
		return nil, err
	}
	if err := roll(ctx, tx, r, ts, now, TransferPlanned); err != nil {
		return nil, err
	}
	entries := []audit.Entry{{
		Action: access.HandoverExecute, Subject: r.ID, Handover: r.ID, Before: map[string]any{"state": string(before)},
		After: map[string]any{"state": string(r.State), "digest": r.Digest, "transfers": r.Totals.Total, "completed": r.Totals.Completed, "waiting": r.Totals.Waiting},
	}}
	return append(entries, entriesOf(r, ts, covers)...), nil
}

// recount counts the votes again, with today's roles, the locked items' importance
// and the stricter of the policy at submission and the one now (semantics.md
// "States"). Where a plan is carried out at once there are no votes, and a contact
// that became KEY since it was read needs some.
func recount(ctx context.Context, tx *store.Tx, actor *access.Actor, r *record, ts []Transfer) error {
	policy, err := approval.Load(ctx, tx)
	if err != nil {
		return err
	}
	items := make([]Item, len(ts))
	for i, t := range ts {
		items[i] = t.Item
	}
	need := r.Need.Stricter(policy.Of(len(items), keyContacts(items)))
	if need.Votes == 0 {
		return nil
	}
	excluded := r.excluded(ts)
	if r.Requester.IsZero() {
		excluded = append(excluded, actor.ID) // a rule's plan: who executes stands for it
	}
	have, _, err := approval.Count(ctx, tx, r.ID, r.Digest, r.Leaver, tx.Now(), excluded)
	if err != nil {
		return err
	}
	if have < need.Votes {
		return need.Required(have)
	}
	return nil
}

// decide gives each transfer its outcome, in plan order, against the locked rows.
func decide(ts []Transfer, who map[nid.ID]*person, outside map[ItemKind][]nid.ID, held *heldItems) {
	room := map[nid.ID]int{}
	for id, p := range who {
		room[id] = p.room()
	}
	for i := range ts {
		t := &ts[i]
		end := func(s Status, r Reason) { t.Status, t.Reason = s, r }
		own, ok := held.owned[t.Item.ID]
		switch {
		case !ok && t.Kind == Contact:
			end(TransferSkipped, NotFollowed)
		case !ok || !own.is(t):
			end(TransferSkipped, OwnerChanged)
		case own.busy:
			end(TransferSkipped, InProgress)
		case who[t.To].unfit() != "":
			end(TransferFailed, who[t.To].unfit())
		case slices.Contains(outside[t.Kind], t.To):
			end(TransferFailed, SuccessorOutOfScope)
		case t.Kind == Group:
			end(TransferCompleted, "")
		case held.followed[pair{t.Item.ID, t.To}] != nil:
			t.Merged = true
			end(TransferCompleted, "")
		case room[t.To] == 0:
			end(TransferLimitReached, SuccessorFull)
		default:
			room[t.To]--
			end(TransferCompleted, "")
		}
	}
}

// finish writes what became of the transfers and of the handover.
func finish(ctx context.Context, tx *store.Tx, r *record, ts []Transfer, now time.Time) error {
	rows := make([]map[string]any, len(ts))
	for i, t := range ts {
		row := map[string]any{"corp": tx.Corp(), "id": t.ID, "status": string(t.Status), "merged": t.Merged, "attempt": t.Attempt,
			"importance": t.Importance, "from_department": t.FromDepartment, "to_department": t.ToDepartment}
		if t.Reason != "" {
			row["reason"] = string(t.Reason)
		}
		if t.Undo != nil {
			row["undo"] = t.Undo.json()
		}
		if t.Status != TransferWaiting {
			row["finished"] = now
		}
		rows[i] = row
		r.Totals.add(TransferPlanned, -1)
		r.Totals.add(t.Status, 1)
	}
	if _, err := tx.Change(ctx, "transfers", `UPDATE transfers SET status = v.status, reason = v.reason, merged = v.merged, attempt = v.attempt, undo = v.undo,
		importance = v.importance, from_department_id = v.from_department, to_department_id = v.to_department,
		assigned_at = $2, finished_at = v.finished, updated_at = $2
		FROM `+tx.DB().Rows(1, "v", "corp uuid", "id uuid", "status text", "reason text", "merged bool", "attempt int", "undo json", "finished time",
		"importance text", "from_department uuid", "to_department uuid")+`
		WHERE transfers.corp_id = v.corp AND transfers.id = v.id AND transfers.status = 'PLANNED' RETURNING transfers.id`, tx.DB().Batch(rows), now); err != nil {
		return err
	}
	return r.save(ctx, tx, now)
}

// save ends the run where nothing is open any more, and writes state and counters.
func (r *record) save(ctx context.Context, tx *store.Tx, now time.Time) error {
	t := r.Totals
	var finished *time.Time
	if t.Planned+t.Waiting == 0 {
		event := FinishSome
		switch t.Completed {
		case t.Total:
			event = FinishAll
		case 0:
			event = FinishNone
		}
		var err error
		if r.State, err = Next(r.State, event); err != nil {
			return err
		}
		finished = &now
	}
	r.Version++
	_, err := tx.Change(ctx, "handovers", `UPDATE handovers SET state = $3, version = $4, updated_at = $5, started_at = coalesce(started_at, $5), finished_at = $6,
		planned = $7, waiting = $8, completed = $9, refused = $10, limit_reached = $11, failed = $12, skipped = $13, cancelled = $14, reverted = $15
		WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), r.ID, string(r.State), r.Version, now, nullTime(finished),
		t.Planned, t.Waiting, t.Completed, t.Refused, t.LimitReached, t.Failed, t.Skipped, t.Cancelled, t.Reverted)
	return err
}

// entriesOf makes one audit entry for each transfer.
func entriesOf(r *record, ts []Transfer, covers map[nid.ID][]nid.ID) []audit.Entry {
	out := make([]audit.Entry, len(ts))
	for i, t := range ts {
		after := map[string]any{"status": string(t.Status), "attempt": t.Attempt}
		if t.Reason != "" {
			after["reason"] = string(t.Reason)
		}
		if t.Status == TransferCompleted {
			after["owner"], after["merged"], after["ownerVersion"] = t.To, t.Merged, t.Version+1
		} else {
			after["to"] = t.To
		}
		out[i] = audit.Entry{
			Action: access.TransferFinish, Subject: t.ID, Handover: r.ID,
			Before: map[string]any{"item": t.Item.ID, "owner": t.From, "ownerVersion": t.Version}, After: after, Covers: covers[t.ID],
		}
	}
	return out
}
