package identity

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Notice is how long a weaker control waits where nobody else could second it.
const Notice = 24 * time.Hour

// maxPending is how many changes of a corp may wait.
const maxPending = 100

// Proposal is a change that takes two people: one asks for it, and it is made when
// another one asks for the same.
type Proposal struct {
	// Operation has a row in access.DualControl, which says when it takes two.
	Operation string
	// Subject is what changes, and Field the part of it, where parts change one by one.
	Subject nid.ID
	Field   string
	// Input is the argument that a refusal names; empty: none.
	Input string
	// ID is that of the pending change; zero: a new one.
	ID nid.ID
	// Asked is the change in plain values: the second person must ask for the same. What
	// the change was made from, such as a version, belongs to it.
	Asked map[string]any
	// Needs are the permissions over the whole corp with which somebody could second it.
	Needs []access.Permission
	// May reports whether somebody may make the change now; nil: anybody who holds Needs.
	May func(ctx context.Context, tx *store.Tx, a *access.Actor) (bool, error)
	// Lingers says that what holds now goes on to count for Notice after the change, so
	// that one person alone gains nothing earlier by making it at once.
	Lingers bool
}

// Decision is what becomes of a proposal.
type Decision struct {
	// Made says that the change is to be made now.
	Made bool
	// First is who asked before; zero where one person was enough.
	First nid.ID
	// ID is that of the pending change: the one that waits, or the one that First asked for.
	ID nid.ID
	// Covers are pending changes that the decision removed: for the entry of the change.
	Covers []nid.ID
	// Entries are for the log where the change waits.
	Entries []audit.Entry
}

// Note adds who asked first to what an entry says of the change.
func (d Decision) Note(after map[string]any) map[string]any {
	if !d.First.IsZero() {
		after["requestedBy"] = d.First
	}
	return after
}

// Propose decides whether a change is made now or waits for a second person. The first
// one's word counts for Patience, while they are at work and could make the change
// themselves, and the two must be independent of each other. The caller has checked what the
// actor may do, holds a lock that puts proposals about the same subject in one order,
// and appends to the log.
//
// Fails with CONFLICT where the actor has asked for the same already, FORBIDDEN where the
// two people are not independent, and LIMIT where 100 changes wait.
func Propose(ctx context.Context, tx *store.Tx, actor *access.Actor, p Proposal) (d Decision, err error) {
	alone := false
	switch when := access.DualControl[p.Operation].When; when {
	case access.Weaker:
		another, err := Another(ctx, tx, actor.ID, p.Needs...)
		if err != nil {
			return d, err
		}
		alone = !another
	case access.WhereOn:
		on, err := DualControl(ctx, tx, tx.DB().ForNoKeyUpdate())
		if err != nil || !on {
			return Decision{Made: true}, err
		}
	default:
		return d, fmt.Errorf("identity: %s is proposed, and its dual control is %q", p.Operation, when)
	}
	if actor.Kind == access.System {
		return Decision{Made: true}, nil
	}
	asked, err := json.Marshal(p.Asked)
	if err != nil {
		return d, err
	}
	fingerprint := sha256.Sum256(asked)
	type row struct {
		id, by    nid.ID
		lapses    sql.NullTime
		effective sql.NullTime
	}
	was, ok, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.id, &r.by, &r.lapses, &r.effective} },
		`SELECT id, requested_by_id, lapses_at, effective_at FROM pending_changes
		WHERE corp_id = $1 AND operation = $2 AND subject_id = $3 AND field = $4 AND fingerprint = $5`+tx.DB().ForUpdate(),
		tx.Corp(), p.Operation, p.Subject, p.Field, fingerprint[:])
	if err != nil {
		return d, err
	}
	counts := ok && (was.lapses.Time.After(tx.Now()) || was.effective.Time.After(tx.Now()))
	if counts && was.by != actor.ID {
		if counts, err = p.stands(ctx, tx, was.by); err != nil {
			return d, err
		}
		if counts {
			if err := TwoHands(ctx, tx, actor.ID, was.by); err != nil {
				return d, err
			}
			d = Decision{Made: true, First: was.by, ID: was.id}
			d.Covers, err = Dismiss(ctx, tx, was.id)
			return d, err
		}
	}
	if alone && p.Lingers {
		return Decision{Made: true}, nil
	}
	if counts && was.by == actor.ID && alone == was.effective.Valid {
		if alone {
			return d, fault.Clash(p.Input, "this change was asked for already and takes effect at %s", "此项变更已提交，将于 %s 生效",
				stamp(was.effective.Time)).With("effectiveAt", stamp(was.effective.Time))
		}
		return d, fault.Clash(p.Input, "this change was asked for already; another administrator must ask for the same before %s",
			"此项变更已提交，须由另一位管理员在 %s 之前提交相同的变更", stamp(was.lapses.Time)).With("lapsesAt", stamp(was.lapses.Time))
	}
	return p.wait(ctx, tx, actor, string(asked), fingerprint[:], alone)
}

