package demo_test

import (
	"slices"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/demo"
	"github.com/openhandover/openhandover/internal/intake"
)

// TestThePastCanHaveHappened does the past handovers one after the other by the
// rules that the product has, and looks at what is left.
func TestThePastCanHaveHappened(t *testing.T) {
	d := demo.New(now)
	c := d.Corp
	type pair struct{ member, contact string }
	follows, owner, key := map[pair]time.Time{}, map[string]string{}, map[string]bool{}
	for _, f := range c.Follows {
		follows[pair{f.UserID, f.ExternalUserID}] = f.Since
	}
	for _, g := range c.Groups {
		owner[g.ChatID] = g.Owner
	}
	for _, x := range c.Contacts {
		key[x.ExternalUserID] = x.Importance == intake.Key
	}
	count := func(member string) (n int) {
		for p := range follows {
			n += truth(p.member == member)
		}
		return n
	}
	gone := map[string]bool{demo.Lina: true}
	var before time.Time
	outcomes, kinds, moved := map[string]int{}, map[string]int{}, 0
	for i, p := range d.Past {
		outcomes[p.Outcome]++
		kinds[p.Kind]++
		for _, at := range []time.Time{p.DepartsAt, p.PlannedAt, p.DecidedAt, p.ExecutedAt} {
			if at.IsZero() {
				continue
			}
			if !at.After(before) || !at.Before(now) || at.Location() != time.UTC {
				t.Errorf("handover %d: %s is out of order", i, at)
			}
			before = at
		}
		leaver := memberOf(t, c, p.Leaver)
		if leaver.Status != intake.Active || gone[p.Leaver] || p.Leaver == demo.Lina || p.Leaver == demo.Chenwei || p.Reason == "" {
			t.Errorf("handover %d: leaver %+v, reason %q", i, leaver, p.Reason)
		}
		if gone[p.Leaver] = !p.DepartsAt.IsZero(); gone[p.Leaver] != (p.Kind == demo.Resigned) || gone[p.Leaver] && leaver.LoginAt.After(p.DepartsAt) {
			t.Errorf("handover %d: %s, departing at %s, last seen at %s", i, p.Kind, p.DepartsAt, leaver.LoginAt)
		}
		if (p.HistoryMode == "WINDOW") != !p.HistoryFrom.IsZero() || !p.HistoryFrom.Before(p.PlannedAt) {
			t.Errorf("handover %d: history %s from %s", i, p.HistoryMode, p.HistoryFrom)
		}
		contacts, groups := p.Size()
		if contacts < 12 || contacts > 60 || contacts+groups > 200 {
			t.Errorf("handover %d has %d contacts and %d groups", i, contacts, groups)
		}
		hasKey, merged, seen := false, 0, map[string]bool{}
		for _, a := range p.Assignments {
			s := memberOf(t, c, a.Successor)
			fresh := 0
			for _, x := range append(slices.Clone(a.Contacts), a.Groups...) {
				if seen[x] {
					t.Errorf("handover %d: %s stands in it twice", i, x)
				}
				seen[x] = true
			}
			for _, x := range a.Contacts {
				since, ok := follows[pair{p.Leaver, x}]
				if !ok || !since.Before(p.PlannedAt) || gone[p.Leaver] && !since.Before(p.DepartsAt) {
					t.Errorf("handover %d: %s does not follow %s then", i, p.Leaver, x)
				}
				if _, ok := follows[pair{a.Successor, x}]; ok {
					merged++
				} else {
					fresh++
				}
				hasKey = hasKey || key[x]
			}
			for _, g := range a.Groups {
				if owner[g] != p.Leaver {
					t.Errorf("handover %d: %s does not own %s", i, p.Leaver, g)
				}
			}
			if s.Status != intake.Active || gone[a.Successor] || !s.CustomerContact || a.Successor == p.Leaver || count(a.Successor)+fresh > s.ContactLimit {
				t.Errorf("handover %d: %+v cannot succeed", i, s)
			}
			if p.Requester == "zhoujing" && (!under(c, s.Departments[0], demo.East) || !under(c, leaver.Departments[0], demo.East)) {
				t.Errorf("handover %d is beyond what the manager reaches", i)
			}
			if p.Outcome == demo.Rejected {
				continue
			}
			for _, x := range a.Contacts {
				delete(follows, pair{p.Leaver, x})
				if _, ok := follows[pair{a.Successor, x}]; !ok {
					follows[pair{a.Successor, x}] = p.ExecutedAt
				}
				moved++
			}
			for _, g := range a.Groups {
				owner[g] = a.Successor
			}
		}
		if merged != p.Merged {
			t.Errorf("handover %d merges %d, and says %d", i, merged, p.Merged)
		}
		if hasKey != (p.Approver != "") || hasKey == p.DecidedAt.IsZero() || p.Approver == p.Requester || p.ExecutedAt.IsZero() != (p.Outcome == demo.Rejected) {
			t.Errorf("handover %d: key contacts %v, approver %q at %s, executed at %s", i, hasKey, p.Approver, p.DecidedAt, p.ExecutedAt)
		}
		if !slices.ContainsFunc(demo.Accounts, func(a demo.Account) bool { return a.UserID == p.Requester }) {
			t.Errorf("handover %d: %s cannot sign in", i, p.Requester)
		}
		if gone[p.Leaver] && count(p.Leaver) > 0 {
			t.Errorf("handover %d leaves %d contacts behind", i, count(p.Leaver))
		}
		for g, o := range owner {
			if gone[o] && o != demo.Lina {
				t.Errorf("handover %d leaves %s behind", i, g)
			}
		}
	}
	if outcomes[demo.Completed] != 5 || outcomes[demo.Rejected] != 1 || kinds[demo.Resigned] != 4 || kinds[demo.OnJob] != 2 {
		t.Errorf("outcomes %v, kinds %v", outcomes, kinds)
	}
	if count(demo.Lina) != demo.LinaContacts || count(demo.Chenwei) != demo.ChenweiContacts || moved < 100 {
		t.Errorf("in the end 李娜 has %d contacts, 陈伟 %d; %d were moved", count(demo.Lina), count(demo.Chenwei), moved)
	}
	followed := map[string]bool{}
	for p := range follows {
		followed[p.contact] = true
	}
	if len(followed) != demo.Contacts {
		t.Errorf("%d contacts are followed", len(followed))
	}
}
