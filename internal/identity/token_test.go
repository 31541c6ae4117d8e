package identity_test

import (
	"context"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

var statistics = []access.Permission{access.ViewStatistics}

func TestServiceToken(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sales := s.Department("sales", s.Root)
		admin := s.Verified(s.Admin)
		expires := s.DB.Now().AddDate(1, 0, 0)
		id, token, err := s.s.CreateToken(admin, "bi", []access.Permission{access.ViewGroups, access.ViewContacts, access.ViewGroups}, &sales, expires)
		s.must(err)
		var statements int
		a, err := s.s.Authenticate(store.Count(t.Context(), func(q string) { statements++ }), token)
		s.must(err)
		if a.Kind != access.Token || a.ID != id || a.Corp != s.ID || a.Label != "bi" || a.Session != nil || statements > 4 {
			t.Fatalf("%+v after %d statements", a, statements)
		}
		if scope := a.Scope(access.ViewContacts); scope.All || len(scope.Departments) != 1 || scope.Departments[0] != sales || a.Can(access.ViewStatistics) || len(a.Held()) != 2 {
			t.Fatalf("%+v", a.Grants)
		}
		used := func() time.Time {
			return testcorp.Value[time.Time](s.Corp, `SELECT last_used_at FROM service_tokens WHERE id = $1`, id).UTC()
		}
		first := s.DB.Now()
		s.Clock.Add(59 * time.Second)
		s.with(token)
		if !used().Equal(first) {
			t.Fatal("written down within a minute")
		}
		s.Clock.Add(time.Second)
		s.with(token)
		if !used().Equal(s.DB.Now()) {
			t.Fatal("not written down after a minute")
		}
		admin = s.Verified(s.Admin)
		s.must(s.s.RevokeToken(admin, id))
		_, err = s.s.Authenticate(t.Context(), token)
		wants(t, err, fault.Unauthenticated, "")
		wants(t, s.s.RevokeToken(admin, id), fault.Conflict, "input.id")
		wants(t, s.s.RevokeToken(admin, nid.New(nid.Token)), fault.NotFound, "input.id")
		if s.entries(access.TokenCreate) != 1 || s.entries(access.TokenRevoke) != 1 {
			t.Fatal("entries are missing")
		}
		_, token, err = s.s.CreateToken(s.system(), "cli", statistics, nil, s.DB.Now().Add(time.Hour))
		s.must(err)
		s.with(token)
		s.Clock.Add(time.Hour)
		_, err = s.s.Authenticate(t.Context(), token)
		wants(t, err, fault.Unauthenticated, "")
	})
}

func TestCreateTokenRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		other := testcorp.New(t, s.DB, s.Clock, "other")
		now, admin := s.DB.Now(), s.Verified(s.Admin)
		hour := now.Add(time.Hour)
		for name, test := range map[string]struct {
			ctx         context.Context
			title       string
			permissions []access.Permission
			department  *nid.ID
			expires     time.Time
			code        fault.Code
			field       string
		}{
			"nobody":              {t.Context(), "bi", statistics, nil, hour, fault.Unauthenticated, ""},
			"wrong person":        {s.Verified(s.lina), "bi", statistics, nil, hour, fault.Forbidden, ""},
			"no proof":            {s.SignedIn(s.Admin, false), "bi", statistics, nil, hour, fault.StepUpRequired, ""},
			"no name":             {admin, " ", statistics, nil, hour, fault.Invalid, "input.name"},
			"no permission":       {admin, "bi", nil, nil, hour, fault.Invalid, "input.permissions"},
			"unknown permission":  {admin, "bi", []access.Permission{"FLY"}, nil, hour, fault.Invalid, "input.permissions"},
			"for people only":     {admin, "bi", []access.Permission{access.ViewStatistics, access.ManageRoles}, nil, hour, fault.Invalid, "input.permissions"},
			"past":                {admin, "bi", statistics, nil, now, fault.Invalid, "input.expiresAt"},
			"more than a year":    {admin, "bi", statistics, nil, now.AddDate(1, 0, 0).Add(time.Second), fault.Invalid, "input.expiresAt"},
			"unknown department":  {admin, "bi", statistics, new(nid.New(nid.Department)), hour, fault.NotFound, "input.departmentId"},
			"another corp's":      {admin, "bi", statistics, &other.Root, hour, fault.NotFound, "input.departmentId"},
			"the zero department": {admin, "bi", statistics, &nid.ID{}, hour, fault.NotFound, "input.departmentId"},
			"system, bad input":   {s.system(), "bi", nil, nil, hour, fault.Invalid, "input.permissions"},
		} {
			t.Run(name, func(t *testing.T) {
				id, token, err := s.s.CreateToken(test.ctx, test.title, test.permissions, test.department, test.expires)
				if wants(t, err, test.code, test.field); !id.IsZero() || token != "" {
					t.Fatal("something was made")
				}
			})
		}
		if n := s.count(`SELECT count(*) FROM service_tokens`); n != 0 {
			t.Fatalf("%d tokens", n)
		}
		if n := s.entries(access.AccessDeny); n != 1 {
			t.Fatalf("%d denials", n)
		}
	})
}

