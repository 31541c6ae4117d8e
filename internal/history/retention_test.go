package history_test

import (
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/history"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// Messages go when their time is over, no other corp's and none before, and the log
// says how many; without a setting they stay.
func TestRetention(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c, other := testcorp.New(t, db, clock, "acme"), testcorp.New(t, db, clock, "other")
		old, young := db.Now().AddDate(0, 0, -31), db.Now().AddDate(0, 0, -29)
		talk := func(c *testcorp.Corp, n int, at time.Time) {
			lina := c.Member(nid.New(nid.Member).String(), c.Root)
			customer := c.Contact("customer", "NORMAL", lina)
			c.Agree(customer)
			for range n {
				c.Said(lina, customer, at, "hello")
			}
		}
		talk(c, 1005, old)
		talk(c, 2, young)
		talk(other, 1, old)
		left := func(c *testcorp.Corp) int {
			return testcorp.Value[int](c, `SELECT count(*) FROM messages WHERE corp_id = $1`, c.ID)
		}
		r := &history.Retention{DB: db, Log: c.Log}
		if next, err := r.Work(t.Context(), c.ID); err != nil || !next.IsZero() || left(c) != 1007 {
			t.Fatalf("without a setting: %v, again %v, %d are left", err, next, left(c))
		}
		days := 30
		if err := (&setting.Service{DB: db, Log: c.Log}).Save(c.Verified(c.Admin), setting.SaveInput{MessagesKeptDays: &days}); err != nil {
			t.Fatal(err)
		}
		next, err := r.Work(t.Context(), c.ID) // nobody could second it: it takes effect after a day
		if err != nil || !next.Equal(db.Now().Add(24*time.Hour)) || left(c) != 1007 {
			t.Fatalf("%v, again %v, %d are left", err, next, left(c))
		}
		clock.Add(24 * time.Hour)
		next, err = r.Work(t.Context(), c.ID)
		if err != nil || !next.After(db.Now()) {
			t.Fatalf("%v, again %v", err, next)
		}
		if left(c) != 2 || left(other) != 1 {
			t.Errorf("%d and %d are left, want 2 and 1", left(c), left(other))
		}
		if n := testcorp.Value[int](c, `SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = 'message.expire'`, c.ID); n != 2 {
			t.Errorf("%d entries, want one for each thousand", n)
		}
		clock.Add(48 * time.Hour)
		if _, err := r.Work(t.Context(), c.ID); err != nil || left(c) != 0 {
			t.Errorf("two days later: %v, %d are left", err, left(c))
		}
	})
}
