package notify_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// hook stores a webhook without asking anybody.
func hook(t *testing.T, c *testcorp.Corp, title, events string, active bool) nid.ID {
	t.Helper()
	id := nid.New(nid.Webhook)
	in(t, c, func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, "webhooks", `INSERT INTO webhooks (id, corp_id, created_at, updated_at, version, name, url, events, active, secret)
			VALUES ($1, $2, $3, $3, 1, $4, 'https://example.com/', $5, $6, $7) RETURNING id`, id, c.ID, tx.Now(), title, events, active, []byte{1})
		tx.Cover(ids...)
		return err
	})
	return id
}

func in(t *testing.T, c *testcorp.Corp, fn func(context.Context, *store.Tx) error) {
	t.Helper()
	if err := c.DB.Tx(store.System(context.Background(), c.ID, "test"), fn); err != nil {
		t.Fatal(err)
	}
}

// handover stores a case without a plan.
func handover(t *testing.T, c *testcorp.Corp, leaver nid.ID) nid.ID {
	t.Helper()
	id := nid.New(nid.Handover)
	in(t, c, func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, "handovers", `INSERT INTO handovers (id, corp_id, created_at, updated_at, version, kind, state, digest, plan, leaver_id)
			VALUES ($1, $2, $3, $3, 1, 'ON_JOB', 'RUNNING', '', '{}', $4) RETURNING id`, id, c.ID, tx.Now(), leaver)
		tx.Cover(ids...)
		return err
	})
	return id
}

func alarms(c *testcorp.Corp, kind string) int {
	return testcorp.Value[int](c, `SELECT count(*) FROM alarms WHERE corp = $1 AND kind = $2`, c.ID, kind)
}

func TestAnEventGoesToThoseWhoWantIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		emit := func() {
			in(t, c, func(ctx context.Context, tx *store.Tx) error {
				return notify.Emit(ctx, tx, notify.MemberDeparted, c.Admin, map[string]any{"contacts": 3, "caretaker": c.Root, "state": "DEPARTED"})
			})
		}
		emit()
		if n := testcorp.Value[int](c, `SELECT count(*) FROM webhook_deliveries`); n != 0 || alarms(c, notify.WorkDeliveries) != 0 {
			t.Fatal("without a webhook there is a delivery or an alarm")
		}
		all, some := hook(t, c, "all", `[]`, true), hook(t, c, "some", `["handover.started","member.departed"]`, true)
		hook(t, c, "others", `["handover.started"]`, true)
		hook(t, c, "off", `[]`, false)
		other := testcorp.New(t, db, clock, "other")
		hook(t, other, "foreign", `[]`, true)
		emit()
		type row struct {
			hook    nid.ID
			body    string
			subject nid.ID
			state   string
			next    time.Time
		}
		var rows []row
		in(t, c, func(ctx context.Context, tx *store.Tx) (err error) {
			rows, err = store.Select(ctx, tx, func(r *row) []any { return []any{&r.hook, &r.body, &r.subject, &r.state, &r.next} },
				`SELECT webhook_id, body, subject_id, state, next_at FROM webhook_deliveries WHERE corp_id = $1 ORDER BY webhook_id`, tx.Corp())
			return err
		})
		if len(rows) != 2 || !slices.Contains([]nid.ID{rows[0].hook, rows[1].hook}, all) || !slices.Contains([]nid.ID{rows[0].hook, rows[1].hook}, some) {
			t.Fatalf("%d deliveries: %v", len(rows), rows)
		}
		var b map[string]any
		if err := json.Unmarshal([]byte(rows[0].body), &b); err != nil {
			t.Fatal(err)
		}
		data, _ := b["data"].(map[string]any)
		if b["type"] != "member.departed" || b["timestamp"] != "2026-03-02T09:00:00Z" || b["id"] == "" ||
			data["corp"] != c.ID.String() || data["subject"] != c.Admin.String() || data["contacts"] != 3.0 || data["state"] != "DEPARTED" {
			t.Errorf("the body is %s", rows[0].body)
		}
		if rows[0].body != rows[1].body {
			t.Error("two webhooks are told the same event under two ids")
		}
		if rows[0].state != "WAITING" || !rows[0].next.Equal(clock.Now()) || rows[0].subject != c.Admin || alarms(c, notify.WorkDeliveries) != 1 {
			t.Errorf("the delivery is not due: %+v", rows[0])
		}
	})
}