func TestNobodyGivesATokenMoreThanTheyHave(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sales, shop := s.Department("sales", s.Root), s.Department("shop", s.Root)
		team := s.Department("team", sales)
		role := s.Role("keeper", access.ManageTokens, access.ViewContacts)
		s.GrantRole(s.lina, role, sales)
		reads := []access.Permission{access.ViewContacts}
		ctx, hour := s.Verified(s.lina), s.DB.Now().Add(time.Hour)
		for name, test := range map[string]struct {
			permissions []access.Permission
			department  *nid.ID
			code        fault.Code
		}{
			"there": {reads, &sales, ""}, "below": {reads, &team, ""}, "beside": {reads, &shop, fault.Forbidden},
			"above": {reads, &s.Root, fault.Forbidden}, "everywhere": {reads, nil, fault.Forbidden}, "something else": {statistics, &sales, fault.Forbidden},
		} {
			if _, _, err := s.s.CreateToken(ctx, name, test.permissions, test.department, hour); fault.CodeOf(err) != test.code {
				t.Fatalf("%s: %v", name, err)
			}
		}
		id, _, err := s.s.CreateToken(s.system(), "high", reads, nil, hour)
		s.must(err)
		wants(t, s.s.RevokeToken(ctx, id), fault.NotFound, "input.id")
		s.do("grants", `UPDATE grants SET expires_at = $2 WHERE member_id = $1 RETURNING id`, s.lina, hour)
		_, _, err = s.s.CreateToken(ctx, "as long", reads, &sales, hour)
		s.must(err)
		_, _, err = s.s.CreateToken(ctx, "longer", reads, &sales, hour.Add(time.Second))
		wants(t, err, fault.Forbidden, "")
	})
}

// Inside a transaction a token is what its maker lets it be then, whatever it was when
// the request came in; a maker who is not at work lets nobody in.
func TestConfirmReadsATokensMaker(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sales := s.Department("sales", s.Root)
		role := s.Role("maker", access.ManageTokens, access.ViewContacts, access.ViewGroups)
		grant := s.GrantRole(s.lina, role, nid.ID{})
		_, secret, err := s.s.CreateToken(s.Verified(s.lina), "bi", []access.Permission{access.ViewContacts, access.ViewGroups}, nil, s.DB.Now().AddDate(0, 6, 0))
		s.must(err)
		_, machine, err := s.s.CreateToken(s.system(), "machine", []access.Permission{access.ViewContacts}, nil, s.DB.Now().AddDate(0, 6, 0))
		s.must(err)
		ctx := s.with(secret)
		confirmed := func(ctx context.Context) (a *access.Actor, err error) {
			err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				a, err = identity.Confirm(ctx, tx)
				return err
			})
			return a, err
		}
		holds := func(what string, all, contacts bool) {
			t.Helper()
			a, err := confirmed(ctx)
			s.must(err)
			still, err := s.s.Authenticate(t.Context(), secret)
			s.must(err)
			for _, a := range []*access.Actor{a, still} {
				if a.Scope(access.ViewContacts).All != all || a.Can(access.ViewContacts) != contacts {
					t.Errorf("%s: %+v", what, a.Grants)
				}
			}
		}
		holds("at first", true, true)
		s.do("grants", `UPDATE grants SET department_id = $2 WHERE id = $1 RETURNING id`, grant, sales)
		holds("in a department", false, true)
		s.do("roles", `UPDATE roles SET permissions = '["VIEW_GROUPS"]' WHERE id = $1 RETURNING id`, role)
		holds("without the permission", false, false)
		s.do("grants", `UPDATE grants SET department_id = NULL, expires_at = $2 WHERE id = $1 RETURNING id`, grant, s.DB.Now().Add(time.Hour))
		s.do("roles", `UPDATE roles SET permissions = '["VIEW_CONTACTS"]' WHERE id = $1 RETURNING id`, role)
		holds("for an hour", true, true)
		s.Clock.Add(time.Hour)
		holds("after the hour", false, false)
		s.do("members", `UPDATE members SET status = 'DISABLED', answers = false WHERE id = $1 RETURNING id`, s.lina)
		_, err = confirmed(ctx)
		wants(t, err, fault.Unauthenticated, "")
		_, err = s.s.Authenticate(t.Context(), secret)
		wants(t, err, fault.Unauthenticated, "")
		if !access.From(s.with(machine)).Scope(access.ViewContacts).All {
			t.Error("a token without a maker lost its permission")
		}
	})
}
