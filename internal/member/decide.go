package member

import (
	"context"
	"errors"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// MaxDecided is how many departures one call decides.
const MaxDecided = 1000

// Decision is what became of one departure.
type Decision struct {
	MemberID nid.ID
	// Done: it is decided now.
	Done bool
	// NotHeld: it does not wait for a decision, or not any more. Nothing was done.
	NotHeld bool
	// Problem is why nothing was done; nil: something was, or nothing is to be.
	Problem *fault.Error
}

// ConfirmInput says which departures go on, and how.
type ConfirmInput struct {
	MemberIDs []nid.ID
	Mode      Mode
	Reason    *string
}

// Confirm lets departures go on that are held back, each in a transaction of its own, through
// Deactivate. Beyond the number that is plausible within an hour it takes somebody else than
// whoever asked for the departure (CONFLICT), and another pair of hands (FORBIDDEN). Repeating
// it is safe. It needs DEACTIVATE_MEMBER over the members and a fresh proof of identity.
//
// Fails as a whole with FORBIDDEN, STEP_UP_REQUIRED, and INVALID for more than MaxDecided
// members; all else is said for each member.
func (s *Service) Confirm(ctx context.Context, in ConfirmInput) ([]Decision, error) {
	return s.decide(ctx, access.MemberDeactivate, in.MemberIDs, func(ctx context.Context, id nid.ID) error {
		_, err := s.Deactivate(ctx, DeactivateInput{MemberID: id, Mode: in.Mode, Reason: in.Reason, ConfirmMassDeparture: true, held: true})
		return err
	})
}

// Dismiss takes departures back that are held back, as Reinstate does: the members are ACTIVE
// and sign in again; their grants have stayed, their sessions have not. Repeating it is safe.
// It needs DEACTIVATE_MEMBER over the members, a reason and a fresh proof of identity.
//
// Fails as a whole with FORBIDDEN, STEP_UP_REQUIRED, and INVALID for a missing reason and more
// than MaxDecided members; all else is said for each member.
func (s *Service) Dismiss(ctx context.Context, members []nid.ID, reason string) ([]Decision, error) {
	return s.decide(ctx, access.MemberReinstate, members, func(ctx context.Context, id nid.ID) error {
		return s.Reinstate(ctx, ReinstateInput{MemberID: id, Reason: reason, held: true})
	})
}

// spare is the part of a request's time that is kept for its answer.
const spare = 3 * time.Second

// decide does the same for each member, as long as there is time.
func (s *Service) decide(ctx context.Context, action access.Action, members []nid.ID, one func(context.Context, nid.ID) error) ([]Decision, error) {
	if len(members) > MaxDecided {
		return nil, fault.Bad("input.memberIds", "must contain at most %d members, not %d", "每次最多处理 %d 名成员，当前为 %d 名", MaxDecided, len(members))
	}
	if err := s.Log.Tx(ctx, s.DB, action, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Can(access.DeactivateMember) {
			return fault.Denied("you may not decide on departures", "您无权处理离职")
		}
		return identity.Fresh(actor, tx.Now())
	}); err != nil {
		return nil, err
	}
	var out []Decision
	seen := map[nid.ID]bool{}
	for _, id := range members {
		if seen[id] {
			continue
		}
		seen[id] = true
		d := Decision{MemberID: id}
		if end, ok := ctx.Deadline(); ok && time.Until(end) < spare {
			d.Problem = fault.New(fault.Unavailable, "input.memberIds", fault.T("there was no time left for this member; repeat the call", "本次请求时间不足，请重试"))
			out = append(out, d)
			continue
		}
		err := one(ctx, id)
		switch f, known := errors.AsType[*fault.Error](err); {
		case err == nil:
			d.Done = true
		case errors.Is(err, errNotHeld):
			d.NotHeld = true
		case known && f.Code == fault.Invalid && f.Field != "input.memberId":
			return nil, err // the request is wrong, whoever it is about
		case known && f.Code != fault.Unauthenticated && f.Code != fault.StepUpRequired:
			d.Problem = f
		default:
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// errNotHeld: the departure does not wait for a decision.
var errNotHeld = errors.New("member: the departure is not held back")

// isHeld goes on only with a departure that is held back, where that is asked for.
func (p person) isHeld(wanted bool) error {
	if wanted && (p.status != leaving || !p.heldAt.Valid) {
		return errNotHeld
	}
	return nil
}
