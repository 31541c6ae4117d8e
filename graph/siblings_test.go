package graph

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// tag puts a tag on a contact and on its follows.
func tag(t *testing.T, c *testcorp.Corp, contact nid.ID, names ...string) {
	t.Helper()
	err := c.DB.Tx(store.System(context.Background(), c.ID, "test data"), func(ctx context.Context, tx *store.Tx) error {
		for _, name := range names {
			id := nid.New(nid.Tag)
			for _, s := range []struct{ table, sql string }{
				{"tags", `INSERT INTO tags (id, corp_id, created_at, group_name, name) VALUES ($1, $2, $3, $4, $5) RETURNING id`},
				{"contact_tags", `INSERT INTO contact_tags (corp_id, contact_id, tag_id) VALUES ($2, $3, $1) RETURNING contact_id`},
				{"follow_tags", `INSERT INTO follow_tags (corp_id, follow_id, tag_id) SELECT corp_id, id, $1 FROM follows WHERE corp_id = $2 AND contact_id = $3 RETURNING follow_id`},
			} {
				args := []any{id, c.ID, contact}
				if s.table == "tags" {
					args = []any{id, c.ID, tx.Now(), id.String(), name}
				}
				ids, err := tx.Change(ctx, s.table, s.sql, args...)
				if err != nil {
					return err
				}
				tx.Cover(ids...)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAListWithAllThatBelongsToIt holds the promise of issue and design: fifty
// contacts with tags, follows, their members and those members' departments cost a
// statement for each level, whether one or fifty.
func TestAListWithAllThatBelongsToIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		sales := c.Department("sales", c.Root)
		li, wang := c.Member("li", sales), c.Member("wang", c.Root)
		for i := range 50 {
			id := c.Contact(fmt.Sprintf("contact %02d", i), "NORMAL", [][]nid.ID{{li}, {wang}, {li, wang}}[i%3]...)
			if i < 2 {
				tag(t, c, id, "gold", "Ant", "中")
			}
		}
		a, admin := newAPI(t, db, c), c.SignedIn(c.Admin, false)
		var got struct {
			Contacts struct {
				Nodes []struct {
					Name    string
					Tags    []string
					Follows []struct {
						Remark *string
						Tags   []string
						Member struct {
							Name        string
							Departments []struct{ Name string }
						}
					}
				}
			}
		}
		const q = `{ contacts(first: 50) { nodes { name tags follows { remark tags member { name departments { name } } } } } }`
		a.good(admin, q, nil, &got).atMost(4 + 1)
		nodes := got.Contacts.Nodes
		if len(nodes) != 50 || len(nodes[2].Follows) != 2 || nodes[2].Follows[0].Member.Name != "li" || nodes[2].Follows[0].Member.Departments[0].Name != "sales" {
			t.Fatalf("%d contacts, the third is %+v", len(nodes), nodes[2])
		}
		want := []string{"Ant", "gold", "中"}
		if !slices.Equal(nodes[1].Tags, want) || !slices.Equal(nodes[1].Follows[0].Tags, want) || len(nodes[5].Tags) != 0 || nodes[5].Follows[0].Tags == nil {
			t.Errorf("tags are %v and %v", nodes[1].Tags, nodes[1].Follows[0].Tags)
		}
		// The same tags by the other way, without the contact.
		var follows struct {
			Node struct {
				Follows []struct{ ID nid.ID }
			}
			Follow struct{ Tags []string }
		}
		first := testcorp.Value[nid.ID](c, `SELECT id FROM follows WHERE contact_id = (SELECT id FROM contacts WHERE name = 'contact 01')`)
		a.good(admin, `query($id: ID!) { follow: node(id: $id) { ... on Follow { tags } } }`, map[string]any{"id": first}, &follows)
		if !slices.Equal(follows.Follow.Tags, want) {
			t.Errorf("a follow by its id has the tags %v", follows.Follow.Tags)
		}
		// What issue 2 asserts: contacts with follows and members.
		a.good(admin, `{ contacts(first: 50) { nodes { id name follows { id remark since member { id name } } } } }`, nil, nil).atMost(4)
	})
}

// TestListsInLists pages lists inside lists: each parent has its own page, and all
// of them together cost two statements and one for the counts.
func TestListsInLists(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		li, wang, none := c.Member("li", c.Root), c.Member("wang", c.Root), c.Member("none", c.Root)
		shared := c.Contact("shared", "NORMAL", li, wang)
		ofLi, ofWang := append([]nid.ID{shared}, c.Contacts(5, li)...), append([]nid.ID{shared}, c.Contacts(2, wang)...)
		a, admin := newAPI(t, db, c), c.SignedIn(c.Admin, false)
		type list = pageOfIDs
		var got struct {
			Members struct {
				Nodes []struct {
					ID   nid.ID
					A, B list
				}
			}
		}
		read := func(b string) map[nid.ID][2]list {
			t.Helper()
			out := map[nid.ID][2]list{}
			a.good(admin, `query($ids: [ID!]) { members(filter: {ids: $ids}) { nodes { id
				a: contacts(first: 3) { nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount }
				b: contacts(`+b+`) { nodes { id } pageInfo { hasNextPage hasPreviousPage } totalCount } } } }`, map[string]any{"ids": []nid.ID{li, wang, none}}, &got).atMost(1 + 2*2 + 2)
			for _, m := range got.Members.Nodes {
				out[m.ID] = [2]list{m.A, m.B}
			}
			return out
		}
		check := func(what string, l list, total int, next, previous bool, want ...nid.ID) {
			t.Helper()
			var ids []string
			for _, id := range want {
				ids = append(ids, id.String())
			}
			if !slices.Equal(l.ids(), ids) || l.TotalCount != total || l.PageInfo.HasNextPage != next || l.PageInfo.HasPreviousPage != previous {
				t.Errorf("%s: %+v, want %v", what, l, ids)
			}
		}
		rows := read("first: 2, offset: 2")
		check("li", rows[li][0], 6, true, false, ofLi[:3]...)
		check("wang", rows[wang][0], 3, false, false, ofWang...)
		check("none", rows[none][0], 0, false, false)
		check("li from 2", rows[li][1], 6, true, true, ofLi[2:4]...)
		check("wang from 2", rows[wang][1], 3, false, true, ofWang[2:]...)
		rows = read(`first: 100, after: "` + *rows[li][0].PageInfo.EndCursor + `"`)
		check("li after a cursor", rows[li][1], 6, false, true, ofLi[3:]...)
		// One parent alone pages the same way.
		var one struct{ Node struct{ Contacts list } }
		a.good(admin, `query($id: ID!, $at: Cursor) { node(id: $id) { ... on Member { contacts(first: 2, after: $at) { nodes { id } pageInfo { hasNextPage hasPreviousPage } totalCount } } } }`,
			map[string]any{"id": li, "at": rows[li][0].PageInfo.EndCursor}, &one).atMost(3)
		check("li alone", one.Node.Contacts, 6, true, true, ofLi[3:5]...)
	})
}

