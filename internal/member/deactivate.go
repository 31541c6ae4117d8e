package member

import (
	"context"
	"errors"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/store"
)

// Mode says how somebody stops working.
type Mode string

// The modes.
const (
	// Disable stops a member for the time being.
	Disable Mode = "DISABLE"
	// Depart says that the member has left for good. The platform's time limit for
	// handing over starts.
	Depart Mode = "DEPART"
)

func (m Mode) event() notify.Event {
	if m == Depart {
		return notify.MemberDeparted
	}
	return notify.MemberDisabled
}

// DeactivateInput says who is deactivated, and how.
type DeactivateInput struct {
	MemberID nid.ID
	Mode     Mode
	// CaretakerID answers for what nobody else at work follows; nil chooses the
	// nearest manager, else the corp's fallback member.
	CaretakerID *nid.ID
	Reason      *string
	// ConfirmMassDeparture says that so many departures within an hour are meant. Only
	// a person can.
	ConfirmMassDeparture bool
	// today is set for an automatic departure: who is due before it.
	today string
	// held: only a departure that is held back.
	held bool
	// left is set for a departure that an identity provider tells of.
	left *LeaveInput
}

// Result counts what a deactivation did. What an earlier one did already is not
// counted again.
type Result struct {
	ProtectedContacts, ProtectedGroups, RevokedSessions, RevokedGrants int
	// Held: nothing of this is done yet but the sessions; another person has to confirm.
	Held bool
}

// Deactivate takes a member's access and protects what they look after, in one
// transaction: sessions, grants and the service tokens they made end; their
// contacts and groups can be changed by nothing but a handover; and somebody at
// work answers for each. It needs DEACTIVATE_MEMBER over the member.
//
// Fails with NOT_FOUND for an unknown member or caretaker, FORBIDDEN outside the
// actor's scope, INVALID for oneself or a caretaker who cannot answer, CONFLICT for
// somebody deactivated already, for the corp's fallback member, for the last who
// administers the corp, and for more departures within an hour than are plausible,
// with their number in the details. Where a person confirms that so many are meant, the
// departure is held back until another person confirms it too: Result.Held.
//
// A person needs a fresh proof of identity (STEP_UP_REQUIRED) for a member who holds a
// grant, and to confirm.
func (s *Service) Deactivate(ctx context.Context, in DeactivateInput) (out Result, err error) {
	err = s.Log.Tx(ctx, s.DB, access.MemberDeactivate, func(ctx context.Context, tx *store.Tx) error {
		out = Result{} // the transaction may run again
		// Before the actor's own grants are locked, as everywhere that administrators change.
		only, err := identity.OnlyAdministrator(ctx, tx, in.MemberID)
		if err != nil {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if err := in.check(actor); err != nil {
			return err
		}
		if err := reach(ctx, tx, actor, in.MemberID); err != nil {
			return err
		}
		d := &departure{ctx: ctx, tx: tx, actor: actor, in: in, out: &out, only: only}
		for _, step := range []func() error{
			d.lockAccess, d.proof, d.lockPeople, d.due, d.choose, d.plausible, d.leave, d.passCare, d.lockItems,
			d.protectFollows, d.protectContacts, d.protectGroups, d.replaceCaretaker, d.endSessions, d.revoke,
		} {
			err := step()
			if a, ok := errors.AsType[asked](err); ok {
				return s.hold(ctx, tx, d, a.because)
			}
			if err != nil {
				return err
			}
		}
		if err := notify.Emit(ctx, tx, in.Mode.event(), in.MemberID, map[string]any{"contacts": out.ProtectedContacts, "groups": out.ProtectedGroups}); err != nil {
			return err
		}
		// An automatic rule set plans now, and what was to begin on this day may.
		if err := tx.Wake(ctx, WorkPlans, tx.Now()); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, d.entry())
	})
	return out, err
}

func (in DeactivateInput) check(actor *access.Actor) error {
	if in.Mode != Disable && in.Mode != Depart {
		return fault.Bad("input.mode", "the mode is DISABLE or DEPART", "停用方式只能是 DISABLE 或 DEPART")
	}
	if in.Reason != nil {
		if err := checkReason(*in.Reason); err != nil {
			return err
		}
	}
	if actor.Kind == access.Person && actor.ID == in.MemberID && actor.Can(access.DeactivateMember) {
		return fault.Bad("input.memberId", "nobody can deactivate themselves", "不能停用自己")
	}
	return nil
}

