package member

import (
	"context"
	"strings"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notice"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
)

// ReinstateInput says who comes back, and why.
type ReinstateInput struct {
	MemberID nid.ID
	Reason   string
	held     bool // only a departure that is held back
}

// Reinstate makes a deactivated member ACTIVE again. What was not handed over is
// theirs as before, and they answer for it; their open RESIGNED handovers are
// CANCELLED. For somebody who is LEAVING it takes the departure back. Sessions, grants and service tokens stay ended: somebody gives new
// ones. It needs DEACTIVATE_MEMBER over the member and a fresh proof of identity.
//
// Fails with NOT_FOUND, FORBIDDEN, STEP_UP_REQUIRED, INVALID without a reason, and
// CONFLICT for somebody who is not deactivated or whose handover is running.
func (s *Service) Reinstate(ctx context.Context, in ReinstateInput) error {
	return s.Log.Tx(ctx, s.DB, access.MemberReinstate, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if strings.TrimSpace(in.Reason) == "" {
			return fault.Bad("input.reason", "say why", "请说明原因")
		}
		if err := checkReason(in.Reason); err != nil {
			return err
		}
		if err := reach(ctx, tx, actor, in.MemberID); err != nil {
			return err
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		r := &comeback{ctx: ctx, tx: tx, member: in.MemberID, held: in.held}
		for _, step := range []func() error{
			r.lockHandovers, r.lockMember, r.cancelHandovers, r.come, r.free, r.endNotice, r.boundHistory,
		} {
			if err := step(); err != nil {
				return err
			}
		}
		before := r.was.schedule()
		if !r.was.caretaker.IsZero() {
			before["caretaker"] = r.was.caretaker
		}
		if r.was.departedAt.Valid {
			before["departedAt"] = r.was.departedAt.Time
		}
		if err := notify.Emit(ctx, tx, notify.MemberReinstated, in.MemberID, map[string]any{"contacts": r.contacts, "groups": r.groups}); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, append([]audit.Entry{{
			Action: access.MemberReinstate, Subject: in.MemberID, Before: before, Covers: r.covers,
			After: map[string]any{
				"status": active, "contacts": r.contacts, "groups": r.groups, "cancelledHandovers": len(r.open),
				"reason": audit.Personal{Subject: in.MemberID, Value: in.Reason},
			},
		}}, r.cancellations()...)...)
	})
}

// comeback is one reinstatement under way.
type comeback struct {
	ctx              context.Context
	tx               *store.Tx
	member           nid.ID
	held             bool
	was              person
	open             []openCase
	transfers        map[nid.ID][]nid.ID // cancelled, by handover
	covers           []nid.ID
	contacts, groups int
}

// openCase is a handover that ends because its leaver is back.
type openCase struct {
	id    nid.ID
	state string
}

func (r *comeback) change(table, query string, args ...any) ([]nid.ID, error) {
	ids, err := r.tx.Change(r.ctx, table, query, append([]any{r.tx.Corp(), r.member}, args...)...)
	r.covers = append(r.covers, ids...)
	return ids, err
}

// lockHandovers finds the cases that hand the member's things over. While one is
// running nobody can say what the member still has.
func (r *comeback) lockHandovers() (err error) {
	r.open, err = store.Select(r.ctx, r.tx, func(c *openCase) []any { return []any{&c.id, &c.state} }, `SELECT id, state FROM handovers
		WHERE corp_id = $1 AND leaver_id = $2 AND kind = 'RESIGNED' AND state IN ('DRAFT', 'AWAITING_APPROVAL', 'READY', 'SCHEDULED', 'RUNNING')
		ORDER BY id`+r.tx.DB().ForUpdate(), r.tx.Corp(), r.member)
	if err != nil {
		return err
	}
	for _, c := range r.open {
		if c.state == "RUNNING" {
			return isRunning(c.id)
		}
	}
	return nil
}

func (r *comeback) lockMember() (err error) {
	r.was, _, err = store.SelectOne(r.ctx, r.tx, (*person).columns,
		`SELECT `+personColumns+` FROM members AS m WHERE m.corp_id = $1 AND m.id = $2`+r.tx.DB().ForNoKeyUpdate(), r.tx.Corp(), r.member)
	if err == nil {
		err = r.was.isHeld(r.held)
	}
	if err == nil && !left(r.was.status) && r.was.status != leaving {
		err = fault.Clash("input.memberId", "this member is not deactivated", "该成员未被停用").With("status", r.was.status)
	}
	if err != nil {
		return err
	}
	// A handover that was made and begun while this waited for the member's lock was
	// not there to be locked before. From here on none can begin.
	running, found, err := store.SelectOne(r.ctx, r.tx, func(id *nid.ID) []any { return []any{id} },
		`SELECT id FROM handovers WHERE corp_id = $1 AND leaver_id = $2 AND kind = 'RESIGNED' AND state = 'RUNNING' LIMIT 1`, r.tx.Corp(), r.member)
	if err == nil && found {
		err = isRunning(running)
	}
	return err
}

// isRunning is the CONFLICT where nobody can say what the member still has.
func isRunning(handover nid.ID) error {
	return fault.Clash("input.memberId", "a handover of this member is running; wait until it has finished", "该成员的交接正在执行,请等待其完成").With("handoverId", handover.String())
}

