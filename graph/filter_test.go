package graph

import (
	"fmt"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// TestFilters gives every part of every filter something to find and something to
// leave out.
func TestFilters(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db, clock, "acme")
		admin := w.SignedIn(w.Admin, true)
		tag(t, w.Corp, w.ofLin, "gold", "vip")
		tag(t, w.Corp, w.ofSun, "silver")
		began := clock.Now()
		clock.Add(time.Hour)
		later := clock.Now()
		left := w.Member("left", w.south)
		ofLeft := w.Contact("waiting", "KEY", left)
		groupLeft := w.Group("waiting too", left)
		w.Depart(left)
		var moved struct {
			Transfers struct{ Nodes []struct{ ID nid.ID } }
		}
		w.api.good(admin, `{ transfers { nodes { id } } }`, nil, &moved)
		first, second := moved.Transfers.Nodes[0].ID, moved.Transfers.Nodes[1].ID
		time0, time1 := began.Format(time.RFC3339), later.Format(time.RFC3339)

		for _, c := range []struct {
			list, filter string
			want         int
		}{
			{"contacts", ``, 7},
			{"contacts", `ids: []`, 0},
			{"contacts", fmt.Sprintf(`ids: ["%s", "%s", "%s"]`, w.ofLin, w.ofLin, w.ofKim), 2},
			{"contacts", fmt.Sprintf(`followerId: "%s"`, w.kim), 3},
			{"contacts", fmt.Sprintf(`departmentId: "%s"`, w.sales), 5},
			{"contacts", fmt.Sprintf(`departmentId: "%s"`, w.south), 3},
			{"contacts", `importance: KEY`, 2},
			{"contacts", `tags: ["gold"]`, 1},
			{"contacts", `tags: ["gold", "vip"]`, 1},
			{"contacts", `tags: ["gold", "silver"]`, 0},
			{"contacts", `tags: []`, 0},
			{"contacts", `unassigned: true`, 1},
			{"contacts", `unassigned: false`, 6},
			{"contacts", `protected: true`, 1},
			{"contacts", `addedFrom: "` + time1 + `"`, 1},
			{"contacts", `addedUntil: "` + time1 + `"`, 6},
			{"groups", `status: [OWNER_LEFT]`, 1},
			{"groups", `status: []`, 0},
			{"groups", `status: [NORMAL, OWNER_LEFT]`, 3},
			{"groups", fmt.Sprintf(`ownerId: "%s"`, w.kim), 1},
			{"groups", fmt.Sprintf(`ids: ["%s"]`, groupLeft), 1},
			{"members", `status: [DEPARTED]`, 3},
			{"members", `hasUnassigned: true`, 1},
			{"members", `hasUnassigned: false`, 7},
			{"members", fmt.Sprintf(`departmentId: "%s", status: [ACTIVE]`, w.sales), 3},
			{"departments", fmt.Sprintf(`parentId: "%s"`, w.Root), 2},
			{"departments", fmt.Sprintf(`ids: ["%s"]`, w.south), 1},
			{"handovers", `states: [COMPLETED]`, 2},
			{"handovers", `states: [DRAFT]`, 0},
			{"handovers", `kinds: [RESIGNED]`, 2},
			{"handovers", `kinds: [ON_JOB]`, 0},
			{"handovers", fmt.Sprintf(`successorId: "%s"`, w.kim), 1},
			{"handovers", fmt.Sprintf(`requestedById: "%s"`, w.Admin), 2},
			{"handovers", `createdUntil: "` + time1 + `"`, 2},
			{"handovers", `createdFrom: "` + time1 + `"`, 0},
			{"transfers", fmt.Sprintf(`handoverId: "%s"`, w.handedSales), 1},
			{"transfers", fmt.Sprintf(`toId: "%s"`, w.sun), 1},
			{"transfers", fmt.Sprintf(`ids: ["%s", "%s"]`, first, second), 2},
			{"transfers", `kinds: [GROUP]`, 0},
			{"transfers", `statuses: [COMPLETED], kinds: [CONTACT]`, 2},
			{"transfers", `reasons: [OWNER_CHANGED]`, 0},
			{"transfers", `assignedFrom: "` + time0 + `", assignedUntil: "` + time1 + `"`, 2},
			{"transfers", `assignedFrom: "` + time1 + `"`, 0},
			{"grants", fmt.Sprintf(`memberId: "%s"`, w.boss), 1},
			{"grants", fmt.Sprintf(`roleId: "%s"`, w.Roles[access.Staff.Name]), 1},
			{"grants", fmt.Sprintf(`departmentId: "%s"`, w.Root), 1},
			{"grants", fmt.Sprintf(`departmentId: "%s"`, w.support), 0},
			{"grants", `sensitive: true`, 2},
			{"grants", `sensitive: false`, 1},
			{"auditEntries", `actions: ["handover.execute"]`, 2},
			{"auditEntries", `actions: []`, 0},
			{"auditEntries", fmt.Sprintf(`handoverId: "%s", actions: ["transfer.finish", "handover.execute"]`, w.handedSales), 2},
			{"auditEntries", `actions: ["handover.execute"], until: "` + time0 + `"`, 0},
		} {
			var got map[string]struct {
				Nodes      []struct{ ID nid.ID }
				TotalCount int
			}
			w.api.good(admin, `{ `+c.list+`(filter: {`+c.filter+`}) { nodes { id } totalCount } }`, nil, &got)
			if v := got[c.list]; v.TotalCount != c.want || len(v.Nodes) != c.want {
				t.Errorf("%s {%s}: %d rows, totalCount %d, want %d", c.list, c.filter, len(v.Nodes), v.TotalCount, c.want)
			}
		}

		var leaver struct {
			Node struct {
				Unassigned *struct {
					Contacts, Groups, KeyContacts int
					Since, Deadline               time.Time
					Caretaker                     struct{ Name string }
				}
				ContactCount *int
			}
			Other struct{ Unassigned *struct{ Contacts int } }
		}
		q := `query($id: ID!, $other: ID!) { node(id: $id) { ... on Member { contactCount unassigned { contacts groups keyContacts since deadline caretaker { name } } } }
			other: node(id: $other) { ... on Member { unassigned { contacts } } } }`
		w.api.good(admin, q, map[string]any{"id": left, "other": w.lin}, &leaver)
		u := leaver.Node.Unassigned
		if u == nil || u.Contacts != 1 || u.Groups != 1 || u.KeyContacts != 1 || u.Caretaker.Name != "root-admin" || !u.Deadline.Equal(u.Since.AddDate(1, 0, 0)) || leaver.Other.Unassigned != nil {
			t.Errorf("unassigned of a leaver: %+v, of somebody at work: %+v", u, leaver.Other.Unassigned)
		}
		leaver.Node.Unassigned, leaver.Node.ContactCount = nil, nil
		w.api.good(w.SignedIn(w.kim, false), q, map[string]any{"id": left, "other": w.lin}, &leaver)
		if leaver.Node.Unassigned != nil || leaver.Node.ContactCount != nil {
			t.Error("what a leaver left is shown outside the viewer's scope")
		}
		// A list does not tell what the rows hide.
		var hidden struct{ Members struct{ TotalCount int } }
		w.api.good(w.SignedIn(w.kim, false), `{ members(filter: {hasUnassigned: true}) { totalCount } }`, nil, &hidden)
		if hidden.Members.TotalCount != 0 {
			t.Error("a filter finds leavers whose unassigned the viewer may not see")
		}

		preview(t, w, left, ofLeft)
	})
}

