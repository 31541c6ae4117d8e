package setting_test

import (
	"context"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func weaker(t *testing.T, test func(t *testing.T, c *testcorp.Corp, save func(nid.ID, setting.SaveInput) error)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &setting.Service{DB: db, Log: c.Log}
		test(t, c, func(who nid.ID, in setting.SaveInput) error {
			version := load(t, c).Version
			in.Version = &version
			return s.Save(c.Verified(who), in)
		})
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Whoever asked for a weaker setting while nobody else could second it holds the permission
// until it takes effect; otherwise it never does.
func TestAWeakerSettingEndsWithTheRightToIt(t *testing.T) {
	weaker(t, func(t *testing.T, c *testcorp.Corp, save func(nid.ID, setting.SaveInput) error) {
		must(t, save(c.Admin, setting.SaveInput{MaskIDCards: new(false)}))
		boss := c.Member("boss", c.Root)
		c.Grant(boss, access.Administrator.Name, nid.ID{})
		c.Clock.Add(time.Hour)
		end := func(at time.Time) {
			t.Helper()
			must(t, c.DB.Tx(store.System(t.Context(), c.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
				ids, err := tx.Change(ctx, "grants", `UPDATE grants SET revoked_at = $3 WHERE corp_id = $1 AND member_id = $2 RETURNING id`, c.ID, c.Admin, at)
				tx.Cover(ids...)
				return err
			}))
		}
		end(c.DB.Now())
		c.Clock.Add(48 * time.Hour)
		if !load(t, c).MaskIDCards {
			t.Error("it took effect after the right to it had ended")
		}
		// One that was revoked later keeps what took effect before.
		end(c.DB.Now().Add(-12 * time.Hour))
		if load(t, c).MaskIDCards {
			t.Error("what was in effect is gone with the right to it")
		}
	})
}

// Two who are one pair of hands make nothing weaker, and the same value takes the request back.
func TestASettingTakesTwo(t *testing.T) {
	weaker(t, func(t *testing.T, c *testcorp.Corp, save func(nid.ID, setting.SaveInput) error) {
		boss := c.Member("boss", c.Root)
		c.Grant(boss, access.Administrator.Name, nid.ID{})
		days := 60
		must(t, save(c.Admin, setting.SaveInput{MaskBankCards: new(false), MessagesKeptDays: &days}))
		if s := load(t, c); !s.MaskBankCards || s.MessagesKeptDays != nil || s.Version != 1 {
			t.Errorf("%+v", s)
		}
		_, err := (&identity.Service{DB: c.DB, Log: c.Log, Demo: true}).ResetPassword(c.Verified(c.Admin), boss, nil)
		must(t, err)
		wants(t, save(boss, setting.SaveInput{MessagesKeptDays: &days}), fault.Forbidden, "")
		third := c.Member("third", c.Root)
		c.Grant(third, access.Administrator.Name, nid.ID{})
		must(t, save(third, setting.SaveInput{MessagesKeptDays: &days, MaskBankCards: new(true)}))
		must(t, save(third, setting.SaveInput{MaskBankCards: new(false)})) // asks again
		if s := load(t, c); !s.MaskBankCards || s.MessagesKeptDays == nil || *s.MessagesKeptDays != 60 {
			t.Errorf("%+v", s)
		}
		// Longer is stricter: it loses nothing.
		days = 90
		must(t, save(boss, setting.SaveInput{MessagesKeptDays: &days}))
		if s := load(t, c); *s.MessagesKeptDays != 90 {
			t.Errorf("%+v", s)
		}
		days = 0
		must(t, save(boss, setting.SaveInput{MessagesKeptDays: &days}))
		if s := load(t, c); s.MessagesKeptDays != nil {
			t.Errorf("%+v", s)
		}
	})
}

// How many departures are plausible is what holds back those that one person wants: one
// person does not raise it.
func TestMoreDeparturesTakeTwo(t *testing.T) {
	weaker(t, func(t *testing.T, c *testcorp.Corp, save func(nid.ID, setting.SaveInput) error) {
		most, all := 10_000, 100
		raise := setting.SaveInput{DeparturesPerHour: &most, DeparturesPercent: &all}
		must(t, save(c.Admin, raise))
		if s := load(t, c); s.DeparturesPerHour != 20 || s.DeparturesPercent != 10 {
			t.Errorf("at once, by one person: %d an hour, %d percent", s.DeparturesPerHour, s.DeparturesPercent)
		}
		boss := c.Member("boss", c.Root)
		c.Grant(boss, access.Administrator.Name, nid.ID{})
		must(t, save(boss, raise))
		if s := load(t, c); s.DeparturesPerHour != most || s.DeparturesPercent != all {
			t.Errorf("by two: %d an hour, %d percent", s.DeparturesPerHour, s.DeparturesPercent)
		}
		fewer := 5
		must(t, save(c.Admin, setting.SaveInput{DeparturesPerHour: &fewer, DeparturesPercent: &fewer}))
		if s := load(t, c); s.DeparturesPerHour != fewer || s.DeparturesPercent != fewer {
			t.Errorf("stricter: %d an hour, %d percent", s.DeparturesPerHour, s.DeparturesPercent)
		}
	})
}

// Nobody becomes the only administrator, for whom a weaker setting takes effect by itself,
// by taking the role of the other one.
func TestTakingTheOthersRoleMakesNobodyAlone(t *testing.T) {
	weaker(t, func(t *testing.T, c *testcorp.Corp, save func(nid.ID, setting.SaveInput) error) {
		boss := c.Member("boss", c.Root)
		c.Grant(boss, access.Administrator.Name, nid.ID{})
		must(t, save(c.Admin, setting.SaveInput{MaskIDCards: new(false)}))
		must(t, c.DB.Tx(store.System(t.Context(), c.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Change(ctx, "grants", `UPDATE grants SET revoked_at = $3 WHERE corp_id = $1 AND member_id = $2 RETURNING id`, c.ID, boss, tx.Now())
			tx.Cover(ids...)
			return err
		}))
		wants(t, save(c.Admin, setting.SaveInput{MaskIDCards: new(false)}), fault.Conflict, "input.maskIdCards")
		must(t, save(c.Admin, setting.SaveInput{MaskBankCards: new(false)}))
		c.Clock.Add(identity.Patience - time.Minute)
		if s := load(t, c); !s.MaskIDCards || !s.MaskBankCards {
			t.Errorf("it took effect by itself: %+v", s)
		}
		c.Clock.Add(time.Hour)
		must(t, save(c.Admin, setting.SaveInput{MaskIDCards: new(false)}))
		c.Clock.Add(identity.Notice)
		if load(t, c).MaskIDCards {
			t.Error("nobody has been there for long to second it, and it waits for ever")
		}
	})
}
