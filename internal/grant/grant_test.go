package grant_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/grant"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// scene is a corp with an administrator, with keeper, who manages roles and views
// contacts in the department sales, and with lina of the team in sales.
type scene struct {
	*testcorp.Corp
	t                 *testing.T
	s                 *grant.Service
	sales, team, shop nid.ID
	keeper, lina      nid.ID
	viewer            nid.ID // a role
}

func each(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &scene{Corp: c, t: t, s: &grant.Service{DB: db, Log: c.Log}}
		s.sales, s.shop = c.Department("sales", c.Root), c.Department("shop", c.Root)
		s.team = c.Department("team", s.sales)
		s.keeper, s.lina = c.Member("keeper", s.sales), c.Member("lina", s.team)
		s.viewer = c.Role("viewer", access.ViewContacts)
		c.GrantRole(s.keeper, c.Role("keeper", access.ManageRoles, access.ViewContacts), s.sales)
		test(t, s)
	})
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func wants(t *testing.T, err error, code fault.Code, field string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Code != code || f.Field != field {
		t.Fatalf("got %s %v, want %s on %q", fault.CodeOf(err), err, code, field)
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

func (s *scene) do(table, query string, args ...any) {
	s.t.Helper()
	s.must(s.DB.Tx(store.System(s.t.Context(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, table, query, args...)
		tx.Cover(ids...)
		return err
	}))
}

func TestGrant(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		admin := s.Verified(s.Admin)
		until := s.DB.Now().Add(time.Hour)
		id, err := s.s.Grant(admin, s.lina, s.Roles[access.Auditor.Name], &s.sales, &until)
		s.must(err)
		type row struct {
			member, role, department, by nid.ID
			expires                      time.Time
		}
		var got row
		s.must(s.DB.View(store.System(t.Context(), s.ID, "test"), func(ctx context.Context, r *store.Read) (err error) {
			got, _, err = store.SelectOne(ctx, r, func(r *row) []any { return []any{&r.member, &r.role, &r.department, &r.by, &r.expires} },
				`SELECT member_id, role_id, department_id, granted_by_id, expires_at FROM grants WHERE id = $1`, id)
			return err
		}))
		if got.expires = got.expires.UTC(); got != (row{s.lina, s.Roles[access.Auditor.Name], s.sales, s.Admin, until}) {
			t.Fatalf("%+v", got)
		}
		_, err = s.s.Grant(admin, s.lina, s.Roles[access.Auditor.Name], &s.sales, nil)
		wants(t, err, fault.Conflict, "")
		_, err = s.s.Grant(admin, s.lina, s.Roles[access.Auditor.Name], &s.team, nil) // elsewhere is something else
		s.must(err)
		_, err = s.s.Grant(admin, s.lina, s.Roles[access.Auditor.Name], nil, nil)
		s.must(err)
		s.Clock.Add(time.Hour) // and so is what has expired
		_, err = s.s.Grant(s.Verified(s.Admin), s.lina, s.Roles[access.Auditor.Name], &s.sales, nil)
		s.must(err)
		_, err = s.s.Grant(store.System(t.Context(), s.ID, "test"), s.keeper, s.viewer, nil, nil)
		s.must(err)
		if n := s.entries(access.GrantCreate); n != 5 {
			t.Fatalf("%d entries", n)
		}
	})
}

func TestGrantRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		other := testcorp.New(t, s.DB, s.Clock, "other")
		gone, far := s.Member("gone", s.sales), s.Member("far", s.shop)
		s.do("members", `UPDATE members SET status = 'DEPARTED', answers = false WHERE id = $1 RETURNING id`, gone)
		admin, keeper := s.Verified(s.Admin), s.Verified(s.keeper)
		now := s.DB.Now()
		auditor := s.Roles[access.Auditor.Name]
		for name, test := range map[string]struct {
			ctx          context.Context
			member, role nid.ID
			department   *nid.ID
			until        *time.Time
			code         fault.Code
			field        string
		}{
			"nobody":                        {t.Context(), s.lina, s.viewer, nil, nil, fault.Unauthenticated, ""},
			"wrong person":                  {s.Verified(s.lina), s.keeper, s.viewer, &s.sales, nil, fault.Forbidden, ""},
			"no proof":                      {s.SignedIn(s.Admin, false), s.lina, s.viewer, nil, nil, fault.StepUpRequired, ""},
			"unknown member":                {admin, nid.New(nid.Member), s.viewer, nil, nil, fault.NotFound, "input.memberId"},
			"another corp's member":         {admin, other.Admin, s.viewer, nil, nil, fault.NotFound, "input.memberId"},
			"unknown role":                  {admin, s.lina, nid.New(nid.Role), nil, nil, fault.NotFound, "input.roleId"},
			"another corp's role":           {admin, s.lina, other.Roles["auditor"], nil, nil, fault.NotFound, "input.roleId"},
			"unknown department":            {admin, s.lina, s.viewer, new(nid.New(nid.Department)), nil, fault.NotFound, "input.departmentId"},
			"the zero department":           {admin, s.lina, s.viewer, &nid.ID{}, nil, fault.NotFound, "input.departmentId"},
			"another corp's department":     {admin, s.lina, s.viewer, &other.Root, nil, fault.NotFound, "input.departmentId"},
			"departed":                      {admin, gone, s.viewer, &s.sales, nil, fault.Conflict, "input.memberId"},
			"already expired":               {admin, s.lina, s.viewer, nil, &now, fault.Invalid, "input.expiresAt"},
			"member out of reach":           {keeper, far, s.viewer, &s.sales, nil, fault.Forbidden, ""},
			"department out of reach":       {keeper, s.lina, s.viewer, &s.shop, nil, fault.Forbidden, ""},
			"department above":              {keeper, s.lina, s.viewer, &s.Root, nil, fault.Forbidden, ""},
			"the whole corp":                {keeper, s.lina, s.viewer, nil, nil, fault.Forbidden, ""},
			"more than they have":           {keeper, s.lina, auditor, &s.sales, nil, fault.Forbidden, ""},
			"more than they have, themself": {keeper, s.keeper, s.Roles[access.Administrator.Name], &s.sales, nil, fault.Forbidden, ""},
		} {
			t.Run(name, func(t *testing.T) {
				before := s.count(`SELECT count(*) FROM grants`)
				id, err := s.s.Grant(test.ctx, test.member, test.role, test.department, test.until)
				if wants(t, err, test.code, test.field); !id.IsZero() || s.count(`SELECT count(*) FROM grants`) != before {
					t.Fatal("something was given")
				}
			})
		}
		if s.entries(access.AccessDeny) != 2 { // lina's and keeper's, each once a minute
			t.Fatalf("%d denials", s.entries(access.AccessDeny))
		}
		for _, department := range []*nid.ID{&s.sales, &s.team} {
			_, err := s.s.Grant(keeper, s.lina, s.viewer, department, nil)
			s.must(err)
		}
	})
}

func TestNobodyGivesForLongerThanTheyHave(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		end := s.DB.Now().Add(time.Hour)
		s.do("grants", `UPDATE grants SET expires_at = $2 WHERE member_id = $1 RETURNING id`, s.keeper, end)
		keeper := s.Verified(s.keeper)
		_, err := s.s.Grant(keeper, s.lina, s.viewer, &s.team, nil)
		wants(t, err, fault.Forbidden, "")
		_, err = s.s.Grant(keeper, s.lina, s.viewer, &s.team, new(end.Add(time.Microsecond)))
		wants(t, err, fault.Forbidden, "")
		_, err = s.s.Grant(keeper, s.lina, s.viewer, &s.team, &end)
		s.must(err)
	})
}

func TestRevoke(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		other := testcorp.New(t, s.DB, s.Clock, "other")
		theirs := other.Grant(other.Admin, access.Reporter.Name, nid.ID{})
		far := s.Member("far", s.shop)
		here, below := s.GrantRole(s.lina, s.viewer, s.sales), s.GrantRole(s.lina, s.viewer, s.team)
		everywhere, beside := s.GrantRole(s.lina, s.viewer, nid.ID{}), s.GrantRole(far, s.viewer, s.shop)
		admin, keeper := s.Verified(s.Admin), s.Verified(s.keeper)
		wants(t, s.s.Revoke(t.Context(), here, nil), fault.Unauthenticated, "")
		wants(t, s.s.Revoke(s.Verified(s.lina), here, nil), fault.Forbidden, "")
		wants(t, s.s.Revoke(s.SignedIn(s.keeper, false), here, nil), fault.StepUpRequired, "")
		wants(t, s.s.Revoke(admin, nid.New(nid.Grant), nil), fault.NotFound, "input.id")
		wants(t, s.s.Revoke(admin, theirs, nil), fault.NotFound, "input.id")
		wants(t, s.s.Revoke(keeper, everywhere, nil), fault.Forbidden, "")
		wants(t, s.s.Revoke(keeper, beside, nil), fault.NotFound, "input.id")
		wants(t, s.s.Revoke(keeper, here, new("a\x00b")), fault.Invalid, "input.reason")
		if n := s.count(`SELECT count(*) FROM grants WHERE corp_id = $1 AND revoked_at IS NOT NULL`, s.ID); n != 0 {
			t.Fatal("something was revoked")
		}
		s.must(s.s.Revoke(keeper, here, new("left the team")))
		s.must(s.s.Revoke(keeper, below, nil))
		wants(t, s.s.Revoke(keeper, here, nil), fault.Conflict, "input.id")
		s.must(s.s.Revoke(admin, everywhere, nil))
		own := testcorp.Value[nid.ID](s.Corp, `SELECT id FROM grants WHERE member_id = $1`, s.keeper)
		s.must(s.s.Revoke(keeper, own, nil))
		wants(t, s.s.Revoke(keeper, own, nil), fault.Forbidden, "") // it took effect at once
		if n := s.entries(access.GrantRevoke); n != 4 {
			t.Fatalf("%d entries", n)
		}
		id, err := s.s.Grant(admin, s.lina, s.viewer, &s.sales, nil) // again
		s.must(err)
		if id == here {
			t.Fatal("a revoked grant came back")
		}
	})
}

