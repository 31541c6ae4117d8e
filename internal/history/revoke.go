package history

import (
	"context"

	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Grants are the use cases of grants that exist already.
type Grants struct {
	DB  *store.DB
	Log *audit.Log
}

// maxReason is how long a reason can be in characters.
const maxReason = 500

// Revoke ends a history grant at once. The actor holds AUDIT_CHATS or MANAGE_ROLES over
// the leaver or the successor and has proven who they are. NOT_FOUND on input.id for a
// grant that the actor may not see, FORBIDDEN, STEP_UP_REQUIRED, INVALID on
// input.reason, CONFLICT where it has ended already.
func (g *Grants) Revoke(ctx context.Context, id nid.ID, reason *string) error {
	return g.Log.Tx(ctx, g.DB, access.HistoryRevoke, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Can(mayRevoke...) {
			return mayNotRevoke()
		}
		if reason != nil && *reason != "" {
			if problem, ok := name.CheckText(*reason, maxReason); !ok {
				return fault.New(fault.Invalid, "input.reason", problem)
			}
		}
		type row struct {
			Grant
			handover nid.ID
			ended    bool
		}
		var w store.Where
		w.And("history_grants.corp_id = ?", tx.Corp())
		w.And("history_grants.id = ?", id)
		if condition, args := rule.Visible(actor, "history_grants"); condition != "" {
			w.And(condition, args...)
		}
		where, args := w.SQL(1)
		r, ok, err := store.SelectOne(ctx, tx, func(r *row) []any {
			return []any{&r.Successor, &r.Leaver, &r.Contact, &r.Group, &r.handover, &r.ended}
		}, `SELECT successor_id, leaver_id, contact_id, group_id, handover_id, ended_at IS NOT NULL
			FROM history_grants WHERE `+where+tx.DB().ForUpdate(), args...)
		if err != nil {
			return err
		}
		if !ok {
			return fault.Missing("input.id")
		}
		outside, err := store.OutOfScope(ctx, tx, actor.Scope(mayRevoke...), r.Leaver, r.Successor)
		if err != nil {
			return err
		}
		if len(outside) == 2 {
			return mayNotRevoke()
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if r.ended {
			return fault.Clash("input.id", "the history grant has ended already", "该聊天记录授权已失效")
		}
		if _, err := tx.Change(ctx, "history_grants",
			`UPDATE history_grants SET ended_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), id, tx.Now()); err != nil {
			return err
		}
		after := map[string]any{"successor": r.Successor, "leaver": r.Leaver}
		for name, of := range map[string]nid.ID{"contact": r.Contact, "group": r.Group} {
			if !of.IsZero() {
				after[name] = of
			}
		}
		if reason != nil && *reason != "" {
			after["reason"] = audit.Personal{Subject: r.Successor, Value: *reason}
		}
		return g.Log.Append(ctx, tx, audit.Entry{Action: access.HistoryRevoke, Subject: id, Handover: r.handover, After: after})
	})
}

// mayRevoke are the permissions of which one is needed over the leaver or the successor.
var mayRevoke = []access.Permission{access.AuditChats, access.ManageRoles}

func mayNotRevoke() error {
	return fault.Denied("revoking this history grant needs AUDIT_CHATS or MANAGE_ROLES over its leaver or successor",
		"撤销该聊天记录授权需要对离职成员或接替成员的 AUDIT_CHATS 或 MANAGE_ROLES 权限")
}
