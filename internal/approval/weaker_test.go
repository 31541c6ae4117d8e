package approval_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// policies runs a test with a clock, and two administrators where two is true.
func policies(t *testing.T, two bool, test func(t *testing.T, s *scene, boss nid.ID, clock *storetest.Clock)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &scene{Corp: c, t: t, s: &approval.Service{DB: db, Log: c.Log}}
		s.Grant(s.Member("approver", s.Root), access.Approver.Name, nid.ID{})
		s.Grant(s.Member("approver2", s.Root), access.Approver.Name, nid.ID{})
		boss := s.Member("boss", s.Root)
		if two {
			s.Grant(boss, access.Administrator.Name, nid.ID{})
		}
		test(t, s, boss, clock)
	})
}

func (s *scene) save(who nid.ID, change func(*approval.SaveInput)) (approval.Saved, error) {
	s.t.Helper()
	in := standard()
	version := s.policy().Version
	in.Version = &version
	change(&in)
	return s.s.Save(s.Verified(who), in)
}

func noKeys(in *approval.SaveInput) { in.KeyContacts = false }

// keys is how many votes a plan with a key contact needs, and how many one of 50 others.
func (s *scene) keys() [2]int {
	p := s.policy()
	return [2]int{p.Of(2, 2).Votes, p.OfSum(50, 0, 0, 0).Votes}
}

func (s *scene) waiting() int {
	return testcorp.Value[int](s.Corp, `SELECT count(*) FROM pending_changes WHERE corp_id = $1`, s.ID)
}

func TestOneAdministratorWeakensAPolicyAfterADay(t *testing.T) {
	policies(t, false, func(t *testing.T, s *scene, _ nid.ID, clock *storetest.Clock) {
		got, err := s.save(s.Admin, noKeys)
		if err != nil || !got.Pending.IsZero() || s.policy().KeyContacts || s.policy().Version != 2 {
			t.Fatalf("%+v, %v, %+v", got, err, s.policy())
		}
		n := s.policy().Of(2, 2)
		if n.Votes != 1 || len(n.Reasons) != 2 || n.Reasons[0] != "key:2" || n.Reasons[1] != "earlier:"+clock.Now().Add(24*time.Hour).UTC().Format(time.RFC3339) {
			t.Errorf("%+v", n)
		}
		clock.Add(24*time.Hour - time.Minute)
		if got := s.keys(); got != [2]int{1, 0} {
			t.Errorf("before a day has passed: %v", got)
		}
		clock.Add(time.Minute)
		if got := s.keys(); got != [2]int{0, 0} || len(s.policy().Earlier) != 0 {
			t.Errorf("after a day: %v, %+v", got, s.policy())
		}
		// Stricter counts at once.
		if _, err := s.save(s.Admin, func(*approval.SaveInput) {}); err != nil || s.keys() != [2]int{1, 0} {
			t.Errorf("%v, %v", err, s.keys())
		}
	})
}

func TestTwoWeakenAPolicy(t *testing.T) {
	policies(t, true, func(t *testing.T, s *scene, boss nid.ID, clock *storetest.Clock) {
		got, err := s.save(s.Admin, noKeys)
		if err != nil || got.Pending.IsZero() || !s.policy().KeyContacts || s.policy().Version != 1 {
			t.Fatalf("%+v, %v, %+v", got, err, s.policy())
		}
		_, err = s.save(s.Admin, noKeys)
		wants(t, err, fault.Conflict, "")
		// Something else is another request; what is stricter waits for nobody.
		other, err := s.save(boss, func(in *approval.SaveInput) { in.ExpiresAfterHours = 100 })
		if err != nil || other.Pending.IsZero() || s.waiting() != 2 {
			t.Errorf("%+v, %v, %d wait", other, err, s.waiting())
		}
		if got, err = s.save(boss, noKeys); err != nil || !got.Pending.IsZero() || s.policy().KeyContacts || s.policy().Version != 2 {
			t.Fatalf("%+v, %v, %+v", got, err, s.policy())
		}
		if s.waiting() != 0 {
			t.Errorf("%d wait that were asked for on top of the policy that is gone", s.waiting())
		}
		leaf := testcorp.Value[[]byte](s.Corp, `SELECT leaf FROM audit_entries WHERE corp_id = $1 AND action = 'approval_policy.save'`, s.ID)
		if !strings.Contains(string(leaf), `"requestedBy":"`+s.Admin.String()) || !strings.Contains(string(leaf), boss.String()) {
			t.Errorf("the entry does not name both: %s", leaf)
		}
		if got := s.keys(); got != [2]int{1, 0} {
			t.Errorf("the strictest policy of the last 24 hours counts: %v", got)
		}
		clock.Add(24 * time.Hour)
		if got := s.keys(); got != [2]int{0, 0} {
			t.Errorf("after a day: %v", got)
		}
	})
}

