package review_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/review"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

const day = 24 * time.Hour

// scene is a corp with the administrators Admin and second, with keeper, who reviews
// access in sales, with lina in sales, who manages there, and with far in shop, who is staff.
type scene struct {
	*testcorp.Corp
	t                         *testing.T
	s                         *review.Service
	sales, shop               nid.ID
	second, keeper, lina, far nid.ID
	linas, fars, seconds      nid.ID // grants
}

func each(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &scene{Corp: c, t: t, s: &review.Service{DB: db, Log: c.Log}}
		s.sales, s.shop = c.Department("sales", c.Root), c.Department("shop", c.Root)
		s.second, s.keeper, s.lina, s.far = c.Member("second", c.Root), c.Member("keeper", s.sales), c.Member("lina", s.sales), c.Member("far", s.shop)
		s.fars = c.Grant(s.far, access.Staff.Name, s.shop)
		s.seconds = c.Grant(s.second, access.Administrator.Name, nid.ID{})
		s.linas = c.Grant(s.lina, access.Manager.Name, s.sales)
		c.GrantRole(s.keeper, c.Role("keeper", access.ReviewAccess), s.sales)
		test(t, s)
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

func (s *scene) entries(action access.Action) int {
	s.t.Helper()
	return s.count(`SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = $2`, s.ID, string(action))
}

// start opens a review that is due in ten days, as the administrator.
func (s *scene) start() nid.ID {
	s.t.Helper()
	id, err := s.s.Start(s.Verified(s.Admin), s.DB.Now().Add(10*day))
	s.must(err)
	return id
}

func (s *scene) item(review, grant nid.ID) nid.ID {
	s.t.Helper()
	return testcorp.Value[nid.ID](s.Corp, `SELECT id FROM review_items WHERE review_id = $1 AND grant_id = $2`, review, grant)
}

func (s *scene) ended(grant nid.ID) bool {
	s.t.Helper()
	return s.count(`SELECT count(*) FROM grants WHERE id = $1 AND revoked_at IS NOT NULL`, grant) == 1
}

func (s *scene) closed(review nid.ID) bool {
	s.t.Helper()
	return s.count(`SELECT count(*) FROM access_reviews WHERE id = $1 AND closed_at IS NOT NULL`, review) == 1
}

func (s *scene) grantOf(member nid.ID) nid.ID {
	s.t.Helper()
	return testcorp.Value[nid.ID](s.Corp, `SELECT id FROM grants WHERE member_id = $1 AND revoked_at IS NULL`, member)
}

func (s *scene) work() time.Time {
	s.t.Helper()
	next, err := s.s.Work(context.Background(), s.ID)
	s.must(err)
	return next
}

func (s *scene) decide(as, item nid.ID, d review.Decision) error {
	return s.s.Decide(s.Verified(as), review.DecideInput{ID: item, Decision: d})
}