func TestLastAdministratorStays(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		first := testcorp.Value[nid.ID](s.Corp, `SELECT id FROM grants WHERE member_id = $1`, s.Admin)
		s.Grant(s.lina, access.Administrator.Name, s.sales) // not the whole corp
		gone := s.Member("gone", s.Root)
		s.Grant(gone, access.Administrator.Name, nid.ID{})
		s.do("members", `UPDATE members SET status = 'DEPARTED', answers = false WHERE id = $1 RETURNING id`, gone)
		past := s.Grant(s.lina, access.Administrator.Name, nid.ID{})
		s.do("grants", `UPDATE grants SET expires_at = $2 WHERE id = $1 RETURNING id`, past, s.DB.Now())
		only := func(member nid.ID) (only bool) {
			s.must(s.DB.Tx(store.System(t.Context(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) (err error) {
				only, err = identity.OnlyAdministrator(ctx, tx, member)
				return err
			}))
			return only
		}
		admin := s.Verified(s.Admin)
		wants(t, s.s.Revoke(admin, first, nil), fault.Conflict, "input.id")
		if !only(s.Admin) || only(s.lina) {
			t.Fatal("OnlyAdministrator is wrong")
		}
		s.GrantRole(s.keeper, s.Role("head", access.ManageRoles), nid.ID{})
		if only(s.Admin) {
			t.Fatal("OnlyAdministrator overlooks a role that is not built in")
		}
		s.must(s.s.Revoke(admin, first, nil))
	})
}

func TestAllAdministratorsGoingAtOnce(t *testing.T) {
	for name, revokes := range map[string]func(i, n int) []int{
		"themselves": func(i, n int) []int { return []int{i} },
		"each other": func(i, n int) []int { return []int{(i + 1) % n, i} },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *scene) {
				const n = 6
				contexts := []context.Context{s.Verified(s.Admin)}
				grants := []nid.ID{testcorp.Value[nid.ID](s.Corp, `SELECT id FROM grants WHERE member_id = $1`, s.Admin)}
				for i := range n - 1 {
					m := s.Member("admin"+string(rune('a'+i)), s.Root)
					grants = append(grants, s.Grant(m, access.Administrator.Name, nid.ID{}))
					contexts = append(contexts, s.Verified(m))
				}
				var wait sync.WaitGroup
				for i := range n {
					wait.Go(func() {
						for _, of := range revokes(i, n) {
							// Whoever lost their own grant first is refused; the count below decides.
							_ = s.s.Revoke(contexts[i], grants[of], nil)
						}
					})
				}
				wait.Wait()
				if left := s.count(`SELECT count(*) FROM grants WHERE corp_id = $1 AND role_id = $2 AND revoked_at IS NULL`, s.ID, s.Roles[access.Administrator.Name]); left != 1 {
					t.Fatalf("%d administrators left", left)
				}
			})
		})
	}
}

func TestTheSameGrantAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		admin := s.Verified(s.Admin)
		var wait sync.WaitGroup
		codes := make(chan fault.Code, 20)
		for range cap(codes) {
			wait.Go(func() {
				_, err := s.s.Grant(admin, s.lina, s.viewer, nil, nil)
				codes <- fault.CodeOf(err)
			})
		}
		wait.Wait()
		close(codes)
		got := map[fault.Code]int{}
		for c := range codes {
			got[c]++
		}
		if got[""] != 1 || got[fault.Conflict] != 19 {
			t.Fatal(got)
		}
	})
}
