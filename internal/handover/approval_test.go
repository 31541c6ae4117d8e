package handover_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// bound makes a handover of a KEY contact to wang and submits it.
func (s *scene) bound(key string) (id nid.ID, digest string) {
	s.t.Helper()
	id, err := s.s.Create(s.admin, s.all(s.wang), nil, nil, key)
	ok(s.t, err)
	ok(s.t, s.s.Submit(s.admin, id, 1))
	return id, s.digest(id)
}

func (s *scene) version(id nid.ID) int {
	s.t.Helper()
	return s.count(`SELECT version FROM handovers WHERE id = $1`, id)
}

// Whoever created, replanned or submitted a handover stands behind it: none of them may
// approve it, whoever made the plan that stands.
func TestNoAuthorApproves(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("big", "KEY", s.lina)
		zhao, second, third := s.Member("zhao", s.Root), s.Member("second", s.Root), s.Member("third", s.Root)
		s.Grant(second, access.Administrator.Name, nid.ID{})
		s.Grant(third, access.Administrator.Name, nid.ID{})
		s.Depart(s.lina)
		id, _ := s.bound("k")
		replanner := s.Verified(second)
		ok(t, s.s.Replan(replanner, id, s.version(id), s.all(zhao)))
		ok(t, s.s.Submit(s.Verified(third), id, s.version(id)))
		for _, author := range []nid.ID{second, s.Corp.Admin, third} {
			_, err := s.s.Approve(s.Verified(author), id, s.digest(id), nil)
			want(t, err, fault.Forbidden, "")
		}
		if got := testcorp.Value[nid.ID](s.Corp, `SELECT responsible_id FROM handovers WHERE id = $1`, id); got != second {
			t.Errorf("responsible is %s, want who replanned it, %s", got, second)
		}
		leaf := testcorp.Value[[]byte](s.Corp, `SELECT leaf FROM audit_entries WHERE subject_id = $1 AND action = 'handover.submit' ORDER BY "index" DESC LIMIT 1`, id)
		if text := string(leaf); !strings.Contains(text, `"author":"`+third.String()+`"`) || !strings.Contains(text, `"responsible":"`+second.String()+`"`) {
			t.Errorf("the log says %s", text)
		}
		_, err := s.s.Approve(s.Verified(s.approver), id, s.digest(id), nil)
		ok(t, err)
		ok(t, s.s.Execute(replanner, id, s.digest(id), "x"))
	})
}

