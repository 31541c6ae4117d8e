// Package testcorp founds the small corps that tests play with, on a database of
// package storetest. Everything it writes goes through store.Tx and the audit log
// like real data.
package testcorp

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/corp"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// Corp is a corp with one root department and one member, the fallback, who is
// its administrator.
type Corp struct {
	t     testing.TB
	DB    *store.DB
	Clock *storetest.Clock
	Log   *audit.Log
	ID    nid.ID
	Roles map[string]nid.ID
	Root  nid.ID
	Admin nid.ID
	n     int
}

// New founds a corp of the given name.
func New(t testing.TB, db *store.DB, clock *storetest.Clock, title string) *Corp {
	t.Helper()
	box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
	if err != nil {
		t.Fatal(err)
	}
	c := &Corp{t: t, DB: db, Clock: clock, Log: audit.New(box), ID: nid.New(nid.Corp)}
	c.tx(func(ctx context.Context, tx *store.Tx) error {
		f, err := corp.Found(ctx, tx, c.Log, title, "Asia/Shanghai")
		c.Roles = f.Roles
		return err
	})
	c.Root = c.Department("root", nid.ID{})
	c.Admin = c.Member("root-admin", c.Root)
	c.Grant(c.Admin, access.Administrator.Name, nid.ID{})
	c.change("corps", `UPDATE corps SET fallback_id = $2 WHERE corp_id = $1 RETURNING id`, c.ID, c.Admin)
	// Nothing seals in most tests, and nobody should find it overdue.
	c.keep("alarms", `DELETE FROM alarms WHERE corp = $1`, c.ID)
	return c
}

func (c *Corp) tx(fn func(context.Context, *store.Tx) error) {
	c.t.Helper()
	if err := c.DB.Tx(store.System(context.Background(), c.ID, "test data"), fn); err != nil {
		c.t.Fatal(err, errors.Unwrap(err))
	}
}

// change runs one statement and covers what it changed.
func (c *Corp) change(table, query string, args ...any) {
	c.t.Helper()
	c.tx(func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, table, query, args...)
		tx.Cover(ids...)
		return err
	})
}

func (c *Corp) keep(table, query string, args ...any) {
	c.t.Helper()
	c.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Keep(ctx, table, query, args...)
		return err
	})
}

// Department adds a department under a parent; the zero id makes a root.
func (c *Corp) Department(title string, parent nid.ID) nid.ID {
	c.t.Helper()
	id := nid.New(nid.Department)
	c.change("departments", `INSERT INTO departments (id, corp_id, created_at, updated_at, version, external_id, name, parent_id)
		VALUES ($1, $2, $3, $3, 1, $4, $4, $5) RETURNING id`, id, c.ID, c.DB.Now(), title, parent)
	c.change("department_closure", `INSERT INTO department_closure (corp_id, ancestor_id, descendant_id, depth)
		SELECT corp_id, ancestor_id, $2, depth + 1 FROM department_closure WHERE corp_id = $1 AND descendant_id = $3
		RETURNING descendant_id`, c.ID, id, parent)
	c.change("department_closure", `INSERT INTO department_closure (corp_id, ancestor_id, descendant_id, depth) VALUES ($1, $2, $2, 0) RETURNING descendant_id`, c.ID, id)
	return id
}

// Manager makes a member the department's manager.
func (c *Corp) Manager(department, member nid.ID) {
	c.t.Helper()
	c.change("departments", `UPDATE departments SET manager_id = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, c.ID, department, member)
}

// Member adds an active member with room for 5,000 contacts.
func (c *Corp) Member(userID string, department nid.ID) nid.ID {
	c.t.Helper()
	id := nid.New(nid.Member)
	c.change("members", `INSERT INTO members (id, corp_id, created_at, updated_at, version, user_id, name, name_key, status, answers, customer_contact_enabled, contact_limit, epoch)
		VALUES ($1, $2, $3, $3, 1, $4, $4, $5, 'ACTIVE', true, true, 5000, 1) RETURNING id`, id, c.ID, c.DB.Now(), userID, name.Fold(userID))
	c.change("member_departments", `INSERT INTO member_departments (corp_id, member_id, department_id, position) VALUES ($1, $2, $3, 0) RETURNING member_id`, c.ID, id, department)
	c.keep("member_counters", `INSERT INTO member_counters (corp_id, member_id) VALUES ($1, $2)`, c.ID, id)
	return id
}

// Limit gives a member room for n contacts.
func (c *Corp) Limit(member nid.ID, n int) {
	c.t.Helper()
	c.change("members", `UPDATE members SET contact_limit = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, c.ID, member, n)
}

