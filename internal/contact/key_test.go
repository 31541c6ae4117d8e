package contact_test

import (
	"context"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// Setting the key mark needs no more than changing the contact; taking it off needs
// MANAGE_CONTACTS and a fresh proof, and leaves who did it and when.
func TestTakingTheKeyMarkOff(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		update := func(ctx context.Context, version int, importance string) error {
			return s.s.Update(ctx, contact.UpdateInput{ID: s.contact, Version: version, Importance: &importance})
		}
		s.must(update(s.asLina, 1, "KEY"))
		if n := s.count(`SELECT count(*) FROM contacts WHERE id = $1 AND key_until IS NULL AND key_changed_by_id IS NULL`, s.contact); n != 1 {
			t.Error("setting the mark left the date of taking it off")
		}
		want(t, "as a follower", update(s.Verified(s.lina), 2, "NORMAL"), fault.Forbidden, "")
		want(t, "out of scope", update(s.stranger, 2, "NORMAL"), fault.NotFound, "input.id")
		want(t, "without a proof", update(s.boss, 2, "NORMAL"), fault.StepUpRequired, "")
		boss := testcorp.Value[nid.ID](s.Corp, `SELECT id FROM members WHERE user_id = 'boss'`)
		want(t, "stale", update(s.Verified(boss), 1, "NORMAL"), fault.Conflict, "input.version")
		s.must(update(s.Verified(boss), 2, "NORMAL"))
		marked := func() int {
			return s.count(`SELECT count(*) FROM contacts WHERE id = $1 AND key_until = $2 AND key_changed_by_id = $3`, s.contact, s.Clock.Now(), boss)
		}
		if marked() != 1 {
			t.Error("taking the mark off did not leave who did it and when")
		}
		// A mark that is set again, and what else is changed, keep the date.
		s.must(update(s.asLina, 3, "NORMAL"))
		s.must(s.s.Update(s.asLina, contact.UpdateInput{ID: s.contact, Version: 3, Company: to("Acme")}))
		s.must(update(s.asLina, 4, "KEY"))
		if marked() != 1 {
			t.Error("another change moved the date")
		}
		s.Clock.Add(time.Hour)
		s.must(update(s.Verified(s.Admin), 5, "NORMAL"))
		if n := s.count(`SELECT count(*) FROM contacts WHERE id = $1 AND key_until = $2 AND key_changed_by_id = $3`, s.contact, s.Clock.Now(), s.Admin); n != 1 {
			t.Error("the mark was taken off a second time, and the first date stands")
		}
		s.counted()
	})
}

// The database refuses a statement that takes the mark off and leaves no date, also
// where an old date stands.
func TestNoStatementTakesTheMarkOffWithoutADate(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		set := func(importance string, until *time.Time) error {
			return s.DB.Tx(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
				ids, err := tx.Change(ctx, "contacts", `UPDATE contacts SET importance = $3, key_until = coalesce($4, key_until), updated_at = $5
					WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), s.contact, importance, until, tx.Now())
				tx.Cover(ids...)
				return err
			})
		}
		now := s.Clock.Now()
		s.must(set("KEY", nil))
		if set("NORMAL", nil) == nil {
			t.Error("the mark was taken off without a date")
		}
		s.must(set("NORMAL", &now))
		s.must(set("KEY", nil))
		s.Clock.Add(time.Hour)
		if set("NORMAL", nil) == nil {
			t.Error("the mark was taken off with the date of an earlier time")
		}
	})
}

func TestCountsAsKey(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { return to(now.Add(-d)) }
	for name, c := range map[string]struct {
		importance string
		until      *time.Time
		want       bool
	}{
		"KEY":              {"KEY", nil, true},
		"never":            {"NORMAL", nil, false},
		"just now":         {"NORMAL", ago(0), true},
		"almost 30 days":   {"NORMAL", ago(contact.KeyLasts - time.Second), true},
		"30 days":          {"NORMAL", ago(contact.KeyLasts), false},
		"KEY again, later": {"KEY", ago(90 * 24 * time.Hour), true},
	} {
		if got := contact.CountsAsKey(c.importance, c.until, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
