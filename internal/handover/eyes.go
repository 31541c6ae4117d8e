package handover

import (
	"context"
	"math/bits"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// eyes are the parts of the four-eyes rule (docs/handover-states.md, "Four eyes"). They
// are variables so that a test can take each one out and show that the rule then fails.
var eyes = struct {
	// Responsible is who answers for what an actor plans or submits.
	Responsible func(ctx context.Context, q store.Querier, a *access.Actor) (nid.ID, error)
	// Behind are the people whose consent a vote has to be independent of.
	Behind func(r *record, executor nid.ID) []nid.ID
	// Summed are the people whose handovers of the last 24 hours add up.
	Summed func(r *record, executor nid.ID) []nid.ID
	// Hands says who could have acted as whom.
	Hands func(ctx context.Context, tx *store.Tx, members ...nid.ID) (identity.Hands, error)
	// Counted are the votes that count, of those that are valid.
	Counted func(hands identity.Hands, behind, valid []nid.ID) []nid.ID
}{
	Responsible: identity.Responsible,
	Behind: func(r *record, executor nid.ID) []nid.ID {
		return some(append(r.Authors, r.Requester, r.Responsible, r.Executor, executor)...)
	},
	Summed: func(r *record, executor nid.ID) []nid.ID {
		return some(r.Requester, r.Responsible, r.Executor, executor)
	},
	Hands: identity.HandsOf,
	Counted: func(hands identity.Hands, behind, valid []nid.ID) []nid.ID {
		return apart(hands, slices.DeleteFunc(slices.Clone(valid), func(v nid.ID) bool {
			return slices.ContainsFunc(behind, func(b nid.ID) bool { return !hands.Apart(v, b) })
		}))
	},
}

// some are the ids that are not zero, each once.
func some(ids ...nid.ID) []nid.ID {
	return sorted(slices.DeleteFunc(slices.Clone(ids), nid.ID.IsZero))
}

// by are the authors of the handover and one more.
func (r *record) by(author nid.ID) []nid.ID { return some(append(r.Authors, author)...) }

// behind are the people who stand behind the handover: requester, responsible person,
// everybody who created, replanned or submitted it, who executed or scheduled it, and
// who executes it now (zero: nobody yet).
func (r *record) behind(executor nid.ID) []nid.ID { return eyes.Behind(r, executor) }

// excluded are the people who cannot vote: those behind the handover, leaver and
// successors, and the members who give something back.
func (r *record) excluded(o outline, executor nid.ID) []nid.ID {
	return append(slices.Concat(o.successors, o.givers, r.behind(executor)), r.Leaver)
}

// ballot is who has voted for a plan.
type ballot struct {
	counted   []nid.ID // whose votes count
	dependent int      // how many votes are valid but do not count, since their voters are not independent
	own       bool     // the executor has voted
}

// short is the APPROVAL_REQUIRED fault where the votes are too few.
func (b ballot) short(need approval.Need) *fault.Error {
	f := need.Short(len(b.counted), b.dependent)
	if b.own {
		f.Text.EN += ". The executor's own vote does not count; another person has to execute it"
		f.Text.ZH += "。执行人自己的审批不计入，请由他人执行"
	}
	return f
}

// tally finds the votes that count: the largest set of valid votes whose voters are
// independent of everybody behind the handover and of each other. It reads the log and
// the roles as they are now; executor is zero where nobody executes. It also gives all
// stored votes.
func (r *record) tally(ctx context.Context, tx *store.Tx, o outline, executor nid.ID) (t ballot, all []approval.Vote, err error) {
	valid, all, err := approval.Count(ctx, tx, r.ID, r.Digest, r.Leaver, tx.Now(), r.excluded(o, executor))
	t.own = slices.ContainsFunc(all, func(v approval.Vote) bool {
		return v.Approver == executor && v.Digest == r.Digest && v.Decision == "APPROVED" && v.ExpiresAt.After(tx.Now())
	})
	if err != nil || len(valid) == 0 {
		return t, all, err
	}
	behind := r.behind(executor)
	hands, err := eyes.Hands(ctx, tx, slices.Concat(behind, valid)...)
	if err != nil {
		return t, nil, err
	}
	t.counted = eyes.Counted(hands, behind, valid)
	t.dependent = len(valid) - len(t.counted)
	return t, all, nil
}

// independent reports whether a member is independent of each of the others.
func independent(ctx context.Context, tx *store.Tx, member nid.ID, others []nid.ID) (bool, error) {
	hands, err := eyes.Hands(ctx, tx, append(others, member)...)
	return err == nil && !slices.ContainsFunc(others, func(other nid.ID) bool { return !hands.Apart(member, other) }), err
}

// recount counts the votes again, with today's roles, importance, resets and links, and
// the stricter of the policy at submission and the one now (docs/handover-states.md).
// APPROVAL_REQUIRED where they are too few.
func (r *record) recount(ctx context.Context, tx *store.Tx, actor *access.Actor, o outline, p approval.Policy) error {
	need, err := r.need(ctx, tx, p, o, requester(actor))
	if err != nil || need.Votes == 0 {
		return err
	}
	t, _, err := r.tally(ctx, tx, o, requester(actor))
	if err == nil && len(t.counted) < need.Votes {
		err = t.short(need)
	}
	return err
}

// told adds an id to what an entry says, where there is one.
func told(after map[string]any, name string, id nid.ID) {
	if !id.IsZero() {
		after[name] = id
	}
}

// executed adds to what an entry says who had the handover executed and who is
// responsible for it: a scheduled start is carried out by the system.
func (r *record) executed(after map[string]any) map[string]any {
	told(after, "executor", r.Executor)
	told(after, "responsible", r.Responsible)
	return after
}

// apart gives the largest set of members who are pairwise independent, of at most 64.
func apart(hands identity.Hands, members []nid.ID) []nid.ID {
	members = members[:min(len(members), 64)]
	near := make([]uint64, len(members)) // bit j of near[i]: i and j are not independent
	for i, a := range members {
		for j, b := range members {
			if i != j && !hands.Apart(a, b) {
				near[i] |= 1 << j
			}
		}
	}
	var out []nid.ID
	for set := largest(near, 1<<len(members)-1); set != 0; set &= set - 1 {
		out = append(out, members[bits.TrailingZeros64(set)])
	}
	return out
}

// largest finds a largest set without neighbours among those left. A vertex whose
// neighbours all neighbour each other is in one such set; where there is none, it tries
// the vertex with most neighbours both ways.
func largest(near []uint64, left uint64) (set uint64) {
	for left != 0 {
		simple, most := -1, -1
		for rest := left; rest != 0 && simple < 0; rest &= rest - 1 {
			v := bits.TrailingZeros64(rest)
			around := near[v] & left
			clique := true
			for n := around; n != 0 && clique; n &= n - 1 {
				u := bits.TrailingZeros64(n)
				clique = around&^(near[u]|1<<u) == 0
			}
			if clique {
				simple = v
			}
			if most < 0 || bits.OnesCount64(around) > bits.OnesCount64(near[most]&left) {
				most = v
			}
		}
		if simple < 0 {
			with, without := 1<<most|largest(near, left&^(near[most]|1<<most)), largest(near, left&^(1<<most))
			if bits.OnesCount64(without) > bits.OnesCount64(with) {
				with = without
			}
			return set | with
		}
		set |= 1 << simple
		left &^= near[simple] | 1<<simple
	}
	return set
}
