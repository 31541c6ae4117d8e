package leak_test

import (
	"context"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// exported stores that a member asked for a file.
func (s *scene) exported(t *testing.T, member nid.ID, rows int) {
	t.Helper()
	if err := s.Corp.DB.Tx(store.System(t.Context(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, "exports", `INSERT INTO exports (id, corp_id, created_at, requested_by_id, epoch, subject, format, state, language, rows, run_token)
			VALUES ($1, $2, $3, $4, 0, 'CONTACTS', 'CSV', 'EXPIRED', 'en', $5, 1) RETURNING id`, tx.NewID(nid.Export), tx.Corp(), tx.Now(), member, rows)
		if err != nil {
			return err
		}
		return s.Corp.Log.Append(ctx, tx, audit.Entry{Action: access.ExportCreate, Subject: ids[0]})
	}); err != nil {
		t.Fatal(err)
	}
}

// Who exports much more than ever in the month before the last day is found, once for
// each day; who stays, or does what they always did, is not.
func TestExportsBeforeLeaving(t *testing.T) {
	each(t, func(t *testing.T, s *scene, clock *storetest.Clock) {
		for range 20 { // what both always do
			s.exported(t, s.lina, 100)
			s.exported(t, s.zhao, 100)
			clock.Add(24 * time.Hour)
		}
		s.Leaving(s.lina, s.Corp.DB.Now().AddDate(0, 0, 20).Format(time.DateOnly))
		for range 6 {
			s.exported(t, s.lina, 3000)
			s.exported(t, s.zhao, 3000)
		}
		count := func(member nid.ID) int {
			return testcorp.Value[int](s.Corp, `SELECT count(*) FROM leak_findings WHERE corp_id = $1 AND member_id = $2 AND kind = 'EXPORT_BEFORE_LEAVING'`, s.ID, member)
		}
		next, err := s.Scan(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		if next.Before(s.Corp.DB.Now()) || next.After(s.Corp.DB.Now().Add(25*time.Hour)) {
			t.Errorf("looks again at %v", next)
		}
		if count(s.lina) != 1 || count(s.zhao) != 0 {
			t.Fatalf("found %d of who leaves, %d of who stays", count(s.lina), count(s.zhao))
		}
		size := testcorp.Value[int](s.Corp, `SELECT size FROM audit_heads WHERE corp_id = $1`, s.ID)
		s.scan(t)
		if n := testcorp.Value[int](s.Corp, `SELECT size FROM audit_heads WHERE corp_id = $1`, s.ID); n != size {
			t.Errorf("looking again wrote %d entries", n-size)
		}
		s.exported(t, s.lina, 9000) // more on the same day: the finding says so
		s.scan(t)
		if count(s.lina) != 1 || testcorp.Value[int](s.Corp, `SELECT version FROM leak_findings WHERE corp_id = $1 AND member_id = $2 AND message_id IS NULL`, s.ID, s.lina) != 2 {
			t.Error("the finding was not brought up to date")
		}
	})
}
