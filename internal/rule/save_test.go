package rule_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/rule"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func TestSaving(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		other := testcorp.New(t, db, clock, "other")
		s := &rule.Service{DB: db, Log: c.Log}
		lina, boss := c.Member("lina", c.Root), c.Member("boss", c.Root)
		c.Grant(boss, access.Manager.Name, nid.ID{})
		admin := c.Verified(c.Admin)
		good := rule.Input{Name: "rules", Fallback: &lina, Department: &c.Root, History: &rule.History{Mode: "WINDOW", Days: 90, ExpiresAfter: 30}, Rules: []rule.Rule{
			{Tags: []string{"vip"}, Departments: []nid.ID{c.Root}, Kinds: []rule.Kind{rule.Contact}, AddWay: []int{1}, Method: rule.Weighted, Members: []nid.ID{lina, boss}, Weights: []int{1, 2}},
			{Method: rule.Manager},
		}}
		wants := func(name string, err error, code fault.Code, field string) {
			t.Helper()
			f, _ := errors.AsType[*fault.Error](err)
			if list, ok := errors.AsType[fault.List](err); ok && len(list) > 0 {
				f = list[0]
			}
			if fault.CodeOf(err) != code || f != nil && f.Field != field {
				t.Errorf("%s: %v, want %s on %s", name, err, code, field)
			}
		}
		id, err := s.Save(admin, good)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Save(admin, good)
		wants("the same name", err, fault.Conflict, "input.name")
		_, err = s.Save(c.Verified(boss), good)
		wants("who may not", err, fault.Forbidden, "")
		_, err = s.Save(c.SignedIn(c.Admin, false), good)
		wants("without proof", err, fault.StepUpRequired, "")

		changed := good
		one, two, unknown := 1, 2, nid.New(nid.RuleSet)
		changed.ID, changed.Version, changed.Automatic = &id, &one, true
		if _, err := s.Save(admin, changed); err != nil {
			t.Fatal(err)
		}
		_, err = s.Save(admin, changed)
		wants("a stale version", err, fault.Conflict, "input.version")
		changed.ID, changed.Version = &unknown, &two
		_, err = s.Save(admin, changed)
		wants("an unknown set", err, fault.NotFound, "input.id")

		for name, try := range map[string]struct {
			rules []rule.Rule
			field string
			code  fault.Code
		}{
			"no member":         {[]rule.Rule{{Method: rule.ToMember}}, "input.rules.0.memberIds", fault.Invalid},
			"nobody to share":   {[]rule.Rule{{Method: rule.Even}}, "input.rules.0.memberIds", fault.Invalid},
			"a manager named":   {[]rule.Rule{{Method: rule.Manager, Members: []nid.ID{lina}}}, "input.rules.0.memberIds", fault.Invalid},
			"weights missing":   {[]rule.Rule{{Method: rule.Weighted, Members: []nid.ID{lina}}}, "input.rules.0.weights", fault.Invalid},
			"weight of nothing": {[]rule.Rule{{Method: rule.Weighted, Members: []nid.ID{lina}, Weights: []int{0}}}, "input.rules.0.weights.0", fault.Invalid},
			"twice the same":    {[]rule.Rule{{Method: rule.Even, Members: []nid.ID{lina, lina}}}, "input.rules.0.memberIds.1", fault.Invalid},
			"another corp's":    {[]rule.Rule{{Method: rule.ToMember, Members: []nid.ID{other.Admin}}}, "input.rules.0.memberIds.0", fault.NotFound},
			"no such place":     {[]rule.Rule{{Departments: []nid.ID{other.Root}, Method: rule.Manager}}, "input.rules.0.departmentIds.0", fault.NotFound},
			"unknown twice": {[]rule.Rule{{Importance: "KEY", Method: rule.ToMember, Members: []nid.ID{other.Admin}}, {Method: rule.ToMember, Members: []nid.ID{other.Admin}}},
				"input.rules.0.memberIds.0", fault.NotFound},
			"unknown of both": {[]rule.Rule{{Departments: []nid.ID{other.Root}, Method: rule.ToMember, Members: []nid.ID{other.Admin}}}, "input.rules.0.memberIds.0", fault.NotFound},
			"too many rules":  {make([]rule.Rule, 51), "input.rules", fault.Invalid},
		} {
			_, err := s.Save(admin, rule.Input{Name: name, Rules: try.rules})
			wants(name, err, try.code, try.field)
		}
		for name, try := range map[string]struct {
			in    rule.Input
			field string
			code  fault.Code
		}{
			"a message":                   {rule.Input{Message: new(string)}, "input.message", fault.Invalid},
			"another corp's department":   {rule.Input{Department: &other.Root}, "input.departmentId", fault.NotFound},
			"a window without days":       {rule.Input{History: &rule.History{Mode: "WINDOW"}}, "input.history.days", fault.Invalid},
			"days of everything":          {rule.Input{History: &rule.History{Mode: "ALL", Days: 1}}, "input.history.days", fault.Invalid},
			"an end of nothing":           {rule.Input{History: &rule.History{Mode: "NONE", ExpiresAfter: 1}}, "input.history.expiresAfterDays", fault.Invalid},
			"an end in a thousand years":  {rule.Input{History: &rule.History{Mode: "ALL", ExpiresAfter: 365000}}, "input.history.expiresAfterDays", fault.Invalid},
			"an end before the beginning": {rule.Input{History: &rule.History{Mode: "ALL", ExpiresAfter: -1}}, "input.history.expiresAfterDays", fault.Invalid},
		} {
			try.in.Name, try.in.Fallback = name, &lina
			_, err := s.Save(admin, try.in)
			wants(name, err, try.code, try.field)
		}
		if n := testcorp.Value[int](c, `SELECT count(*) FROM rule_sets`); n != 1 {
			t.Errorf("%d sets are stored", n)
		}
		if n := testcorp.Value[int](c, `SELECT count(*) FROM audit_entries WHERE action = 'rule_set.save' AND subject_id = $1`, id); n != 2 {
			t.Errorf("%d entries, want 2", n)
		}

		load := func(ctx context.Context) (set rule.Set, title string, ok bool, automatic rule.Set) {
			t.Helper()
			if err := db.View(ctx, func(ctx context.Context, r *store.Read) (err error) {
				if set, title, ok, err = rule.Load(ctx, r, id); err != nil {
					return err
				}
				automatic, _, err = rule.Automatic(ctx, r, lina)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return
		}
		want := rule.Set{ID: id, Rules: good.Rules, Fallback: lina, History: good.History}
		if set, title, ok, automatic := load(admin); !ok || title != "rules" || !reflect.DeepEqual(set, want) || !reflect.DeepEqual(automatic, want) {
			t.Errorf("loaded %v %q %v, automatic %v", set, title, ok, automatic)
		}
		if set, title, ok, automatic := load(other.Verified(other.Admin)); ok || title != "" || len(set.Rules) > 0 || len(automatic.Rules) > 0 {
			t.Errorf("another corp loads %v %q, automatic %v", set, title, automatic)
		}
	})
}

