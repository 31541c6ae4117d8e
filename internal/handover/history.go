package handover

import (
	"context"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
)

// given reports whether the scope gives successors any history.
func (h HistoryScope) given() bool { return h.Mode != "NONE" && h.Mode != "" }

// reasons are why a plan needs approval for the history it gives (docs/history.md, "Grant
// it"): the leaver is still at work, or a successor is one of those who stand
// behind the plan.
func (h HistoryScope) reasons(kind Kind, successors []nid.ID, behind ...nid.ID) (out []string) {
	if !h.given() {
		return nil
	}
	if kind == OnJob {
		out = append(out, approval.HistoryActive)
	}
	if slices.ContainsFunc(behind, func(id nid.ID) bool { return !id.IsZero() && slices.Contains(successors, id) }) {
		out = append(out, approval.HistorySelf)
	}
	return out
}

// historyReasons are those of a plan, given who stands behind it.
func (p *planned) historyReasons(behind ...nid.ID) []string {
	return p.history().reasons(p.Kind, p.successors(), behind...)
}

// allowsHistory reads what the corp's settings say of the history that a plan gives.
func (p *planned) allowsHistory(ctx context.Context, q store.Querier, h HistoryScope) error {
	if !h.given() {
		return nil
	}
	s, err := setting.Load(ctx, q)
	p.unreadable, p.historyDays = !s.HistoryForSuccessors, s.HistoryMaxDays
	return err
}

// bound gives when at the latest a successor's grants expire that are written at now;
// nil: never by themselves. It is for those grants only that give reasons.
func (h HistoryScope) bound(days int, now time.Time, kind Kind, successor nid.ID, behind ...nid.ID) *time.Time {
	if len(h.reasons(kind, []nid.ID{successor}, behind...)) == 0 {
		return nil
	}
	until := now.AddDate(0, 0, days)
	return &until
}

// historyBound is bound for the handover's successors now.
func (r *record) historyBound(ctx context.Context, tx *store.Tx, ts []Transfer) (func(successor nid.ID) *time.Time, error) {
	if len(r.History.reasons(r.Kind, outlined(ts).successors, r.behind(nid.ID{})...)) == 0 {
		return func(nid.ID) *time.Time { return nil }, nil
	}
	s, err := setting.Load(ctx, tx)
	return func(successor nid.ID) *time.Time {
		return r.History.bound(s.HistoryMaxDays, tx.Now(), r.Kind, successor, r.behind(nid.ID{})...)
	}, err
}

// historyUntil is when the last of the plan's grants would expire, if they were written
// at now; nil where one would not expire by itself, or there are none.
func (p *planned) historyUntil(now time.Time, behind nid.ID) *time.Time {
	h := p.history()
	if !h.given() {
		return nil
	}
	var last *time.Time
	for _, id := range p.successors() {
		until := h.ExpiresAt
		if b := h.bound(p.historyDays, now, p.Kind, id, behind); b != nil && (until == nil || b.Before(*until)) {
			until = b
		}
		if until == nil {
			return nil
		}
		if last == nil || until.After(*last) {
			last = until
		}
	}
	return last
}
