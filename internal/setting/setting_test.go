package setting_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/detect"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func each(t *testing.T, test func(t *testing.T, c *testcorp.Corp, s *setting.Service)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		test(t, c, &setting.Service{DB: db, Log: c.Log})
	})
}

func load(t *testing.T, c *testcorp.Corp) (s setting.Settings) {
	t.Helper()
	if err := c.DB.View(store.System(t.Context(), c.ID, "test"), func(ctx context.Context, r *store.Read) (err error) {
		s, err = setting.Load(ctx, r)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

func wants(t *testing.T, err error, code fault.Code, field string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Code != code || f.Field != field {
		t.Fatalf("got %v, want %s on %q", err, code, field)
	}
}

func entries(c *testcorp.Corp) int {
	return testcorp.Value[int](c, `SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = $2`, c.ID, string(access.SettingsSave))
}

func TestSave(t *testing.T) {
	each(t, func(t *testing.T, c *testcorp.Corp, s *setting.Service) {
		if got := load(t, c); !reflect.DeepEqual(got, setting.Settings{MovesPerContact: 2, MovesWithinDays: 90, GroupsPerDay: 300, DeparturesPerHour: 20, DeparturesPercent: 10, RevertibleDays: 30, MaskIDCards: true, MaskBankCards: true, NoticeReadsPerDay: 200, NoticeMessagesPerDay: 2000, HistoryForSuccessors: true, HistoryMaxDays: 90}) {
			t.Errorf("before anybody decided: %+v", got)
		}
		admin, zero, one := c.Verified(c.Admin), 0, 1
		three, five := 3, 5
		for _, in := range []setting.SaveInput{
			{MovesPerContact: &three},
			{Version: &one, DeparturesPercent: &five, MovesPerContact: &three},
		} {
			if err := s.Save(admin, in); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := load(t, c), (setting.Settings{MovesPerContact: 3, MovesWithinDays: 90, GroupsPerDay: 300, DeparturesPerHour: 20, DeparturesPercent: 5, RevertibleDays: 30, MaskIDCards: true, MaskBankCards: true, NoticeReadsPerDay: 200, NoticeMessagesPerDay: 2000, HistoryForSuccessors: true, HistoryMaxDays: 90, Version: 2}); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		two := 2
		if err := s.Save(admin, setting.SaveInput{Version: &two, MovesPerContact: &three}); err != nil || entries(c) != 2 {
			t.Errorf("the same once more: %v, %d entries", err, entries(c))
		}
		for _, version := range []*int{nil, &zero, &one} {
			wants(t, s.Save(admin, setting.SaveInput{Version: version, MovesPerContact: &two}), fault.Conflict, "input.version")
		}
	})
}

func TestSaveRefuses(t *testing.T) {
	each(t, func(t *testing.T, c *testcorp.Corp, s *setting.Service) {
		n := 5
		in := setting.SaveInput{GroupsPerDay: &n}
		wants(t, s.Save(c.SignedIn(c.Admin, false), in), fault.StepUpRequired, "")
		sales := c.Department("sales", c.Root)
		local, boss := c.Member("local", sales), c.Member("boss", sales)
		c.Grant(local, access.Administrator.Name, sales) // everything, but not of the whole corp
		c.Grant(boss, access.Manager.Name, c.Root)
		for _, ctx := range []context.Context{c.Verified(local), c.Verified(boss)} {
			wants(t, s.Save(ctx, in), fault.Forbidden, "")
		}
		admin := c.Verified(c.Admin)
		for field, set := range map[string]struct {
			of   func(in *setting.SaveInput) **int
			most int
		}{
			"movesPerContact":   {func(in *setting.SaveInput) **int { return &in.MovesPerContact }, 1000},
			"movesWithinDays":   {func(in *setting.SaveInput) **int { return &in.MovesWithinDays }, 365},
			"groupsPerDay":      {func(in *setting.SaveInput) **int { return &in.GroupsPerDay }, 10_000},
			"departuresPerHour": {func(in *setting.SaveInput) **int { return &in.DeparturesPerHour }, 10_000},
			"departuresPercent": {func(in *setting.SaveInput) **int { return &in.DeparturesPercent }, 100},
			"revertibleDays":    {func(in *setting.SaveInput) **int { return &in.RevertibleDays }, 365},

			"noticeReadsPerDay":    {func(in *setting.SaveInput) **int { return &in.NoticeReadsPerDay }, 100_000},
			"noticeMessagesPerDay": {func(in *setting.SaveInput) **int { return &in.NoticeMessagesPerDay }, 1_000_000},
		} {
			for _, n := range []int{0, -1, set.most + 1} {
				var in setting.SaveInput
				*set.of(&in) = &n
				wants(t, s.Save(admin, in), fault.Invalid, "input."+field)
			}
			version, most := load(t, c).Version, set.most
			in := setting.SaveInput{Version: &version}
			*set.of(&in) = &most
			if err := s.Save(admin, in); err != nil {
				t.Errorf("%s = %d: %v", field, most, err)
			}
		}
	})
}

// Of several who decide first, one does; the others are told.
func TestFirstSavesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, c *testcorp.Corp, s *setting.Service) {
		admin := c.Verified(c.Admin)
		errs := make([]error, 6)
		var wait sync.WaitGroup
		for i := range errs {
			n := 10 + i
			wait.Go(func() { errs[i] = s.Save(admin, setting.SaveInput{GroupsPerDay: &n}) })
		}
		wait.Wait()
		saved := 0
		for _, err := range errs {
			if err == nil {
				saved++
			} else {
				wants(t, err, fault.Conflict, "input.version")
			}
		}
		if saved != 1 || load(t, c).Version != 1 || entries(c) != 1 {
			t.Errorf("%d saved, version %d, %d entries", saved, load(t, c).Version, entries(c))
		}
	})
}

// What is within the limits of the lists is within those of the log's entry too.
func TestTheLongestListsCanBeSaved(t *testing.T) {
	each(t, func(t *testing.T, c *testcorp.Corp, s *setting.Service) {
		list := func(what string) (out []string) {
			for i := range 500 {
				out = append(out, fmt.Sprintf("%s%03d%s", what, i, strings.Repeat("😀", 100-3-len(what))))
			}
			return out
		}
		for i, what := range []string{"a", "b"} {
			in := setting.SaveInput{Own: &detect.Own{Domains: list(what), Addresses: list(what), Phones: list(what), Accounts: []string{what}, Names: list(what)}}
			if i > 0 {
				in.Version = &i
			}
			if err := s.Save(c.Verified(c.Admin), in); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		var leaf struct{ Before, After map[string]any }
		raw := testcorp.Value[[]byte](c, `SELECT leaf FROM audit_entries WHERE action = 'settings.save' ORDER BY "index" DESC LIMIT 1`)
		if err := json.Unmarshal(raw, &leaf); err != nil {
			t.Fatal(err)
		}
		was, _ := leaf.Before["domains"].(map[string]any)
		is, _ := leaf.After["domains"].(map[string]any)
		if was["values"] != 500.0 || is["values"] != 500.0 || was["sha256"] == is["sha256"] || fmt.Sprint(leaf.After["accounts"]) != "[b]" {
			t.Errorf("%.500s", raw)
		}
	})
}
