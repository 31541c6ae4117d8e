package handover

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Preview is what a plan would do.
type Preview struct {
	Digest           string
	Contacts, Groups int
	Need             approval.Need
	Successors       []Load
	Problems         []*Problem
	Forecast         Forecast
	// HistoryUntil is when the last history grant would expire, if the plan were executed
	// now; nil: it gives none, or one that does not expire by itself.
	HistoryUntil *time.Time
	Items        []Item
	FormerKeys   FormerKeys
	History      HistoryScope
	// StartAt is a start that Create takes, where the plan cannot be executed yet and it
	// is known when it can; nil otherwise.
	StartAt *time.Time
}

// Load is what a successor has before and after, in contacts, Promised of them by other
// open plans. All but what this plan gives is zero for a successor outside the actor's
// scope, whose counts they may not see.
type Load struct {
	Member                                           nid.ID
	Contacts, Groups, Before, Promised, After, Limit int
}

// Preview works a plan out and writes nothing. Its digest is the one that Create
// would store. Needs PLAN_HANDOVER over the leaver; fails with what planning
// fails with. It reads in the request's snapshot.
func (s *Service) Preview(ctx context.Context, in Input) (*Preview, error) {
	actor := access.From(ctx)
	if !actor.Can(whoMayPlan...) {
		return nil, fault.Denied("you may not plan handovers", "您无权规划交接")
	}
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	p, err := work(ctx, q, actor, in, "input", "")
	if err != nil {
		return nil, err
	}
	v := &Preview{Digest: p.Digest, Need: p.Need, Items: p.Items, History: p.history(), StartAt: p.notice.start()}
	p.mark()
	if v.Forecast, err = forecast(ctx, q, p); err != nil {
		return nil, err
	}
	if v.FormerKeys, err = formerKeys(ctx, q, p.Items); err != nil {
		return nil, err
	}
	v.Problems = p.problems()
	v.HistoryUntil = p.historyUntil(store.EngineOf(q).Now(), p.Responsible)
	loads := map[nid.ID]*Load{}
	for _, id := range p.successors() {
		m := p.People[id]
		l := Load{Member: id}
		if !m.OutOfScope {
			l.Before, l.Promised, l.After, l.Limit = m.load(), m.Reserved+m.Promised, m.load(), m.Limit
		}
		v.Successors = append(v.Successors, l)
	}
	for i := range v.Successors {
		loads[v.Successors[i].Member] = &v.Successors[i]
	}
	for _, it := range p.Items {
		l := loads[it.To]
		if l == nil {
			l = &Load{} // nobody can take it; the problems say so
		}
		if it.Kind == Group {
			v.Groups++
			l.Groups++
			continue
		}
		v.Contacts++
		l.Contacts++
		if !it.Merged {
			l.After++
		}
	}
	return v, nil
}
