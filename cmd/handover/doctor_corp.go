package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

func (d *doctor) corps() {
	corps, err := d.db.Corps(d.ctx)
	if err != nil {
		d.find(broken, "look into the server's log", "corps: %s", d.sentence(err))
		return
	}
	if len(corps) == 0 {
		d.find(warn, "handover admin create --corp NAME --login L", "there is no corp yet")
	}
	if len(corps) > 1 && !d.db.Postgres() {
		d.find(warn, "use PostgreSQL", "several corps in one SQLite file: nothing but the program keeps them apart")
	}
	var last time.Time // that somebody was erased
	for _, c := range corps {
		err := d.db.View(store.System(d.ctx, c, "doctor"), func(ctx context.Context, r *store.Read) error { return d.corp(ctx, r, c, &last) })
		if err != nil {
			d.find(broken, "look into the server's log", "corp %s: %s", c, d.sentence(err))
		}
	}
	d.remains(last)
	d.older()
}

func (d *doctor) corp(ctx context.Context, r *store.Read, corp nid.ID, lastErased *time.Time) error {
	type facts struct {
		name     string
		fallback nid.ID
		answers  bool
	}
	f, _, err := store.SelectOne(ctx, r, func(f *facts) []any { return []any{&f.name, &f.fallback, &f.answers} }, `
		SELECT c.name, c.fallback_id, coalesce(m.answers, false) FROM corps AS c
		LEFT JOIN members AS m ON m.corp_id = c.corp_id AND m.id = c.fallback_id WHERE c.id = $1`, corp)
	if err != nil {
		return err
	}
	switch {
	case f.fallback.IsZero():
		d.find(warn, "handover admin create --corp "+f.name+" --login L names one", "corp %s: nobody answers for what has nobody else", f.name)
	case !f.answers:
		d.find(broken, "reinstate that member; a corp cannot be without one", "corp %s: who answers for what has nobody else is not at work", f.name)
	}
	if err := d.opens(ctx, r, f.name); err != nil {
		return err
	}
	last, err := d.erased(ctx, r, corp, f.name)
	if err != nil {
		return err
	}
	if last.After(*lastErased) {
		*lastErased = last
	}
	if err := d.departures(ctx, r, corp, f.name); err != nil {
		return err
	}
	if err := d.rights(ctx, r, f.name); err != nil {
		return err
	}
	if err := d.reviews(ctx, r, corp, f.name); err != nil {
		return err
	}
	n, err := d.approvers(ctx, r, corp)
	if err != nil {
		return err
	}
	if n < 2 {
		d.find(warn, "give the role approver to somebody else, and `handover admin set-password` and `admin enrol` to sign in with",
			"corp %s: people who could approve a handover: %d; nobody approves their own", f.name, n)
		return nil
	}
	d.find(well, "", "corp %s: people who could approve a handover: %d", f.name, n)
	return d.policy(ctx, r, f.name, n)
}

// policy holds the approval policy against those who could approve: people leave
// after it was saved.
func (d *doctor) policy(ctx context.Context, r *store.Read, name string, approvers int) error {
	p, err := approval.Load(ctx, r)
	if err != nil {
		return err
	}
	v, err := approval.Possible(ctx, r)
	if err != nil {
		return err
	}
	v.Approvers = min(v.Approvers, approvers)
	const cure = "give the role approver to more people, or ask for fewer approvals (saveApprovalPolicy)"
	if f := p.Unsatisfiable(v); f != nil {
		d.find(warn, cure, "corp %s: approval policy: %s", name, f.Text.EN)
	}
	for _, t := range p.Warnings(v) {
		d.find(warn, cure, "corp %s: approval policy: %s", name, t.EN)
	}
	return nil
}

// older holds the database against the checkpoints that were signed.
func (d *doctor) older() {
	folder := d.config.Checkpoints(false)
	switch err := audit.Continues(d.ctx, d.db, folder); {
	case errors.Is(err, audit.ErrForked):
		d.find(broken, cure, "the database is older than the checkpoints in %s, or was written again, and nothing writes to it: %s", folder, d.sentence(err))
	case err != nil:
		d.find(broken, "check the folder and its files", "checkpoints in %s: %s", folder, d.sentence(err))
	}
}