// Depart marks a member as departed with everything protected and the fallback
// accountable: the state that deactivation leaves, without going through it.
func (c *Corp) Depart(member nid.ID) {
	c.t.Helper()
	c.tx(func(ctx context.Context, tx *store.Tx) error {
		for _, s := range []struct{ table, sql string }{
			{"follows", `UPDATE follows SET protected = true WHERE corp_id = $1 AND member_id = $2 AND ended_at IS NULL RETURNING id`},
			{"contacts", `UPDATE contacts SET protected = true WHERE corp_id = $1 AND id IN (SELECT contact_id FROM follows WHERE corp_id = $1 AND member_id = $2 AND ended_at IS NULL) RETURNING id`},
			{"contacts", `UPDATE contacts SET accountable_id = (SELECT fallback_id FROM corps WHERE id = $1) WHERE corp_id = $1 AND accountable_id = $2 RETURNING id`},
			{"groups", `UPDATE groups SET protected = true, status = 'OWNER_LEFT', accountable_id = (SELECT fallback_id FROM corps WHERE id = $1) WHERE corp_id = $1 AND owner_id = $2 RETURNING id`},
			{"members", `UPDATE members SET status = 'DEPARTED', answers = false, departed_at = updated_at, epoch = epoch + 1, caretaker_id = (SELECT fallback_id FROM corps WHERE id = $1) WHERE corp_id = $1 AND id = $2 RETURNING id`},
		} {
			ids, err := tx.Change(ctx, s.table, s.sql, c.ID, member)
			if err != nil {
				return err
			}
			tx.Cover(ids...)
		}
		return nil
	})
}

// ManyMayLeave makes any number of departures within an hour plausible.
func (c *Corp) ManyMayLeave() {
	c.t.Helper()
	c.change("corp_settings", `INSERT INTO corp_settings (corp_id, moves_per_contact, moves_within_days, groups_per_day, departures_per_hour, departures_percent, revertible_days, version, updated_at)
		VALUES ($1, 2, 90, 300, 10000, 100, 30, 1, $2) RETURNING corp_id`, c.ID, c.DB.Now())
}

// Leaving gives a member a last day, as scheduling does, even one in the past.
func (c *Corp) Leaving(member nid.ID, lastDay string) {
	c.t.Helper()
	c.change("members", `UPDATE members SET status = 'LEAVING', last_day = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, c.ID, member, lastDay)
}

// Held is Leaving with the departure held back.
func (c *Corp) Held(member nid.ID, lastDay string) {
	c.t.Helper()
	c.Leaving(member, lastDay)
	c.change("members", `UPDATE members SET departure_held_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, c.ID, member, c.DB.Now())
}

// Noticed keeps a baseline of a follow in which its remark was "before".
func (c *Corp) Noticed(follow nid.ID) {
	c.t.Helper()
	c.keep("notice_baselines", `INSERT INTO notice_baselines (corp_id, member_id, follow_id, contact_id, taken_at, remark, tags, importance, contact_tags, name)
		SELECT f.corp_id, f.member_id, f.id, f.contact_id, f.created_at, 'before', '', c.importance, '', c.name
		FROM follows AS f JOIN contacts AS c ON c.corp_id = f.corp_id AND c.id = f.contact_id WHERE f.corp_id = $1 AND f.id = $2`, c.ID, follow)
}

