package member_test

import (
	"context"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func back(id nid.ID) member.ReinstateInput {
	return member.ReinstateInput{MemberID: id, Reason: "came back"}
}

func TestReinstate(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		kept := s.Contact("kept", "KEY", s.lina)
		moved := s.Contact("moved", "NORMAL", s.lina)
		shared := s.Contact("shared", "NORMAL", s.lina, s.wang)
		bosss := s.Contact("also the boss's", "NORMAL", s.lina, s.boss)
		group := s.Group("group", s.lina)
		zhao := s.Member("zhao", s.sales)
		leavers := s.Contact("two leavers", "NORMAL", s.lina, zhao)
		s.Grant(s.lina, access.Manager.Name, s.sales)
		old := s.SignedIn(s.lina, true)
		s.depart(s.lina)
		s.depart(zhao)

		handovers := &handover.Service{DB: s.DB, Log: s.Log}
		plan := handover.Input{Kind: handover.Resigned, LeaverID: s.lina, Successors: handover.Choice{MemberID: &s.wang}}
		one := plan
		one.Select = &handover.Selection{ContactIDs: []nid.ID{moved}}
		_, err := handovers.HandOver(s.proven(), one, nil, "one")
		s.must(err)
		draft, err := handovers.Create(s.admin, plan, nil, nil, "draft")
		s.must(err)
		waiting, err := handovers.Create(s.admin, plan, nil, nil, "waiting")
		s.must(err)
		s.must(handovers.Submit(s.admin, waiting, 1))

		s.must(s.s.Reinstate(s.proven(), back(s.lina)))
		if n := s.count(`SELECT count(*) FROM members WHERE id = $1 AND status = 'ACTIVE' AND answers AND departed_at IS NULL AND caretaker_id IS NULL AND version = 3 AND epoch = 2`, s.lina); n != 1 {
			t.Error("the member's row does not say that she is back")
		}
		s.accountable("hers alone", kept, s.lina)
		s.accountable("handed over", moved, s.wang)
		s.accountable("a colleague's since", shared, s.wang)
		s.accountable("the caretaker follows it himself", bosss, s.boss)
		s.accountable("another leaver follows it too", leavers, s.lina)
		if n := s.count(`SELECT count(*) FROM contacts WHERE protected AND id = $1`, leavers); n != 1 {
			t.Error("another leaver's contact lost its protection")
		}
		if n := s.count(`SELECT count(*) FROM contacts WHERE protected`); n != 1 {
			t.Errorf("%d contacts are protected", n)
		}
		if n := s.count(`SELECT count(*) FROM groups WHERE id = $1 AND status = 'NORMAL' AND NOT protected AND accountable_id = $2`, group, s.lina); n != 1 {
			t.Error("the group is not hers again")
		}
		for _, h := range []nid.ID{draft, waiting} {
			if n := s.count(`SELECT count(*) FROM handovers WHERE id = $1 AND state = 'CANCELLED' AND planned = 0 AND cancelled = total AND finished_at IS NOT NULL`, h); n != 1 {
				t.Error("an open handover is not cancelled")
			}
			if n := s.count(`SELECT count(*) FROM transfers WHERE handover_id = $1 AND status <> 'CANCELLED'`, h); n != 0 {
				t.Errorf("%d of its transfers are not cancelled", n)
			}
			if n := s.count(`SELECT count(*) FROM audit_entries WHERE handover_id = $1 AND action = 'handover.cancel'`, h); n != 1 {
				t.Error("the handover's own trail does not show its end")
			}
		}
		if n := s.count(`SELECT count(*) FROM handovers WHERE leaver_id = $1 AND state = 'COMPLETED' AND completed = 1`, s.lina); n != 1 {
			t.Error("what was handed over is no longer on record")
		}
		if n := s.count(`SELECT count(*) FROM grants WHERE member_id = $1 AND revoked_at IS NULL`, s.lina); n != 0 {
			t.Error("a grant came back")
		}
		_, err = s.s.Deactivate(old, member.DeactivateInput{MemberID: s.wang, Mode: member.Disable})
		want(t, err, fault.Unauthenticated, "")
		if n := s.entries(access.MemberReinstate, s.lina); n != 1 {
			t.Errorf("%d entries", n)
		}
		want(t, s.s.Reinstate(s.proven(), back(s.lina)), fault.Conflict, "input.memberId")
	})
}

// History of somebody who was deactivated needs no approval and may have no end. Taking them
// back is no way around the bounds on that of colleagues at work.
func TestReinstateBoundsHistory(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("moved", "NORMAL", s.lina)
		s.depart(s.lina)
		plan := handover.Input{Kind: handover.Resigned, LeaverID: s.lina, Successors: handover.Choice{MemberID: &s.wang}, History: &handover.HistoryScope{Mode: "ALL"}}
		_, err := (&handover.Service{DB: s.DB, Log: s.Log}).HandOver(s.proven(), plan, nil, "one")
		s.must(err)
		const endless = `SELECT count(*) FROM history_grants WHERE leaver_id = $1 AND ended_at IS NULL AND expires_at IS NULL`
		if n := s.count(endless, s.lina); n != 1 {
			t.Fatalf("%d grants without an end", n)
		}
		s.must(s.s.Reinstate(s.proven(), back(s.lina)))
		if n := s.count(endless, s.lina); n != 0 {
			t.Error("lina is at work, and somebody reads her chats without an end")
		}
		if n := s.count(`SELECT count(*) FROM history_grants WHERE leaver_id = $1 AND expires_at = $2`, s.lina, s.DB.Now().AddDate(0, 0, 90)); n != 1 {
			t.Error("it does not expire after the corp's maximum")
		}
	})
}

func TestReinstateRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Contact("contact", "NORMAL", s.lina)
		north := s.Department("north", s.Root)
		manager := s.Member("manager", north)
		s.Grant(manager, access.Manager.Name, north)
		other := testcorp.New(t, s.DB, s.Clock, "other")
		s.depart(s.lina)
		proven := s.proven()
		for _, c := range []struct {
			name  string
			ctx   context.Context
			in    member.ReinstateInput
			code  fault.Code
			field string
		}{
			{"unknown", proven, back(nid.New(nid.Member)), fault.NotFound, "input.memberId"},
			{"another corp's", proven, back(other.Admin), fault.NotFound, "input.memberId"},
			{"out of scope", s.Verified(manager), back(s.lina), fault.Forbidden, ""},
			{"no fresh proof", s.admin, back(s.lina), fault.StepUpRequired, ""},
			{"no reason", proven, member.ReinstateInput{MemberID: s.lina, Reason: " \n"}, fault.Invalid, "input.reason"},
			{"too many words", proven, member.ReinstateInput{MemberID: s.lina, Reason: strings.Repeat("x", 2001)}, fault.Invalid, "input.reason"},
			{"at work", proven, back(s.wang), fault.Conflict, "input.memberId"},
		} {
			t.Log(c.name)
			want(t, s.s.Reinstate(c.ctx, c.in), c.code, c.field)
		}
		if n := s.count(`SELECT count(*) FROM members WHERE id = $1 AND status = 'DEPARTED'`, s.lina); n != 1 {
			t.Error("a refusal reinstated lina")
		}
	})
}

// While a platform decides, nobody can say what is still the leaver's.
func TestReinstateWaitsForARunningHandover(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		k := s.Contact("contact", "NORMAL", s.lina)
		s.depart(s.lina)
		platform := &handover.Service{DB: s.DB, Log: s.Log, Platform: func(nid.ID) bool { return true }}
		id, err := platform.HandOver(s.proven(), handover.Input{Kind: handover.Resigned, LeaverID: s.lina, Successors: handover.Choice{MemberID: &s.wang}}, nil, "key")
		s.must(err)
		want(t, s.s.Reinstate(s.proven(), back(s.lina)), fault.Conflict, "input.memberId")
		transfer := s.id(`SELECT id FROM transfers WHERE handover_id = $1`, id)
		s.must(platform.Settle(store.System(context.Background(), s.ID, "platform"), id, []handover.Outcome{
			{Transfer: transfer, Status: handover.TransferRefused, Reason: handover.CustomerRefused},
		}))
		s.must(s.s.Reinstate(s.proven(), back(s.lina)))
		s.accountable("hers again", k, s.lina)
	})
}

func TestUnassigned(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		service := &member.Service{DB: db, Log: c.Log}
		lina, wang, zhao, idle := c.Member("lina", c.Root), c.Member("wang", c.Root), c.Member("zhao", c.Root), c.Member("idle", c.Root)
		for range 3 {
			c.Contact("contact", "NORMAL", lina)
		}
		keys := []nid.ID{c.Contact("key", "KEY", lina), c.Contact("key", "KEY", lina)}
		c.Group("group", lina)
		c.Contact("contact", "NORMAL", zhao)
		c.Contact("contact", "NORMAL", wang)
		clock.Add(1)
		c.ManyMayLeave()
		admin := c.Verified(c.Admin)
		for id, mode := range map[nid.ID]member.Mode{lina: member.Depart, zhao: member.Disable, idle: member.Depart} {
			if _, err := service.Deactivate(admin, member.DeactivateInput{MemberID: id, Mode: mode}); err != nil {
				t.Fatal(err)
			}
		}
		at := db.Now()
		read := func(leavers ...nid.ID) (out map[nid.ID]member.Unassigned) {
			t.Helper()
			err := db.View(admin, func(ctx context.Context, r *store.Read) (err error) {
				out, err = member.UnassignedOf(ctx, r, leavers)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		all := []nid.ID{lina, wang, zhao, idle, nid.New(nid.Member)}
		got := read(all...)
		if len(got) != 2 {
			t.Errorf("%d leavers have something that waits: %+v", len(got), got)
		}
		l, z := got[lina], got[zhao]
		if l.Contacts != 5 || l.KeyContacts != 2 || l.Groups != 1 || !l.Since.Equal(at) || l.CaretakerID != c.Admin {
			t.Errorf("lina: %+v", l)
		}
		if l.Deadline == nil || !l.Deadline.Equal(at.AddDate(1, 0, 0)) {
			t.Errorf("lina's deadline is %v", l.Deadline)
		}
		if z.Contacts != 1 || z.Deadline != nil || !z.Since.Equal(at) {
			t.Errorf("zhao: %+v", z)
		}
		// What a platform decides about does not wait here; since when it does not change.
		clock.Add(60_000_000_000)
		platform := &handover.Service{DB: db, Log: c.Log, Platform: func(nid.ID) bool { return true }}
		normal := "NORMAL"
		_, err := platform.HandOver(admin, handover.Input{
			Kind: handover.Resigned, LeaverID: lina, Successors: handover.Choice{MemberID: &wang},
			Select: &handover.Selection{Kinds: []handover.ItemKind{handover.Contact}, Contacts: filter(&normal)},
		}, nil, "normal")
		if err != nil {
			t.Fatal(err)
		}
		l = read(lina)[lina]
		if l.Contacts != len(keys) || l.KeyContacts != 2 || l.Groups != 1 || !l.Since.Equal(at) {
			t.Errorf("lina, with three at the platform: %+v", l)
		}
		if got := read(); len(got) != 0 {
			t.Errorf("nobody asked for: %+v", got)
		}
	})
}
