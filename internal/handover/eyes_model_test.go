package handover_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// crew is how many people the four-eyes rule is tried on.
const crew = 5

// few are some of the people: bit i is person i.
type few uint8

func one(person int) few {
	if person < 0 {
		return 0
	}
	return 1 << person
}

// world is a corp of five administrators, and beside it a model of the four-eyes rule
// that shares nothing with the service: it is kept forward, as things happen, where the
// service reads the log backward.
type world struct {
	*testcorp.Corp
	t           *testing.T
	s           *handover.Service
	people      []nid.ID
	leaver, new nid.ID
	n           int

	// The model.
	taints    [crew][]taint
	providers []provider
	tokens    []program
	policy    struct {
		above, approvals int // above -1: no threshold
		keys             bool
	}
	plans      []*plan
	done       map[nid.ID]bool
	moved      []moved
	voted      int // executions that needed votes and had them
	violations []string
}

// taint is access that somebody had to an account.
type taint struct {
	by               int
	then             few // who could have been by when they acted
	since            time.Time
	password, factor bool // set by the member since
	byLink, byDraft  bool // through a provider; one that somebody saved once more after by
}

type provider struct {
	id    nid.ID
	saves []taint
}

type program struct {
	id    nid.ID
	maker int // -1: made at the machine
}

// plan is a handover as the model knows it.
type plan struct {
	id                               nid.ID
	requester, responsible, executor int
	authors                          few
	key                              map[nid.ID]bool // its contacts
	votes                            map[int]time.Time
}

type moved struct {
	people few
	at     time.Time
	n      int
}

func newWorld(t *testing.T, db *store.DB, clock *storetest.Clock, title string) *world {
	t.Helper()
	c := testcorp.New(t, db, clock, title)
	w := &world{Corp: c, t: t, s: &handover.Service{DB: db, Log: c.Log, AtOnce: 3}, done: map[nid.ID]bool{}}
	w.leaver, w.new = c.Member("leaver", c.Root), c.Member("new", c.Root)
	for i := range crew {
		w.people = append(w.people, c.Member(fmt.Sprint("person ", i), c.Root))
		c.Grant(w.people[i], access.Administrator.Name, nid.ID{})
	}
	w.rule(-1, true, 1)
	return w
}

// What happens.

// record writes an entry as the service that does this would.
func (w *world) record(by int, action access.Action, subject nid.ID, after map[string]any) {
	w.t.Helper()
	ok(w.t, w.DB.Tx(w.SignedIn(w.people[by], false), func(ctx context.Context, tx *store.Tx) error {
		return w.Log.Append(ctx, tx, audit.Entry{Action: action, Subject: subject, After: after})
	}))
}

func (w *world) reset(by, of int) {
	w.record(by, access.CredentialReset, w.people[of], map[string]any{"method": "pwd"})
	w.taints[of] = append(w.taints[of], taint{by: by, then: w.could(everything)[by], since: w.DB.Now()})
}

func (w *world) password(of int) {
	w.record(of, access.CredentialSet, w.people[of], map[string]any{"by": "oneself"})
	for i := range w.taints[of] {
		w.taints[of][i].password = true
	}
}

func (w *world) factor(of int) {
	w.record(of, access.CredentialEnrol, w.people[of], map[string]any{"method": "otp"})
	for i := range w.taints[of] {
		w.taints[of][i].factor = true
	}
}

func (w *world) own(of int) {
	w.password(of)
	w.factor(of)
}

// connect saves an identity provider; number len(w.providers) is a new one.
func (w *world) connect(by, number int) {
	if number == len(w.providers) {
		w.providers = append(w.providers, provider{id: nid.New(nid.Provider)})
	}
	p := &w.providers[number]
	w.record(by, access.ProviderSave, p.id, map[string]any{"active": true})
	p.saves = append(p.saves, taint{by: by, then: w.could(everything)[by], since: w.DB.Now()})
}

func (w *world) link(of, number int) {
	p := w.providers[number]
	w.record(of, access.IdentityLink, w.people[of], map[string]any{"provider": p.id, "claim": "sub"})
	now := w.DB.Now()
	last := len(p.saves) - 1
	if now.Sub(p.saves[last].since) >= 72*time.Hour {
		return
	}
	for i, save := range p.saves {
		w.taints[of] = append(w.taints[of], taint{by: save.by, then: save.then, since: now, byLink: true, byDraft: i < last})
	}
}

// token makes a service token that plans; maker -1: at the machine.
func (w *world) token(maker int) int {
	p := program{nid.New(nid.Token), maker}
	var by any
	if maker >= 0 {
		by = w.people[maker]
	}
	w.change("service_tokens", `INSERT INTO service_tokens (id, corp_id, created_at, name, permissions, expires_at, secret_hash, created_by_id)
		VALUES ($1, $2, $3, 'plans', '["PLAN_HANDOVER"]', $4, $5, $6) RETURNING id`,
		p.id, w.ID, w.DB.Now(), w.DB.Now().AddDate(0, 6, 0), p.id[:], by)
	w.tokens = append(w.tokens, p)
	return len(w.tokens) - 1
}