// The automatic set of the nearest department wins over a wider one, and of several of
// one department the oldest.
func TestTheNearestAutomaticSet(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &rule.Service{DB: db, Log: c.Log}
		sales := c.Department("sales", c.Root)
		east := c.Department("east", sales)
		staff := map[string]nid.ID{"root": c.Member("root", c.Root), "sales": c.Member("sales", sales), "east": c.Member("east", east)}
		save := func(title string, department *nid.ID, automatic bool) {
			t.Helper()
			clock.Add(time.Second)
			if _, err := s.Save(c.Verified(c.Admin), rule.Input{Name: title, Fallback: &c.Admin, Department: department, Automatic: automatic}); err != nil {
				t.Fatal(err)
			}
		}
		check := func(want map[string]string) {
			t.Helper()
			for who, name := range want {
				var set rule.Set
				if err := db.View(c.Verified(c.Admin), func(ctx context.Context, r *store.Read) (err error) {
					set, _, err = rule.Automatic(ctx, r, staff[who])
					return err
				}); err != nil {
					t.Fatal(err)
				}
				got := ""
				if !set.ID.IsZero() {
					got = testcorp.Value[string](c, `SELECT name FROM rule_sets WHERE id = $1`, set.ID)
				}
				if got != name {
					t.Errorf("for %s plans %q, want %q", who, got, name)
				}
			}
		}
		save("by hand", &east, false)
		check(map[string]string{"root": "", "sales": "", "east": ""})
		save("of sales", &sales, true)
		save("of sales, younger", &sales, true)
		check(map[string]string{"root": "", "sales": "of sales", "east": "of sales"})
		save("of all", nil, true)
		save("of the root", &c.Root, true)
		save("of east", &east, true)
		check(map[string]string{"root": "of the root", "sales": "of sales", "east": "of east"})
	})
}

// What is within the limits of a rule set is within those of the log's entry too.
func TestTheLongestSetsCanBeSaved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		var members, departments []nid.ID
		var tags []string
		for i := range 200 {
			members = append(members, c.Member(fmt.Sprint("m", i), c.Root))
			departments = append(departments, c.Department(fmt.Sprint("d", i), c.Root))
		}
		for i := range 20 {
			tags = append(tags, strings.Repeat("长", 60)+fmt.Sprint(i))
		}
		s := &rule.Service{DB: db, Log: c.Log}
		in := rule.Input{Name: "longest", Rules: slices.Repeat([]rule.Rule{{Method: rule.Even, Members: members, Departments: departments, Tags: tags}}, 50)}
		in.Rules[1] = rule.Rule{Method: rule.Even, Members: members[:2], Tags: []string{"short"}}
		id, err := s.Save(c.Verified(c.Admin), in)
		if err != nil {
			t.Fatal(err)
		}
		version := 1
		in.ID, in.Version, in.Name = &id, &version, "longest of all"
		in.Rules = slices.Clone(in.Rules)
		in.Rules[0].Members = members[1:]
		if _, err := s.Save(c.Verified(c.Admin), in); err != nil {
			t.Fatal(err)
		}
		// The change shows, and short rules are told whole.
		var leaf struct {
			Before, After struct{ Rules []map[string]any }
		}
		raw := testcorp.Value[[]byte](c, `SELECT leaf FROM audit_entries WHERE subject_id = $1 ORDER BY "index" DESC LIMIT 1`, id)
		if err := json.Unmarshal(raw, &leaf); err != nil || len(leaf.After.Rules) != 50 {
			t.Fatal(err, string(raw[:200]))
		}
		before, after := leaf.Before.Rules, leaf.After.Rules
		if before[0]["sha256"] == after[0]["sha256"] || before[0]["members"] != 200.0 || after[0]["members"] != 199.0 || before[2]["sha256"] != after[2]["sha256"] || after[2]["sha256"] == nil {
			t.Errorf("%v, %v, %v", before[0], after[0], after[2])
		}
		if got, _ := after[1]["members"].([]any); len(got) != 2 {
			t.Errorf("the short one: %v", after[1])
		}
		in.Rules[1].Departments = append(departments, c.Department("one more", c.Root))
		version = 2
		if _, err := s.Save(c.Verified(c.Admin), in); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "200 departments") {
			t.Errorf("201 departments: %v", err)
		}
	})
}
