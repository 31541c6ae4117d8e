package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/intake"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// founded is how many days before today the corps were: before anything in Past.
const founded = 250

// Services are the use cases through which the demo comes about. They share DB,
// which goes by Clock; Identity is in demo mode and Handovers has no platform.
type Services struct {
	DB        *store.DB
	Log       *audit.Log
	Identity  *identity.Service
	Members   *member.Service
	Handovers *handover.Service
	Clock     *Clock
	// Progress is told what is being made, as by intake.LoadOptions; nil tells nobody.
	Progress func(stage string, done, total int)
}

// Seed makes both corps in an empty database: their data, their accounts, and all
// that happened before, each act at its time and by the person who did it. The
// clock goes with the wall again afterwards, whatever became of it.
//
// It is many transactions, so a database in which it failed is of no further use.
// CONFLICT where one of the corps is there already.
func Seed(ctx context.Context, s Services) error {
	s.Clock.Resume()
	now := s.DB.Now()
	defer s.Clock.Resume()
	for _, d := range []*Data{New(now), NewOther(now)} {
		id, err := s.DB.CorpNamed(ctx, d.Name)
		if err != nil {
			return err
		}
		if !id.IsZero() {
			return fault.Clash("corp", "there is a corp of this name already", "已存在同名企业")
		}
		s.Clock.Stop(midnight(now).AddDate(0, 0, -founded))
		if err := s.seed(ctx, d, now); err != nil {
			return fmt.Errorf("demo corp %s: %w", d.Name, err)
		}
	}
	return nil
}

func (s *Services) seed(ctx context.Context, d *Data, now time.Time) error {
	load := &intake.Service{DB: s.DB, Log: s.Log}
	res, err := load.Load(ctx, d.Corp, intake.LoadOptions{CorpName: d.Name, TimeZone: TimeZone, Latest: now, Progress: s.Progress})
	if err != nil {
		return err
	}
	p := &seeding{Services: s, data: d, corp: res.Corp, logins: map[string]string{}}
	system := store.System(ctx, res.Corp, "demo data")
	if err := p.look(system); err != nil {
		return err
	}
	if err := p.accounts(system); err != nil {
		return err
	}
	for i := range d.Past {
		if err := p.past(ctx, i, &d.Past[i]); err != nil {
			return fmt.Errorf("past handover %d: %w", i+1, err)
		}
		if s.Progress != nil {
			s.Progress("handovers", i+1, len(d.Past))
		}
	}
	return nil
}

// seeding is one corp under way.
type seeding struct {
	*Services
	data   *Data
	corp   nid.ID
	logins map[string]string // by userid
	// Our ids by external ids.
	members, contacts, groups, departments, roles map[string]nid.ID
}

// look finds the ids that the load gave.
func (p *seeding) look(ctx context.Context) error {
	return p.DB.View(ctx, func(ctx context.Context, r *store.Read) error {
		for _, q := range []struct {
			into  *map[string]nid.ID
			query string
		}{
			{&p.members, `SELECT id, user_id FROM members WHERE corp_id = $1`},
			{&p.contacts, `SELECT id, external_user_id FROM contacts WHERE corp_id = $1`},
			{&p.groups, `SELECT id, chat_id FROM groups WHERE corp_id = $1`},
			{&p.departments, `SELECT id, external_id FROM departments WHERE corp_id = $1`},
			{&p.roles, `SELECT id, name FROM roles WHERE corp_id = $1`},
		} {
			type row struct {
				id   nid.ID
				name string
			}
			rows, err := store.Select(ctx, r, func(r *row) []any { return []any{&r.id, &r.name} }, q.query, p.corp)
			if err != nil {
				return err
			}
			*q.into = make(map[string]nid.ID, len(rows))
			for _, r := range rows {
				(*q.into)[r.name] = r.id
			}
		}
		return nil
	})
}

