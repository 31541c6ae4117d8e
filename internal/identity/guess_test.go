package identity_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/turns"
)

// from is a context whose request comes from an address.
func from(ctx context.Context, address string) context.Context {
	a := *access.From(ctx)
	a.Address = address
	return access.With(ctx, &a)
}

// A thousand guesses at a code, over twenty sessions, a thousand addresses, two
// replicas at a time and a restart: five are compared in 15 minutes.
func TestThousandGuesses(t *testing.T) {
	for name, open := range map[string]func(testing.TB, *storetest.Clock) (*store.DB, string){"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := storetest.NewClock()
			db, url := open(t, clock)
			s := newScene(t, db, clock)
			code := s.enrol()
			sessions := make([]context.Context, 20)
			for i := range sessions {
				sessions[i] = s.in()
			}
			replica := func() *identity.Service {
				again, err := store.Open(t.Context(), store.Options{URL: url, Clock: clock.Now})
				s.must(err)
				t.Cleanup(func() { _ = again.Close() })
				return newService(t, again, s.Log)
			}
			var evaluated, refused atomic.Int64
			guess := func(n int, replicas ...*identity.Service) {
				parallel(n, func(i int) error {
					wrong := fmt.Sprintf("%06d", (i*7919+int(evaluated.Load()))%1_000_000)
					if wrong == code() {
						wrong = "12345" // one that could be right would spoil the count
					}
					ctx := from(sessions[i%len(sessions)], fmt.Sprintf("198.51.%d.%d", i/250, i%250))
					_, err := replicas[i%len(replicas)].VerifyIdentity(ctx, &wrong, nil)
					switch f, _ := errors.AsType[*fault.Error](err); {
					case fault.CodeOf(err) == fault.Invalid:
						evaluated.Add(1)
					case fault.CodeOf(err) == fault.RateLimited && f.RetryAfter > 0 && f.RetryAfter <= 15*minute:
						refused.Add(1)
					default:
						t.Errorf("guess %d: %v", i, err)
					}
					return err
				})
			}
			guess(400, s.s, replica())
			clock.Add(14 * minute)
			guess(300, replica()) // as after a restart
			clock.Add(59 * time.Second)
			guess(300, replica(), replica())
			if evaluated.Load() != 5 || refused.Load() != 995 {
				t.Fatalf("%d of 1,000 guesses were compared, %d refused", evaluated.Load(), refused.Load())
			}
			_, err := s.s.VerifyIdentity(sessions[0], new(code()), nil)
			wants(t, err, fault.RateLimited, "")
			clock.Add(time.Second)
			_, err = s.s.VerifyIdentity(s.in(), new(code()), nil)
			s.must(err)
		})
	}
}

// Who guesses one password at many logins is stopped by address.
func TestGuessesFromOneAddress(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.s.Room = &turns.Room{Running: 2, Waiting: 400, PerGuest: 200, Wait: time.Hour}
		try := func(address, login, password string) error {
			_, err := s.s.SignIn(from(t.Context(), address), new("acme"), login, password)
			return err
		}
		// One subscriber has 64 bits of IPv6 addresses.
		got := parallel(80, func(i int) error {
			return try(fmt.Sprintf("2001:db8:1:2:%x::1", i), fmt.Sprintf("login%d", i), "guess")
		})
		if got[fault.Unauthenticated] != 50 || got[fault.RateLimited] != 30 {
			t.Fatal(got)
		}
		if f := wants(t, try("2001:db8:1:2::9", "lina", password), fault.RateLimited, ""); f.RetryAfter != 15*minute {
			t.Error(f.RetryAfter)
		}
		s.must(try("2001:db8:1:3::1", "lina", password))
		s.Clock.Add(15 * minute)
		s.must(try("2001:db8:1:2::9", "lina", password))
		// Behind a proxy that nobody declared, everybody comes from this machine.
		got = parallel(60, func(i int) error { return try("127.0.0.1", fmt.Sprintf("login%d", i), "guess") })
		if got[fault.Unauthenticated] != 60 {
			t.Error(got)
		}
		// Whoever signs in is not counted: a large office shares one address.
		for range 60 {
			s.must(try("192.0.2.1", "lina", password))
		}
	})
}

