package handover_test

import (
	"context"
	"testing"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/store"
)

// However often one person votes at once, it is one vote.
func TestFiftyVotesOfOnePersonAreOne(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("big", "KEY", s.lina)
		s.Depart(s.lina)
		s.raw("approval_policies", `UPDATE approval_policies SET approvals = 2 WHERE corp_id = $1 RETURNING corp_id`, s.ID)
		id, d := s.bound("k")
		approver := s.Verified(s.approver)
		voted := 0
		for _, err := range inParallel(50, func(int) error { _, err := s.s.Approve(approver, id, d, nil); return err }) {
			switch fault.CodeOf(err) {
			case "":
				voted++
			case fault.Conflict:
			default:
				t.Fatal(err)
			}
		}
		if voted == 0 {
			t.Error("nobody could vote")
		}
		if n := s.count(`SELECT count(*) FROM approvals WHERE handover_id = $1`, id); n != 1 {
			t.Errorf("%d votes, want 1", n)
		}
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE subject_id = $1 AND action = 'handover.approve'`, id); n != 1 {
			t.Errorf("%d votes in the log, want 1", n)
		}
		if got := s.state(id); got != "AWAITING_APPROVAL" {
			t.Errorf("one vote of two left the handover %s", got)
		}
		want(t, s.s.Execute(s.admin, id, d, "x"), fault.ApprovalRequired, "")
	})
}

// A vote counts with the rights that its voter has when the handover is executed.
func TestAVoteGoesWithTheRole(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("big", "KEY", s.lina)
		s.Depart(s.lina)
		id, d := s.bound("k")
		_, err := s.s.Approve(s.Verified(s.approver), id, d, nil)
		ok(t, err)
		s.raw("grants", `UPDATE grants SET revoked_at = $3 WHERE corp_id = $1 AND member_id = $2 RETURNING corp_id`, s.ID, s.approver, s.DB.Now())
		want(t, s.s.Execute(s.admin, id, d, "x"), fault.ApprovalRequired, "")
		if n := s.count(`SELECT count(*) FROM follows WHERE member_id = $1`, s.wang); n != 0 {
			t.Error("a KEY contact was handed over by the vote of somebody without the right")
		}
	})
}

// What people note about a contact is no part of who owns it: a vote holds.
func TestARemarkEditedAfterApprovalChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		big := s.Contact("big", "KEY", s.lina)
		s.Depart(s.lina)
		id, d := s.bound("k")
		_, err := s.s.Approve(s.Verified(s.approver), id, d, nil)
		ok(t, err)
		ok(t, s.DB.Tx(store.System(t.Context(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Change(ctx, "follows", `UPDATE follows SET remark = 'calls on Mondays', version = version + 1 WHERE corp_id = $1 AND contact_id = $2 RETURNING id`, s.ID, big)
			tx.Cover(ids...)
			return err
		}))
		ok(t, s.s.Execute(s.admin, id, d, "x"))
		if n := s.count(`SELECT count(*) FROM follows WHERE member_id = $1 AND remark = 'calls on Mondays' AND ended_at IS NULL`, s.wang); n != 1 {
			t.Error("the remark did not go along")
		}
	})
}

// Where nothing can be moved, the handover is FAILED, and each transfer says why.
func TestNothingMovedIsFailed(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contacts(2, s.lina)
		zhao := s.Member("zhao", s.Root)
		lost := s.Contact("lost", "NORMAL", s.lina)
		s.Contact("zhao's too", "NORMAL", s.lina, zhao)
		s.Depart(s.lina)
		first, err := s.s.Create(s.admin, s.all(s.wang), nil, nil, "k1")
		ok(t, err)
		ok(t, s.s.Submit(s.admin, first, 1))
		s.raw("follows", `UPDATE follows SET ended_at = $3 WHERE corp_id = $1 AND contact_id = $2 RETURNING corp_id`, s.ID, lost, s.DB.Now())
		_, err = s.s.HandOver(s.admin, s.all(zhao), nil, "k2")
		ok(t, err)
		ok(t, s.s.Execute(s.admin, first, s.digest(first), "x"))
		if got := s.state(first); got != "FAILED" {
			t.Errorf("state %s, want FAILED", got)
		}
		s.wantStatuses(first, map[string]int{"SKIPPED NOT_FOLLOWED": 1, "SKIPPED OWNER_CHANGED": 3})
		s.verifies()
	})
}
