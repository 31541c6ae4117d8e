package handover

import (
	"context"
	"log/slog"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// WorkHandovers is the kind of work (store.Tx.Wake) that Work does.
const WorkHandovers = "handovers"

const (
	// lease is how long a worker may be silent before another takes over, which looks
	// every five seconds: a killed one is replaced within 15.
	lease = 8 * time.Second
	// turn is how many chunks a handover gets before others have theirs.
	turn = 25
)

// Work does what a corp's handovers need now: it expires approvals, begins what is
// scheduled, plans for those who departed, and carries out what is RUNNING, chunk by
// chunk. It may run in several replicas at once: a handover is worked on by whoever
// holds its newest run token, and every chunk compares it (semantics.md, "The queue
// only wakes"). It gives the time when there is work again; zero: none known.
func (s *Service) Work(ctx context.Context, corp nid.ID) (time.Time, error) {
	ctx = store.System(ctx, corp, "handovers in the background")
	for _, step := range []func(context.Context) error{s.expireAll, s.beginAll, s.planDeparted} {
		if err := step(ctx); err != nil {
			return time.Time{}, err
		}
	}
	for {
		id, token, ok, err := s.claim(ctx)
		if err != nil {
			return time.Time{}, err
		}
		if !ok {
			return s.next(ctx)
		}
		if err := s.drive(ctx, id, token); err != nil {
			return time.Time{}, err
		}
	}
}

// claim takes the RUNNING handover that has waited longest and that nobody works on.
func (s *Service) claim(ctx context.Context) (id nid.ID, token int, ok bool, err error) {
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		db := tx.DB()
		ids, tokens, err := tx.Lease(ctx, "handovers", `UPDATE handovers SET run_token = run_token + 1, lease_until = `+db.Clock(lease)+`
			WHERE corp_id = $1 AND id = (SELECT h.id FROM handovers AS h WHERE h.corp_id = $1 AND h.state = 'RUNNING' AND h.planned > 0
			  AND (h.lease_until IS NULL OR h.lease_until < `+db.Clock(0)+`) AND (h.resume_at IS NULL OR h.resume_at <= $2 OR h.cancel_requested_at IS NOT NULL)
			  ORDER BY h.updated_at, h.id LIMIT 1`+db.ForUpdate()+db.OrSkip()+`) RETURNING id, run_token`, tx.Corp(), tx.Now())
		if ok = err == nil && len(ids) > 0; ok {
			id, token = ids[0], tokens[0]
		}
		return err
	})
	return id, token, ok, err
}