func TestNothingThatCouldBeANameLeaves(t *testing.T) {
	clock := storetest.NewClock()
	c := testcorp.New(t, storetest.SQLite(t, clock), clock, "acme")
	for name, data := range map[string]map[string]any{
		"name": {"name": "Li Na"}, "Chinese": {"x": "李娜"}, "one word": {"x": "anna"}, "deep": {"x": []any{map[string]any{"y": "a@b.example"}}}, "number": {"x": "13800138000"},
	} {
		err := db(c, func(ctx context.Context, tx *store.Tx) error {
			return notify.Emit(ctx, tx, notify.HandoverStarted, c.Admin, data)
		})
		if err == nil {
			t.Errorf("%s: %v was taken", name, data)
		}
	}
	if err := db(c, func(ctx context.Context, tx *store.Tx) error {
		return notify.Emit(ctx, tx, "handover.invented", c.Admin, nil)
	}); err == nil {
		t.Error("an event that is not in the list was taken")
	}
	type state string
	ok := map[string]any{"a": 1, "b": true, "c": time.Now(), "d": []nid.ID{c.Admin, c.Root}, "e": state("AWAITING_APPROVAL"), "f": nid.ID{}, "g": nil}
	if err := db(c, func(ctx context.Context, tx *store.Tx) error {
		return notify.Emit(ctx, tx, notify.HandoverStarted, c.Admin, ok)
	}); err != nil {
		t.Error(err)
	}
}

func db(c *testcorp.Corp, fn func(context.Context, *store.Tx) error) error {
	return c.DB.Tx(store.System(context.Background(), c.ID, "test"), fn)
}

func TestGiftsOfOneHandoverAddUp(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		a, b, none := c.Member("a", c.Root), c.Member("b", c.Root), c.Member("none", c.Root)
		handover := handover(t, c, none)
		give := func(to map[nid.ID]notify.Gift) {
			in(t, c, func(ctx context.Context, tx *store.Tx) error { return notify.Given(ctx, tx, handover, to) })
		}
		give(nil)
		if alarms(c, notify.WorkDigests) != 0 {
			t.Error("nothing was given and there is an alarm")
		}
		give(map[nid.ID]notify.Gift{a: {Contacts: 200, Groups: 1}, b: {Groups: 2}, none: {}})
		clock.Add(time.Minute)
		give(map[nid.ID]notify.Gift{a: {Contacts: 50}})
		type row struct {
			member   nid.ID
			contacts int
			groups   int
			due      time.Time
		}
		var rows []row
		in(t, c, func(ctx context.Context, tx *store.Tx) (err error) {
			rows, err = store.Select(ctx, tx, func(r *row) []any { return []any{&r.member, &r.contacts, &r.groups, &r.due} },
				`SELECT member_id, contacts, groups, due_at FROM successor_digests WHERE corp_id = $1 ORDER BY contacts DESC`, tx.Corp())
			return err
		})
		now := clock.Now()
		if len(rows) != 2 || rows[0].member != a || rows[0].contacts != 250 || rows[0].groups != 1 || !rows[0].due.Equal(now.Add(10*time.Minute)) ||
			rows[1].member != b || rows[1].groups != 2 || !rows[1].due.Equal(now.Add(9*time.Minute)) {
			t.Errorf("%+v", rows)
		}
		if due := testcorp.Value[time.Time](c, `SELECT due_at FROM alarms WHERE corp = $1 AND kind = 'digests'`, c.ID); !due.Equal(now.Add(9 * time.Minute)) {
			t.Errorf("the alarm is at %s", due)
		}
	})
}