// Contact adds a contact that the members follow; the first is accountable.
func (c *Corp) Contact(title, importance string, followers ...nid.ID) nid.ID {
	c.t.Helper()
	id := nid.New(nid.Contact)
	now := c.DB.Now()
	c.change("contacts", `INSERT INTO contacts (id, corp_id, created_at, updated_at, version, external_user_id, name, name_key, type, importance, accountable_id, accountable_answers, protected)
		VALUES ($1, $2, $3, $3, 1, $4, $5, $6, 'WECHAT', $7, $8, true, false) RETURNING id`, id, c.ID, now, id.String(), title, name.Fold(title), importance, followers[0])
	for _, f := range followers {
		c.change("follows", `INSERT INTO follows (id, corp_id, created_at, updated_at, version, contact_id, member_id, remark, since, protected, owner_version)
			VALUES ($1, $2, $3, $3, 1, $4, $5, $6, $3, false, 1) RETURNING id`, nid.New(nid.Follow), c.ID, now, id, f, "remark of "+title)
		c.change("ownership_periods", `INSERT INTO ownership_periods (id, corp_id, created_at, contact_id, member_id, from_at) VALUES ($1, $2, $3, $4, $5, $3) RETURNING id`, nid.New(nid.Period), c.ID, now, id, f)
		c.keep("member_counters", `UPDATE member_counters SET contacts = contacts + 1, key_contacts = key_contacts + $3 WHERE corp_id = $1 AND member_id = $2`, c.ID, f, map[string]int{"KEY": 1}[importance])
	}
	return id
}

// Agree notes that a contact agreed to having chats archived.
func (c *Corp) Agree(contact nid.ID) {
	c.t.Helper()
	c.change("contacts", `UPDATE contacts SET chat_consent = 'AGREED' WHERE corp_id = $1 AND id = $2 RETURNING id`, c.ID, contact)
}

// Said adds a message: of a member to a contact, or of a contact to the member; in a
// group, of the member or the contact, whichever is not zero.
func (c *Corp) Said(author, to nid.ID, at time.Time, text string) nid.ID {
	c.t.Helper()
	id := nid.New(nid.Message)
	var member, contact, group any
	switch {
	case to.Kind() == nid.Group:
		group = to
	case author.Kind() == nid.Contact:
		member, contact = to, author
	default:
		member, contact = author, to
	}
	c.change("messages", `INSERT INTO messages (id, corp_id, created_at, external_id, kind, sent_at, author_id, from_contact, member_id, contact_id, group_id, text)
		VALUES ($1, $2, $3, $4, 'TEXT', $5, $6, $7, $8, $9, $10, $11) RETURNING id`,
		id, c.ID, c.DB.Now(), id.String(), at.UTC(), author, author.Kind() == nid.Contact, member, contact, group, text)
	return id
}

// Contacts adds n NORMAL contacts of one member.
func (c *Corp) Contacts(n int, member nid.ID) []nid.ID {
	c.t.Helper()
	ids := make([]nid.ID, n)
	for i := range ids {
		c.n++
		ids[i] = c.Contact("contact "+string(rune('a'+c.n%26))+time.Duration(c.n).String(), "NORMAL", member)
	}
	return ids
}

// Group adds a group of a member.
func (c *Corp) Group(title string, owner nid.ID) nid.ID {
	c.t.Helper()
	id := nid.New(nid.Group)
	now := c.DB.Now()
	c.change("groups", `INSERT INTO groups (id, corp_id, created_at, updated_at, version, chat_id, name, name_key, owner_id, status, member_count, protected, accountable_id, accountable_answers, owner_version)
		VALUES ($1, $2, $3, $3, 1, $4, $5, $6, $7, 'NORMAL', 5, false, $7, true, 1) RETURNING id`, id, c.ID, now, id.String(), title, name.Fold(title), owner)
	c.change("group_members", `INSERT INTO group_members (corp_id, group_id, member_id, joined_at) VALUES ($1, $2, $3, $4) RETURNING group_id`, c.ID, id, owner, now)
	c.change("ownership_periods", `INSERT INTO ownership_periods (id, corp_id, created_at, group_id, member_id, from_at) VALUES ($1, $2, $3, $4, $5, $3) RETURNING id`, nid.New(nid.Period), c.ID, now, id, owner)
	c.keep("member_counters", `UPDATE member_counters SET groups = groups + 1 WHERE corp_id = $1 AND member_id = $2`, c.ID, owner)
	return id
}

// Grant gives a built-in role within a department; the zero id is the whole corp.
func (c *Corp) Grant(member nid.ID, role string, department nid.ID) nid.ID {
	c.t.Helper()
	return c.GrantRole(member, c.Roles[role], department)
}

