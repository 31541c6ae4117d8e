package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// maker makes what an operation is asked about.
type maker struct {
	// class chooses the columns: "people" for what belongs to a member or department,
	// "corp" for what is the whole corp's, "none" where an operation has no target.
	class string
	make  func(g *ground, at seat, p *player) target
	// proven: asked with a fresh proof of identity, though the operation needs none.
	proven bool
}

// targets are the words of `target:` in testdata/permissions.yaml. What an entry's
// document names with $ is what its maker gives.
var targets = map[string]maker{
	"": {class: "none", make: func(*ground, seat, *player) target { return target{} }},

	"member": people(func(g *ground, at seat) target {
		return of("id", g.fresh(at))
	}),
	"passkey holder": people(func(g *ground, at seat) target {
		id := g.fresh(at)
		g.insert(at, "passkeys", `INSERT INTO passkeys (corp_id, id, member_id, credential_id, public_key, flags, sign_count, name, created_at)
			VALUES ($1, $2, $3, $4, $4, 0, 0, 'key', $5) RETURNING id`, at.corp.ID, nid.New(nid.Passkey), id, []byte("key of "+id.String()), g.DB.Now())
		return of("id", id)
	}),
	"leaving": people(func(g *ground, at seat) target {
		id := g.fresh(at)
		at.corp.Leaving(id, "2026-12-31")
		return of("id", id)
	}),
	"held": people(func(g *ground, at seat) target {
		id := g.fresh(at)
		at.corp.Held(id, "2026-12-31")
		return of("id", id)
	}),
	"notice": people(func(g *ground, at seat) target {
		follow := idOf(at, `SELECT id FROM follows WHERE corp_id = $1 AND contact_id = $2`, at.corp.Contact(g.name("contact"), "NORMAL", at.owner))
		at.corp.Noticed(follow)
		it := of("follow", follow)
		it.ids["member"] = at.owner
		return it
	}),
	"recipient": people(func(g *ground, at seat) target {
		return of("id", g.fresh(at)).with("role", idText(at.corp.Role(g.name("role"), access.ViewStatistics))).with("department", idText(at.department))
	}),
	"department": people(func(_ *ground, at seat) target { return of("id", at.department) }),
	"contact": people(func(g *ground, at seat) target {
		return of("id", at.corp.Contact(g.name("contact"), "NORMAL", at.owner)).with("version", 1)
	}),
	"follow": people(func(g *ground, at seat) target {
		contact := at.corp.Contact(g.name("contact"), "NORMAL", at.owner)
		return of("id", idOf(at, `SELECT id FROM follows WHERE corp_id = $1 AND contact_id = $2`, contact)).with("version", 1)
	}),
	"group": people(func(g *ground, at seat) target {
		return of("id", at.corp.Group(g.name("group"), at.owner)).with("version", 1)
	}),
	"conversation": people(func(g *ground, at seat) target {
		contact := at.corp.Contact(g.name("contact"), "NORMAL", at.owner)
		at.corp.Agree(contact)
		it := of("id", contact)
		it.shows = idText(at.corp.Said(at.owner, contact, g.DB.Now().Add(-time.Hour), "good morning"))
		return it
	}),
	"grant": people(func(g *ground, at seat) target {
		return of("id", at.corp.Grant(at.owner, access.Staff.Name, at.department)).with("member", idText(at.owner))
	}),
	"session": people(func(g *ground, at seat) target {
		token := at.corp.Bearer(at.owner, false)
		it := of("id", idOf(at, `SELECT id FROM sessions WHERE corp_id = $1 AND secret_hash = $2`, secret.Hash(token)))
		it.ids["member"] = at.owner
		return it
	}),
	"token": people(func(g *ground, at seat) target {
		return of("id", g.as(at, `createServiceToken(input: {name: "%s", permissions: [VIEW_CONTACTS], departmentId: "%s", expiresAt: "%s"}) { serviceToken { id } }`, g.name("token"), at.department, g.in(24)))
	}),
	"finding": people(func(g *ground, at seat) target {
		id := nid.New(nid.LeakFinding)
		g.insert(at, "leak_findings", `INSERT INTO leak_findings (id, corp_id, created_at, updated_at, version, kind, member_id, at, score, why_en, why_zh, marks)
			VALUES ($1, $2, $3, $3, 1, 'EXPORT_BEFORE_LEAVING', $4, $5, 1, 'why', 'why', '[]') RETURNING id`, id, at.corp.ID, g.DB.Now(), at.owner, g.DB.Now().AddDate(0, 0, -g.next()))
		return of("id", id).with("version", 1)
	}),
	"export": people(func(g *ground, at seat) target {
		id := nid.New(nid.Export)
		g.insert(at, "exports", `INSERT INTO exports (id, corp_id, created_at, requested_by_id, epoch, subject, format, state, language, run_token)
			VALUES ($1, $2, $3, $4, 1, 'CONTACTS', 'CSV', 'EXPIRED', 'en', 0) RETURNING id`, id, at.corp.ID, g.DB.Now(), at.owner)
		return of("id", id)
	}),
	"review item": people(func(g *ground, at seat) target {
		grant := at.corp.Grant(at.owner, access.Staff.Name, at.department)
		review := g.review(at)
		return of("id", idOf(at, `SELECT id FROM review_items WHERE corp_id = $1 AND grant_id = $2 AND review_id = $3`, grant, review))
	}),

	"token review item": people(func(g *ground, at seat) target {
		token := g.as(at, `createServiceToken(input: {name: "%s", permissions: [VIEW_CONTACTS], departmentId: "%s", expiresAt: "%s"}) { serviceToken { id } }`, g.name("token"), at.department, g.in(24))
		review := g.review(at)
		return of("id", idOf(at, `SELECT id FROM review_items WHERE corp_id = $1 AND token_id = $2 AND review_id = $3`, token, review))
	}),
	"history grant": people(func(g *ground, at seat) target {
		handed := g.done(at).ids["id"]
		transfer := idOf(at, `SELECT id FROM transfers WHERE corp_id = $1 AND handover_id = $2`, handed)
		id := nid.New(nid.HistoryGrant)
		g.insert(at, "history_grants", `INSERT INTO history_grants (id, corp_id, created_at, successor_id, leaver_id, contact_id, handover_id, transfer_id)
			SELECT $2, corp_id, $3, to_id, from_id, contact_id, handover_id, id FROM transfers WHERE corp_id = $1 AND id = $4 RETURNING id`, at.corp.ID, id, g.DB.Now(), transfer)
		return of("id", id).with("leaver", idText(at.owner))
	}),

	// Plans and handovers are ON_JOB, of one contact, from the owner to the partner,
	// planned by the corp's administrator.
	"plan": people(func(g *ground, at seat) target {
		it := of("leaver", at.owner).with("contact", idText(at.corp.Contact(g.name("contact"), "NORMAL", at.owner))).with("successor", idText(at.partner))
		it.shows = "" // a plan shows nothing of the leaver
		return it.with("key", func() any { return g.name("key") })
	}),
	"draft":    people(func(g *ground, at seat) target { return g.handover(at, "NORMAL") }),
	"awaiting": people(func(g *ground, at seat) target { return g.submitted(at, "KEY") }),
	"ready":    people(func(g *ground, at seat) target { return g.submitted(at, "NORMAL") }),
	"done":     people((*ground).done),
	"failed": people(func(g *ground, at seat) target {
		it := g.done(at)
		(&world{Corp: at.corp, api: &api{t: g.t}}).fail(it.ids["id"])
		return it
	}),
	"transfer": people(func(g *ground, at seat) target {
		it := g.done(at)
		return of("id", idOf(at, `SELECT id FROM transfers WHERE corp_id = $1 AND handover_id = $2`, it.ids["id"]))
	}),
	"counted transfer": people(func(g *ground, at seat) target {
		it := g.done(at)
		it.shows = idText(at.owner)
		return it
	}),

	"corp department": ofCorp(func(g *ground, at seat) target {
		id := at.corp.Department(g.name("department"), at.department)
		return of("id", id).with("version", 1).with("name", g.name("renamed"))
	}),
	"role": ofCorp(func(g *ground, at seat) target {
		return of("id", at.corp.Role(g.name("role"), access.ViewStatistics)).with("version", 1).with("name", g.name("renamed"))
	}),
	"rule set": ofCorp(func(g *ground, at seat) target {
		id := g.as(at, `saveRuleSet(input: {name: "%s", rules: [{method: EVEN, memberIds: ["%s"]}]}) { ruleSet { id } }`, g.name("rules"), g.with(at).owner)
		return of("id", id).with("version", 1).with("name", g.name("renamed")).with("member", idText(g.places["own"].owner))
	}),
	"webhook": ofCorp(func(g *ground, at seat) target {
		return of("id", g.hook(at)).with("version", 1).with("name", g.name("renamed"))
	}),
	"delivery": ofCorp(func(g *ground, at seat) target {
		id := nid.New(0)
		hook := g.hook(at)
		err := at.corp.DB.Tx(store.System(context.Background(), at.corp.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Keep(ctx, "webhook_deliveries", `INSERT INTO webhook_deliveries (corp_id, id, webhook_id, event, subject_id, body, state, attempts, created_at, next_at)
				VALUES ($1, $2, $3, 'handover.completed', $4, '{}', 'DELIVERED', 1, $5, $5)`, at.corp.ID, id, hook, at.owner, tx.Now())
			return err
		})
		if err != nil {
			g.t.Fatal(err)
		}
		return of("id", id)
	}),
	"provider": ofCorp(func(g *ground, at seat) target {
		n := g.next()
		id := g.as(at, `saveIdentityProvider(input: {name: "provider %d", issuer: "https://id-%d.example.com", clientId: "handover", claim: "sub", matches: USER_ID, active: false}) { identityProvider { id } }`, n, n)
		return of("id", id).with("version", 1).with("name", g.name("renamed")).with("issuer", fmt.Sprintf("https://id-%d.example.com", n))
	}),
	"provider in use": ofCorp(func(g *ground, at seat) target {
		id := idOf(at, `SELECT id FROM identity_providers WHERE corp_id = $1 AND active`)
		if !id.IsZero() {
			return of("id", id)
		}
		id = nid.New(nid.Provider)
		g.insert(at, "identity_providers", `INSERT INTO identity_providers (corp_id, id, version, created_at, updated_at, name, issuer, client_id, claim, matches, acr_values, active, saved_by_id)
			VALUES ($1, $2, 1, $3, $3, $4, 'https://id.example.com', $4, 'sub', 'USER_ID', '[]', true, $5) RETURNING id`, at.corp.ID, id, g.DB.Now(), id.String(), at.corp.Admin)
		return of("id", id)
	}),
	"pending change": ofCorp(func(g *ground, at seat) target {
		id := nid.New(nid.Change)
		g.insert(at, "pending_changes", `INSERT INTO pending_changes (corp_id, id, operation, subject_id, asked, fingerprint, requested_by_id, created_at, lapses_at)
			VALUES ($1, $2, 'saveApprovalPolicy', $1, '{}', $3, $4, $5, $6) RETURNING id`, at.corp.ID, id, id[:], at.corp.Admin, g.DB.Now(), g.DB.Now().Add(time.Hour))
		return of("id", id)
	}),
	"policy": ofCorp(func(g *ground, at seat) target {
		return of("id", g.as(at, `publishDataPolicy(input: {title: "%s", body: "text"}) { policy { id } }`, g.name("policy")))
	}),
	"review": ofCorp(func(g *ground, at seat) target {
		return of("id", g.review(at))
	}),
	"entry": ofCorp(func(g *ground, at seat) target {
		handed := g.done(g.with(at)).ids["id"]
		it := of("subject", handed)
		it.ids["id"] = idOf(at, `SELECT id FROM audit_entries WHERE corp_id = $1 AND subject_id = $2 ORDER BY "index"`, handed)
		it.shows = idText(it.ids["id"])
		return it
	}),
	"case": ofCorp(func(g *ground, at seat) target {
		return g.done(g.with(at)).with("key", func() any { return g.name("key") })
	}),
}