// departure is one deactivation under way.
type departure struct {
	ctx   context.Context
	tx    *store.Tx
	actor *access.Actor
	in    DeactivateInput
	out   *Result

	only      bool // nobody else administers the corp
	care      care
	leaver    person
	caretaker nid.ID
	covers    []nid.ID
	passed    int // others in the leaver's care
	tokens    int
	exports   int
	gone      int // others within the hour
	granted   int // grants of the leaver's in force
	mass      int // how many two people confirmed; 0: no confirmation was needed
}

// change runs one statement on a recorded table; the entry covers what it changed.
func (d *departure) change(table, query string, args ...any) ([]nid.ID, error) {
	ids, err := d.tx.Change(d.ctx, table, query, append([]any{d.tx.Corp(), d.in.MemberID}, args...)...)
	d.covers = append(d.covers, ids...)
	return ids, err
}

// lockAccess waits for what the leaver is doing just now and lets nothing new of
// theirs begin: their acts hold the same rows FOR SHARE.
func (d *departure) lockAccess() (err error) {
	d.granted, err = lockAccess(d.ctx, d.tx, d.in.MemberID)
	return err
}

// lockPeople locks the leaver and everybody who may come to answer for something.
func (d *departure) lockPeople() (err error) {
	var named []nid.ID
	if d.in.CaretakerID != nil {
		named = append(named, *d.in.CaretakerID)
	}
	if d.care, err = lockCare(d.ctx, d.tx, d.in.MemberID, named...); err != nil {
		return err
	}
	d.leaver = d.care.people[d.in.MemberID]
	if err := d.leaver.isHeld(d.in.held); err != nil {
		return err
	}
	if err := d.told(); err != nil {
		return err
	}
	switch {
	case d.leaver.status == departed:
		return fault.Clash("input.memberId", "this member has departed already", "该成员已离职").With("status", d.leaver.status)
	case d.leaver.status == disabled && d.in.Mode == Disable:
		return fault.Clash("input.memberId", "this member is disabled already", "该成员已被停用").With("status", d.leaver.status)
	case d.only:
		return fault.Clash("input.memberId", "nobody would be left who administers the corp for good; make somebody else administrator first", "停用后将没有长期有效的企业管理员,请先指定其他管理员")
	case d.leaver.id == d.care.fallback:
		return isFallback()
	}
	return nil
}

// isFallback is the CONFLICT for the member whom every other falls back on.
func isFallback() error {
	return fault.Clash("input.memberId", "this member answers for whatever nobody else does; name another fallback member of the corp first",
		"该成员是企业的兜底负责人,请先指定其他兜底负责人")
}

// choose finds the leaver's caretaker.
func (d *departure) choose() error {
	if d.in.CaretakerID == nil {
		d.caretaker = d.care.of(d.leaver)
		if d.caretaker.IsZero() {
			return nobodyAnswers()
		}
		return nil
	}
	const field = "input.caretakerId"
	p, ok := d.care.people[*d.in.CaretakerID]
	if !ok {
		return fault.Missing(field)
	}
	outside, err := store.OutOfScope(d.ctx, d.tx, over(d.actor), p.id)
	switch {
	case err != nil:
		return err
	case len(outside) > 0:
		return fault.New(fault.Forbidden, field, fault.T("you may not name a caretaker from outside your part of the corp", "不能指定您管理范围之外的代管人"))
	case p.id == d.leaver.id:
		return fault.Bad(field, "the leaver cannot be their own caretaker", "离开的成员不能做自己的代管人")
	case !p.answers:
		return fault.Bad(field, "a caretaker has to be at work", "代管人必须是在职成员")
	}
	d.caretaker = p.id
	return nil
}

// leave changes the member. It comes before the items: what follows asks the
// database who answers now.
func (d *departure) leave() error {
	status, at := disabled, any(nil)
	if d.in.Mode == Depart {
		status, at = departed, d.tx.Now()
	}
	_, err := d.change("members", `UPDATE members SET status = $3, answers = false, departed_at = $4, caretaker_id = $5,
		departure_held_at = NULL, departure_by_id = NULL, suspended = false,
		epoch = epoch + 1, version = version + 1, updated_at = $6 WHERE corp_id = $1 AND id = $2 RETURNING id`, status, at, d.caretaker, d.tx.Now())
	return err
}

