package handover_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// Everything goes back to whom it came from, but what people changed since.
func TestRevertRestoresButForWhatChangedSince(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		for _, background := range []bool{false, true} {
			zhao := s.Member("zhao"+map[bool]string{true: "2", false: "1"}[background], s.Root)
			leaver, to := s.Member("leaver"+map[bool]string{true: "2", false: "1"}[background], s.Root), s.Member("to"+map[bool]string{true: "2", false: "1"}[background], s.Root)
			contacts := s.Contacts(4, leaver)
			shared := s.Contact("shared", "NORMAL", leaver, to)
			s.raw("follows", `UPDATE follows SET remark = 'likes tea' WHERE contact_id = $1 AND member_id = $2 RETURNING id`, shared, leaver)
			s.raw("follows", `UPDATE follows SET remark = NULL WHERE contact_id = $1 AND member_id = $2 RETURNING id`, shared, to)
			chat := s.Group("chat", leaver)
			s.Depart(leaver)
			in := handover.Input{Kind: handover.Resigned, LeaverID: leaver, Successors: handover.Choice{MemberID: &to}, History: &handover.HistoryScope{Mode: "ALL"}}
			id, err := s.s.HandOver(s.Verified(s.Corp.Admin), in, nil, "k"+leaver.String())
			ok(t, err)
			s.Clock.Add(time.Hour)
			// One goes on to somebody else, in service.
			_, err = s.s.HandOver(s.Verified(s.Corp.Admin), handover.Input{Kind: handover.OnJob, LeaverID: to, Successors: handover.Choice{MemberID: &zhao},
				Select: &handover.Selection{ContactIDs: contacts[:1]}}, nil, "on"+leaver.String())
			ok(t, err)
			if background {
				s.s.AtOnce = 2
			}
			back, err := s.s.Revert(s.Verified(s.Corp.Admin), id, "a mistake", "back"+leaver.String())
			ok(t, err)
			s.work()
			s.wantStatuses(back, map[string]int{"COMPLETED ": 5, "SKIPPED CHANGED_SINCE": 1})
			s.wantStatuses(id, map[string]int{"COMPLETED ": 1, "REVERTED ": 5})
			if a, b := s.state(id), s.state(back); a != "REVERTED" || b != "PARTIAL" {
				t.Errorf("states %s and %s", a, b)
			}
			for what, query := range map[string]string{
				"open follows of the leaver": `SELECT count(*) FROM follows WHERE member_id = $1 AND ended_at IS NULL AND protected`,
				"their periods":              `SELECT count(*) FROM ownership_periods WHERE member_id = $1 AND until_at IS NULL AND contact_id IS NOT NULL`,
				"the leaver's counter":       `SELECT contacts FROM member_counters WHERE member_id = $1`,
			} {
				if n := s.count(query, leaver); n != 4 {
					t.Errorf("%s: %d, want 4", what, n)
				}
			}
			if n := s.count(`SELECT count(*) FROM groups WHERE id = $1 AND owner_id = $2 AND status = 'OWNER_LEFT' AND protected`, chat, leaver); n != 1 {
				t.Error("the group is not the leaver's again")
			}
			if n := s.count(`SELECT count(*) FROM group_members WHERE group_id = $1 AND member_id = $2`, chat, to); n != 0 {
				t.Error("the successor is still in the group")
			}
			if n := s.count(`SELECT count(*) FROM follows WHERE contact_id = $1 AND member_id = $2 AND ended_at IS NULL AND remark IS NULL`, shared, to); n != 1 {
				t.Error("the successor's own follow is not as it was")
			}
			if n := s.count(`SELECT count(*) FROM history_grants WHERE handover_id = $1 AND ended_at IS NULL`, id); n != 0 {
				t.Errorf("%d history grants go on although the successor has nothing of it any more", n)
			}
			if n := s.count(`SELECT count(*) FROM follows WHERE contact_id = $1 AND member_id = $2 AND ended_at IS NULL`, contacts[0], zhao); n != 1 {
				t.Error("what was changed since was not left alone")
			}
			// And the undo is undone.
			again, err := s.s.Revert(s.Verified(s.Corp.Admin), back, "no mistake after all", "again"+leaver.String())
			ok(t, err)
			s.work()
			s.wantStatuses(again, map[string]int{"COMPLETED ": 5})
			if n := s.count(`SELECT contacts FROM member_counters WHERE member_id = $1`, to); n != 4 {
				t.Errorf("the successor has %d contacts again, want 4", n)
			}
			if n := s.count(`SELECT count(*) FROM history_grants WHERE handover_id = $1 AND ended_at IS NULL AND ended_by_id IS NULL`, id); n != 5 {
				t.Errorf("%d history grants are in force again, want 5", n)
			}
			if n := s.count(`SELECT count(*) FROM transfers WHERE handover_id = $1 AND merged`, again); n != 1 {
				t.Errorf("%d merged again, want 1", n)
			}
			s.s.AtOnce = 0
		}
		s.verifies()
	})
}