// A plan that is replanned as it was has the digest it had: its votes are void all
// the same, and whoever voted before can vote again.
func TestEverySubmissionIsVotedOnAnew(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("big", "KEY", s.lina)
		s.Depart(s.lina)
		approver := s.Verified(s.approver)
		id, d := s.bound("k")
		first, err := s.s.Approve(approver, id, d, nil)
		ok(t, err)
		again := func() {
			t.Helper()
			ok(t, s.s.Replan(s.admin, id, s.version(id), s.all(s.wang)))
			if s.digest(id) != d {
				t.Fatal("the same plan, another digest")
			}
			ok(t, s.s.Submit(s.admin, id, s.version(id)))
			want(t, s.s.Execute(s.admin, id, d, "early"), fault.ApprovalRequired, "")
		}
		again()
		_, err = s.s.Reject(approver, id, d, "no longer")
		ok(t, err)
		again()
		second, err := s.s.Approve(approver, id, d, nil)
		ok(t, err)
		if second != first || s.state(id) != "READY" {
			t.Fatalf("the new vote left the handover %s", s.state(id))
		}
		// Votes run out while the handover is READY: it goes round once more.
		s.Clock.Add(73 * time.Hour)
		s.admin, approver = s.Verified(s.Corp.Admin), s.Verified(s.approver)
		want(t, s.s.Execute(s.admin, id, d, "late"), fault.ApprovalRequired, "")
		again()
		_, err = s.s.Approve(approver, id, d, nil)
		ok(t, err)
		ok(t, s.s.Execute(s.admin, id, d, "x"))
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE subject_id = $1 AND action IN ('handover.approve', 'handover.reject')`, id); n != 4 {
			t.Errorf("%d votes in the log, want 4", n)
		}
	})
}

// What people write beside a decision is bad input like any other, whatever the
// database or the log would say to it.
func TestWordsBesideADecision(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("big", "KEY", s.lina)
		s.Depart(s.lina)
		approver := s.Verified(s.approver)
		id, d := s.bound("k")
		for _, bad := range []string{strings.Repeat("a", 1<<20), "nul\x00", "turned \u202e round", "\xff"} {
			_, err := s.s.Approve(approver, id, d, &bad)
			want(t, err, fault.Invalid, "input.comment")
			_, err = s.s.Reject(approver, id, d, bad)
			want(t, err, fault.Invalid, "input.comment")
			want(t, s.s.Cancel(s.admin, id, s.version(id), &bad), fault.Invalid, "input.reason")
		}
		if s.state(id) != "AWAITING_APPROVAL" {
			t.Errorf("bad input left the handover %s", s.state(id))
		}
	})
}

// A contact that becomes KEY between the reading of a plan and its execution needs
// approval, although the plan did not.
func TestKeyBetweenReadingAndHandingOver(t *testing.T) {
	clock := storetest.NewClock() // SQLite has one writer, and so no between
	s := newScene(t, storetest.Postgres(t, clock), clock)
	big := s.Contact("big", "NORMAL", s.lina)
	s.Depart(s.lina)
	reached, result := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	ctx := store.Count(s.Verified(s.Corp.Admin), func(q string) {
		if strings.Contains(q, "FOR NO KEY UPDATE OF m") {
			once.Do(func() { close(reached) })
		}
	})
	ok(t, s.DB.Tx(store.System(t.Context(), s.ID, "test"), func(sys context.Context, tx *store.Tx) error {
		ids, err := tx.Change(sys, "contacts", `UPDATE contacts SET importance = 'KEY' WHERE corp_id = $1 AND id = $2 RETURNING id`, s.ID, big)
		tx.Cover(ids...)
		go func() {
			_, err := s.s.HandOver(ctx, s.all(s.wang), nil, "k")
			result <- err
		}()
		<-reached // it has read NORMAL, and waits for this transaction
		return err
	}))
	want(t, <-result, fault.ApprovalRequired, "")
	if n := s.count(`SELECT count(*) FROM follows WHERE member_id = $1`, s.wang); n != 0 {
		t.Error("a KEY contact was handed over with nobody's consent")
	}
}

// A revocation waits for an execution that has counted the vote: the log never
// shows a handover carried out by the vote of somebody who had lost the right.
func TestRevocationAndExecutionAreOrdered(t *testing.T) {
	clock := storetest.NewClock()
	s := newScene(t, storetest.Postgres(t, clock), clock)
	s.Contact("big", "KEY", s.lina)
	s.Depart(s.lina)
	id, d := s.bound("k")
	_, err := s.s.Approve(s.Verified(s.approver), id, d, nil)
	ok(t, err)
	revoke := func(ctx context.Context) error {
		return s.DB.Tx(store.System(ctx, s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Change(ctx, "grants", `UPDATE grants SET revoked_at = $3 WHERE corp_id = $1 AND member_id = $2 RETURNING id`, s.ID, s.approver, tx.Now())
			tx.Cover(ids...)
			return err
		})
	}
	var meanwhile error
	ctx := store.Count(s.admin, func(q string) {
		if strings.HasPrefix(strings.TrimSpace(q), "UPDATE handovers") { // the votes are counted
			short, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			defer cancel()
			meanwhile = revoke(short)
		}
	})
	ok(t, s.s.Execute(ctx, id, d, "x"))
	if meanwhile == nil {
		t.Error("the right was revoked while its vote was being used")
	}
	ok(t, revoke(t.Context()))
}