// TestAHandoverWithItsTransfers reads what a case page shows, through every edge.
func TestAHandoverWithItsTransfers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db, clock, "acme")
		admin := w.SignedIn(w.Admin, false)
		var got struct {
			Handovers struct {
				Nodes []struct {
					ID                  nid.ID
					Leaver, RequestedBy struct{ Name string }
					Progress            struct{ Total, Completed, Finished int }
					Transfers           struct {
						TotalCount int
						Nodes      []struct {
							Kind, Status string
							Because      *string
							Handover     struct{ ID nid.ID }
							Contact      struct {
								Name        string
								Protected   bool
								Accountable struct{ ID nid.ID }
								Transfers   struct{ TotalCount int }
								Ownership   []struct {
									Member   struct{ Name string }
									Until    *string
									Transfer *struct{ Status string }
								}
								FollowersAt []struct{ Name string }
							}
							To struct{ ID nid.ID }
						}
					}
					AuditEntries struct {
						Nodes []struct {
							Action, ActorLabel string
							Subject            struct {
								Typename string `json:"__typename"`
							}
						}
					}
				}
			}
		}
		w.api.good(admin, `query($then: Time!) { handovers(first: 3, orderBy: {field: CREATED_AT}) { nodes { id leaver { name } requestedBy { name } progress { total completed finished } plan history { mode }
			transfers(first: 5) { totalCount nodes { kind status because handover { id } to { id } contact { name protected accountable { id } transfers(first: 1) { totalCount }
				ownership { member { name } until transfer { status } } followersAt(time: $then) { name } } } }
			auditEntries(first: 5) { nodes { action actorLabel before after address hash subject { __typename id } } } } } }`,
			map[string]any{"then": clock.Now()}, &got).atMost(24)
		if len(got.Handovers.Nodes) != 2 {
			t.Fatalf("%d handovers", len(got.Handovers.Nodes))
		}
		var both []nid.ID
		for _, h := range got.Handovers.Nodes {
			both = append(both, h.ID)
			tr := h.Transfers.Nodes
			if len(tr) != 1 || h.Transfers.TotalCount != 1 || tr[0].Kind != "CONTACT" || tr[0].Status != "COMPLETED" || tr[0].Because == nil || tr[0].Handover.ID != h.ID {
				t.Fatalf("%+v", h)
			}
			c := tr[0].Contact
			if c.Protected || c.Accountable.ID != tr[0].To.ID || c.Transfers.TotalCount != 1 || h.Progress.Total != 1 || h.Progress.Completed != 1 || h.Progress.Finished != 1 {
				t.Errorf("%+v", h)
			}
			if len(c.Ownership) != 2 || c.Ownership[0].Member.Name != h.Leaver.Name || c.Ownership[0].Until == nil || c.Ownership[1].Transfer == nil || len(c.FollowersAt) != 1 {
				t.Errorf("ownership: %+v %+v", c.Ownership, c.FollowersAt)
			}
			log := h.AuditEntries.Nodes
			if len(log) == 0 || log[0].ActorLabel != "root-admin" || log[0].Subject.Typename == "" {
				t.Errorf("log: %+v", log)
			}
		}
		same(t, "handovers", both, w.handedSales, w.handedSupport)
	})
}

