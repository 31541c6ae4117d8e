package handover_test

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// What must hold.

// parts of the rule that a weakened copy can do without.
type parts struct{ noReset, noLink, noDraft, clockAlone, ownAlone, nowOnly, direct bool }

var everything parts

func (p parts) live(t taint, now time.Time) bool {
	late, own := now.Sub(t.since) >= 72*time.Hour, t.password && t.factor
	switch {
	case p.clockAlone:
		own = true
	case p.ownAlone:
		late = true
	}
	ended := late && own || t.byLink && p.noLink || !t.byLink && p.noReset || t.byDraft && p.noDraft
	return !ended
}

// could says of each person who could act as them now.
func (w *world) could(p parts) (out [crew]few) {
	now := w.DB.Now()
	for i := range out {
		out[i] = one(i)
		for _, t := range w.taints[i] {
			if p.live(t, now) {
				out[i] |= one(t.by)
				if !p.nowOnly && !p.direct {
					out[i] |= t.then
				}
			}
		}
	}
	for changed := !p.direct; changed; {
		changed = false
		for i := range out {
			for _, t := range w.taints[i] {
				if with := out[i] | out[t.by]; p.live(t, now) && with != out[i] {
					out[i], changed = with, true
				}
			}
		}
	}
	return out
}

// weakened is identity.HandsOf without some parts of it.
func (w *world) weakened(p parts) func(context.Context, *store.Tx, ...nid.ID) (identity.Hands, error) {
	return func(context.Context, *store.Tx, ...nid.ID) (identity.Hands, error) {
		out := identity.Hands{}
		for i, could := range w.could(p) {
			out[w.people[i]] = map[nid.ID]bool{}
			for j := range crew {
				if could&one(j) != 0 {
					out[w.people[i]][w.people[j]] = true
				}
			}
		}
		return out, nil
	}
}

// look finds what was carried out since the last look, and whether it was allowed.
func (w *world) look() {
	w.t.Helper()
	type row struct{ handover, contact nid.ID }
	var rows []row
	ok(w.t, w.DB.View(store.System(context.Background(), w.ID, "test"), func(ctx context.Context, q *store.Read) (err error) {
		rows, err = store.Select(ctx, q, func(r *row) []any { return []any{&r.handover, &r.contact} },
			`SELECT handover_id, contact_id FROM transfers WHERE corp_id = $1 AND status = 'COMPLETED' ORDER BY id`, w.ID)
		return err
	}))
	type share struct{ n, key int }
	news := map[nid.ID]*share{}
	for _, r := range rows {
		if w.done[r.contact] {
			continue
		}
		w.done[r.contact] = true
		for _, p := range w.plans {
			if p.id != r.handover {
				continue
			}
			if news[p.id] == nil {
				news[p.id] = &share{}
			}
			news[p.id].n++
			if p.key[r.contact] {
				news[p.id].key++
			}
		}
	}
	for _, p := range w.plans {
		if s := news[p.id]; s != nil {
			w.moved = append(w.moved, moved{p.people(), w.DB.Now(), s.n})
			w.judge(p, s.key > 0)
		}
	}
}

func (p *plan) people() few { return one(p.requester) | one(p.responsible) | one(p.executor) }

// judge notes an execution in which too few hands took part.
func (w *world) judge(p *plan, key bool) {
	sum := 0
	for _, m := range w.moved {
		if m.people&p.people() != 0 && w.DB.Now().Sub(m.at) < 24*time.Hour {
			sum += m.n
		}
	}
	if asks := key && w.policy.keys || w.policy.above >= 0 && sum > w.policy.above; !asks {
		return
	}
	could := w.could(everything)
	var behind few
	for i := range crew {
		if p.people()&one(i) != 0 {
			behind |= could[i]
		}
	}
	most := 0
	for voters := range few(1 << crew) {
		taken, apart := behind, true
		for i := range crew {
			if voters&one(i) == 0 {
				continue
			}
			at, voted := p.votes[i]
			apart = apart && voted && w.DB.Now().Sub(at) < 72*time.Hour && (p.authors|p.people())&one(i) == 0 && taken&could[i] == 0
			taken |= could[i]
		}
		if apart {
			most = max(most, bits.OnesCount8(uint8(voters)))
		}
	}
	if most < w.policy.approvals {
		w.violations = append(w.violations, fmt.Sprintf("%d independent vote(s) of %d: requester %d, responsible %d, executor %d, authors %05b, votes %v, moved %d in a day, could be %05b",
			most, w.policy.approvals, p.requester, p.responsible, p.executor, p.authors, p.votes, sum, could))
		return
	}
	w.voted++
}

// agree holds what the service makes of the log against the model.
func (w *world) agree() {
	w.t.Helper()
	ok(w.t, w.DB.Tx(store.System(context.Background(), w.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		hands, err := identity.HandsOf(ctx, tx, w.people...)
		if err != nil {
			return err
		}
		for i, could := range w.could(everything) {
			for j := range crew {
				if got, want := hands[w.people[i]][w.people[j]], could&one(j) != 0; got != want {
					w.t.Errorf("person %d could act as person %d: %v, want %v; taints %+v", j, i, got, want, w.taints[i])
				}
			}
		}
		return nil
	}))
}
