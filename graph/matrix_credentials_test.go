package graph

import (
	"encoding/base32"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
	"github.com/openhandover/openhandover/internal/testcorp/softkey"
)

// What operations on one's own ways to sign in need: they have no target, only who asks.
func init() {
	for name, make := range map[string]func(*ground, *player) target{
		"password": func(g *ground, p *player) target { return g.password(p) },
		"authenticator": func(g *ground, p *player) target {
			it := g.password(p)
			g.enrolTotp(p.proven, it.other["password"].(string))
			p.proven, p.plain = g.Bearer(p.id, true), g.Bearer(p.id, false) // others than the one that confirmed have ended
			return it
		},
		"begun authenticator": func(g *ground, p *player) target { return g.begun(p) },
		"new passkey":         func(g *ground, p *player) target { return g.challenge(p, "ADD", g.key().Make) },
		"passkey": func(g *ground, p *player) target {
			key := g.addKey(p)
			it := g.challenge(p, "SIGN_IN", key.Sign)
			it.ids = map[string]nid.ID{"id": testcorp.Value[nid.ID](g.Corp, `SELECT id FROM passkeys WHERE corp_id = $1 AND member_id = $2`, g.ID, p.id)}
			return it
		},
		"settings": func(g *ground, _ *player) target {
			return target{other: map[string]any{
				"settings": testcorp.Value[int](g.Corp, `SELECT COALESCE(max(version), 0) FROM corp_settings WHERE corp_id = $1`, g.ID),
				"policy":   testcorp.Value[int](g.Corp, `SELECT COALESCE(max(version), 0) FROM approval_policies WHERE corp_id = $1`, g.ID),
			}}
		},
		"pending grant": func(g *ground, _ *player) target { return target{shows: idText(g.pending)} },
		"words": func(g *ground, _ *player) target {
			return target{other: map[string]any{"name": func() any { return g.name("name") }, "tomorrow": g.in(24), "later": g.in(240)}}
		},
	} {
		targets[name] = maker{class: "none", make: func(g *ground, _ seat, p *player) target { return make(g, p) }, proven: name == "new passkey"}
	}
}

func (g *ground) key() *softkey.Key {
	return softkey.New(g.t, "handover.example.com", "https://handover.example.com")
}

// password gives who asks a login and a password.
func (g *ground) password(p *player) target {
	login := fmt.Sprintf("login-%d", g.next())
	words := "the words of " + login
	if err := g.id.SetPassword(store.System(g.t.Context(), g.ID, "test"), p.id, login, words); err != nil {
		g.t.Fatal(err)
	}
	p.proven, p.plain = g.Bearer(p.id, true), g.Bearer(p.id, false)
	return target{other: map[string]any{"corp": "acme", "login": login, "password": words, "new": "the new " + words}}
}

func (g *ground) challenge(p *player, purpose string, device func(json.RawMessage) json.RawMessage) target {
	a := g.answer(p.proven, purpose, device)
	return target{other: map[string]any{"ceremony": a["ceremony"], "credential": a["credential"]}}
}

func (g *ground) addKey(p *player) *softkey.Key {
	key := g.key()
	g.good(p.proven, addText, g.answer(p.proven, "ADD", key.Make), &struct{}{})
	p.proven, p.plain = g.Bearer(p.id, true), g.Bearer(p.id, false)
	return key
}

// begun has enrolment of an authenticator begun: the code it shows completes it.
func (g *ground) begun(p *player) target {
	it := g.password(p)
	var got struct{ EnrolTotp struct{ URI string } }
	g.good(p.proven, `mutation { enrolTotp(input: {}) { uri } }`, nil, &got)
	u, err := url.Parse(got.EnrolTotp.URI)
	if err != nil {
		g.t.Fatal(err)
	}
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil {
		g.t.Fatal(err)
	}
	return it.with("code", secret.Code(key, secret.Step(g.DB.Now())))
}