// accounts lets the corp's people sign in and gives them their roles. The load has
// made the fallback member of who heads the corp.
func (p *seeding) accounts(ctx context.Context) error {
	for _, a := range Accounts {
		if a.Corp != p.data.Name {
			continue
		}
		p.logins[a.UserID] = a.Login
		if err := p.Identity.SetPassword(ctx, p.members[a.UserID], a.Login, Password); err != nil {
			return err
		}
	}
	return p.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var entries []audit.Entry
		for _, a := range Accounts {
			if a.Corp != p.data.Name {
				continue
			}
			id, department := tx.NewID(nid.Grant), p.departments[a.Department] // none is the whole corp
			if _, err := tx.Change(ctx, "grants", `INSERT INTO grants (id, corp_id, created_at, member_id, role_id, department_id) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
				id, tx.Corp(), tx.Now(), p.members[a.UserID], p.roles[a.Role], department); err != nil {
				return err
			}
			after := map[string]any{"member": p.members[a.UserID], "role": p.roles[a.Role]}
			if !department.IsZero() {
				after["department"] = department
			}
			entries = append(entries, audit.Entry{Action: access.GrantCreate, Subject: id, After: after})
		}
		return p.Log.Append(ctx, tx, entries...)
	})
}

// as does something at a time as a person who has signed in and proven their identity.
func (p *seeding) as(ctx context.Context, at time.Time, userID string, do func(context.Context) error) error {
	p.Clock.Stop(at)
	session, err := p.Identity.SignIn(ctx, &p.data.Name, p.logins[userID], Password)
	if err != nil {
		return err
	}
	ctx = access.With(ctx, session.Actor)
	password := Password
	if _, err := p.Identity.VerifyIdentity(ctx, nil, &password); err != nil {
		return err
	}
	if err := do(ctx); err != nil {
		return err
	}
	return p.Identity.SignOut(ctx)
}

// past does one handover again, with everything that led to it.
func (p *seeding) past(ctx context.Context, n int, h *PastHandover) error {
	key := fmt.Sprintf("demo-%d", n+1)
	if !h.DepartsAt.IsZero() {
		if err := p.as(ctx, h.DepartsAt, h.Requester, func(ctx context.Context) error {
			_, err := p.Members.Deactivate(ctx, member.DeactivateInput{MemberID: p.members[h.Leaver], Mode: member.Depart, Reason: &h.Reason})
			return err
		}); err != nil {
			return err
		}
	}
	var id nid.ID
	if err := p.as(ctx, h.PlannedAt, h.Requester, func(ctx context.Context) (err error) {
		if id, err = p.Handovers.Create(ctx, p.plan(h), nil, nil, key); err != nil {
			return err
		}
		c, err := p.handover(ctx, id)
		if err != nil {
			return err
		}
		return p.Handovers.Submit(ctx, id, c.version)
	}); err != nil {
		return err
	}
	c, err := p.handover(store.System(ctx, p.corp, "demo data"), id)
	if err != nil {
		return err
	}
	if h.Approver != "" {
		if err := p.as(ctx, h.DecidedAt, h.Approver, func(ctx context.Context) (err error) {
			if h.Outcome == Rejected {
				_, err = p.Handovers.Reject(ctx, id, c.digest, rejection)
			} else {
				_, err = p.Handovers.Approve(ctx, id, c.digest, nil)
			}
			return err
		}); err != nil {
			return err
		}
	}
	if !h.ExecutedAt.IsZero() {
		if err := p.as(ctx, h.ExecutedAt, h.Requester, func(ctx context.Context) error {
			return p.Handovers.Execute(ctx, id, c.digest, key)
		}); err != nil {
			return err
		}
	}
	if c, err = p.handover(store.System(ctx, p.corp, "demo data"), id); err == nil && c.state != h.Outcome {
		err = fmt.Errorf("it ended %s, not %s", c.state, h.Outcome)
	}
	return err
}

// rejection is why the one handover was rejected.
const rejection = "重要客户请先与华南负责人确认后再提交。"

// plan puts a past handover in the words of the use case.
func (p *seeding) plan(h *PastHandover) handover.Input {
	in := handover.Input{Kind: handover.Kind(h.Kind), LeaverID: p.members[h.Leaver], Reason: &h.Reason, History: &handover.HistoryScope{Mode: h.HistoryMode}}
	if !h.HistoryFrom.IsZero() {
		in.History.From, in.History.Until = &h.HistoryFrom, &h.DepartsAt
	}
	ids := func(of map[string]nid.ID, external []string) (out []nid.ID) {
		for _, e := range external {
			out = append(out, of[e])
		}
		return out
	}
	for _, a := range h.Assignments {
		in.Successors.Assignments = append(in.Successors.Assignments, handover.Assignment{
			MemberID: p.members[a.Successor], ContactIDs: ids(p.contacts, a.Contacts), GroupIDs: ids(p.groups, a.Groups),
		})
	}
	return in
}

// stage is how far a handover has come.
type stage struct {
	state, digest string
	version       int
}

func (p *seeding) handover(ctx context.Context, id nid.ID) (c stage, err error) {
	err = p.DB.View(ctx, func(ctx context.Context, r *store.Read) (err error) {
		c, _, err = store.SelectOne(ctx, r, func(c *stage) []any { return []any{&c.state, &c.digest, &c.version} },
			`SELECT state, digest, version FROM handovers WHERE corp_id = $1 AND id = $2`, p.corp, id)
		return err
	})
	return c, err
}