// preview reads a dry run in full and holds that it wrote nothing.
func preview(t *testing.T, w *world, left, ofLeft nid.ID) {
	t.Helper()
	boss := w.SignedIn(w.boss, false)
	var got struct {
		PreviewHandover struct {
			Total, ApprovalsRequired int
			Immediate                bool
			Successors               []struct {
				Member        struct{ ID nid.ID }
				Before, After int
			}
			Problems []struct {
				Reason, Message string
				Blocking        bool
				Items           int
				Successor       struct{ ID nid.ID }
			}
			Items struct {
				TotalCount int
				PageInfo   struct {
					HasNextPage bool
					EndCursor   string
				}
				Nodes []struct {
					Kind, Because string
					Contact       *struct{ ID nid.ID }
					Group         *struct{ Name string }
					To            struct{ ID nid.ID }
					Problem       *struct{ Reason string }
				}
			}
		}
	}
	const q = `query($plan: HandoverPlanInput!, $at: Cursor) { previewHandover(input: $plan) { total approvalsRequired immediate successors { member { id } before after }
		problems { reason message blocking items successor { id } kind }
		items(first: 1, after: $at) { totalCount pageInfo { hasNextPage endCursor } nodes { kind because contact { id } group { name } to { id } problem { reason } } } } }`
	plan := map[string]any{"leaverId": left, "successors": map[string]any{"memberId": w.sun}}
	before := fmt.Sprint(w.sees(w.SignedIn(w.Admin, false), "handovers"))
	w.api.good(boss, q, map[string]any{"plan": plan}, &got)
	p := got.PreviewHandover
	if p.Total != 2 || p.ApprovalsRequired != 1 || p.Immediate || len(p.Successors) != 1 || p.Successors[0].After != p.Successors[0].Before+1 || len(p.Problems) != 0 ||
		p.Items.TotalCount != 2 || !p.Items.PageInfo.HasNextPage || p.Items.Nodes[0].Contact.ID != ofLeft || p.Items.Nodes[0].To.ID != w.sun || p.Items.Nodes[0].Because != "chosen by hand" {
		t.Errorf("%+v", p)
	}
	w.api.good(boss, q, map[string]any{"plan": plan, "at": p.Items.PageInfo.EndCursor}, &got)
	if it := got.PreviewHandover.Items; it.Nodes[0].Group == nil || it.PageInfo.HasNextPage {
		t.Errorf("the second page is %+v", it)
	}
	w.Limit(w.sun, 1)
	got.PreviewHandover.Items.Nodes, got.PreviewHandover.Problems = nil, nil
	w.api.good(boss, q, map[string]any{"plan": plan}, &got)
	p = got.PreviewHandover
	if len(p.Problems) != 1 || p.Problems[0].Reason != "SUCCESSOR_FULL" || !p.Problems[0].Blocking || p.Problems[0].Items != 1 || p.Problems[0].Successor.ID != w.sun || p.Problems[0].Message == "" ||
		p.Items.Nodes[0].Problem == nil || p.Items.Nodes[0].Problem.Reason != "SUCCESSOR_FULL" {
		t.Errorf("a successor without room: %+v", p)
	}
	if after := fmt.Sprint(w.sees(w.SignedIn(w.Admin, false), "handovers")); after != before {
		t.Errorf("a preview left %s, before there was %s", after, before)
	}
}

func FuzzCursor(f *testing.F) {
	o := byAge[*struct{}]().stamp("contacts")
	f.Add(place{"", nid.New(nid.Contact)}.cursor(o))
	f.Add(place{"李娜", nid.New(nid.Contact)}.cursor(o))
	f.Add("")
	f.Add("AQ==")
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := readCursor(o, s)
		if ok && p.cursor(o) != s {
			t.Errorf("%q is read, and would have been written %q", s, p.cursor(o))
		}
		if _, elsewhere := readCursor(o+"x", s); ok && elsewhere {
			t.Errorf("%q is taken by two lists", s)
		}
	})
}