func TestWhoMayRevertAndWhen(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("big customer", "KEY", s.lina)
		s.Depart(s.lina)
		id, digest := s.bound("k")
		_, err := s.s.Revert(s.admin, id, "why", "r0")
		want(t, err, fault.Conflict, "") // not executed
		_, err = s.s.Approve(s.Verified(s.approver), id, digest, nil)
		ok(t, err)
		ok(t, s.s.Execute(s.admin, id, digest, "e"))
		_, err = s.s.Revert(s.Verified(s.manager), id, "why", "r1")
		want(t, err, fault.Forbidden, "")
		_, err = s.s.Revert(s.SignedIn(s.Corp.Admin, false), id, "why", "r2")
		want(t, err, fault.StepUpRequired, "")
		_, err = s.s.Revert(s.admin, id, "", "r3")
		want(t, err, fault.Invalid, "input.reason")
		_, err = s.s.Revert(s.admin, nid.New(nid.Handover), "why", "r4")
		want(t, err, fault.NotFound, "input.id")
		// It took one approval, so it takes one to take it back.
		back, err := s.s.Revert(s.admin, id, "why", "r5")
		ok(t, err)
		if got := s.state(back); got != "AWAITING_APPROVAL" {
			t.Fatalf("state %s", got)
		}
		same, err := s.s.Revert(s.admin, id, "why", "r5")
		ok(t, err)
		if same != back {
			t.Errorf("a replay made %s", same)
		}
		_, err = s.s.Revert(s.admin, id, "why", "r6")
		want(t, err, fault.Conflict, "")
		want(t, s.s.Replan(s.admin, back, 1, s.all(s.wang)), fault.Conflict, "")
		_, err = s.s.Approve(s.Verified(s.approver), back, s.digest(back), nil)
		ok(t, err)
		want(t, s.s.Execute(s.Verified(s.manager), back, s.digest(back), "e2"), fault.Forbidden, "")
		ok(t, s.s.Execute(s.admin, back, s.digest(back), "e3"))
		if a, b := s.state(id), s.state(back); a != "REVERTED" || b != "COMPLETED" {
			t.Errorf("states %s and %s", a, b)
		}
		s.verifies()
	})
}

func TestTheWindowForTakingBackEnds(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contacts(1, s.lina)
		s.Depart(s.lina)
		id, err := s.s.HandOver(s.admin, s.all(s.wang), nil, "k")
		ok(t, err)
		s.Clock.Add(30 * 24 * time.Hour)
		_, err = s.s.Revert(s.Verified(s.Corp.Admin), id, "why", "r")
		want(t, err, fault.Conflict, "")
	})
}

func TestRetryGoesOnAndFollowUpsAreTheirOwn(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Limit(s.wang, 2)
		s.Contacts(2, s.lina)
		s.Contacts(1, s.wang)
		zhao := s.Member("zhao", s.Root)
		s.Depart(s.lina)
		id, err := s.s.Create(s.admin, s.all(s.wang), nil, nil, "c")
		ok(t, err)
		want(t, s.s.Submit(s.admin, id, 1), fault.Limit, "input.id")
		s.Limit(s.wang, 3)
		ok(t, s.s.Submit(s.admin, id, 1))
		s.Limit(s.wang, 2)
		_, err = s.s.Retry(s.admin, id, nil, nil, "r0")
		want(t, err, fault.Conflict, "") // not executed
		ok(t, s.s.Execute(s.admin, id, s.digest(id), "e"))
		s.wantStatuses(id, map[string]int{"COMPLETED ": 1, "LIMIT_REACHED SUCCESSOR_FULL": 1})
		full := testcorp.Value[nid.ID](s.Corp, `SELECT id FROM transfers WHERE handover_id = $1 AND status = 'LIMIT_REACHED'`, id)
		done := testcorp.Value[nid.ID](s.Corp, `SELECT id FROM transfers WHERE handover_id = $1 AND status = 'COMPLETED'`, id)

		_, err = s.s.Retry(s.Verified(s.approver), id, nil, nil, "r1")
		want(t, err, fault.Forbidden, "")
		_, err = s.s.Retry(s.SignedIn(s.Corp.Admin, false), id, nil, nil, "r2")
		want(t, err, fault.StepUpRequired, "")
		_, err = s.s.Retry(s.admin, id, []nid.ID{done}, nil, "r3")
		want(t, err, fault.Conflict, "input.transferIds")
		_, err = s.s.Retry(s.admin, id, []nid.ID{nid.New(nid.Transfer)}, nil, "r4")
		want(t, err, fault.NotFound, "input.transferIds")

		follow, err := s.s.Retry(s.admin, id, []nid.ID{full}, &zhao, "r5")
		ok(t, err)
		if follow == id || s.state(follow) != "COMPLETED" || s.digest(follow) == s.digest(id) {
			t.Errorf("the follow-up is %s, %s", follow, s.state(follow))
		}
		if n := s.count(`SELECT count(*) FROM handovers WHERE id = $1 AND follow_up_of_id = $2`, follow, id); n != 1 {
			t.Error("the follow-up does not say what it follows")
		}
		// Tried again with the same successor it is somebody else's by now.
		s.Limit(s.wang, 5)
		same, err := s.s.Retry(s.admin, id, nil, nil, "r6")
		ok(t, err)
		if same != id {
			t.Errorf("retried as %s", same)
		}
		s.wantStatuses(id, map[string]int{"COMPLETED ": 1, "SKIPPED OWNER_CHANGED": 1})
		if again, err := s.s.Retry(s.admin, id, nil, nil, "r6"); err != nil || again != id {
			t.Errorf("a replay answered %s, %v", again, err)
		}
		s.verifies()
	})
}