func TestAWordLapsesOrLosesItsPerson(t *testing.T) {
	policies(t, true, func(t *testing.T, s *scene, boss nid.ID, clock *storetest.Clock) {
		ask := func(who nid.ID) {
			t.Helper()
			if got, err := s.save(who, noKeys); err != nil || got.Pending.IsZero() {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		ask(s.Admin)
		clock.Add(72*time.Hour + time.Minute)
		ask(boss) // the first word has lapsed
		third := s.Member("third", s.Root)
		s.Grant(third, access.Administrator.Name, nid.ID{})
		s.Depart(boss)
		ask(s.Admin) // the word of who is gone does not count
		if _, err := s.save(third, noKeys); err != nil || s.policy().KeyContacts {
			t.Errorf("%v, %+v", err, s.policy())
		}
	})
}

// A policy that is partly stricter and partly weaker is weaker.
func TestWhatIsWeaker(t *testing.T) {
	n := func(n int) *int { return &n }
	for what, c := range map[string]struct {
		change func(*approval.SaveInput)
		weaker bool
	}{
		"fewer approvals":             {func(in *approval.SaveInput) { in.Approvals = 1 }, true},
		"no key contacts":             {noKeys, true},
		"a higher threshold":          {func(in *approval.SaveInput) { in.Above = n(41) }, true},
		"no threshold":                {func(in *approval.SaveInput) { in.Above = nil }, true},
		"a longer expiry":             {func(in *approval.SaveInput) { in.ExpiresAfterHours = 73 }, true},
		"stricter and weaker":         {func(in *approval.SaveInput) { in.Above, in.ExpiresAfterHours = n(10), 80 }, true},
		"a lower threshold":           {func(in *approval.SaveInput) { in.Above = n(39) }, false},
		"a shorter expiry":            {func(in *approval.SaveInput) { in.ExpiresAfterHours = 24 }, false},
		"stricter in two ways":        {func(in *approval.SaveInput) { in.Above, in.ExpiresAfterHours = n(0), 1 }, false},
		"the same":                    {func(*approval.SaveInput) {}, false},
		"more approvals, fewer hours": {func(in *approval.SaveInput) { in.Approvals, in.ExpiresAfterHours = 3, 71 }, false},
	} {
		policies(t, true, func(t *testing.T, s *scene, boss nid.ID, _ *storetest.Clock) {
			s.Grant(s.Member("approver3", s.Root), access.Approver.Name, nid.ID{})
			base := func(in *approval.SaveInput) { in.Above, in.Approvals = n(40), 2 }
			if got, err := s.save(s.Admin, base); err != nil || !got.Pending.IsZero() {
				t.Fatalf("stricter: %+v, %v", got, err)
			}
			got, err := s.save(boss, func(in *approval.SaveInput) { base(in); c.change(in) })
			if err != nil || got.Pending.IsZero() == c.weaker {
				t.Errorf("%s: %+v, %v", what, got, err)
			}
		})
	}
}

// Several policies within a day: each plan needs what the strictest asked for it, and
// nobody is asked for more votes than one of them wanted.
func TestTheStrictestOfADay(t *testing.T) {
	policies(t, false, func(t *testing.T, s *scene, _ nid.ID, clock *storetest.Clock) {
		n := func(n int) *int { return &n }
		step := func(change func(*approval.SaveInput)) {
			t.Helper()
			if _, err := s.save(s.Admin, change); err != nil {
				t.Fatal(err)
			}
			clock.Add(time.Hour)
		}
		step(func(in *approval.SaveInput) { in.Above, in.ExpiresAfterHours = n(40), 24 })
		step(func(in *approval.SaveInput) {
			in.KeyContacts, in.Above, in.Approvals, in.ExpiresAfterHours = false, n(100), 2, 100
		})
		step(func(in *approval.SaveInput) { in.KeyContacts, in.Approvals = false, 9 }) // never asks
		p := s.policy()
		for what, c := range map[string]struct{ got, want int }{
			"key contacts": {p.Of(2, 1).Votes, 1}, "few": {p.Of(40, 0).Votes, 0}, "some": {p.Of(41, 0).Votes, 1}, "many": {p.Of(101, 0).Votes, 2},
			"a sum": {p.OfSum(30, 0, 80, 0).Votes, 2}, "hours": {int(p.Expiry().Hours()), 24},
		} {
			if c.got != c.want {
				t.Errorf("%s: %d, want %d", what, c.got, c.want)
			}
		}
		until := func(e approval.Earlier) int64 { return e.Until.Unix() }
		if len(p.Earlier) != 3 || !slices.IsSortedFunc(p.Earlier, func(a, b approval.Earlier) int { return int(until(b) - until(a)) }) || !p.Sums() {
			t.Errorf("%+v", p)
		}
	})
}

// Nobody fills the list of what waits: it has 100 places, and one that is withdrawn is free.
func TestAHundredChangesWait(t *testing.T) {
	policies(t, true, func(t *testing.T, s *scene, _ nid.ID, clock *storetest.Clock) {
		var first nid.ID
		ask := func(n int) error {
			got, err := s.save(s.Admin, func(in *approval.SaveInput) { in.ExpiresAfterHours = 100 + n })
			if n == 0 {
				first = got.Pending
			}
			return err
		}
		for n := range 100 {
			if err := ask(n); err != nil {
				t.Fatal(n, err)
			}
		}
		wants(t, ask(100), fault.Limit, "")
		who := &identity.Service{DB: s.DB, Log: s.Log}
		if err := who.Withdraw(s.Verified(s.Admin), first); err != nil {
			t.Fatal(err)
		}
		wants(t, who.Withdraw(s.Verified(s.Admin), first), fault.NotFound, "input.id")
		if err := ask(100); err != nil {
			t.Error(err)
		}
		clock.Add(72 * time.Hour)
		if err := ask(0); err != nil || s.waiting() != 1 {
			t.Errorf("what has lapsed keeps its place: %v, %d wait", err, s.waiting())
		}
	})
}

// Two who are one pair of hands weaken nothing.
func TestOnePairOfHandsWeakensNothing(t *testing.T) {
	policies(t, true, func(t *testing.T, s *scene, boss nid.ID, _ *storetest.Clock) {
		if _, err := s.save(boss, noKeys); err != nil {
			t.Fatal(err)
		}
		if err := s.DB.Tx(s.Verified(s.Admin), func(ctx context.Context, tx *store.Tx) error {
			return s.Log.Append(ctx, tx, audit.Entry{Action: access.CredentialReset, Subject: boss})
		}); err != nil {
			t.Fatal(err)
		}
		_, err := s.save(s.Admin, noKeys)
		wants(t, err, fault.Forbidden, "")
		if !s.policy().KeyContacts {
			t.Error("weakened")
		}
	})
}
