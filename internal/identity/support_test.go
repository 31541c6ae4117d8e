package identity_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

const (
	password = "four words make one"
	domain   = "handover.example.com"
	origin   = "https://handover.example.com"
)

// scene is a corp in which lina can sign in.
type scene struct {
	*testcorp.Corp
	t    *testing.T
	s    *identity.Service
	lina nid.ID
}

func each(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		test(t, newScene(t, db, clock))
	})
}

func newScene(t *testing.T, db *store.DB, clock *storetest.Clock) *scene {
	c := testcorp.New(t, db, clock, "acme")
	s := &scene{Corp: c, t: t, s: newService(t, db, c.Log)}
	s.lina = c.Member("lina", c.Root)
	s.must(s.s.SetPassword(s.system(), s.lina, "Lina", password))
	return s
}

// newService is one replica of the service.
func newService(t *testing.T, db *store.DB, log *audit.Log) *identity.Service {
	t.Helper()
	rp, err := identity.RelyingParty("OpenHandover", domain, []string{origin})
	if err != nil {
		t.Fatal(err)
	}
	return &identity.Service{DB: db, Log: log, TOTP: box(t, secret.ForTOTP), Ceremonies: box(t, secret.ForCeremonies), Passkeys: rp, Cost: secret.Cheap}
}

func box(t *testing.T, purpose secret.Purpose) *secret.Box {
	t.Helper()
	b, err := secret.NewBox(purpose, secret.DemoKey())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *scene) system() context.Context { return store.System(s.t.Context(), s.ID, "test") }

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// wants demands a fault of a code about a field.
func wants(t *testing.T, err error, code fault.Code, field string) *fault.Error {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Code != code || f.Field != field {
		t.Fatalf("got %s %v, want %s on %q", fault.CodeOf(err), err, code, field)
	}
	return f
}

func (s *scene) signIn(login, password string) (identity.Session, error) {
	return s.s.SignIn(s.t.Context(), new("acme"), login, password)
}

// in is the context of a session that lina has just started.
func (s *scene) in() context.Context {
	s.t.Helper()
	session, err := s.signIn("lina", password)
	s.must(err)
	return s.with(session.Token)
}

func (s *scene) with(token string) context.Context {
	s.t.Helper()
	a, err := s.s.Authenticate(s.t.Context(), token)
	s.must(err)
	return access.With(s.t.Context(), a)
}

func (s *scene) entries(action access.Action) int {
	s.t.Helper()
	return s.count(`SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = $2`, s.ID, string(action))
}

func (s *scene) count(query string, args ...any) int {
	s.t.Helper()
	return testcorp.Value[int](s.Corp, query, args...)
}

// do changes a table that no entry need cover, or covers it by hand.
func (s *scene) do(table, query string, args ...any) {
	s.t.Helper()
	s.must(s.DB.Tx(s.system(), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, table, query, args...)
		tx.Cover(ids...)
		return err
	}))
}

// parallel runs n calls at once and counts their answers by code.
func parallel(n int, call func(i int) error) map[fault.Code]int {
	var wait sync.WaitGroup
	var mu sync.Mutex
	got := map[fault.Code]int{}
	for i := range n {
		wait.Go(func() {
			code := fault.CodeOf(call(i))
			mu.Lock()
			defer mu.Unlock()
			got[code]++
		})
	}
	wait.Wait()
	return got
}

const minute = time.Minute