// passCare finds new caretakers for those whose caretaker leaves.
func (d *departure) passCare() error {
	var rows []map[string]any
	for _, id := range d.care.wards {
		to := d.care.of(d.care.people[id])
		if to.IsZero() {
			return nobodyAnswers()
		}
		rows = append(rows, map[string]any{"id": id, "caretaker": to})
	}
	if len(rows) == 0 {
		return nil
	}
	ids, err := d.tx.Change(d.ctx, "members", `UPDATE members SET caretaker_id = v.caretaker, version = members.version + 1, updated_at = $3
		FROM `+d.tx.DB().Rows(1, "v", "id uuid", "caretaker uuid")+` WHERE members.corp_id = $2 AND members.id = v.id RETURNING members.id`,
		d.tx.DB().Batch(rows), d.tx.Corp(), d.tx.Now())
	d.passed = len(ids)
	d.covers = append(d.covers, ids...)
	return err
}

// lockItems takes the follows with their contacts in the one order in which
// everybody does, then the groups.
func (d *departure) lockItems() error { return lockItems(d.ctx, d.tx, d.in.MemberID) }

func (d *departure) protectFollows() error {
	ids, err := d.change("follows", `UPDATE follows SET protected = true, updated_at = $3
		WHERE corp_id = $1 AND member_id = $2 AND ended_at IS NULL AND NOT protected RETURNING id`, d.tx.Now())
	d.out.ProtectedContacts = len(ids)
	return err
}

// protectContacts protects what the leaver follows and finds who answers for what
// the leaver answered for: the oldest follower at work, else the caretaker of the
// one who has followed it longest, else the leaver's caretaker.
func (d *departure) protectContacts() error {
	// CASE keeps PostgreSQL, where it has no statistics yet, from reading the whole
	// index of open follows for each contact instead of the contact's few follows.
	const follower = `FROM follows AS f JOIN members AS m ON m.corp_id = f.corp_id AND m.id = f.member_id
		WHERE f.corp_id = contacts.corp_id AND f.contact_id = contacts.id AND CASE WHEN f.ended_at IS NULL THEN `
	_, err := d.change("contacts", `UPDATE contacts SET updated_at = $3,
		protected = EXISTS (SELECT 1 FROM follows AS p WHERE p.corp_id = contacts.corp_id AND p.contact_id = contacts.id AND p.ended_at IS NULL AND p.protected),
		accountable_id = CASE WHEN contacts.accountable_id = $2 THEN coalesce(
			(SELECT f.member_id `+follower+`m.answers END ORDER BY f.since, f.id LIMIT 1),
			(SELECT m.caretaker_id `+follower+`m.caretaker_id IS NOT NULL END ORDER BY f.since, f.id LIMIT 1), $4)
			ELSE contacts.accountable_id END
		WHERE corp_id = $1 AND id IN (
			SELECT a.id FROM contacts AS a WHERE a.corp_id = $1 AND a.accountable_id = $2
			UNION SELECT o.contact_id FROM follows AS o JOIN contacts AS c ON c.corp_id = o.corp_id AND c.id = o.contact_id
			WHERE o.corp_id = $1 AND o.member_id = $2 AND o.ended_at IS NULL AND NOT c.protected)
		RETURNING id`, d.tx.Now(), d.caretaker)
	return err
}

// protectGroups does the same for groups, whose owner answers, else the owner's caretaker.
func (d *departure) protectGroups() error {
	type row struct{ id, owner nid.ID }
	rows, err := store.ChangeInto(d.ctx, d.tx, func(r *row) []any { return []any{&r.id, &r.owner} }, func(r *row) nid.ID { return r.id }, "groups",
		`UPDATE groups SET updated_at = $3, protected = groups.protected OR groups.owner_id = $2,
		status = CASE WHEN groups.owner_id = $2 AND groups.status IN ('NORMAL', 'INHERITED') THEN 'OWNER_LEFT' ELSE groups.status END,
		accountable_id = CASE WHEN groups.accountable_id = $2 THEN coalesce(
			(SELECT CASE WHEN m.answers THEN m.id ELSE m.caretaker_id END FROM members AS m WHERE m.corp_id = groups.corp_id AND m.id = groups.owner_id), $4)
			ELSE groups.accountable_id END
		WHERE corp_id = $1 AND (accountable_id = $2 OR owner_id = $2 AND NOT protected) RETURNING id, owner_id`,
		d.tx.Corp(), d.in.MemberID, d.tx.Now(), d.caretaker)
	for _, r := range rows {
		d.covers = append(d.covers, r.id)
		if r.owner == d.leaver.id {
			d.out.ProtectedGroups++
		}
	}
	return err
}