func TestADepartmentsTree(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db, clock, "acme")
		var got struct {
			Departments struct {
				TotalCount int
				Nodes      []struct {
					Name        string
					Parent      *struct{ Name string }
					Path        []string
					MemberCount int
				}
			}
			Members struct{ TotalCount int }
			Viewer  struct {
				Corp        struct{ Name, TimeZone string }
				Member      struct{ Name string }
				Permissions []string
				Sales, None []struct{ Name string }
			}
		}
		w.api.good(w.SignedIn(w.boss, false), `query($d: ID!) { departments { totalCount nodes { name parent { name } path memberCount } } members(filter: {departmentId: $d}) { totalCount }
			viewer { corp { name timeZone } member { name } permissions sales: scopeOf(permission: VIEW_CONTACTS) { name } none: scopeOf(permission: MANAGE_ROLES) { name } } }`,
			map[string]any{"d": w.sales}, &got).atMost(10)
		var south = got.Departments.Nodes[3]
		if got.Departments.TotalCount != 4 || south.Name != "south" || !slices.Equal(south.Path, []string{"root", "sales", "south"}) || south.Parent.Name != "sales" || south.MemberCount != 1 {
			t.Errorf("%+v", got.Departments)
		}
		if n := got.Departments.Nodes[1]; n.MemberCount != got.Members.TotalCount || n.MemberCount != 4 {
			t.Errorf("sales has %d members by its count and %d by the list", n.MemberCount, got.Members.TotalCount)
		}
		v := got.Viewer
		if v.Corp.Name != "acme" || v.Member.Name != "boss" || len(v.Sales) != 1 || v.Sales[0].Name != "sales" || v.None == nil || len(v.None) != 0 || !slices.Contains(v.Permissions, "PLAN_HANDOVER") {
			t.Errorf("%+v", v)
		}
	})
}
