package department_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/department"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

type pair struct{ above, below nid.ID }

// stored is the closure as it is kept.
func stored(t testing.TB, c *testcorp.Corp) map[pair]int {
	t.Helper()
	out := map[pair]int{}
	type row struct {
		pair
		depth int
	}
	if err := c.DB.View(store.System(context.Background(), c.ID, "test"), func(ctx context.Context, q *store.Read) error {
		rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.above, &r.below, &r.depth} },
			`SELECT ancestor_id, descendant_id, depth FROM department_closure WHERE corp_id = $1`, c.ID)
		for _, r := range rows {
			out[r.pair] = r.depth
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// counted is the closure of a tree given by parents.
func counted(parents map[nid.ID]nid.ID) map[pair]int {
	out := map[pair]int{}
	for id := range parents {
		for at, depth := id, 0; !at.IsZero(); at, depth = parents[at], depth+1 {
			out[pair{at, id}] = depth
		}
	}
	return out
}

// Whatever is made and moved, who is below whom is what the tree says, and no cycle
// comes about.
func TestTheTreeStaysATree(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		n := 0
		rapid.Check(t, func(r *rapid.T) {
			n++
			c := testcorp.New(t, db, clock, fmt.Sprint("corp", n))
			s := &department.Service{DB: db, Log: c.Log}
			ctx := c.Verified(c.Admin)
			parents, versions, all := map[nid.ID]nid.ID{c.Root: {}}, map[nid.ID]int{c.Root: 1}, []nid.ID{c.Root}
			below := func(id, of nid.ID) bool {
				for ; !id.IsZero(); id = parents[id] {
					if id == of {
						return true
					}
				}
				return false
			}
			for i := range rapid.IntRange(1, 25).Draw(r, "steps") {
				parent := rapid.SampledFrom(all).Draw(r, "parent")
				if len(all) < 3 || rapid.Bool().Draw(r, "make") {
					title := fmt.Sprint("unit ", i)
					id, err := s.Save(ctx, department.Input{Name: &title, ParentID: &parent})
					if err != nil {
						t.Fatal(err)
					}
					parents[id], versions[id], all = parent, 1, append(all, id)
					continue
				}
				id := rapid.SampledFrom(all).Draw(r, "unit")
				version := versions[id]
				_, err := s.Save(ctx, department.Input{ID: &id, Version: &version, ParentID: &parent})
				switch allowed := id != c.Root && !below(parent, id); {
				case allowed && err != nil:
					t.Fatal(err)
				case !allowed && fault.CodeOf(err) != fault.Conflict:
					t.Fatalf("a cycle, or the root: %v", err)
				case allowed && parents[id] != parent:
					parents[id] = parent
					versions[id]++
				}
			}
			if d := cmp.Diff(counted(parents), stored(t, c)); d != "" {
				t.Fatal(d)
			}
		})
	})
}

// A role reaches what is below its department now, and no more what was.
func TestReachMovesAlong(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &department.Service{DB: db, Log: c.Log}
		east, west := c.Department("east", c.Root), c.Department("west", c.Root)
		shop := c.Department("shop", east)
		lina := c.Member("lina", shop)
		outside := func(department nid.ID) (n int) {
			t.Helper()
			if err := db.View(store.System(t.Context(), c.ID, "test"), func(ctx context.Context, q *store.Read) error {
				out, err := store.OutOfScope(ctx, q, access.Scope{Departments: []nid.ID{department}}, lina)
				n = len(out)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if outside(east) != 0 || outside(west) != 1 {
			t.Fatal("to begin with")
		}
		one := 1
		if _, err := s.Save(c.Verified(c.Admin), department.Input{ID: &shop, Version: &one, ParentID: &west}); err != nil {
			t.Fatal(err)
		}
		if outside(east) != 1 || outside(west) != 0 {
			t.Error("the reach did not move along")
		}
	})
}

// Two moves at once, each fine by itself, make no cycle.
func TestTwoMovesAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &department.Service{DB: db, Log: c.Log}
		a, b := c.Department("a", c.Root), c.Department("b", c.Root)
		one, admin := 1, context.WithoutCancel(c.Verified(c.Admin))
		var all sync.WaitGroup
		errs := make([]error, 2)
		for i, m := range [][2]nid.ID{{a, b}, {b, a}} {
			all.Go(func() { _, errs[i] = s.Save(admin, department.Input{ID: &m[0], Version: &one, ParentID: &m[1]}) })
		}
		all.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("%v, %v", errs[0], errs[1])
		}
	})
}

func TestSaveRefuses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &department.Service{DB: db, Log: c.Log}
		east := c.Department("east", c.Root)
		local := c.Member("local", east)
		c.Grant(local, access.Administrator.Name, east)
		title, one, nine := "north", 1, 9
		for _, x := range []struct {
			what  string
			ctx   context.Context
			in    department.Input
			code  fault.Code
			field string
		}{
			{"an administrator of a part", c.Verified(local), department.Input{Name: &title, ParentID: &east}, fault.Forbidden, ""},
			{"no proof", c.SignedIn(c.Admin, false), department.Input{Name: &title, ParentID: &east}, fault.StepUpRequired, ""},
			{"nowhere", c.Verified(c.Admin), department.Input{Name: &title}, fault.Invalid, "input.parentId"},
			{"no name", c.Verified(c.Admin), department.Input{ParentID: &east}, fault.Invalid, "input.name"},
			{"an unknown parent", c.Verified(c.Admin), department.Input{Name: &title, ParentID: &local}, fault.NotFound, "input.parentId"},
			{"an unknown id", c.Verified(c.Admin), department.Input{ID: &local, Version: &one}, fault.NotFound, "input.id"},
			{"no version", c.Verified(c.Admin), department.Input{ID: &east, Name: &title}, fault.Invalid, "input.version"},
			{"a stale version", c.Verified(c.Admin), department.Input{ID: &east, Version: &nine, Name: &title}, fault.Conflict, "input.version"},
		} {
			_, err := s.Save(x.ctx, x.in)
			var field string
			if f, ok := err.(*fault.Error); ok { //nolint:errorlint // a list would be another case
				field = f.Field
			}
			if fault.CodeOf(err) != x.code || field != x.field {
				t.Errorf("%s: %v", x.what, err)
			}
		}
	})
}
