package handover_test

import (
	"context"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// mark changes how important a contact is, as the administrator.
func (s *scene) mark(id nid.ID, importance string) {
	s.t.Helper()
	ok(s.t, (&contact.Service{DB: s.DB, Log: s.Log}).Update(s.Verified(s.Corp.Admin), contact.UpdateInput{
		ID: id, Version: s.count(`SELECT version FROM contacts WHERE id = $1`, id), Importance: &importance}))
}

// onJob hands everything of lina, who stays, to wang.
func (s *scene) onJob() handover.Input {
	in := s.all(s.wang)
	in.Kind = handover.OnJob
	return in
}

// Taking the key mark off on the way saves no approval for 30 days, at any step, and
// approvers see who did it. The importance of statistics is the one it has.
func TestAKeyMarkCannotBeTakenOffOnTheWay(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		big, other := s.Contact("big", "KEY", s.lina), s.Contact("other", "NORMAL", s.lina)
		in := s.onJob()
		_, err := s.s.HandOver(s.admin, in, nil, "refused")
		want(t, err, fault.ApprovalRequired, "")
		s.mark(big, "NORMAL")
		_, err = s.s.HandOver(s.admin, in, nil, "still refused")
		want(t, err, fault.ApprovalRequired, "")
		at := s.Clock.Now()
		p, err := preview(s, in)
		ok(t, err)
		if p.Need.Votes != 1 || p.FormerKeys.Total != 1 || len(p.FormerKeys.First) != 1 || !p.FormerKeys.First[0].Until.Equal(at) ||
			p.FormerKeys.First[0].Contact != big || p.FormerKeys.First[0].ChangedBy != s.Corp.Admin {
			t.Errorf("the preview says %+v, %+v", p.Need, p.FormerKeys)
		}
		s.Clock.Add(contact.KeyLasts - time.Minute)
		admin := s.Verified(s.Corp.Admin)
		id, err := s.s.Create(admin, in, nil, nil, "k")
		ok(t, err)
		ok(t, s.s.Submit(admin, id, 1))
		want(t, s.s.Execute(admin, id, s.digest(id), "x"), fault.ApprovalRequired, "")
		var stored map[nid.ID]handover.FormerKeys
		ok(t, s.DB.View(admin, func(ctx context.Context, r *store.Read) (err error) {
			stored, err = handover.FormerKeysOf(ctx, r, []nid.ID{id})
			return err
		}))
		if k := stored[id]; k.Total != 1 || k.First[0] != p.FormerKeys.First[0] {
			t.Errorf("the handover says %+v", k)
		}
		_, err = s.s.Approve(s.Verified(s.approver), id, s.digest(id), nil)
		ok(t, err)
		ok(t, s.s.Execute(admin, id, s.digest(id), "x"))
		if n := s.count(`SELECT count(*) FROM transfers WHERE status = 'COMPLETED' AND importance = 'NORMAL' AND contact_id IN ($1, $2)`, big, other); n != 2 {
			t.Errorf("%d transfers of normal contacts, want 2", n)
		}
	})
}

// What was KEY while a plan was made or while it waited counts when it is executed, and
// after 30 days no more.
func TestAKeyMarkTakenOffWhileThePlanWaits(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		big := s.Contact("big", "NORMAL", s.lina)
		id, err := s.s.Create(s.admin, s.onJob(), nil, nil, "k")
		ok(t, err)
		ok(t, s.s.Submit(s.admin, id, 1))
		if s.state(id) != "READY" {
			t.Fatal(s.state(id))
		}
		s.mark(big, "KEY")
		s.mark(big, "NORMAL")
		want(t, s.s.Execute(s.admin, id, s.digest(id), "x"), fault.ApprovalRequired, "")
		s.Clock.Add(contact.KeyLasts)
		ok(t, s.s.Execute(s.Verified(s.Corp.Admin), id, s.digest(id), "y"))
	})
}

// In the background too: a chunk asks again.
func TestAKeyMarkTakenOffWhileItRuns(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.s.AtOnce = 2
		var contacts []nid.ID
		for range 6 {
			contacts = append(contacts, s.Contact("c", "NORMAL", s.lina))
		}
		id, err := s.s.HandOver(s.admin, s.onJob(), nil, "k")
		ok(t, err)
		s.mark(contacts[4], "KEY")
		s.mark(contacts[4], "NORMAL")
		s.work()
		s.wantStatuses(id, map[string]int{"COMPLETED ": 5, "FAILED NEEDS_APPROVAL": 1})
		want(t, func() error { _, err := s.s.Retry(s.admin, id, nil, nil, "again"); return err }(), fault.ApprovalRequired, "")
	})
}