// A follow-up that needs approval waits for it.
func TestAFollowUpNeedsItsOwnApprovals(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		zhao := s.Member("zhao", s.Root)
		s.Contact("big customer", "KEY", s.lina)
		s.Depart(s.lina)
		id, digest := s.bound("k")
		_, err := s.s.Approve(s.Verified(s.approver), id, digest, nil)
		ok(t, err)
		s.Depart(s.wang)
		ok(t, s.s.Execute(s.admin, id, digest, "e"))
		s.wantStatuses(id, map[string]int{"FAILED SUCCESSOR_NOT_ACTIVE": 1})
		follow, err := s.s.Retry(s.admin, id, nil, &zhao, "r")
		ok(t, err)
		if got := s.state(follow); got != "AWAITING_APPROVAL" {
			t.Errorf("state %s", got)
		}
		_, err = s.s.Approve(s.Verified(s.approver), follow, s.digest(follow), nil)
		ok(t, err)
		ok(t, s.s.Execute(s.admin, follow, s.digest(follow), "e2"))
		s.wantStatuses(follow, map[string]int{"COMPLETED ": 1})
	})
}

// What successors will be told follows a handover that is taken back, and one that is
// taken back again.
func TestTheDigestFollowsAnUndo(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.raw("webhooks", `INSERT INTO webhooks (id, corp_id, created_at, updated_at, version, name, url, events, active, secret)
			VALUES ($1, $2, $3, $3, 1, 'hook', 'https://example.com/', '[]', true, $4) RETURNING id`, nid.New(nid.Webhook), s.ID, s.DB.Now(), []byte{1})
		s.Contacts(3, s.lina)
		s.Group("a group", s.lina)
		s.Depart(s.lina)
		pending := func(want string) {
			t.Helper()
			got := ""
			ok(t, s.DB.View(s.admin, func(ctx context.Context, r *store.Read) error {
				type row struct {
					member                           nid.ID
					contacts, groups, lost, lostGrps int
				}
				rows, err := store.Select(ctx, r, func(r *row) []any { return []any{&r.member, &r.contacts, &r.groups, &r.lost, &r.lostGrps} },
					`SELECT member_id, contacts, groups, contacts_back, groups_back FROM successor_digests WHERE corp_id = $1 ORDER BY handover_id`, s.ID)
				for _, r := range rows {
					if r.member != s.wang {
						t.Errorf("%s will be told", r.member)
					}
					got += fmt.Sprint(r.contacts, r.groups, -r.lost, -r.lostGrps, ";")
				}
				return err
			}))
			if got != want {
				t.Errorf("wang will be told %q, want %q", got, want)
			}
		}
		first, err := s.s.HandOver(s.admin, s.all(s.wang), nil, "k")
		ok(t, err)
		pending("3 1 0 0;")
		back, err := s.s.Revert(s.admin, first, "a mistake", "r1")
		ok(t, err)
		pending("")
		again, err := s.s.Revert(s.admin, back, "no mistake", "r2")
		ok(t, err)
		pending("3 1 0 0;")
		ok(t, s.DB.Tx(store.System(context.Background(), s.ID, "it was told"), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Keep(ctx, "successor_digests", `DELETE FROM successor_digests WHERE corp_id = $1`, s.ID)
			return err
		}))
		_, err = s.s.Revert(s.admin, again, "a mistake after all", "r3")
		ok(t, err)
		pending("0 0 -3 -1;")
	})
}
