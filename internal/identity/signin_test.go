package identity_test

import (
	"bytes"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func TestSignIn(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Grant(s.lina, access.Reporter.Name, s.Root)
		for _, login := range []string{"lina", "LINA"} {
			got, err := s.signIn(login, password)
			s.must(err)
			if a := got.Actor; a.ID != s.lina || a.Corp != s.ID || a.Kind != access.Person || !a.Can(access.ViewStatistics) || a.Can(access.ManageRoles) ||
				!got.ExpiresAt.Equal(s.DB.Now().Add(12*time.Hour)) || a.Fresh(s.DB.Now()) {
				t.Fatalf("%+v of %+v", got, got.Actor)
			}
			if n := s.count(`SELECT count(*) FROM sessions WHERE secret_hash = $1`, secret.Hash(got.Token)); n != 1 {
				t.Fatalf("%d sessions under the hash", n)
			}
		}
		session, err := s.s.SignIn(t.Context(), nil, "lina", password) // the only corp
		s.must(err)
		if kind, corp, ok := secret.ParseToken(session.Token); kind != secret.Session || corp != s.ID || !ok {
			t.Fatal("not a session of the corp")
		}
		if n := s.entries(access.SessionStart); n != 3 {
			t.Fatalf("%d entries", n)
		}
		testcorp.New(t, s.DB, s.Clock, "other")
		_, err = s.s.SignIn(t.Context(), nil, "lina", password)
		wants(t, err, fault.Invalid, "input.corp")
	})
}

func TestSignInTellsNothing(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		other := testcorp.New(t, s.DB, s.Clock, "other")
		s.must(s.s.SetPassword(store.System(t.Context(), other.ID, "test"), other.Admin, "boss", password))
		for _, name := range []string{"gone", "off"} {
			s.must(s.s.SetPassword(s.system(), s.Member(name, s.Root), name, password))
			s.do("members", `UPDATE members SET status = $3, answers = false WHERE corp_id = $1 AND user_id = $2 RETURNING id`, s.ID, name,
				map[string]string{"gone": "DEPARTED", "off": "DISABLED"}[name])
		}
		s.Member("nopassword", s.Root)
		var texts []string
		for name, try := range map[string][3]string{
			"wrong password": {"acme", "lina", "another one entirely"}, "unknown login": {"acme", "nobody", password},
			"unknown corp": {"nope", "lina", password}, "another corp's login": {"acme", "boss", password}, "no password set": {"acme", "nopassword", password},
			"departed": {"acme", "gone", password}, "disabled": {"acme", "off", password}, "empty": {"acme", "", ""},
			"NUL": {"acme", "li\x00na", password}, "not UTF-8": {"ac\xffme", "li\xffna", password}, "long": {"acme", strings.Repeat("a", 9000), strings.Repeat("b", 9000)},
		} {
			_, err := s.s.SignIn(t.Context(), &try[0], try[1], try[2])
			if fault.CodeOf(err) != fault.Unauthenticated {
				t.Fatalf("%s: %v", name, err)
			}
			texts = append(texts, err.Error())
		}
		if slices.Sort(texts); len(slices.Compact(texts)) != 1 {
			t.Fatalf("answers differ: %q", texts)
		}
	})
}

// An unknown login takes the statements and the hashing that a known one takes. One
// computation fills its memory, so what was allocated counts the computations.
func TestUnknownLoginCostsTheSame(t *testing.T) {
	for name, open := range map[string]func(testing.TB, *storetest.Clock) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		clock := storetest.NewClock() // one engine after the other, since all that the process allocates is counted
		s := newScene(t, open(t, clock), clock)
		const block = 64 << 20
		s.s.Cost = secret.Params{Memory: block >> 10, Time: 1, Threads: 1}
		s.must(s.s.SetPassword(s.system(), s.lina, "lina", password))
		cost := func(login string) (statements int, hashes uint64) {
			ctx := store.Count(t.Context(), func(string) { statements++ })
			ctx = access.With(ctx, &access.Actor{Kind: access.Anonymous, Address: "203.0.113.7"})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := s.s.SignIn(ctx, new("acme"), login, "wrong")
			runtime.ReadMemStats(&after)
			wants(t, err, fault.Unauthenticated, "")
			clock.Add(minute)
			return statements, (after.TotalAlloc - before.TotalAlloc) / block
		}
		cost("nobody") // the first failure of a corp makes the key that its entries are sealed with
		known, once := cost("lina")
		unknown, same := cost("nobody")
		if known != unknown || once != 1 || same != 1 {
			t.Errorf("%s: known: %d statements, %d hashes; unknown: %d, %d", name, known, once, unknown, same)
		}
	}
}

func TestLockout(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		for name, at := range map[string][2]string{"known": {"acme", "lina"}, "unknown": {"acme", "nobody"}, "unknown corp": {"nope", "lina"}} {
			corp, login := at[0], at[1]
			for i := range 5 {
				_, err := s.s.SignIn(t.Context(), &corp, login, "wrong")
				if fault.CodeOf(err) != fault.Unauthenticated {
					t.Fatalf("%s, failure %d: %v", name, i+1, err)
				}
				s.Clock.Add(10 * time.Second)
			}
			_, err := s.s.SignIn(t.Context(), &corp, login, password)
			if f := wants(t, err, fault.RateLimited, ""); f.RetryAfter != 15*time.Minute-10*time.Second {
				t.Fatalf("%s: retry after %s", name, f.RetryAfter)
			}
		}
		_, err := s.signIn("LINA", password)
		wants(t, err, fault.RateLimited, "")
		if _, err := s.signIn("root-admin", "x"); fault.CodeOf(err) != fault.Unauthenticated {
			t.Fatalf("another login is locked too: %v", err)
		}
		s.Clock.Add(15 * time.Minute)
		if _, err := s.signIn("lina", password); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSuccessBuysNoGuesses(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		for range 4 {
			_, err := s.signIn("lina", "wrong")
			wants(t, err, fault.Unauthenticated, "")
		}
		for range 3 {
			_, err := s.signIn("lina", password)
			s.must(err)
		}
		_, err := s.signIn("lina", "wrong")
		wants(t, err, fault.Unauthenticated, "")
		_, err = s.signIn("lina", password)
		wants(t, err, fault.RateLimited, "")
	})
}

func TestManyGuessesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		for _, login := range []string{"lina", "nobody"} {
			got := parallel(1000, func(int) error {
				_, err := s.signIn(login, "wrong")
				return err
			})
			if got[fault.Unauthenticated] != 5 || got[fault.RateLimited] != 995 {
				t.Fatalf("%s: %v", login, got)
			}
			if n := s.entries(access.SessionFail); login == "lina" && n != 1 {
				t.Fatalf("%d entries for one minute", n)
			}
		}
	})
}

func TestFailureEntries(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ctx := access.With(t.Context(), &access.Actor{Kind: access.Anonymous, Address: "203.0.113.7", RequestID: "r1"})
		for _, login := range []string{"lina", "lina", "my-own-secret"} {
			_, err := s.s.SignIn(ctx, new("acme"), login, "wrong")
			wants(t, err, fault.Unauthenticated, "")
		}
		if n := s.entries(access.SessionFail); n != 2 {
			t.Fatalf("%d entries", n)
		}
		s.Clock.Add(minute)
		_, err := s.signIn("lina", "wrong")
		wants(t, err, fault.Unauthenticated, "")
		if n := s.entries(access.SessionFail); n != 3 {
			t.Fatalf("%d entries a minute later", n)
		}
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = 'session.fail' AND subject_id = $2`, s.ID, s.lina); n != 2 {
			t.Fatalf("%d entries about lina", n)
		}
		leaves := testcorp.Value[[]byte](s.Corp, `SELECT leaf FROM audit_entries WHERE corp_id = $1 AND action = 'session.fail' AND subject_id IS NULL`, s.ID)
		for _, private := range []string{"my-own-secret", "203.0.113.7"} {
			if len(leaves) == 0 || bytes.Contains(leaves, []byte(private)) {
				t.Fatalf("%q stands in %s", private, leaves)
			}
		}
	})
}

func TestOldestSessionsMakeRoom(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		var tokens []string
		for range 22 {
			session, err := s.signIn("lina", password)
			s.must(err)
			tokens = append(tokens, session.Token)
			s.Clock.Add(time.Second)
		}
		for i, token := range tokens {
			if _, err := s.s.Authenticate(t.Context(), token); (err == nil) != (i >= 2) {
				t.Fatalf("session %d: %v", i, err)
			}
		}
	})
}

func TestPasswordIsHashedAgainAtTheNewCost(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		dearer := secret.Params{Memory: 128, Time: 1, Threads: 1}
		s.s.Cost = dearer
		for range 2 {
			_, err := s.signIn("lina", password)
			s.must(err)
			if h := testcorp.Value[string](s.Corp, `SELECT password_hash FROM credentials WHERE member_id = $1`, s.lina); secret.NeedsRehash(h, dearer) {
				t.Fatal("still the old cost")
			}
		}
	})
}

// The lock holds for every replica and after a restart.
func TestLockoutOutlivesTheProgram(t *testing.T) {
	for name, url := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + filepath.Join(t.TempDir(), "a.db") },
		"postgres": func() string { _, app := storetest.PostgresURLs(t); return app },
	} {
		t.Run(name, func(t *testing.T) {
			at := url()
			open := func() *store.DB {
				db, err := store.Open(t.Context(), store.Options{URL: at})
				if err != nil {
					t.Fatal(err)
				}
				return db
			}
			db := open()
			if !db.Postgres() {
				if _, err := db.Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			c := testcorp.New(t, db, nil, "acme")
			s := &identity.Service{DB: db, Log: c.Log, TOTP: box(t, secret.ForTOTP), Cost: secret.Cheap}
			if err := s.SetPassword(store.System(t.Context(), c.ID, "test"), c.Admin, "admin", password); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				_, err := s.SignIn(t.Context(), nil, "admin", "wrong")
				wants(t, err, fault.Unauthenticated, "")
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			s.DB = open()
			defer func() { _ = s.DB.Close() }()
			_, err := s.SignIn(t.Context(), nil, "admin", password)
			wants(t, err, fault.RateLimited, "")
		})
	}
}

func TestPasswordChangedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		// Whichever is first: afterwards no session of the old password is alive.
		tokens := make([]string, 3)
		parallel(4, func(i int) error {
			if i == 3 {
				return s.s.SetPassword(s.system(), s.lina, "lina", "a new one altogether")
			}
			session, err := s.signIn("lina", password)
			tokens[i] = session.Token
			return err
		})
		for _, token := range tokens {
			if _, err := s.s.Authenticate(t.Context(), token); fault.CodeOf(err) != fault.Unauthenticated {
				t.Fatalf("a session of the old password lives: %v", err)
			}
		}
		if id, err := s.s.Find(s.system(), "LINA"); err != nil || id != s.lina {
			t.Fatal(id, err)
		}
		_, err := s.s.Find(s.system(), nid.New(nid.Member).String())
		wants(t, err, fault.NotFound, "login")
	})
}
