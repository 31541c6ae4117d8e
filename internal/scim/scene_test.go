package scim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/provision"
	"github.com/openhandover/openhandover/internal/scim"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
	"github.com/openhandover/openhandover/internal/web"
)

// scene is a corp with the whole server before it, as a provider meets it.
type scene struct {
	*testcorp.Corp
	t      *testing.T
	server http.Handler
	id     *identity.Service
	people *member.Service
	token  string
	sales  nid.ID
	boss   nid.ID
	lina   nid.ID

	mu         sync.Mutex
	statements []string
}

func each(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) { test(t, newScene(t, db, clock)) })
}

func newScene(t *testing.T, db *store.DB, clock *storetest.Clock) *scene {
	t.Helper()
	c := testcorp.New(t, db, clock, "acme")
	s := &scene{Corp: c, t: t, id: &identity.Service{DB: db, Log: c.Log}, people: &member.Service{DB: db, Log: c.Log}}
	s.boss = c.Member("boss", c.Root)
	s.sales = c.Department("sales", c.Root)
	c.Manager(c.Root, s.boss)
	s.lina = c.Member("lina", s.sales)
	log := slog.New(slog.NewTextHandler(&testLog{t: t}, nil))
	server, err := web.New(web.Options{
		GraphQL: http.NotFoundHandler(), Authenticator: authenticator{s.id}, Log: slog.New(slog.DiscardHandler), Limits: web.Limits{Rate: -1, AccountRate: -1, CorpRate: -1},
		SCIM: scim.New(&provision.Service{DB: db, Log: c.Log, Member: s.people}, log),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.server = server
	s.token = s.newToken(access.ProvisionMembers, nil)
	return s
}

// testLog fails the test where the handler logs what went wrong on our side.
type testLog struct{ t *testing.T }

func (l *testLog) Write(b []byte) (int, error) { l.t.Errorf("logged: %s", b); return len(b), nil }

type authenticator struct{ *identity.Service }

func (a authenticator) Authenticate(ctx context.Context, c web.Credential) (*access.Actor, error) {
	actor, err := a.Service.Authenticate(ctx, c.Secret)
	if actor == nil && err == nil {
		err = fault.New(fault.Unauthenticated, "", fault.T("no", "否"))
	}
	return actor, err
}

func (s *scene) newToken(p access.Permission, department *nid.ID) string {
	s.t.Helper()
	_, token, err := s.id.CreateToken(store.System(context.Background(), s.ID, "test"), "provider", []access.Permission{p}, department, s.DB.Now().Add(90*24*time.Hour))
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// reply is what came back.
type reply struct {
	t      *testing.T
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

// do sends a request; header are pairs.
func (s *scene) do(method, path, body string, header ...string) *reply {
	s.t.Helper()
	s.mu.Lock()
	s.statements = nil
	s.mu.Unlock()
	ctx := store.Count(context.Background(), func(q string) { s.mu.Lock(); defer s.mu.Unlock(); s.statements = append(s.statements, q) })
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(ctx, method, scim.Base+path, in)
	r.Header.Set("Authorization", "Bearer "+s.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/scim+json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, r)
	out := &reply{t: s.t, status: w.Code, header: w.Header(), raw: bytes.TrimSpace(w.Body.Bytes())}
	if len(out.raw) > 0 {
		if err := json.Unmarshal(out.raw, &out.body); err != nil {
			s.t.Fatalf("%s %s: %v\n%s", method, path, err, out.raw)
		}
		if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "application/scim+json") {
			s.t.Errorf("%s %s answers %s", method, path, got)
		}
	}
	return out
}

// want checks status and scimType.
func (o *reply) want(status int, kind ...string) *reply {
	o.t.Helper()
	if o.status != status {
		o.t.Fatalf("status is %d, want %d: %s", o.status, status, o.raw)
	}
	if len(kind) > 0 {
		if o.body["scimType"] != kind[0] {
			o.t.Errorf("scimType is %v, want %s: %s", o.body["scimType"], kind[0], o.raw)
		}
	}
	if status >= 400 {
		if o.body["detail"] == "" || o.body["detail"] == nil {
			o.t.Errorf("an error without detail: %s", o.raw)
		}
	}
	return o
}

func (o *reply) str(name string) string {
	o.t.Helper()
	s, ok := o.body[name].(string)
	if !ok {
		o.t.Fatalf("no %s in %s", name, o.raw)
	}
	return s
}

// names are the userName or displayName of a list's resources.
func (o *reply) names() string {
	o.t.Helper()
	var out []string
	list, _ := o.body["Resources"].([]any)
	for _, r := range list {
		m := r.(map[string]any)
		n, ok := m["userName"].(string)
		if !ok {
			n, _ = m["displayName"].(string)
		}
		out = append(out, n)
	}
	return strings.Join(out, " ")
}

func (s *scene) count(query string, args ...any) int {
	s.t.Helper()
	return testcorp.Value[int](s.Corp, query, args...)
}

func (s *scene) status(id nid.ID) string {
	s.t.Helper()
	return testcorp.Value[string](s.Corp, `SELECT status FROM members WHERE id = $1`, id)
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func parse(t *testing.T, id string) nid.ID {
	t.Helper()
	out, err := nid.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
