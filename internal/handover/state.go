package handover

import "github.com/openhandover/openhandover/internal/fault"

// State of a handover. The names are the API's.
type State string

// The states.
const (
	Draft            State = "DRAFT"
	AwaitingApproval State = "AWAITING_APPROVAL"
	Ready            State = "READY"
	Scheduled        State = "SCHEDULED"
	Running          State = "RUNNING"
	Completed        State = "COMPLETED"
	Partial          State = "PARTIAL"
	Failed           State = "FAILED"
	Rejected         State = "REJECTED"
	Cancelled        State = "CANCELLED"
	Reverted         State = "REVERTED"
)

// States lists all of them.
var States = []State{Draft, AwaitingApproval, Ready, Scheduled, Running, Completed, Partial, Failed, Rejected, Cancelled, Reverted}

// Event is what happens to a handover.
type Event string

// The events.
const (
	// SubmitFree and SubmitBound: submitted, without or with approvals to wait for.
	SubmitFree  Event = "submit, no approval needed"
	SubmitBound Event = "submit, approval needed"
	// Approve: the last vote that was missing.
	Approve  Event = "enough votes"
	Reject   Event = "one rejection"
	Expire   Event = "approval expires"
	Replan   Event = "replan"
	Execute  Event = "execute"
	Schedule Event = "execute, start time ahead"
	// Begin and HoldBack: the start time has come, and the checks pass or do not.
	Begin    Event = "start time comes"
	HoldBack Event = "start time comes, checks fail"
	// The three ends of a run.
	FinishAll  Event = "all completed"
	FinishSome Event = "some completed"
	FinishNone Event = "none completed"
	Retry      Event = "retry"
	Cancel     Event = "cancel"
	// StopRun: cancelled while running, at the end of a chunk, with nothing completed.
	StopRun Event = "cancelled while running"
	Revert  Event = "revert, something restored"
)

// Events lists all of them.
var Events = []Event{SubmitFree, SubmitBound, Approve, Reject, Expire, Replan, Execute, Schedule, Begin, HoldBack,
	FinishAll, FinishSome, FinishNone, Retry, Cancel, StopRun, Revert}

// transitions is the whole state machine (semantics.md "States"); what is not
// here cannot happen. docs/handover-states.md draws it.
var transitions = map[State]map[Event]State{
	Draft:            {SubmitFree: Ready, SubmitBound: AwaitingApproval, Replan: Draft, Cancel: Cancelled},
	AwaitingApproval: {Approve: Ready, Reject: Rejected, Expire: Draft, Replan: Draft, Cancel: Cancelled},
	Ready:            {Execute: Running, Schedule: Scheduled, Replan: Draft, Cancel: Cancelled},
	Scheduled:        {Begin: Running, HoldBack: Ready, Cancel: Cancelled},
	Running:          {FinishAll: Completed, FinishSome: Partial, FinishNone: Failed, StopRun: Cancelled},
	Completed:        {Revert: Reverted},
	Partial:          {Retry: Running, Revert: Reverted},
	Failed:           {Retry: Running},
	Rejected:         {Replan: Draft},
}

// Next is the state after an event. Fails with CONFLICT where the state does not
// allow the event.
func Next(s State, e Event) (State, error) {
	if to, ok := transitions[s][e]; ok {
		return to, nil
	}
	return s, fault.Clash("", "the handover is %s, which does not allow: %s", "交接当前状态为 %s,不允许此操作(%s)", s, e).With("state", string(s))
}