// replaceCaretaker gives the new caretaker of somebody who was disabled before what
// the old one answered for only as caretaker.
func (d *departure) replaceCaretaker() error {
	old := d.leaver.caretaker
	if old.IsZero() || old == d.caretaker {
		return nil
	}
	if _, err := d.change("contacts", `UPDATE contacts SET accountable_id = $4, updated_at = $5 WHERE corp_id = $1 AND accountable_id = $3
		AND id IN (SELECT o.contact_id FROM follows AS o WHERE o.corp_id = $1 AND o.member_id = $2 AND o.ended_at IS NULL)
		AND NOT EXISTS (SELECT 1 FROM follows AS f WHERE f.corp_id = contacts.corp_id AND f.contact_id = contacts.id AND f.member_id = $3 AND f.ended_at IS NULL)
		RETURNING id`, old, d.caretaker, d.tx.Now()); err != nil {
		return err
	}
	_, err := d.change("groups", `UPDATE groups SET accountable_id = $4, updated_at = $5
		WHERE corp_id = $1 AND owner_id = $2 AND accountable_id = $3 RETURNING id`, old, d.caretaker, d.tx.Now())
	return err
}

func (d *departure) endSessions() (err error) {
	d.out.RevokedSessions, err = d.tx.Keep(d.ctx, "sessions", `DELETE FROM sessions WHERE corp_id = $1 AND member_id = $2`, d.tx.Corp(), d.in.MemberID)
	return err
}

// revoke ends the leaver's grants, what they may read of others' chats, what they have
// had exported, and the service tokens they made: who made a token may still know its
// secret.
func (d *departure) revoke() error {
	grants, err := d.change("grants", `UPDATE grants SET revoked_at = $3 WHERE corp_id = $1 AND member_id = $2 AND revoked_at IS NULL RETURNING id`, d.tx.Now())
	if err != nil {
		return err
	}
	d.out.RevokedGrants = len(grants)
	tokens, err := d.change("service_tokens", `UPDATE service_tokens SET revoked_at = $3 WHERE corp_id = $1 AND created_by_id = $2 AND revoked_at IS NULL RETURNING id`, d.tx.Now())
	if err != nil {
		return err
	}
	d.tokens = len(tokens)
	if _, err = d.change("history_grants", `UPDATE history_grants SET ended_at = $3 WHERE corp_id = $1 AND successor_id = $2 AND ended_at IS NULL RETURNING id`, d.tx.Now()); err != nil {
		return err
	}
	return d.cancelExports()
}

// cancelExports ends the files that the leaver asked for: what is not done FAILS, links
// to what is done work no more, and who works next deletes the files.
func (d *departure) cancelExports() error {
	exports, err := d.change("exports", `UPDATE exports SET problem = CASE WHEN state = 'READY' THEN problem ELSE 'CANCELLED' END,
		state = CASE WHEN state = 'READY' THEN 'EXPIRED' ELSE 'FAILED' END, finished_at = coalesce(finished_at, $3), lease_until = NULL
		WHERE corp_id = $1 AND requested_by_id = $2 AND state IN ('QUEUED', 'RUNNING', 'READY') RETURNING id`, d.tx.Now())
	if d.exports = len(exports); err != nil || d.exports == 0 {
		return err
	}
	return d.tx.Wake(d.ctx, WorkExports, d.tx.Now())
}

func (d *departure) entry() audit.Entry {
	status := disabled
	if d.in.Mode == Depart {
		status = departed
	}
	after := map[string]any{
		"status": status, "caretaker": d.caretaker, "contacts": d.out.ProtectedContacts, "groups": d.out.ProtectedGroups,
		"sessions": d.out.RevokedSessions, "grants": d.out.RevokedGrants, "tokens": d.tokens, "exports": d.exports, "passedOn": d.passed,
	}
	if d.in.Reason != nil {
		after["reason"] = audit.Personal{Subject: d.leaver.id, Value: *d.in.Reason}
	}
	if d.mass > 0 {
		after["confirmedMassDeparture"] = d.mass
		if !d.leaver.heldBy.IsZero() {
			after["askedFor"] = d.leaver.heldBy
		}
	}
	before := d.leaver.schedule()
	if !d.leaver.caretaker.IsZero() {
		before["caretaker"] = d.leaver.caretaker
	}
	covers := slices.DeleteFunc(d.covers, func(id nid.ID) bool { return id == d.leaver.id })
	return audit.Entry{Action: access.MemberDeactivate, Subject: d.leaver.id, Before: before, After: after, Covers: covers}
}