// drive carries a claimed handover out, until it is done, its turn is over, or
// somebody else has claimed it. Where a chunk fails, ever smaller ones find the
// transfer that makes it fail; that one ends FAILED and the rest goes on. A chunk that
// takes too long is made smaller too, but no transfer is to blame for it.
func (s *Service) drive(ctx context.Context, id nid.ID, token int) error {
	sys := *access.From(ctx)
	sys.Cause = id
	ctx = access.With(ctx, &sys)
	defer s.release(context.WithoutCancel(ctx), id, token)
	size, from := s.atOnce(), 0
	for range turn {
		next, more, err := s.chunk(ctx, id, token, size, from)
		switch {
		case err == nil && !more:
			return nil
		case err == nil:
			size, from = min(2*size, s.atOnce()), next
		case ctx.Err() != nil || fault.CodeOf(err) == fault.Unavailable:
			return err
		case size > 1:
			size /= 2
		case passing(err):
			return err
		default:
			if err := s.poisoned(ctx, id, token, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// passing reports whether an error says nothing about the transfers: the database is
// away, too slow, or held by somebody else for longer than the store waits.
func passing(err error) bool {
	return fault.CodeOf(err) == fault.Unavailable || fault.CodeOf(err) == fault.Timeout || store.Transient(err)
}

// release lets others claim at once. Where it fails, the lease runs out by itself.
func (s *Service) release(ctx context.Context, id nid.ID, token int) {
	_ = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, _, err := tx.Lease(ctx, "handovers", `UPDATE handovers SET lease_until = NULL WHERE corp_id = $1 AND id = $2 AND run_token = $3 RETURNING id, run_token`, tx.Corp(), id, token)
		return err
	})
}

// claimed locks a handover if the claim still holds; nil: it does not.
func (s *Service) claimed(ctx context.Context, tx *store.Tx, id nid.ID, token int) (*record, error) {
	r, err := lockCase(ctx, tx, access.From(ctx), id, "handover")
	if err != nil || r.State != Running || r.Token != token {
		return nil, err
	}
	if err := r.lockOrigin(ctx, tx); err != nil {
		return nil, err
	}
	_, _, err = tx.Lease(ctx, "handovers", `UPDATE handovers SET lease_until = `+tx.DB().Clock(lease)+` WHERE corp_id = $1 AND id = $2 RETURNING id, run_token`, tx.Corp(), id)
	return r, err
}

// chunk carries out the next transfers, at most size, in one transaction: rights,
// votes, owners, eligibility and capacity are those of now. It looks from a place in
// the plan on, before which all was done. more: there is more to do, from next on.
func (s *Service) chunk(ctx context.Context, id nid.ID, token, size, from int) (next int, more bool, err error) {
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		next, more = 0, false
		r, err := s.claimed(ctx, tx, id, token)
		if err != nil || r == nil {
			return err
		}
		if r.Cancel != nil {
			return s.stop(ctx, tx, r)
		}
		if err := approval.Lock(ctx, tx, r.ID); err != nil {
			return err
		}
		executor, err := identity.Standing(ctx, tx, r.Executor)
		if err != nil {
			return err
		}
		ts, err := nextTransfers(ctx, tx, r.ID, from, size)
		if err != nil || len(ts) == 0 {
			more = err == nil && from > 0 // the next look is from the start
			return err
		}
		next = ts[len(ts)-1].Position + 1
		o := outlined(ts)
		st := &stage{}
		if st.who, err = people(ctx, tx, access.Scope{All: true}, tx.DB().ForNoKeyUpdate(), o.people(r)...); err != nil {
			return err
		}
		if err := st.lock(ctx, tx, r, ts); err != nil {
			return err
		}
		if st.barred, err = s.bars(ctx, tx, executor, r, ts, st); err != nil {
			return err
		}
		entries, err := s.carry(ctx, tx, r, ts, st)
		if err != nil {
			return err
		}
		more = r.State == Running && r.Totals.Planned > 0 && r.Resume == nil
		return s.Log.Append(ctx, tx, r.progressed(entries)...)
	})
	return next, more, err
}

// progressed lets the entries of a chunk account for the handover's own row too,
// and says when the run has ended.
func (r *record) progressed(entries []audit.Entry) []audit.Entry {
	if len(entries) > 0 {
		entries[0].Covers = append(entries[0].Covers, r.ID)
	} else {
		entries = append(entries, audit.Entry{Action: access.HandoverHold, Subject: r.ID, Handover: r.ID, After: map[string]any{"resumeAt": r.Resume, "planned": r.Totals.Planned}})
	}
	if r.State != Running {
		entries = append(entries, audit.Entry{Action: access.HandoverFinish, Subject: r.ID, Handover: r.ID,
			Before: map[string]any{"state": string(Running)}, After: map[string]any{"state": string(r.State), "completed": r.Totals.Completed, "transfers": r.Totals.Total}})
	}
	return entries
}

// bars works out what of a chunk may not be carried out any more: the executor's
// rights, the leaver's status and the votes are those of now.
func (s *Service) bars(ctx context.Context, tx *store.Tx, executor *access.Actor, r *record, ts []Transfer, st *stage) (func(*Transfer) Reason, error) {
	all := func(why Reason) func(*Transfer) Reason { return func(*Transfer) Reason { return why } }
	fits := r.leaverFits(st.who, Execute) == nil
	if executor == nil || !fits {
		return all(NotPermitted), nil
	}
	o := outlined(ts)
	denied := map[ItemKind]bool{}
	for _, kind := range o.kinds {
		outside, err := store.OutOfScope(ctx, tx, executor.Scope(r.needs(kind)), r.Leaver)
		if err != nil {
			return nil, err
		}
		denied[kind] = len(outside) > 0
	}
	if err := st.reach(ctx, tx, executor, r, o); err != nil {
		return nil, err
	}
	o.total = r.Totals.Total // a threshold is about the whole plan
	policy, err := approval.Load(ctx, tx)
	if err != nil {
		return nil, err
	}
	need, err := r.need(ctx, tx, policy, o, executor.ID)
	if err != nil {
		return nil, err
	}
	plain := o
	plain.keys = 0
	needPlain, err := r.need(ctx, tx, policy, plain, executor.ID)
	if err != nil {
		return nil, err
	}
	have := 0
	if need.Votes > 0 {
		votes, _, err := r.tally(ctx, tx, o, executor.ID)
		if err != nil {
			return nil, err
		}
		have = len(votes.counted)
	}
	return func(t *Transfer) Reason {
		switch {
		case denied[t.Kind]:
			return NotPermitted
		case have < needPlain.Votes, have < need.Votes && t.Key:
			return NeedsApproval
		}
		return ""
	}, nil
}