// Role adds a role with permissions of its own.
func (c *Corp) Role(title string, permissions ...access.Permission) nid.ID {
	c.t.Helper()
	id := nid.New(nid.Role)
	stored, err := json.Marshal(permissions)
	if err != nil {
		c.t.Fatal(err)
	}
	c.change("roles", `INSERT INTO roles (id, corp_id, created_at, updated_at, version, name, permissions, sensitive, built_in)
		VALUES ($1, $2, $3, $3, 1, $4, $5, $6, false) RETURNING id`, id, c.ID, c.DB.Now(), title, string(stored), access.Sensitive(permissions))
	return id
}

// GrantRole is Grant for any role.
func (c *Corp) GrantRole(member, role, department nid.ID) nid.ID {
	c.t.Helper()
	id := nid.New(nid.Grant)
	c.change("grants", `INSERT INTO grants (id, corp_id, created_at, member_id, role_id, department_id) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		id, c.ID, c.DB.Now(), member, role, department)
	return id
}

// SignedIn gives the context of a member with a session; verified says whether
// the identity has just been proven.
func (c *Corp) SignedIn(member nid.ID, verified bool) context.Context {
	c.t.Helper()
	return c.session(member, verified)
}

// Verified is SignedIn with a fresh proof of identity.
func (c *Corp) Verified(member nid.ID) context.Context { return c.session(member, true) }

func (c *Corp) session(member nid.ID, verified bool) context.Context {
	c.t.Helper()
	ctx, _ := c.open(member, verified)
	return ctx
}

// Bearer is SignedIn for requests over HTTP: it gives the session's secret.
func (c *Corp) Bearer(member nid.ID, verified bool) string {
	c.t.Helper()
	_, token := c.open(member, verified)
	return token
}

func (c *Corp) open(member nid.ID, verified bool) (context.Context, string) {
	c.t.Helper()
	now := c.DB.Now()
	var until any
	token := secret.NewToken(secret.Session, c.ID)
	a := &access.Actor{Kind: access.Person, Corp: c.ID, ID: member, Session: secret.Hash(token), Lang: "en", RequestID: "req-test"}
	if verified {
		a.VerifiedUntil = now.Add(5 * time.Minute)
		until = a.VerifiedUntil
	}
	c.keep("sessions", `INSERT INTO sessions (secret_hash, corp_id, id, member_id, epoch, method, created_at, expires_at, last_seen_at, verified_until)
		SELECT $1, corp_id, $7, id, epoch, 'PASSWORD', $4, $5, $4, $6 FROM members WHERE corp_id = $2 AND id = $3`, a.Session, c.ID, member, now, now.Add(12*time.Hour), until, nid.New(nid.Session))
	a.Grants = c.grants(member)
	a.Leaving = Value[bool](c, `SELECT status = 'LEAVING' FROM members WHERE id = $1`, member)
	return access.With(context.Background(), a), token
}

func (c *Corp) grants(member nid.ID) (out []access.Grant) {
	c.t.Helper()
	ctx := store.System(context.Background(), c.ID, "test")
	err := c.DB.View(ctx, func(ctx context.Context, r *store.Read) error {
		type row struct {
			role, department nid.ID
		}
		rows, err := store.Select(ctx, r, func(g *row) []any { return []any{&g.role, &g.department} },
			`SELECT role_id, department_id FROM grants WHERE corp_id = $1 AND member_id = $2 AND revoked_at IS NULL`, c.ID, member)
		for _, g := range rows {
			for _, b := range access.BuiltInRoles {
				if c.Roles[b.Name] == g.role {
					out = append(out, access.Grant{Permissions: b.Permissions, Department: g.department})
				}
			}
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// Value reads one value, whatever the corp's rules say.
func Value[T any](c *Corp, query string, args ...any) (v T) {
	c.t.Helper()
	err := c.DB.View(store.System(context.Background(), c.ID, "test"), func(ctx context.Context, r *store.Read) error {
		var err error
		v, _, err = store.SelectOne(ctx, r, func(v *T) []any { return []any{v} }, query, args...)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}
