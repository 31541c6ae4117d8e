package identity

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Pending is a change that waits for a second person, or for its time.
type Pending struct {
	ID                    nid.ID
	Operation             string
	Subject               nid.ID
	Field                 string
	RequestedByID         nid.ID
	RequestedAt           time.Time
	LapsesAt, EffectiveAt *time.Time
	asked                 string
	held                  bool
}

// Asked reads what was asked for into v.
func (p *Pending) Asked(v any) error { return json.Unmarshal([]byte(p.asked), v) }

const pendingColumns = `SELECT id, operation, subject_id, field, requested_by_id, created_at, lapses_at, effective_at, asked
	FROM pending_changes WHERE corp_id = $1`

func (p *Pending) dest() []any {
	return []any{&p.ID, &p.Operation, &p.Subject, &p.Field, &p.RequestedByID, &p.RequestedAt, &p.LapsesAt, &p.EffectiveAt, &p.asked}
}

// Waiting gives the changes that wait, the oldest first, 100 at most: those that the
// actor may second, and their own; of one operation where it is named. FORBIDDEN for an
// actor who may second none.
func Waiting(ctx context.Context, q *store.Read, operation string) ([]Pending, error) {
	a := access.From(ctx)
	if len(seconded(a)) == 0 {
		return nil, fault.Denied("listing pending changes needs a permission over the whole corp that could second one of them",
			"查看待确认的变更需要对整个企业的相应权限")
	}
	all, err := store.Select(ctx, q, (*Pending).dest, pendingColumns+`
		AND (lapses_at > $2 OR effective_at > $2) AND (operation = $3 OR $3 = '') ORDER BY created_at, id LIMIT 1000`,
		a.Corp, q.DB().Now(), operation)
	all = slices.DeleteFunc(all, func(p Pending) bool { return p.RequestedByID != a.ID && !p.secondedBy(a) })
	return all[:min(len(all), 100)], err
}

// WaitingOf gives one change that the actor has asked for.
func WaitingOf(ctx context.Context, q *store.Read, id nid.ID) (Pending, bool, error) {
	a := access.From(ctx)
	return store.SelectOne(ctx, q, (*Pending).dest, pendingColumns+` AND id = $2 AND requested_by_id = $3`, a.Corp, id, a.ID)
}

// PendingOf gives the changes of an operation, in the order in which their time comes.
// Whoever reads the subject applies those in effect, and whoever changes it stores them.
func PendingOf(ctx context.Context, q store.Querier, operation string) ([]Pending, error) {
	permission := access.Operations["Mutation."+operation].Any[0]
	return store.Select(ctx, q, func(p *Pending) []any { return append(p.dest(), &p.held) }, `
		SELECT id, operation, subject_id, field, requested_by_id, created_at, lapses_at, effective_at, asked, effective_at IS NOT NULL AND EXISTS (
			SELECT 1 FROM grants AS g JOIN roles AS r ON r.corp_id = g.corp_id AND r.id = g.role_id
			WHERE g.corp_id = $1 AND g.member_id = p.requested_by_id AND g.department_id IS NULL AND CAST(r.permissions AS text) LIKE $3
				AND (g.revoked_at IS NULL OR g.revoked_at > p.effective_at) AND (g.expires_at IS NULL OR g.expires_at > p.effective_at))
		FROM pending_changes AS p WHERE p.corp_id = $1 AND p.operation = $2 ORDER BY effective_at, id`,
		access.From(ctx).Corp, operation, `%"`+string(permission)+`"%`)
}

// InEffect reports whether the time has come of a change that PendingOf gave and nobody
// else could second. Whoever asked for it held the permission until then.
func (p *Pending) InEffect(now time.Time) bool {
	return p.held && !p.EffectiveAt.After(now)
}

// Waits reports whether the change can still be seconded.
func (p *Pending) Waits(now time.Time) bool {
	return p.EffectiveAt != nil && p.EffectiveAt.After(now) || p.LapsesAt != nil && p.LapsesAt.After(now)
}

// seconded lists the covered operations that the actor may second.
func seconded(a *access.Actor) (out []string) {
	for operation, dual := range access.DualControl {
		if dual.When != access.Never && slices.ContainsFunc(access.Operations["Mutation."+operation].Any, func(p access.Permission) bool { return a.Scope(p).All }) {
			out = append(out, operation)
		}
	}
	return out
}

func (p *Pending) secondedBy(a *access.Actor) bool { return slices.Contains(seconded(a), p.Operation) }

// Withdraw takes back a change that waits. The person who asked for it may, and everybody
// who could second it. NOT_FOUND on input.id for others; CONFLICT where it is in effect.
func (s *Service) Withdraw(ctx context.Context, id nid.ID) error {
	return s.Log.Tx(ctx, s.DB, access.ChangeWithdraw, func(ctx context.Context, tx *store.Tx) error {
		actor, err := Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if actor.Kind != access.Person {
			return fault.Denied("only a member can withdraw a change", "仅成员本人可以撤回变更")
		}
		p, ok, err := store.SelectOne(ctx, tx, (*Pending).dest, pendingColumns+` AND id = $2`+tx.DB().ForUpdate(), tx.Corp(), id)
		if err != nil {
			return err
		}
		if !ok || p.RequestedByID != actor.ID && !p.secondedBy(actor) {
			return fault.Missing("input.id")
		}
		if !p.Waits(tx.Now()) {
			return fault.Clash("input.id", "the change no longer waits; what is in effect is changed by %s",
				"此项变更已不再等待；已生效的变更请使用 %s 改回", p.Operation)
		}
		if _, err := Dismiss(ctx, tx, p.ID); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.ChangeWithdraw, Subject: p.ID, Before: map[string]any{
			"operation": p.Operation, "subject": p.Subject, "requestedBy": p.RequestedByID}})
	})
}
