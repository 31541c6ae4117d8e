package identity_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func TestSetPassword(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ctx := s.in()
		for range 4 {
			_, err := s.signIn("lina", "wrong")
			wants(t, err, fault.Unauthenticated, "")
		}
		s.must(s.s.SetPassword(s.system(), s.lina, "li.na", "another one entirely"))
		wants(t, s.s.SignOut(ctx), fault.Unauthenticated, "")
		_, err := s.signIn("lina", password)
		wants(t, err, fault.Unauthenticated, "")
		_, err = s.signIn("li.na", "another one entirely")
		s.must(err)

		gone := s.Member("gone", s.Root)
		s.do("members", `UPDATE members SET status = 'DEPARTED', answers = false WHERE id = $1 RETURNING id`, gone)
		wants(t, s.s.SetPassword(s.system(), gone, "gone", password), fault.Conflict, "login")
		wants(t, s.s.SetPassword(s.system(), s.Admin, "LI.NA", password), fault.Conflict, "login")
		wants(t, s.s.SetPassword(s.system(), nid.New(nid.Member), "x", password), fault.NotFound, "login")
		wants(t, s.s.SetPassword(s.system(), s.lina, "", password), fault.Invalid, "login")
		wants(t, s.s.SetPassword(s.system(), s.lina, "lina", "short"), fault.Invalid, "password")
		wants(t, s.s.SetPassword(s.Verified(s.Admin), s.lina, "lina", password), fault.Forbidden, "")
		if n := s.entries(access.CredentialSet); n != 2 {
			t.Fatalf("%d entries", n)
		}
	})
}

func TestEnrol(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		old := s.enrol()()
		code := s.enrol()
		_, err := s.s.VerifyIdentity(s.in(), &old, nil)
		if code() != old {
			wants(t, err, fault.Invalid, "input.code")
		}
		_, err = s.s.Enrol(s.system(), s.Admin)
		wants(t, err, fault.Conflict, "login")
		_, err = s.s.Enrol(s.system(), nid.New(nid.Member))
		wants(t, err, fault.NotFound, "login")
		_, err = s.s.Enrol(s.Verified(s.Admin), s.lina)
		wants(t, err, fault.Forbidden, "")
		sealed := testcorp.Value[[]byte](s.Corp, `SELECT totp_secret FROM credentials WHERE member_id = $1`, s.lina)
		if len(sealed) < 40 || bytes.Contains(sealed, []byte(code())) || s.entries(access.CredentialEnrol) != 2 {
			t.Fatal("not sealed, or not recorded")
		}
	})
}

func TestAddAdministratorFoundsACorp(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		got, err := s.s.AddAdministrator(t.Context(), identity.Administrator{Corp: "Contoso", Login: "Boss", Name: "老板", Password: password})
		s.must(err)
		if !got.Founded {
			t.Fatal("not founded")
		}
		session, err := s.s.SignIn(t.Context(), new("Contoso"), "boss", password)
		s.must(err)
		if a := session.Actor; a.Corp != got.Corp || a.ID != got.Member || !a.Scope(access.ManageRoles).All || len(a.Held()) != len(access.Permissions) {
			t.Fatalf("%+v", a)
		}
		there := *s.Corp
		c := &there
		c.ID = got.Corp
		if f := testcorp.Value[nid.ID](c, `SELECT fallback_id FROM corps WHERE id = $1`, got.Corp); f != got.Member {
			t.Fatal("no fallback member")
		}
		for table, n := range map[string]int{"departments": 1, "department_closure": 1, "member_departments": 1, "member_counters": 1, "approval_policies": 1} {
			if m := testcorp.Value[int](c, `SELECT count(*) FROM `+table+` WHERE corp_id = $1`, got.Corp); m != n {
				t.Errorf("%d %s", m, table)
			}
		}
		second, err := s.s.AddAdministrator(t.Context(), identity.Administrator{Corp: "Contoso", Login: "second", Password: password})
		s.must(err)
		if second.Founded || second.Corp != got.Corp {
			t.Fatal("founded twice")
		}
		if f := testcorp.Value[nid.ID](c, `SELECT fallback_id FROM corps WHERE id = $1`, got.Corp); f != got.Member {
			t.Fatal("the fallback member was replaced")
		}
	})
}

func TestAddAdministratorUsesTheMember(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		got, err := s.s.AddAdministrator(t.Context(), identity.Administrator{Corp: "acme", Login: "li", UserID: "lina", Password: "another one entirely"})
		s.must(err)
		if got.Member != s.lina || got.Founded {
			t.Fatalf("%+v", got)
		}
		_, err = s.signIn("li", "another one entirely")
		s.must(err)
		before := s.count(`SELECT count(*) FROM audit_entries WHERE corp_id = $1`, s.ID)
		gone := s.Member("gone", s.Root)
		s.do("members", `UPDATE members SET status = 'DEPARTED', answers = false WHERE id = $1 RETURNING id`, gone)
		for name, test := range map[string]struct {
			in    identity.Administrator
			code  fault.Code
			field string
		}{
			"again":        {identity.Administrator{Corp: "acme", Login: "li", UserID: "lina", Password: password}, fault.Conflict, "login"},
			"departed":     {identity.Administrator{Corp: "acme", Login: "gone", Password: password}, fault.Conflict, "login"},
			"login taken":  {identity.Administrator{Corp: "acme", Login: "LI", UserID: "new", Password: password}, fault.Conflict, "login"},
			"no corp":      {identity.Administrator{Login: "x", Password: password}, fault.Invalid, "corp"},
			"no login":     {identity.Administrator{Corp: "acme", UserID: "x", Name: "x", Password: password}, fault.Invalid, "login"},
			"weak":         {identity.Administrator{Corp: "acme", Login: "x", Password: "password1234"}, fault.Invalid, "password"},
			"bad time":     {identity.Administrator{Corp: "new", TimeZone: "Mars/Olympus", Login: "x", Password: password}, fault.Invalid, "timeZone"},
			"bidi in name": {identity.Administrator{Corp: "acme", Login: "x", Name: "a\u202eb", Password: password}, fault.Invalid, "name"},
		} {
			_, err := s.s.AddAdministrator(t.Context(), test.in)
			if f, _ := errors.AsType[*fault.Error](err); f == nil || f.Code != test.code || f.Field != test.field {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE corp_id = $1`, s.ID); n != before {
			t.Fatal("a refusal left entries")
		}
		if id, err := s.DB.CorpNamed(t.Context(), "new"); err != nil || !id.IsZero() {
			t.Fatal("a corp was left behind")
		}
	})
}

func TestTwoFoundersAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		got := parallel(8, func(int) error {
			_, err := s.s.AddAdministrator(t.Context(), identity.Administrator{Corp: "Contoso", Login: "boss", Password: password})
			return err
		})
		if got[""] != 1 || got[fault.Conflict] != 7 {
			t.Fatal(got)
		}
		_, err := s.s.Find(store.System(t.Context(), nid.New(nid.Corp), "test"), "boss")
		wants(t, err, fault.NotFound, "login")
	})
}