// poisoned ends the one transfer that cannot be carried out as FAILED.
func (s *Service) poisoned(ctx context.Context, id nid.ID, token int, cause error) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		r, err := s.claimed(ctx, tx, id, token)
		if err != nil || r == nil {
			return err
		}
		ts, err := nextTransfers(ctx, tx, r.ID, 0, 1)
		if err != nil || len(ts) == 0 {
			return err
		}
		slog.ErrorContext(ctx, "a transfer could not be carried out", "handover", r.ID, "transfer", ts[0].ID, "err", cause)
		now := tx.Now()
		t := &ts[0]
		t.Status, t.Reason, t.Assigned, t.Finished = TransferFailed, Unexpected, &now, &now
		t.Attempt++
		if err := s.finish(ctx, tx, r, ts, now); err != nil {
			return err
		}
		if err := roll(ctx, tx, r, nil, ts); err != nil {
			return err
		}
		if err := r.tell(ctx, tx, ts); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, r.progressed(entriesOf(r, ts, nil))...)
	})
}

// stop ends a run that was cancelled: what is still planned is CANCELLED, what a
// platform decides is waited for.
func (s *Service) stop(ctx context.Context, tx *store.Tx, r *record) error {
	ids, err := tx.Change(ctx, "transfers", `UPDATE transfers SET status = 'CANCELLED', finished_at = $3, updated_at = $3
		WHERE corp_id = $1 AND handover_id = $2 AND status = 'PLANNED' RETURNING id`, tx.Corp(), r.ID, tx.Now())
	if err != nil {
		return err
	}
	r.Totals.add(TransferPlanned, -len(ids))
	r.Totals.add(TransferCancelled, len(ids))
	r.Resume = nil
	if err := s.save(ctx, tx, r, tx.Now()); err != nil {
		return err
	}
	if err := r.tell(ctx, tx, nil); err != nil {
		return err
	}
	entries := []audit.Entry{{Action: access.HandoverFinish, Subject: r.ID, Handover: r.ID, Before: map[string]any{"state": string(Running)},
		After: map[string]any{"state": string(r.State), "completed": r.Totals.Completed, "cancelled": len(ids), "transfers": r.Totals.Total}, Covers: ids}}
	if r.reverse() && r.State != Running {
		taken, err := s.takeBack(ctx, tx, r, nil)
		if err != nil {
			return err
		}
		entries = append(entries, taken...)
	}
	return s.Log.Append(ctx, tx, entries...)
}

// next is when the corp's handovers have work again.
func (s *Service) next(ctx context.Context) (at time.Time, err error) {
	err = s.DB.View(ctx, func(ctx context.Context, q *store.Read) error {
		policy, err := approval.Load(ctx, q)
		if err != nil {
			return err
		}
		type row struct {
			state                    State
			start, submitted, resume *time.Time
			leased                   *time.Time
		}
		rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.state, &r.start, &r.submitted, &r.resume, &r.leased} }, `
			SELECT state, start_at, submitted_at, resume_at, lease_until FROM handovers
			WHERE corp_id = $1 AND (state IN ('SCHEDULED', 'AWAITING_APPROVAL') OR state = 'RUNNING' AND planned > 0)`, corpOf(ctx))
		for _, r := range rows {
			var t time.Time
			switch {
			case r.state == Scheduled:
				// One whose time has come waits for the leaver's departure, which wakes this work.
				if t = *r.start; !t.After(s.DB.Now()) {
					t = s.DB.Now().Add(lease)
				}
			case r.state == AwaitingApproval:
				t = r.submitted.Add(policy.Expiry())
			case r.resume != nil:
				t = *r.resume
			case r.leased != nil:
				t = *r.leased
			default:
				t = s.DB.Now()
			}
			if at.IsZero() || t.Before(at) {
				at = t
			}
		}
		return err
	})
	return at, err
}

func corpOf(ctx context.Context) nid.ID { return access.From(ctx).Corp }
