package handover

import (
	"context"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Execute carries out a READY handover whose plan has the given digest. Up to
// MaxAtOnce transfers take effect in one transaction, or none does; more go on in the
// background (background.go), and a start time that is ahead makes the handover
// SCHEDULED. What has another owner by now is SKIPPED, what the successor has no
// room for ends LIMIT_REACHED, and the rest goes on. Replaying the key returns the
// first answer.
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
		o, err := outlineOf(ctx, tx, r)
		if err != nil {
			return err
		}
		if err := s.mayExecute(ctx, tx, actor, r, o); err != nil {
			return err
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if digest != r.Digest {
			return fault.Clash("input.digest", "the plan has changed; read it again", "计划已变更,请重新读取").With("digest", r.Digest)
		}
		if r.State == AwaitingApproval || r.State == Draft && r.Need.Votes > 0 {
			t, _, err := r.tally(ctx, tx, o, actor.ID)
			if err != nil {
				return err
			}
			return t.short(r.Need)
		}
		event := Execute
		if r.StartAt != nil && r.StartAt.After(tx.Now()) {
			event = Schedule
		}
		if _, err := Next(r.State, event); err != nil {
			return err
		}
		entries, err := s.start(ctx, tx, actor, r, o, event, nil)
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
		p, err := work(ctx, tx, actor, in, "input.plan", tx.DB().ForNoKeyUpdate())
		if err != nil {
			return err
		}
		if err := p.same(seen); err != nil {
			return err
		}
		if err := p.notice.refuse(); err != nil {
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
		r := p.record(id, requester(actor), Ready)
		o := outlined(ts)
		if err := s.mayExecute(ctx, tx, actor, r, o); err != nil {
			return err
		}
		entries, err := s.start(ctx, tx, actor, r, o, Execute, &known{ts, p.People, p.Policy})
		if err != nil {
			return err
		}
		created := p.entry(access.HandoverCreate, id, Ready, ts, nil)
		return s.Log.Append(ctx, tx, append([]audit.Entry{created}, entries...)...)
	})
	return id, err
}

// record is the plan as it was stored a moment ago.
func (p *planned) record(id, requester nid.ID, state State) *record {
	return &record{
		ID: id, Kind: p.Kind, State: state, Leaver: p.LeaverID, Requester: requester, Responsible: p.Responsible, Digest: p.Digest, Version: 1,
		Need: p.Need, StartAt: p.StartAt,
		RevertOf: p.RevertOf, History: p.history(), Totals: totals{Total: len(p.Items), Planned: len(p.Items)},
	}
}

// needs is the permission that moving a kind of item takes.
func (r *record) needs(kind ItemKind) access.Permission {
	switch {
	case r.reverse():
		return access.RevertHandover
	case r.Kind == OnJob:
		return access.ExecuteOnJob
	case kind == Contact:
		return access.ExecuteResignedContacts
	}
	return access.ExecuteResignedGroups
}

// mayExecute checks the permissions for what the plan moves.
func (s *Service) mayExecute(ctx context.Context, tx *store.Tx, actor *access.Actor, r *record, o outline) error {
	for _, kind := range o.kinds {
		if err := r.may(ctx, tx, actor, r.needs(kind)); err != nil {
			return err
		}
	}
	return nil
}

// known is what was read a moment ago in the same transaction, with who locked.
type known struct {
	transfers []Transfer
	who       map[nid.ID]*person
	policy    approval.Policy
}

// start carries out what is planned: now where one transaction holds it, else in
// the background or at its time. The event is what happens to the handover.
func (s *Service) start(ctx context.Context, tx *store.Tx, actor *access.Actor, r *record, o outline, e Event, k *known) ([]audit.Entry, error) {
	var err error
	if k == nil {
		k = &known{}
		if k.policy, err = approval.Load(ctx, tx); err != nil {
			return nil, err
		}
	}
	// Before the votes: what the same people execute at the same time adds up.
	if k.who == nil {
		who := sorted(append(o.people(r), r.Responsible, actor.ID))
		if k.who, err = people(ctx, tx, access.Scope{All: true}, tx.DB().ForNoKeyUpdate(), who...); err != nil {
			return nil, err
		}
	}
	if err := r.recount(ctx, tx, actor, o, k.policy); err != nil {
		return nil, err
	}
	if err := r.leaverFits(k.who, e); err != nil {
		if n, failed := noticeOf(ctx, tx, r.Kind, k.who[r.Leaver]); failed != nil {
			return nil, failed
		} else if n != nil {
			return nil, n.refuse()
		}
		return nil, err
	}
	before := r.State
	r.Executor = requester(actor)
	if r.Responsible.IsZero() {
		r.Responsible = r.Executor
	}
	if e == Schedule || o.total > s.atOnce() {
		return s.later(ctx, tx, r, e)
	}
	ts := k.transfers
	if ts == nil {
		if ts, err = transfers(ctx, tx, r.ID, TransferPlanned); err != nil {
			return nil, err
		}
	}
	st := &stage{who: k.who}
	if err := st.lock(ctx, tx, r, ts); err != nil {
		return nil, err
	}
	if err := st.reach(ctx, tx, actor, r, o); err != nil {
		return nil, err
	}
	// Counted again: a contact may have become KEY since the outline was read.
	if err := r.recount(ctx, tx, actor, outlined(ts), k.policy); err != nil {
		return nil, err
	}
	if r.State, err = Next(r.State, e); err != nil {
		return nil, err
	}
	moved, err := s.carry(ctx, tx, r, ts, st)
	if err != nil {
		return nil, err
	}
	entries := []audit.Entry{{
		Action: access.HandoverExecute, Subject: r.ID, Handover: r.ID, Before: map[string]any{"state": string(before)},
		After: r.executed(map[string]any{"state": string(r.State), "digest": r.Digest, "transfers": r.Totals.Total, "completed": r.Totals.Completed,
			"waiting": r.Totals.Waiting}),
	}}
	return append(entries, moved...), nil
}

// leaverFits checks that the leaver's status still allows the handover. Taking back
// is always possible, and a start that is ahead may find another status.
func (r *record) leaverFits(who map[nid.ID]*person, e Event) error {
	if who[r.Leaver] == nil {
		return fault.Clash("", "the leaver has been archived", "离开的成员已归档")
	}
	if r.reverse() || e == Schedule {
		return nil
	}
	return r.Kind.fits(who[r.Leaver].Status, "", true)
}