func (r *comeback) cancelHandovers() error {
	if len(r.open) == 0 {
		return nil
	}
	ids := make([]nid.ID, len(r.open))
	for i, c := range r.open {
		ids[i] = c.id
	}
	db := r.tx.DB()
	type row struct{ id, handover nid.ID }
	rows, err := store.ChangeInto(r.ctx, r.tx, func(t *row) []any { return []any{&t.id, &t.handover} }, func(t *row) nid.ID { return t.id }, "transfers",
		`UPDATE transfers SET status = 'CANCELLED', finished_at = $3, updated_at = $3
		WHERE corp_id = $1 AND handover_id `+db.In(2)+` AND status = 'PLANNED' RETURNING id, handover_id`, r.tx.Corp(), db.IDs(ids), r.tx.Now())
	if err != nil {
		return err
	}
	r.transfers = map[nid.ID][]nid.ID{}
	for _, t := range rows {
		r.transfers[t.handover] = append(r.transfers[t.handover], t.id)
	}
	_, err = r.tx.Change(r.ctx, "handovers", `UPDATE handovers SET state = 'CANCELLED', cancelled = cancelled + planned, planned = 0,
		finished_at = $3, version = version + 1, updated_at = $3 WHERE corp_id = $1 AND id `+db.In(2)+` RETURNING id`, r.tx.Corp(), db.IDs(ids), r.tx.Now())
	return err
}

// boundHistory lets what others may read of the member's chats expire as it does with
// every leaver who is at work. Where it was given while the member was deactivated, nobody
// had to approve it, and it may have no end.
func (r *comeback) boundHistory() error {
	settings, err := setting.Load(r.ctx, r.tx)
	if err != nil {
		return err
	}
	_, err = r.change("history_grants", `UPDATE history_grants SET expires_at = $3 WHERE corp_id = $1 AND leaver_id = $2 AND ended_at IS NULL
		AND (expires_at IS NULL OR expires_at > $3) RETURNING id`, r.tx.Now().AddDate(0, 0, settings.HistoryMaxDays))
	return err
}

// cancellations are the entries in the ended handovers' own trails.
func (r *comeback) cancellations() []audit.Entry {
	out := make([]audit.Entry, len(r.open))
	for i, c := range r.open {
		out[i] = audit.Entry{
			Action: access.HandoverCancel, Subject: c.id, Handover: c.id, Before: map[string]any{"state": c.state},
			After: map[string]any{"state": "CANCELLED", "transfers": len(r.transfers[c.id]), "reinstated": r.member}, Covers: r.transfers[c.id],
		}
	}
	return out
}

// come changes the member. The id is the entry's subject and needs no cover.
func (r *comeback) come() error {
	_, err := r.tx.Change(r.ctx, "members", `UPDATE members SET status = 'ACTIVE', answers = true, departed_at = NULL, caretaker_id = NULL, last_day = NULL,
		departure_held_at = NULL, departure_by_id = NULL, suspended = false,
		version = version + 1, updated_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, r.tx.Corp(), r.member, r.tx.Now())
	return err
}

// free lifts the protection. Nothing of somebody who was still at work has any.
func (r *comeback) free() error {
	if r.was.status == leaving {
		return nil
	}
	for _, step := range []func() error{r.lockItems, r.freeFollows, r.freeContacts, r.freeGroups} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (r *comeback) endNotice() error { return notice.End(r.ctx, r.tx, r.member) }

func (r *comeback) lockItems() error { return lockItems(r.ctx, r.tx, r.member) }

func (r *comeback) freeFollows() error {
	ids, err := r.change("follows", `UPDATE follows SET protected = false, updated_at = $3
		WHERE corp_id = $1 AND member_id = $2 AND ended_at IS NULL AND protected RETURNING id`, r.tx.Now())
	r.contacts = len(ids)
	return err
}

// freeContacts lifts the protection where no other leaver follows, and lets the
// member answer again where whoever answers does not follow: that was a caretaker.
func (r *comeback) freeContacts() error {
	_, err := r.change("contacts", `UPDATE contacts SET updated_at = $3,
		protected = EXISTS (SELECT 1 FROM follows AS p WHERE p.corp_id = contacts.corp_id AND p.contact_id = contacts.id AND p.ended_at IS NULL AND p.protected),
		accountable_id = CASE WHEN EXISTS (SELECT 1 FROM follows AS f WHERE f.corp_id = contacts.corp_id AND f.contact_id = contacts.id
			AND f.member_id = contacts.accountable_id AND f.ended_at IS NULL) THEN contacts.accountable_id ELSE $2 END
		WHERE corp_id = $1 AND id IN (SELECT o.contact_id FROM follows AS o WHERE o.corp_id = $1 AND o.member_id = $2 AND o.ended_at IS NULL)
		RETURNING id`, r.tx.Now())
	return err
}

func (r *comeback) freeGroups() error {
	ids, err := r.change("groups", `UPDATE groups SET protected = false, accountable_id = $2, updated_at = $3,
		status = CASE WHEN status = 'OWNER_LEFT' THEN 'NORMAL' ELSE status END
		WHERE corp_id = $1 AND owner_id = $2 AND protected RETURNING id`, r.tx.Now())
	r.groups = len(ids)
	return err
}
