package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
	"github.com/openhandover/openhandover/internal/web"
)

type keeper struct{ *identity.Service }

func (s keeper) Authenticate(ctx context.Context, c web.Credential) (*access.Actor, error) {
	return s.Service.Authenticate(ctx, c.Secret)
}

// doorway is a whole server behind a proxy that says who asks.
type doorway struct {
	t   *testing.T
	url string
}

func newDoorway(t *testing.T, db *store.DB, c *testcorp.Corp, cost secret.Params) *doorway {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	totp, err := secret.NewBox(secret.ForTOTP, secret.DemoKey())
	must(err)
	devices, err := secret.NewSigner(secret.ForDevices, secret.DemoKey())
	must(err)
	who := &identity.Service{DB: db, Log: c.Log, TOTP: totp, Cost: cost, Devices: devices}
	must(who.SetPassword(store.System(t.Context(), c.ID, "test"), c.Admin, "root-admin", "plum-otter-lantern-47"))
	s, err := web.New(web.Options{GraphQL: Handler(&Resolver{DB: db, Use: Cases{Identity: who}}, Options{}), Authenticator: keeper{who},
		BehindProxy: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Limits: web.Limits{Rate: -1}})
	must(err)
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return &doorway{t, h.URL + "/graphql"}
}

// signIn answers the status, the error's code, and the cookies.
func (d *doorway) signIn(from, corp, password string, cookies ...*http.Cookie) (status int, code string, got []*http.Cookie) {
	body, err := json.Marshal(map[string]any{"query": fmt.Sprintf(`mutation { signIn(input: {corp: %q, login: "root-admin", password: %q}) { expiresAt } }`, corp, password)})
	if err != nil {
		d.t.Error(err)
		return 0, "", nil
	}
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.url, strings.NewReader(string(body)))
	if err != nil {
		d.t.Error(err)
		return 0, "", nil
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-For", from)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		d.t.Error(err)
		return 0, "", nil
	}
	defer func() { _ = resp.Body.Close() }()
	var v struct {
		Errors []struct{ Extensions struct{ Code string } }
	}
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		d.t.Error(err)
	}
	if len(v.Errors) > 0 {
		code = v.Errors[0].Extensions.Code
	}
	if resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") == "" {
		d.t.Error("429 does not say when to try again")
	}
	return resp.StatusCode, code, resp.Cookies()
}

const right = "plum-otter-lantern-47"

// Guesses at corps that do not exist, all at once and from one address, keep nobody
// else out, and are few.
func TestGuessesAtInventedCorpsKeepNobodyOut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		// As real passwords cost, but for the memory that a test machine is short of.
		d := newDoorway(t, db, c, secret.Params{Memory: 16 * 1024, Time: 3, Threads: 1})
		var mu sync.Mutex
		seen := map[string]int{}
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				status, code, _ := d.signIn("198.51.100.7", fmt.Sprintf("invented-%d", i), "guess")
				mu.Lock()
				defer mu.Unlock()
				seen[fmt.Sprint(status, " ", code)]++
			})
		}
		for range 5 {
			if status, code, _ := d.signIn("203.0.113.9", "acme", right); status != http.StatusOK || code != "" {
				t.Errorf("another address: %d %s", status, code)
			}
		}
		all.Wait()
		if n := seen["200 UNAUTHENTICATED"]; n > 50 || n+seen["429 RATE_LIMITED"] != 200 {
			t.Error(seen)
		}
		// One after the other they end as well: the address is counted over all corps.
		compared := seen["200 UNAUTHENTICATED"]
		for i := range 60 {
			if status, _, _ := d.signIn("198.51.100.7", fmt.Sprintf("more-%d", i), "guess"); status == http.StatusOK {
				compared++
			}
		}
		if compared != 50 {
			t.Errorf("%d guesses of one address were compared", compared)
		}
		if status, code, _ := d.signIn("198.51.100.7", "acme", right); status != http.StatusTooManyRequests {
			t.Errorf("the address that guessed: %d %s", status, code)
		}
	})
}

// Whoever guesses at an account locks it for strangers, and not for its member at a
// browser where they have signed in before.
func TestGuessingLocksTheGuesser(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		d := newDoorway(t, db, c, secret.Cheap)
		_, code, cookies := d.signIn("203.0.113.9", "acme", right)
		var device *http.Cookie
		for _, k := range cookies {
			if strings.HasSuffix(k.Name, "handover_device") {
				device = k
			}
		}
		if code != "" || device == nil || !device.HttpOnly {
			t.Fatalf("%q, the cookies are %v", code, cookies)
		}
		for i := range 8 {
			d.signIn(fmt.Sprintf("198.51.100.%d", i+1), "acme", "guess")
		}
		if status, code, _ := d.signIn("198.51.100.77", "acme", right); status != http.StatusTooManyRequests || code != "RATE_LIMITED" {
			t.Errorf("a stranger at the locked account: %d %s", status, code)
		}
		if _, code, _ := d.signIn("203.0.113.9", "acme", right, device); code != "" {
			t.Errorf("the member at their own browser: %s", code)
		}
		forged := *device
		forged.Value = "A" + device.Value[1:]
		if device.Value[0] == 'A' {
			forged.Value = "B" + device.Value[1:]
		}
		if _, code, _ := d.signIn("203.0.113.9", "acme", right, &forged); code != "RATE_LIMITED" {
			t.Errorf("an invented device: %s", code)
		}
		// A stolen device has five guesses, and then is like any.
		for i := range 5 {
			if _, code, _ := d.signIn("198.51.100.78", "acme", fmt.Sprint("guess ", i), device); code != "UNAUTHENTICATED" {
				t.Errorf("guess %d: %s", i, code)
			}
		}
		if _, code, _ := d.signIn("198.51.100.78", "acme", right, device); code != "RATE_LIMITED" {
			t.Errorf("the sixth guess at a device: %s", code)
		}
		clock.Add(16 * time.Minute)
		if _, code, _ := d.signIn("203.0.113.9", "acme", right, device); code != "" {
			t.Errorf("a quarter of an hour later: %s", code)
		}
	})
}
