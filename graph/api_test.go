package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/datapolicy"
	"github.com/openhandover/openhandover/internal/department"
	"github.com/openhandover/openhandover/internal/export"
	"github.com/openhandover/openhandover/internal/grant"
	"github.com/openhandover/openhandover/internal/group"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/leak"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/notice"
	"github.com/openhandover/openhandover/internal/outbound"
	"github.com/openhandover/openhandover/internal/review"
	"github.com/openhandover/openhandover/internal/rule"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/sso"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
	"github.com/openhandover/openhandover/internal/webhook"
)

// api is the whole API over one database.
type api struct {
	t testing.TB
	h http.Handler
}

func newAPI(t testing.TB, db *store.DB, c *testcorp.Corp) *api {
	t.Helper()
	return apiWith(t, db, c, exporting(t, db, c))
}

// apiWith is newAPI with a service of exports that the test knows.
func apiWith(t testing.TB, db *store.DB, c *testcorp.Corp, e *export.Service) *api {
	t.Helper()
	box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
	if err != nil {
		t.Fatal(err)
	}
	totp, err := secret.NewBox(secret.ForTOTP, secret.DemoKey())
	if err != nil {
		t.Fatal(err)
	}
	hooks, err := secret.NewBox(secret.ForWebhooks, secret.DemoKey())
	if err != nil {
		t.Fatal(err)
	}
	ceremonies, err := secret.NewBox(secret.ForCeremonies, secret.DemoKey())
	if err != nil {
		t.Fatal(err)
	}
	rp, err := identity.RelyingParty("OpenHandover", "handover.example.com", []string{"https://handover.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	clients, err := secret.NewBox(secret.ForProviders, secret.DemoKey())
	if err != nil {
		t.Fatal(err)
	}
	who := &identity.Service{DB: db, Log: c.Log, TOTP: totp, Demo: true, Passkeys: rp, Ceremonies: ceremonies}
	return &api{t, Handler(&Resolver{DB: db, Audit: audit.NewReader(box), Use: Cases{
		Identity: who,
		SSO: &sso.Service{DB: db, Log: c.Log, Identity: who, Box: clients, Ceremonies: ceremonies, Client: outbound.NewClient(true), AllowPrivate: true,
			Public: "https://handover.example.com"},
		Grant:      &grant.Service{DB: db, Log: c.Log},
		Rule:       &rule.Service{DB: db, Log: c.Log},
		Member:     &member.Service{DB: db, Log: c.Log},
		Contact:    &contact.Service{DB: db, Log: c.Log},
		Group:      &group.Service{DB: db, Log: c.Log},
		Handover:   &handover.Service{DB: db, Log: c.Log},
		Webhook:    &webhook.Service{DB: db, Log: c.Log, Box: hooks, Client: outbound.NewClient(false)},
		Approval:   &approval.Service{DB: db, Log: c.Log},
		Setting:    &setting.Service{DB: db, Log: c.Log},
		Leak:       &leak.Service{DB: db, Log: c.Log},
		Notice:     &notice.Service{DB: db, Log: c.Log},
		Department: &department.Service{DB: db, Log: c.Log},
		Export:     e,
		Review:     &review.Service{DB: db, Log: c.Log},
		DataPolicy: &datapolicy.Service{DB: db, Log: c.Log},
	}}, Options{})}
}

// exporting makes exports in a folder of the test's.
func exporting(t testing.TB, db *store.DB, c *testcorp.Corp) *export.Service {
	t.Helper()
	box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
	if err != nil {
		t.Fatal(err)
	}
	links, err := secret.NewSigner(secret.ForDownloads, secret.DemoKey())
	if err != nil {
		t.Fatal(err)
	}
	return &export.Service{DB: db, Log: c.Log, Reader: audit.NewReader(box), Links: links, Folder: t.TempDir()}
}

// fail is one error of an answer.
type fail struct {
	Message    string
	Path       []any
	Extensions struct{ Code, Field string }
}

// answer is what came back, and the statements it took.
type answer struct {
	t          testing.TB
	Data       json.RawMessage
	Errors     []fail
	statements []string
}

// ask sends a document as the context's actor.
func (a *api) ask(ctx context.Context, document string, variables map[string]any) *answer {
	a.t.Helper()
	var mu sync.Mutex
	out := &answer{t: a.t}
	ctx = store.Count(ctx, func(q string) { mu.Lock(); defer mu.Unlock(); out.statements = append(out.statements, q) })
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		a.t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
		a.t.Fatalf("%v: %s", err, w.Body)
	}
	return out
}

// good is ask for what must succeed; the data is put into v.
func (a *api) good(ctx context.Context, document string, variables map[string]any, v any) *answer {
	a.t.Helper()
	out := a.ask(ctx, document, variables)
	if len(out.Errors) > 0 {
		a.t.Fatalf("%s\n%+v", document, out.Errors)
	}
	if v != nil {
		if err := json.Unmarshal(out.Data, v); err != nil {
			a.t.Fatalf("%v: %s", err, out.Data)
		}
	}
	return out
}

// refused checks that the answer is one error of the code and field.
func (o *answer) refused(code, field string) {
	o.t.Helper()
	if len(o.Errors) != 1 || o.Errors[0].Extensions.Code != code || o.Errors[0].Extensions.Field != field {
		o.t.Errorf("want %s at %q, got %+v", code, field, o.Errors)
	}
}

// atMost checks the number of statements.
func (o *answer) atMost(n int) {
	o.t.Helper()
	if len(o.statements) > n {
		o.t.Errorf("%d statements, want %d at most:\n%s", len(o.statements), n, strings.Join(o.statements, "\n"))
	}
}

// token is the context of a service token with the permissions over the whole corp.
func token(c *testcorp.Corp, permissions ...access.Permission) context.Context {
	return access.With(context.Background(), &access.Actor{Kind: access.Token, Corp: c.ID, ID: c.Admin, Label: "token", Lang: "en", Grants: []access.Grant{{Permissions: permissions}}})
}