// wait stores the proposal. Changes that have lapsed, and one that no longer counts,
// make room.
func (p *Proposal) wait(ctx context.Context, tx *store.Tx, actor *access.Actor, asked string, fingerprint []byte, alone bool) (d Decision, err error) {
	if d.ID = p.ID; d.ID.IsZero() {
		d.ID = tx.NewID(nid.Change)
	}
	gone, err := tx.Change(ctx, "pending_changes", `DELETE FROM pending_changes WHERE corp_id = $1 AND (lapses_at <= $2
		OR operation = $3 AND subject_id = $4 AND field = $5 AND fingerprint = $6) RETURNING id`, tx.Corp(), tx.Now(), p.Operation, p.Subject, p.Field, fingerprint)
	if err != nil {
		return d, err
	}
	n, _, err := store.SelectOne(ctx, tx, func(n *int) []any { return []any{n} }, `SELECT count(*) FROM pending_changes WHERE corp_id = $1`, tx.Corp())
	if err != nil {
		return d, err
	}
	if n >= maxPending {
		return d, fault.New(fault.Limit, "", fault.T("%d changes wait already; withdraw some with withdrawPendingChange",
			"已有 %d 项变更等待确认，请先使用 withdrawPendingChange 撤回部分变更", n))
	}
	after := map[string]any{"operation": p.Operation, "subject": p.Subject, "asked": p.Asked}
	var lapses, effective any
	if alone {
		effective, after["effectiveAt"] = tx.Now().Add(Notice), stamp(tx.Now().Add(Notice))
	} else {
		lapses, after["lapsesAt"] = tx.Now().Add(Patience), stamp(tx.Now().Add(Patience))
	}
	if _, err := tx.Change(ctx, "pending_changes", `INSERT INTO pending_changes
		(corp_id, id, operation, subject_id, field, asked, fingerprint, requested_by_id, created_at, lapses_at, effective_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id`,
		tx.Corp(), d.ID, p.Operation, p.Subject, p.Field, asked, fingerprint, actor.ID, tx.Now(), lapses, effective); err != nil {
		return d, err
	}
	d.Entries = []audit.Entry{{Action: access.ChangeRequest, Subject: d.ID, Covers: gone, After: after}}
	return d, nil
}

// stands reports whether the first one's word still counts.
func (p *Proposal) stands(ctx context.Context, tx *store.Tx, first nid.ID) (bool, error) {
	a, err := Standing(ctx, tx, first)
	switch {
	case err != nil || a == nil:
		return false, err
	case p.May != nil:
		return p.May(ctx, tx, a)
	}
	return everywhere(a, p.Needs...), nil
}

// everywhere reports whether somebody holds all of the permissions over the whole corp.
func everywhere(a *access.Actor, needs ...access.Permission) bool {
	return !slices.ContainsFunc(needs, func(p access.Permission) bool { return !a.Scope(p).All })
}

// Dismiss removes a pending change; the caller's entry covers it.
func Dismiss(ctx context.Context, tx *store.Tx, id nid.ID) ([]nid.ID, error) {
	return tx.Change(ctx, "pending_changes", `DELETE FROM pending_changes WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), id)
}

// DismissAll removes what waits about a field of a subject: the subject has changed.
func DismissAll(ctx context.Context, tx *store.Tx, operation string, subject nid.ID, field string) ([]nid.ID, error) {
	return tx.Change(ctx, "pending_changes", `DELETE FROM pending_changes WHERE corp_id = $1 AND operation = $2 AND subject_id = $3 AND field = $4 RETURNING id`,
		tx.Corp(), operation, subject, field)
}

// Another reports whether somebody else at work holds all of the permissions over the
// whole corp now, or held them until less than Patience ago: nobody becomes the only one
// by taking the role of the other.
func Another(ctx context.Context, q store.Querier, but nid.ID, needs ...access.Permission) (bool, error) {
	type row struct {
		member      nid.ID
		permissions []byte
	}
	now := store.EngineOf(q).Now()
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.member, &r.permissions} }, `SELECT g.member_id, r.permissions
		FROM grants AS g JOIN roles AS r ON r.corp_id = g.corp_id AND r.id = g.role_id JOIN members AS m ON m.corp_id = g.corp_id AND m.id = g.member_id
		WHERE g.corp_id = $1 AND g.department_id IS NULL AND (g.expires_at IS NULL OR g.expires_at > $2) AND g.member_id <> $3
		  AND (g.revoked_at IS NULL AND m.answers OR g.revoked_at > $4) ORDER BY g.member_id`, access.From(ctx).Corp, now, but, now.Add(-Patience))
	if err != nil {
		return false, err
	}
	held := map[nid.ID][]access.Permission{}
	for _, r := range rows {
		var ps []access.Permission
		if err := json.Unmarshal(r.permissions, &ps); err != nil {
			return false, err
		}
		held[r.member] = append(held[r.member], ps...)
	}
	for _, ps := range held {
		if !slices.ContainsFunc(needs, func(p access.Permission) bool { return !slices.Contains(ps, p) }) {
			return true, nil
		}
	}
	return false, nil
}

// DualControl reports whether the corp's settings demand dual control.
func DualControl(ctx context.Context, q store.Querier, lock string) (bool, error) {
	on, _, err := store.SelectOne(ctx, q, func(on *bool) []any { return []any{on} },
		`SELECT dual_control FROM corp_settings WHERE corp_id = $1`+lock, access.From(ctx).Corp)
	if err != nil || !on {
		return false, err
	}
	now := store.EngineOf(q).Now()
	off, err := PendingOf(ctx, q, "saveSettings")
	return !slices.ContainsFunc(off, func(p Pending) bool { return p.Field == "dualControl" && p.InEffect(now) }), err
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