func people(make func(*ground, seat) target) maker {
	return maker{class: "people", make: func(g *ground, at seat, _ *player) target { return make(g, at) }}
}

func ofCorp(make func(*ground, seat) target) maker {
	return maker{class: "corp", make: func(g *ground, at seat, _ *player) target { return make(g, at) }}
}

func of(name string, id nid.ID) target {
	return target{ids: map[string]nid.ID{name: id}, other: map[string]any{}, shows: idText(id)}
}

// with adds what stands in the document beside the target.
func (it target) with(name string, v any) target {
	it.other[name] = v
	return it
}

func idOf(at seat, query string, args ...any) nid.ID {
	return testcorp.Value[nid.ID](at.corp, query+" LIMIT 1", append([]any{at.corp.ID}, args...)...)
}

func (g *ground) name(what string) string { return fmt.Sprintf("%s %d", what, g.next()) }

func (g *ground) in(hours int) string {
	return g.DB.Now().Add(time.Duration(hours) * time.Hour).Format(time.RFC3339)
}

// as asks as the administrator of the place's corp, and gives the id in the answer.
func (g *ground) as(at seat, ask string, args ...any) nid.ID {
	g.t.Helper()
	token := g.admin
	if at.corp == g.theirs {
		token = g.theirAdmin
	}
	return g.by(token, ask, args...)
}

