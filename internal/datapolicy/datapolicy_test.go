package datapolicy_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/datapolicy"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

type scene struct {
	*testcorp.Corp
	t    *testing.T
	s    *datapolicy.Service
	lina nid.ID
}

func each(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		test(t, &scene{Corp: c, t: t, s: &datapolicy.Service{DB: db, Log: c.Log}, lina: c.Member("lina", c.Root)})
	})
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) wants(err error, code fault.Code, field string) {
	s.t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Code != code || f.Field != field {
		s.t.Fatalf("got %s %v, want %s on %q", fault.CodeOf(err), err, code, field)
	}
}

func (s *scene) count(query string, args ...any) int {
	s.t.Helper()
	return testcorp.Value[int](s.Corp, query, args...)
}

func (s *scene) publish(title string, replaces *nid.ID) (nid.ID, error) {
	return s.s.Publish(s.Verified(s.Admin), datapolicy.Input{Replaces: replaces, Title: title, Body: "Keep it here."})
}

func TestRevisions(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		one, err := s.publish("data", nil)
		s.must(err)
		s.must(s.s.Acknowledge(s.SignedIn(s.lina, false), one))
		s.must(s.s.Acknowledge(s.SignedIn(s.lina, false), one))
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = $2`, s.ID, string(access.PolicyAck)); n != 1 {
			t.Errorf("%d entries for one acknowledgement", n)
		}
		two, err := s.publish("data, and more", &one)
		s.must(err)
		if n := s.count(`SELECT count(*) FROM data_policies WHERE id = $1 AND series_id = $2 AND revision = 2 AND ended_at IS NULL`, two, one); n != 1 {
			t.Error("it is not the second of the series")
		}
		if n := s.count(`SELECT count(*) FROM policy_acknowledgements WHERE policy_id = $1`, two); n != 0 {
			t.Error("nobody has read it yet")
		}
		s.wants(s.s.Acknowledge(s.SignedIn(s.lina, false), one), fault.Conflict, "input.id")
		_, err = s.publish("data", &one)
		s.wants(err, fault.Conflict, "input.replacesId")
		s.must(s.s.Withdraw(s.Verified(s.Admin), two))
		_, err = s.publish("data", &two)
		s.wants(err, fault.Conflict, "input.replacesId")
		s.wants(s.s.Withdraw(s.Verified(s.Admin), two), fault.Conflict, "input.id")
		_, err = audit.Verify(context.Background(), s.DB, s.ID, audit.Trust{}, nil)
		s.must(err)
	})
}

func TestRefusals(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		other := testcorp.New(t, s.DB, s.Clock, "other")
		theirs, err := (&datapolicy.Service{DB: s.DB, Log: other.Log}).Publish(other.Verified(other.Admin), datapolicy.Input{Title: "theirs", Body: "x"})
		s.must(err)
		part := s.Member("part", s.Root)
		s.GrantRole(part, s.Role("part", access.ManagePolicies), s.Root)
		in := datapolicy.Input{Title: "data", Body: "x"}
		publish := func(ctx context.Context, in datapolicy.Input) error { _, err := s.s.Publish(ctx, in); return err }
		s.wants(publish(s.Verified(s.lina), in), fault.Forbidden, "")
		s.wants(publish(s.Verified(part), in), fault.Forbidden, "") // a department is not the corp
		s.wants(publish(s.SignedIn(s.Admin, false), in), fault.StepUpRequired, "")
		s.wants(publish(context.Background(), in), fault.Unauthenticated, "")
		for field, bad := range map[string]datapolicy.Input{
			"input.title": {Title: "a\nb", Body: "x"}, "input.body": {Title: "a", Body: strings.Repeat("多", 50_001)},
		} {
			s.wants(publish(s.Verified(s.Admin), bad), fault.Invalid, field)
		}
		for _, bad := range []nid.ID{theirs, nid.New(nid.Policy), s.lina, {}} {
			s.wants(publish(s.Verified(s.Admin), datapolicy.Input{Replaces: &bad, Title: "a", Body: "x"}), fault.NotFound, "input.replacesId")
			s.wants(s.s.Withdraw(s.Verified(s.Admin), bad), fault.NotFound, "input.id")
			s.wants(s.s.Acknowledge(s.SignedIn(s.lina, false), bad), fault.NotFound, "input.id")
		}
		long := datapolicy.Input{Title: "long", Body: strings.Repeat("多", 50_000)}
		s.must(publish(s.Verified(s.Admin), long))
		id := testcorp.Value[nid.ID](s.Corp, `SELECT id FROM data_policies WHERE title = 'long'`)
		s.wants(s.s.Withdraw(s.Verified(s.lina), id), fault.Forbidden, "")
		s.wants(s.s.Acknowledge(store.System(t.Context(), s.ID, "test"), id), fault.Forbidden, "")
		gone := s.SignedIn(s.lina, false)
		s.Depart(s.lina)
		s.wants(s.s.Acknowledge(gone, id), fault.Unauthenticated, "")
	})
}

// Of revisions published at once one is the next, and who acknowledges meanwhile has
// acknowledged the text they named or none.
func TestAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		one, err := s.publish("data", nil)
		s.must(err)
		var mu sync.Mutex
		var all sync.WaitGroup
		good, acked := 0, false
		for range 4 {
			ctx := s.Verified(s.Admin)
			all.Go(func() {
				_, err := s.s.Publish(ctx, datapolicy.Input{Replaces: &one, Title: "data", Body: "next"})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					good++
				}
			})
		}
		ctx := s.SignedIn(s.lina, false)
		all.Go(func() {
			err := s.s.Acknowledge(ctx, one)
			mu.Lock()
			defer mu.Unlock()
			acked = err == nil
		})
		all.Wait()
		if n := s.count(`SELECT count(*) FROM data_policies WHERE ended_at IS NULL`); good != 1 || n != 1 {
			t.Errorf("%d published, %d in force", good, n)
		}
		if n := s.count(`SELECT count(*) FROM policy_acknowledgements WHERE policy_id = $1`, one); (n == 1) != acked {
			t.Errorf("%d acknowledged, told %v", n, acked)
		}
	})
}

// Two policies of one title at once: one is published.
func TestOneOfATitle(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		errs := make([]error, 3)
		var all sync.WaitGroup
		for i := range errs {
			ctx := s.Verified(s.Admin)
			all.Go(func() { _, errs[i] = s.s.Publish(ctx, datapolicy.Input{Title: "data", Body: "x"}) })
		}
		all.Wait()
		good := 0
		for _, err := range errs {
			if err == nil {
				good++
			} else {
				s.wants(err, fault.Conflict, "input.title")
			}
		}
		if good != 1 {
			t.Errorf("%d published", good)
		}
	})
}