// Who guesses at many logins from many addresses is stopped by corp, and an unknown
// corp stops just as a known one does.
func TestGuessesInOneCorp(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		n := 0
		try := func(corp, login, password string) error {
			n++
			_, err := s.s.SignIn(from(t.Context(), fmt.Sprintf("203.0.%d.%d", n/250, n%250)), &corp, login, password)
			return err
		}
		for _, corp := range []string{"acme", "unknown"} {
			wants(t, try(corp, "somebody", "guess"), fault.Unauthenticated, "")
		}
		for _, ctx := range []context.Context{s.system(), store.System(t.Context(), identity.Nowhere, "test")} {
			s.must(s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.Keep(ctx, "lockouts", `UPDATE lockouts SET failures = 999 WHERE corp_id = $1 AND subject LIKE 'corp%'`, tx.Corp())
				return err
			}))
		}
		for _, corp := range []string{"acme", "unknown"} {
			wants(t, try(corp, "a", "guess"), fault.Unauthenticated, "") // the thousandth
			if f := wants(t, try(corp, "b", "guess"), fault.RateLimited, ""); f.RetryAfter != minute {
				t.Errorf("%s: %s", corp, f.RetryAfter)
			}
			wants(t, try(corp, "lina", password), fault.RateLimited, "")
			if corp == "unknown" { // all that are unknown are counted as one
				wants(t, try("unknown2", "lina", password), fault.RateLimited, "")
			}
		}
		s.Clock.Add(minute)
		wants(t, try("unknown", "c", "guess"), fault.Unauthenticated, "")
		wants(t, try("unknown", "d", "guess"), fault.RateLimited, "")
		s.must(try("acme", "lina", password)) // it was first in this minute
		s.Clock.Add(15 * minute)
		s.must(s.s.Sweep(store.System(t.Context(), identity.Nowhere, "sweep")))
		if n := s.count(`SELECT count(*) FROM lockouts`); n == 0 {
			t.Error("sweeping nowhere swept the corp")
		}
	})
}

// The same steps for every way not to be let in: what is answered, and what is asked
// of the database.
func TestNobodyCanTellWhyNot(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sso := s.Member("sso", s.Root)
		s.must(s.s.SetPassword(s.system(), sso, "sso", password))
		s.do("credentials", `UPDATE credentials SET password_hash = '' WHERE member_id = $1 RETURNING member_id`, sso)
		s.Member("nologin", s.Root)
		reset := s.Member("reset", s.Root)
		one, err := s.s.ResetPassword(s.Verified(s.Admin), reset, nil)
		s.must(err)
		s.Clock.Add(25 * time.Hour)
		at := from(t.Context(), "192.0.2.7")
		_, err = s.s.SignIn(at, new("acme"), "the first one makes a key for what the log says", "wrong")
		wants(t, err, fault.Unauthenticated, "")
		var first []string
		var text fault.Text
		for _, try := range [][2]string{{"lina", "wrong"}, {"unknown", "wrong"}, {"nologin", "wrong"}, {"sso", "wrong"}, {"sso", ""}, {"reset", one.Password}, {"reset", "wrong"}} {
			var asked []string
			_, err := s.s.SignIn(store.Count(at, func(q string) { asked = append(asked, q) }), new("acme"), try[0], try[1])
			f := wants(t, err, fault.Unauthenticated, "")
			if first == nil {
				first, text = asked, f.Text
			}
			if fmt.Sprint(asked) != fmt.Sprint(first) || f.Text != text {
				t.Errorf("%s: %d statements, %q", try[0], len(asked), f.Text)
			}
			s.Clock.Add(minute) // the log has one line of each account and minute
		}
	})
}