// rights holds rows that give rights against the log: somebody may have written them past
// the program.
func (d *doctor) rights(ctx context.Context, r *store.Read, name string) error {
	found, err := audit.Unknown(ctx, r)
	for _, f := range found {
		d.find(broken, "find out who writes to the database, revoke it, and check the log with `handover audit verify`", "corp %s: %s", name, f)
	}
	return err
}

// departures finds members whose last day has passed and who stay until somebody decides.
func (d *doctor) departures(ctx context.Context, r *store.Read, corp nid.ID, name string) error {
	n, _, err := store.SelectOne(ctx, r, func(n *int) []any { return []any{n} },
		`SELECT count(*) FROM members WHERE corp_id = $1 AND status = 'LEAVING' AND departure_held_at IS NOT NULL`, corp)
	if err == nil && n > 0 {
		d.find(warn, "look at members(filter: {departureHeld: true}) and deactivate them, schedule anew, or reinstate them",
			"corp %s: departures held back until a person decides: %d", name, n)
	}
	return err
}

// reviews counts what is overdue since silence would have left nobody in charge.
func (d *doctor) reviews(ctx context.Context, r *store.Read, corp nid.ID, name string) error {
	n, _, err := store.SelectOne(ctx, r, func(n *int) []any { return []any{n} }, `SELECT count(DISTINCT i.grant_id) FROM review_items AS i
		JOIN grants AS g ON g.corp_id = i.corp_id AND g.id = i.grant_id AND g.revoked_at IS NULL WHERE i.corp_id = $1 AND i.overdue_at IS NOT NULL AND i.decision IS NULL`, corp)
	if err == nil && n > 0 {
		d.find(warn, "make somebody else administrator, who then decides on it in accessReviews", "corp %s: access nobody has reviewed in time: %d", name, n)
	}
	return err
}

// approvers counts those at work who hold the permission and have what it takes to
// use it: a password to sign in, an authenticator to prove who they are.
func (d *doctor) approvers(ctx context.Context, r *store.Read, corp nid.ID) (int, error) {
	roles, err := r.Ent().Role.Query().All(ctx)
	if err != nil {
		return 0, err
	}
	var ids []nid.ID
	for _, role := range roles {
		if slices.Contains(role.Permissions, access.ApproveHandover) {
			ids = append(ids, role.ID)
		}
	}
	n, _, err := store.SelectOne(ctx, r, func(n *int) []any { return []any{n} }, `SELECT count(DISTINCT g.member_id) FROM grants AS g
		JOIN members AS m ON m.corp_id = g.corp_id AND m.id = g.member_id AND m.answers
		WHERE (EXISTS (SELECT 1 FROM credentials AS c WHERE c.corp_id = g.corp_id AND c.member_id = g.member_id AND c.totp_secret IS NOT NULL)
		    OR EXISTS (SELECT 1 FROM passkeys AS p WHERE p.corp_id = g.corp_id AND p.member_id = g.member_id))
		  AND g.corp_id = $1 AND g.revoked_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > $2) AND g.role_id `+d.db.In(3),
		corp, d.db.Now(), d.db.IDs(ids))
	return n, err
}

// opens tries the configured key on what is sealed in the database: after a restore
// without its key nothing looks wrong until somebody signs in.
func (d *doctor) opens(ctx context.Context, r *store.Read, name string) error {
	if len(d.keys) == 0 {
		return nil
	}
	box, err := secret.NewBox(secret.ForSubjects, d.keys...)
	if err != nil {
		return err
	}
	err = audit.Fits(ctx, r, box)
	if errors.Is(err, audit.ErrOtherKey) {
		d.find(broken, "configure the key that this database was filled with; without it authenticators and the audit log's names are lost",
			"corp %s: sealed with another secret key than the configured one", name)
		return nil
	}
	return err
}
