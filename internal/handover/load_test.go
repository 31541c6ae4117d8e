package handover_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// load is one leaver's contacts, which some successors are to share.
type load struct {
	*testcorp.Corp
	leaver     nid.ID
	successors []nid.ID
}

// newLoad founds a corp whose time is that of the processes that work on it, with n
// contacts of somebody who has departed.
func newLoad(t testing.TB, db *store.DB, clock *storetest.Clock, n, successors int) *load {
	t.Helper()
	clock.Add(time.Since(storetest.Epoch))
	c := testcorp.New(t, db, clock, "acme")
	l := &load{Corp: c, leaver: c.Member("lina", c.Root)}
	for i := range successors {
		l.successors = append(l.successors, c.Member(fmt.Sprint("successor ", i), c.Root))
	}
	const atOnce = 5000
	for done := 0; done < n; done += atOnce {
		l.follow(t, min(atOnce, n-done))
	}
	c.Depart(l.leaver)
	storetest.Analyze(t, db)
	return l
}

// follow gives the leaver n contacts more.
func (l *load) follow(t testing.TB, n int) {
	t.Helper()
	rows := make([]map[string]any, n)
	for i := range rows {
		id := nid.New(nid.Contact)
		rows[i] = map[string]any{"id": id, "external": id.String(), "follow": nid.New(nid.Follow), "period": nid.New(nid.Period)}
	}
	from := l.DB.Rows(1, "v", "id uuid", "external text", "follow uuid", "period uuid") + ` WHERE true RETURNING id`
	batch := l.DB.Batch(rows)
	ok(t, l.DB.Tx(store.System(context.Background(), l.ID, "test data"), func(ctx context.Context, tx *store.Tx) error {
		for _, s := range []struct{ table, sql string }{
			{"contacts", `INSERT INTO contacts (id, corp_id, created_at, updated_at, version, external_user_id, name, name_key, type, importance, accountable_id, accountable_answers, protected)
				SELECT id, $2, $3, $3, 1, external, '王', '王', 'WECHAT', 'NORMAL', $4, true, false FROM `},
			{"follows", `INSERT INTO follows (id, corp_id, created_at, updated_at, version, contact_id, member_id, since, protected, owner_version)
				SELECT follow, $2, $3, $3, 1, id, $4, $3, false, 1 FROM `},
			{"ownership_periods", `INSERT INTO ownership_periods (id, corp_id, created_at, contact_id, member_id, from_at) SELECT period, $2, $3, id, $4, $3 FROM `},
		} {
			ids, err := tx.Change(ctx, s.table, s.sql+from, batch, tx.Corp(), tx.Now(), l.leaver)
			if err != nil {
				return err
			}
			tx.Cover(ids...)
		}
		_, err := tx.Keep(ctx, "member_counters", `UPDATE member_counters SET contacts = contacts + $3 WHERE corp_id = $1 AND member_id = $2`, tx.Corp(), l.leaver, n)
		return err
	}))
}

// input splits everything evenly.
func (l *load) input() handover.Input {
	return handover.Input{Kind: handover.Resigned, LeaverID: l.leaver,
		Successors: handover.Choice{Split: &handover.Split{Method: "EVEN", MemberIDs: l.successors}}}
}

// completed is how far a handover has come.
func (l *load) completed(id nid.ID) int {
	return testcorp.Value[int](l.Corp, `SELECT completed FROM handovers WHERE id = $1`, id)
}

// await looks again and again until something is true, for as long as is given.
func await(t testing.TB, limit time.Duration, what string, is func() bool) {
	t.Helper()
	late := time.NewTimer(limit)
	defer late.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-late.C:
			t.Fatalf("%s: not within %s", what, limit)
		case <-tick.C:
		}
	}
}