func (w *world) change(table, query string, args ...any) {
	w.t.Helper()
	ok(w.t, w.DB.Tx(store.System(context.Background(), w.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, table, query, args...)
		tx.Cover(ids...)
		return err
	}))
}

func (w *world) rule(above int, keys bool, approvals int) {
	w.policy.above, w.policy.keys, w.policy.approvals = above, keys, approvals
	var threshold any
	if above >= 0 {
		threshold = above
	}
	w.change("approval_policies", `UPDATE approval_policies SET above = $2, key_contacts = $3, approvals = $4 WHERE corp_id = $1 RETURNING corp_id`, w.ID, threshold, keys, approvals)
}

// actor is a person (0 to 4) or, from 100, a token.
func (w *world) actor(who int) (ctx context.Context, requester, responsible int) {
	if who < 100 {
		return w.Verified(w.people[who]), who, who
	}
	p := w.tokens[who-100]
	a := &access.Actor{Kind: access.Token, Corp: w.ID, ID: p.id, Lang: "en", RequestID: "req-test",
		Grants: []access.Grant{{ID: p.id, Permissions: []access.Permission{access.PlanHandover}}}}
	return access.With(context.Background(), a), -1, p.maker
}

func (w *world) key() string { w.n++; return fmt.Sprint("key ", w.n) }

// input plans new contacts of the leaver: so many, and so many KEY ones.
func (w *world) input(normal, key int) (handover.Input, map[nid.ID]bool) {
	contacts, ids := map[nid.ID]bool{}, []nid.ID{}
	for i := range normal + key {
		importance := map[bool]string{true: "KEY", false: "NORMAL"}[i >= normal]
		w.n++
		id := w.Contact(fmt.Sprint("contact ", w.n), importance, w.leaver)
		contacts[id] = i >= normal
		ids = append(ids, id)
	}
	return handover.Input{Kind: handover.OnJob, LeaverID: w.leaver, Select: &handover.Selection{ContactIDs: ids}, Successors: handover.Choice{MemberID: &w.new}}, contacts
}

func (w *world) create(who, normal, key int, startAt *time.Time) (*plan, error) {
	ctx, requester, responsible := w.actor(who)
	in, contacts := w.input(normal, key)
	id, err := w.s.Create(ctx, in, startAt, nil, w.key())
	p := &plan{id: id, requester: requester, responsible: responsible, executor: -1, authors: one(responsible), key: contacts, votes: map[int]time.Time{}}
	if err == nil {
		w.plans = append(w.plans, p)
	}
	return p, err
}

func (w *world) replan(who int, p *plan, normal, key int) error {
	ctx, requester, responsible := w.actor(who)
	in, contacts := w.input(normal, key)
	err := w.s.Replan(ctx, p.id, w.version(p), in)
	if err == nil {
		p.requester, p.responsible, p.key, p.votes = requester, responsible, contacts, map[int]time.Time{}
		p.authors |= one(responsible)
	}
	return err
}

func (w *world) submit(who int, p *plan) error {
	ctx, _, responsible := w.actor(who)
	err := w.s.Submit(ctx, p.id, w.version(p))
	if err == nil {
		p.authors |= one(responsible)
		p.votes = map[int]time.Time{}
	}
	return err
}

func (w *world) vote(person int, p *plan) error {
	_, err := w.s.Approve(w.Verified(w.people[person]), p.id, w.digest(p), nil)
	if err == nil {
		p.votes[person] = w.DB.Now()
	}
	return err
}

func (w *world) execute(person int, p *plan) error {
	err := w.s.Execute(w.Verified(w.people[person]), p.id, w.digest(p), w.key())
	if err == nil {
		w.executes(person, p)
	}
	return err
}

func (w *world) executes(person int, p *plan) {
	p.executor = person
	if p.responsible < 0 {
		p.responsible = person
	}
	w.look()
}

func (w *world) handOver(person, normal, key int) error {
	in, contacts := w.input(normal, key)
	id, err := w.s.HandOver(w.Verified(w.people[person]), in, nil, w.key())
	if err == nil {
		p := &plan{id: id, requester: person, responsible: person, authors: one(person), key: contacts}
		w.plans = append(w.plans, p)
		w.executes(person, p)
	}
	return err
}

// wait lets time pass, and the background work.
func (w *world) wait(d time.Duration) {
	w.Clock.Add(d)
	_, err := w.s.Work(context.Background(), w.ID)
	ok(w.t, err)
	w.look()
}

func (w *world) version(p *plan) int {
	return testcorp.Value[int](w.Corp, `SELECT version FROM handovers WHERE id = $1`, p.id)
}

func (w *world) digest(p *plan) string {
	return testcorp.Value[string](w.Corp, `SELECT digest FROM handovers WHERE id = $1`, p.id)
}
