package handover

import (
	"context"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// stage is what a set of transfers is decided against: locked rows and limits.
type stage struct {
	who     map[nid.ID]*person
	outside map[ItemKind][]nid.ID // successors out of the executor's reach
	held    *heldItems
	limits  limits
	// barred says why a transfer may not be carried out at all; nil: all may.
	barred func(*Transfer) Reason
}

// lock locks the items and brings the transfers up to date: statistics are of the
// time of assignment, which is now.
func (st *stage) lock(ctx context.Context, tx *store.Tx, r *record, ts []Transfer) (err error) {
	if r.reverse() {
		if err := origins(ctx, tx, ts); err != nil {
			return err
		}
	}
	if st.held, err = lockItems(ctx, tx, ts); err != nil {
		return err
	}
	st.held.important(ts, tx.Now())
	for i := range ts {
		ts[i].FromDepartment, ts[i].ToDepartment = st.who[ts[i].From].department(), st.who[ts[i].To].department()
	}
	st.limits, err = limitsOf(ctx, tx, tx.Now(), r, ts)
	return err
}

// reach finds the successors that are outside the executor's scope. Contacts and
// groups have permissions of their own, which may reach differently far.
func (st *stage) reach(ctx context.Context, tx *store.Tx, actor *access.Actor, r *record, o outline) (err error) {
	st.outside = map[ItemKind][]nid.ID{}
	for _, kind := range o.kinds {
		if st.outside[kind], err = store.OutOfScope(ctx, tx, actor.Scope(r.needs(kind)), o.successors...); err != nil {
			return err
		}
	}
	return nil
}

// carry decides and carries out transfers of a RUNNING handover, set by set, and
// gives their audit entries. Those that have to wait for another day stay PLANNED.
func (s *Service) carry(ctx context.Context, tx *store.Tx, r *record, ts []Transfer, st *stage) ([]audit.Entry, error) {
	now := tx.Now()
	st.decide(r, ts)
	r.Resume = st.limits.resume(ts)
	ts = slices.DeleteFunc(slices.Clone(ts), func(t Transfer) bool { return t.Status == TransferPlanned })
	platform := s.Platform != nil && s.Platform(tx.Corp())
	for i := range ts {
		ts[i].Attempt++
		ts[i].Assigned, ts[i].Finished = &now, &now
		if platform && !r.reverse() && ts[i].Status == TransferCompleted {
			ts[i].Status = TransferWaiting
		}
	}
	covers, err := apply(ctx, tx, r, ts, st.who, st.held)
	if err != nil {
		return nil, err
	}
	if err := hold(ctx, tx, ts, covers); err != nil {
		return nil, err
	}
	if err := s.finish(ctx, tx, r, ts, now); err != nil {
		return nil, err
	}
	if err := count(ctx, tx, ts, TransferPlanned); err != nil {
		return nil, err
	}
	if err := roll(ctx, tx, r, nil, ts); err != nil {
		return nil, err
	}
	if err := st.limits.use(ctx, tx, ts); err != nil {
		return nil, err
	}
	if r.Resume != nil {
		if err := tx.Wake(ctx, WorkHandovers, *r.Resume); err != nil {
			return nil, err
		}
	}
	if err := r.tell(ctx, tx, ts); err != nil {
		return nil, err
	}
	entries := entriesOf(r, ts, covers)
	if r.reverse() {
		taken, err := s.takeBack(ctx, tx, r, ts)
		if err != nil {
			return nil, err
		}
		entries = append(entries, taken...)
	}
	return entries, nil
}

// decide gives each transfer its outcome, in plan order, against the locked rows.
// What has to wait for another day stays PLANNED.
func (st *stage) decide(r *record, ts []Transfer) {
	room := map[nid.ID]int{}
	for id, p := range st.who {
		room[id] = p.room()
	}
	who, held, outside := st.who, st.held, st.outside
	for i := range ts {
		t := &ts[i]
		end := func(s Status, r Reason) { t.Status, t.Reason = s, r }
		if r.reverse() {
			end(st.back(t))
			continue
		}
		own, ok := held.owned[t.Item.ID]
		switch {
		case st.barred != nil && st.barred(t) != "":
			end(TransferFailed, st.barred(t))
		case !ok && t.Kind == Contact && !held.taken[t.Follow]:
			end(TransferSkipped, NotFollowed)
		case !ok || !own.is(t):
			end(TransferSkipped, OwnerChanged)
		case own.busy:
			end(TransferSkipped, InProgress)
		case who[t.To].unfit() != "":
			end(TransferFailed, who[t.To].unfit())
		case slices.Contains(outside[t.Kind], t.To):
			end(TransferFailed, SuccessorOutOfScope)
		case t.Kind == Group && st.limits.groupsLeft == 0:
			// tomorrow
		case t.Kind == Group:
			st.limits.groupsLeft--
			end(TransferCompleted, "")
		case !st.limits.cooling[t.Item.ID].IsZero():
			end(TransferLimitReached, CoolDown)
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
