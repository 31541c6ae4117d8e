package handover

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/rule"
	"github.com/openhandover/openhandover/internal/store"
)

// recent is how long after a departure an automatic rule set still plans.
const recent = 7 * 24 * time.Hour

// planDeparted plans, by the automatic rule set for each leaver, for who has departed
// lately and has no handover yet. The plan has no requester: a person executes it.
func (s *Service) planDeparted(ctx context.Context) error {
	var leavers []nid.ID
	if err := s.DB.View(ctx, func(ctx context.Context, q *store.Read) (err error) {
		leavers, err = store.Select(ctx, q, func(id *nid.ID) []any { return []any{id} }, `
			SELECT m.id FROM members AS m JOIN member_counters AS c ON c.corp_id = m.corp_id AND c.member_id = m.id
			WHERE m.corp_id = $1 AND m.status = 'DEPARTED' AND m.departed_at > $2 AND m.archived_at IS NULL
			  AND c.contacts + c.groups > c.waiting_contacts + c.waiting_groups
			  AND NOT EXISTS (SELECT 1 FROM handovers AS h WHERE h.corp_id = m.corp_id AND h.leaver_id = m.id AND h.kind = 'RESIGNED'
			    AND (h.created_at >= m.departed_at OR h.state IN ('DRAFT', 'AWAITING_APPROVAL', 'READY', 'SCHEDULED', 'RUNNING')))
			  AND EXISTS (SELECT 1 FROM rule_sets AS r WHERE r.corp_id = m.corp_id AND r.automatic AND (r.department_id IS NULL OR EXISTS (
			    SELECT 1 FROM member_departments AS md JOIN department_closure AS dc ON dc.corp_id = md.corp_id AND dc.descendant_id = md.department_id
			    WHERE md.corp_id = m.corp_id AND md.member_id = m.id AND dc.ancestor_id = r.department_id)))
			ORDER BY m.id LIMIT 100`, corpOf(ctx), s.DB.Now().Add(-recent))
		return err
	}); err != nil {
		return err
	}
	var failed error
	for _, leaver := range leavers {
		failed = errors.Join(failed, s.planFor(ctx, leaver))
	}
	return failed
}

// planFor plans everything that a leaver still has by the rule set for them, and submits
// it. What no rule finds a successor for is left out, and stays in the unassigned list.
func (s *Service) planFor(ctx context.Context, leaver nid.ID) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		// One replica plans for a leaver: the others find the handover that it made.
		if _, err := store.Select(ctx, tx, func(id *nid.ID) []any { return []any{id} },
			`SELECT id FROM members WHERE corp_id = $1 AND id = $2`+tx.DB().ForNoKeyUpdate(), tx.Corp(), leaver); err != nil {
			return err
		}
		_, found, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} }, `SELECT h.id FROM handovers AS h JOIN members AS m ON m.corp_id = h.corp_id AND m.id = h.leaver_id
			WHERE h.corp_id = $1 AND h.leaver_id = $2 AND h.created_at >= m.departed_at LIMIT 1`, tx.Corp(), leaver)
		if err != nil || found {
			return err
		}
		set, ok, err := rule.Automatic(ctx, tx, leaver)
		if err != nil || !ok {
			return err
		}
		actor := access.From(ctx)
		in := Input{Kind: Resigned, LeaverID: leaver, Successors: Choice{RuleSetID: &set.ID}}
		p, err := work(ctx, tx, actor, in, "plan", "")
		if fault.CodeOf(err) == fault.Invalid {
			return nil // nothing to hand over after all
		}
		if err != nil {
			return err
		}
		p.Items = slices.DeleteFunc(p.Items, func(it Item) bool { return it.To.IsZero() || it.Busy })
		if len(p.Items) == 0 {
			return nil
		}
		p.Need = p.Policy.Of(len(p.Items), keyContacts(p.Items))
		p.Digest = digest(tx.Corp(), p)
		state := Ready
		if p.Need.Votes > 0 {
			state = AwaitingApproval
		}
		id := tx.NewID(nid.Handover)
		ts, err := p.store(ctx, tx, id, nid.ID{}, state, nil)
		if err != nil {
			return err
		}
		if _, err := tx.Change(ctx, "handovers", `UPDATE handovers SET submitted_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), id, tx.Now()); err != nil {
			return err
		}
		if err := p.record(id, nid.ID{}, state).emit(ctx, tx, notify.HandoverSubmitted); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, []audit.Entry{p.entry(access.HandoverCreate, id, state, ts, nil)}...)
	})
}