func (g *ground) by(token, ask string, args ...any) nid.ID {
	g.t.Helper()
	var got json.RawMessage
	g.good(token, "mutation { "+fmt.Sprintf(ask, args...)+" }", nil, &got)
	id, err := nid.Parse(anID.FindString(string(got)))
	if err != nil {
		g.t.Fatalf("%v: %s", err, got)
	}
	return id
}

func (g *ground) insert(at seat, table, query string, args ...any) {
	g.t.Helper()
	err := at.corp.DB.Tx(store.System(context.Background(), at.corp.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, table, query, args...)
		tx.Cover(ids...)
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

// fresh gives the place's owner where that is who asks, else a new member there.
func (g *ground) fresh(at seat) nid.ID {
	if at.self {
		return at.owner
	}
	return at.corp.Member(fmt.Sprintf("member-%d", g.next()), at.department)
}

// with gives a place of the corp that does not change with who asks.
func (g *ground) with(at seat) seat {
	if at.corp == g.theirs {
		return g.places["other"]
	}
	return g.places["own"]
}

func (g *ground) handover(at seat, importance string) target {
	contact := at.corp.Contact(g.name("contact"), importance, at.owner)
	id := g.as(at, `createHandover(input: {plan: {kind: ON_JOB, leaverId: "%s", select: {contactIds: ["%s"]}, successors: {memberId: "%s"}}, idempotencyKey: "%s"}) { handover { id } }`,
		at.owner, contact, at.partner, g.name("key"))
	it := of("id", id).with("version", 1).with("leaver", idText(at.owner)).with("contact", idText(contact)).with("successor", idText(at.partner))
	return it.with("digest", testcorp.Value[string](at.corp, `SELECT digest FROM handovers WHERE id = $1`, id)).with("key", func() any { return g.name("key") })
}

func (g *ground) submitted(at seat, importance string) target {
	it := g.handover(at, importance)
	g.as(at, `submitHandover(input: {id: "%s", version: 1}) { handover { id } }`, it.ids["id"])
	return it.with("version", 2)
}

func (g *ground) done(at seat) target {
	it := g.submitted(at, "NORMAL")
	g.as(at, `executeHandover(input: {id: "%s", digest: "%s", idempotencyKey: "%s"}) { handover { id } }`, it.ids["id"], it.other["digest"], g.name("key"))
	return it
}

func (g *ground) hook(at seat) nid.ID {
	return g.as(at, `saveWebhook(input: {name: "%s", url: "https://example.com/hook"}) { webhook { id } }`, g.name("hook"))
}

// review is opened by somebody new: nobody has two open.
func (g *ground) review(at seat) nid.ID {
	starter := at.corp.Member(fmt.Sprintf("starter-%d", g.next()), at.corp.Root)
	at.corp.Grant(starter, access.Administrator.Name, nid.ID{})
	return g.by(at.corp.Bearer(starter, true), `startAccessReview(input: {dueAt: "%s"}) { review { id } }`, g.in(240))
}
