package sso_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/graph"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/grant"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/web"
)

// graphql puts the whole API behind the scene's server.
func (s *scene) graphql() {
	s.t.Helper()
	subjects, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
	s.must(err)
	api := graph.Handler(&graph.Resolver{DB: s.DB, Audit: audit.NewReader(subjects), Use: graph.Cases{Identity: s.who, SSO: s.s, Grant: &grant.Service{DB: s.DB, Log: s.Log}}}, graph.Options{})
	s.front, err = web.New(web.Options{GraphQL: api, Authenticator: doorman{s.who}, SSO: s.s, Log: slog.New(slog.DiscardHandler)})
	s.must(err)
}

// ask sends a document from a browser and gives the code of the refusal, empty for none.
func (b *browser) ask(s *scene, query string, variables map[string]any) fault.Code {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	s.must(err)
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.server.URL+"/graphql", strings.NewReader(string(body)))
	s.must(err)
	r.Header.Set("Content-Type", "application/json")
	res, err := b.Do(r)
	s.must(err)
	defer res.Body.Close()
	var out struct {
		Errors []struct {
			Extensions struct{ Code fault.Code }
		}
	}
	s.must(json.NewDecoder(res.Body).Decode(&out))
	if len(out.Errors) == 0 {
		return ""
	}
	return out.Errors[0].Extensions.Code
}

// Whoever took over an account without a role, by calling themselves at the provider what
// its claim says, keeps nothing of it when the account gets one: the provider's word
// enrols no authenticator, links nothing, and the session ends with the grant.
func TestAClaimLeavesNothingBehind(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		const enrol = `mutation($p: String) { enrolTotp(input: {password: $p}) { uri } }`
		id := s.connect(s.input())
		s.graphql()
		s.login("lina", s.lina)
		s.op.users["sub-stranger"].Username = lina
		s.op.users["sub-lina"].Username = "lina2@example.com"
		s.op.says("mfa", time.Time{})
		stranger := newBrowser(t)
		s.wants(s.signIn(stranger, id, lina, ""), 303, s.server.URL+"/")
		s.wants(s.signIn(stranger, id, lina, "?prove=1"), 303, s.server.URL+"/?sso_error=unproven")
		if got := stranger.ask(s, enrol, nil); got != fault.Invalid { // it asks for the password
			t.Errorf("enrolling with the provider's proof: %q", got)
		}
		if got := stranger.ask(s, enrol, map[string]any{"p": "not her password at all"}); got != fault.Invalid {
			t.Errorf("enrolling with a guess: %q", got)
		}
		link := map[string]any{"i": map[string]any{"id": id.String()}}
		if got := stranger.ask(s, `mutation($i: LinkIdentityInput!) { linkIdentity(input: $i) { url } }`, link); got != fault.StepUpRequired {
			t.Errorf("linking with the provider's proof: %q", got)
		}
		// Her own password does entitle, whichever way she came in.
		if got := stranger.ask(s, enrol, map[string]any{"p": "a long enough password"}); got != "" {
			t.Errorf("enrolling with the password: %q", got)
		}
		// The role ends what the claim has opened, and no other session.
		mine, admin := newBrowser(t), newBrowser(t)
		s.in(mine, s.lina, false)
		s.in(admin, s.Admin, true)
		given := map[string]any{"m": s.lina.String(), "r": s.Role("reads", access.ReadAuditLog).String()}
		if got := admin.ask(s, `mutation($m: ID!, $r: ID!) { grantRole(input: {memberId: $m, roleId: $r}) { grant { id } } }`, given); got != "" {
			t.Fatalf("granting: %q", got)
		}
		if got := stranger.ask(s, `{ viewer { __typename } }`, nil); got != fault.Unauthenticated {
			t.Errorf("the stranger after the grant: %q", got)
		}
		if got := mine.ask(s, `{ viewer { __typename } }`, nil); got != "" {
			t.Errorf("her own session: %q", got)
		}
		if n := s.entries(access.SessionRevoke); n != 1 {
			t.Errorf("%d entries of ended sessions", n)
		}
		// What she links herself lives on through the next role.
		s.op.users["sub-stranger"].Username = "stranger@example.com"
		s.op.users["sub-lina"].Username = lina
		s.linked(id, s.lina, lina)
		own := newBrowser(t)
		s.wants(s.signIn(own, id, lina, ""), 303, s.server.URL+"/")
		given["r"] = s.Role("reads more", access.ReadAuditLog, access.ReadInheritedHistory).String()
		if got := admin.ask(s, `mutation($m: ID!, $r: ID!) { grantRole(input: {memberId: $m, roleId: $r}) { grant { id } } }`, given); got != "" {
			t.Fatalf("granting: %q", got)
		}
		if got := own.ask(s, enrol, nil); got != "" {
			t.Errorf("enrolling with the proof of her own link: %q", got)
		}
	})
}
