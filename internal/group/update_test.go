package group_test

import (
	"context"
	"errors"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/group"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func want(t *testing.T, what string, err error, code fault.Code, field string) {
	t.Helper()
	if got := fault.CodeOf(err); got != code {
		t.Errorf("%s: got %q (%v), want %q", what, got, err, code)
	} else if f, _ := errors.AsType[*fault.Error](err); f != nil && f.Field != field {
		t.Errorf("%s: field is %q, want %q", what, f.Field, field)
	}
}

func to(s string) *string { return &s }

func TestUpdate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &group.Service{DB: db, Log: c.Log}
		sales, north := c.Department("sales", c.Root), c.Department("north", c.Root)
		lina, boss, viewer, stranger := c.Member("lina", sales), c.Member("boss", c.Root), c.Member("viewer", c.Root), c.Member("stranger", north)
		c.Grant(boss, access.Manager.Name, sales)
		c.Grant(viewer, access.Auditor.Name, sales)
		c.Grant(stranger, access.Manager.Name, north)
		id := c.Group("Old", lina)
		owner, managing := c.SignedIn(lina, false), c.SignedIn(boss, false)
		count := func(query string, args ...any) int { t.Helper(); return testcorp.Value[int](c, query, args...) }

		if err := s.Update(owner, group.UpdateInput{ID: id, Version: 1, Name: to("New 李")}); err != nil {
			t.Fatal(err)
		}
		if err := s.Update(managing, group.UpdateInput{ID: id, Version: 2, Name: to("NEWER")}); err != nil {
			t.Fatal(err)
		}
		if n := count(`SELECT count(*) FROM groups WHERE id = $1 AND version = 3 AND owner_version = 1 AND name = 'NEWER' AND name_key = 'newer'`, id); n != 1 {
			t.Error("the group is not as it was written")
		}
		if err := s.Update(managing, group.UpdateInput{ID: id, Version: 3, Name: to("NEWER")}); err != nil {
			t.Fatal(err)
		}
		if n := count(`SELECT count(*) FROM audit_entries WHERE action = 'group.update' AND subject_id = $1`, id); n != 2 {
			t.Errorf("%d entries of 2 changes", n)
		}

		other := testcorp.New(t, db, clock, "other")
		foreign := other.Group("foreign", other.Admin)
		for _, r := range []struct {
			name  string
			ctx   context.Context
			in    group.UpdateInput
			code  fault.Code
			field string
		}{
			{"nobody signed in", context.Background(), group.UpdateInput{ID: id, Version: 3, Name: to("x")}, fault.Unauthenticated, ""},
			{"unknown", managing, group.UpdateInput{ID: nid.New(nid.Group), Version: 3, Name: to("x")}, fault.NotFound, "input.id"},
			{"another corp's", c.SignedIn(c.Admin, false), group.UpdateInput{ID: foreign, Version: 1, Name: to("x")}, fault.NotFound, "input.id"},
			{"not to be seen", c.SignedIn(stranger, false), group.UpdateInput{ID: id, Version: 3, Name: to("x")}, fault.NotFound, "input.id"},
			{"seen but not managed", c.SignedIn(viewer, false), group.UpdateInput{ID: id, Version: 3, Name: to("x")}, fault.Forbidden, ""},
			{"no name", owner, group.UpdateInput{ID: id, Version: 3, Name: to("\t")}, fault.Invalid, "input.name"},
			{"stale, as a replay is", managing, group.UpdateInput{ID: id, Version: 2, Name: to("NEWER")}, fault.Conflict, "input.version"},
		} {
			want(t, r.name, s.Update(r.ctx, r.in), r.code, r.field)
		}

		// Once the owner has left nothing but a handover changes the group.
		c.Depart(lina)
		want(t, "owner left", s.Update(managing, group.UpdateInput{ID: id, Version: 3, Name: to("x")}), fault.Conflict, "input.id")
		if n := count(`SELECT count(*) FROM groups WHERE id = $1 AND protected AND status = 'OWNER_LEFT' AND version = 3 AND name = 'NEWER'`, id); n != 1 {
			t.Error("what the leaver left has changed")
		}
	})
}
