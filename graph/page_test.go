package graph

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

type pageOfIDs struct {
	Nodes    []struct{ ID string }
	Edges    []struct{ Cursor string }
	PageInfo struct {
		HasNextPage, HasPreviousPage bool
		StartCursor, EndCursor       *string
	}
	TotalCount int
}

func (p pageOfIDs) ids() (out []string) {
	for _, n := range p.Nodes {
		out = append(out, n.ID)
	}
	return out
}

// walk reads a list to its end by cursors, forwards or backwards, and gives the
// ids in the list's own order.
func walk(a *api, ctx context.Context, list, extra string, size int, backward bool) (ids []string, total int) {
	a.t.Helper()
	size0, cursor := "first", "after"
	if backward {
		size0, cursor = "last", "before"
	}
	var at *string
	for range 1000 {
		var got map[string]pageOfIDs
		a.good(ctx, fmt.Sprintf(`query($n: Int, $at: Cursor) { %s(%s: $n, %s: $at%s) {
			totalCount nodes { id } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`, list, size0, cursor, extra),
			map[string]any{"n": size, "at": at}, &got)
		p := got[list]
		total = p.TotalCount
		if backward {
			ids = append(p.ids(), ids...)
		} else {
			ids = append(ids, p.ids()...)
		}
		if len(p.Edges) != len(p.Nodes) || len(p.Edges) > 0 && (p.Edges[0].Cursor != *p.PageInfo.StartCursor || p.Edges[len(p.Edges)-1].Cursor != *p.PageInfo.EndCursor) {
			a.t.Fatalf("edges do not belong to the page: %+v", p)
		}
		more := p.PageInfo.HasNextPage
		at = p.PageInfo.EndCursor
		if backward {
			more, at = p.PageInfo.HasPreviousPage, p.PageInfo.StartCursor
		}
		if !more {
			return ids, total
		}
	}
	a.t.Fatal("a walk does not end")
	return nil, 0
}

// TestWalkingAllPages walks every list in every order and both ways: each row is
// met one time, and their number is totalCount.
func TestWalkingAllPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		li, wang := c.Member("li", c.Root), c.Member("wang", c.Root)
		r := rand.New(rand.NewPCG(1, 2))
		names := []string{"Ann", "ann", "李娜", "李", "王", "z", "é"}
		for i := range 23 {
			// Equal names, equal times and both importances, so that ties are met.
			c.Contact(names[r.IntN(len(names))], []string{"NORMAL", "KEY"}[r.IntN(2)], []nid.ID{li, wang}[r.IntN(2)])
			if i%3 == 0 {
				clock.Add(time.Duration(r.IntN(3)) * 500 * time.Microsecond)
				c.Group(names[r.IntN(len(names))], li)
				c.Member(fmt.Sprintf("m%d", i), c.Root)
			}
		}
		a, ctx := newAPI(t, db, c), c.SignedIn(c.Admin, false)
		for list, fields := range map[string][]string{
			"contacts": {"NAME", "IMPORTANCE", "CREATED_AT", "UPDATED_AT"}, "groups": {"NAME", "CREATED_AT", "UPDATED_AT"},
			"members": {"NAME", "CREATED_AT", "UPDATED_AT"}, "auditEntries": nil,
		} {
			orders := []string{""}
			for _, f := range fields {
				orders = append(orders, ", orderBy: {field: "+f+", direction: ASC}", ", orderBy: {field: "+f+", direction: DESC}")
			}
			for _, o := range orders {
				ids, total := walk(a, ctx, list, o, 4, false)
				back, _ := walk(a, ctx, list, o, 3, true)
				if !slices.Equal(ids, back) {
					t.Errorf("%s%s: backwards is not forwards reversed:\n%v\n%v", list, o, ids, back)
				}
				unique := slices.Clone(ids)
				slices.Sort(unique)
				if n := len(slices.Compact(unique)); n != total || len(ids) != total || total == 0 {
					t.Errorf("%s%s: %d rows met, %d of them different, totalCount %d", list, o, len(ids), n, total)
				}
			}
		}
		up, _ := walk(a, ctx, "contacts", ", orderBy: {field: NAME}", 100, false)
		down, _ := walk(a, ctx, "contacts", ", orderBy: {field: NAME, direction: DESC}", 100, false)
		slices.Reverse(down)
		if !slices.Equal(up, down) {
			t.Error("descending is not ascending reversed")
		}
		var got map[string]pageOfIDs
		a.good(ctx, `{ contacts(first: 5, offset: 7, orderBy: {field: NAME}) { nodes { id } pageInfo { hasNextPage hasPreviousPage } } }`, nil, &got)
		if !slices.Equal(got["contacts"].ids(), up[7:12]) || !got["contacts"].PageInfo.HasPreviousPage || !got["contacts"].PageInfo.HasNextPage {
			t.Errorf("an offset of 7 gives %+v", got)
		}
	})
}

func TestPagesThatCannotBe(t *testing.T) {
	db, clock := storetest.SQLite(t, storetest.NewClock()), storetest.NewClock()
	c := testcorp.New(t, db, clock, "acme")
	c.Contacts(3, c.Admin)
	a, ctx := newAPI(t, db, c), c.SignedIn(c.Admin, false)
	var got map[string]pageOfIDs
	a.good(ctx, `{ contacts(first: 1, orderBy: {field: NAME}) { pageInfo { endCursor } } }`, nil, &got)
	byName := *got["contacts"].PageInfo.EndCursor
	forged := place{"not a number", nid.New(nid.Contact)}.cursor(order[*ent.Contact]{key: contactKeys["CREATED_AT"]}.stamp("contacts"))
	for arguments, field := range map[string]string{
		`first: 0`: "first", `first: -1`: "first", `first: 101`: "first", `last: 0`: "last", `first: 501`: "first",
		`first: 1, last: 1`: "last", `offset: -1`: "offset", `offset: 10001`: "offset", `offset: 1, last: 1`: "offset",
		`offset: 1, after: "` + byName + `", orderBy: {field: NAME}`: "offset", `after: "nonsense"`: "after", `after: ""`: "after", `before: "x"`: "before",
		`after: "` + byName + `"`: "after",
		`after: "` + byName + `", orderBy: {field: NAME, direction: DESC}`:      "after",
		`after: "` + byName[:len(byName)-2] + `AA", orderBy: {field: NAME}`:     "after",
		`after: "` + forged + `", orderBy: {field: CREATED_AT, direction: ASC}`: "after",
		`after: "` + strings.Repeat("A", 5000) + `", orderBy: {field: NAME}`:    "after",
		`search: "` + strings.Repeat("a", 129) + `"`:                            "search",
		`filter: {tags: ["a\u0000b"]}`:                                          "filter.tags",
	} {
		if strings.Contains(arguments, "after") && !strings.Contains(arguments, "offset") && !strings.Contains(arguments, "first") {
			arguments += ", first: 1"
		}
		a.ask(ctx, `{ contacts(`+arguments+`) { nodes { id } } }`, nil).refusedWith(arguments, "INVALID", field)
	}
	a.ask(ctx, `query($i: [ID!]) { contacts(filter: {ids: $i}) { nodes { id } } }`, map[string]any{"i": slices.Repeat([]string{"con_x"}, 5001)}).refusedWith("5001 ids", "INVALID", "filter.ids")
	a.ask(ctx, `query($i: [ID!]!) { nodes(ids: $i) { id } }`, map[string]any{"i": slices.Repeat([]string{"con_x"}, 101)}).refusedWith("101 nodes", "INVALID", "ids")
	// A reporting token reads larger pages, and no larger than that.
	a.good(token(c, access.ViewStatistics, access.ViewContacts), `{ contacts(first: 500) { nodes { id } } }`, nil, nil)
	a.ask(token(c, access.ViewStatistics), `{ contacts(first: 501) { nodes { id } } }`, nil).refusedWith("501 for a token", "INVALID", "first")
	a.ask(token(c, access.ViewContacts), `{ contacts(first: 101) { nodes { id } } }`, nil).refusedWith("101 without VIEW_STATISTICS", "INVALID", "first")
}

func (o *answer) refusedWith(what, code, field string) {
	o.t.Helper()
	if len(o.Errors) != 1 || o.Errors[0].Extensions.Code != code || o.Errors[0].Extensions.Field != field {
		o.t.Errorf("%s: want %s at %q, got %+v %s", what, code, field, o.Errors, o.Data)
	}
}

func TestTotalCountIsCountedOnlyWhenAsked(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		c.Contacts(3, c.Admin)
		a, ctx := newAPI(t, db, c), c.SignedIn(c.Admin, false)
		a.good(ctx, `{ contacts { nodes { id } pageInfo { hasNextPage } } }`, nil, nil).atMost(1)
		var got map[string]pageOfIDs
		a.good(ctx, `{ contacts { totalCount } }`, nil, &got).atMost(1)
		if got["contacts"].TotalCount != 3 {
			t.Errorf("%+v", got)
		}
		a.good(ctx, `{ contacts { totalCount ...f } } fragment f on ContactConnection { nodes { id } }`, nil, &got).atMost(2)
		if len(got["contacts"].Nodes) != 3 {
			t.Errorf("a fragment's fields were not seen: %+v", got)
		}
	})
}

// TestDeepPagesBeginAtTheirPlace holds that a page is found by one comparison of
// rows, which an index answers, and never by OR.
func TestDeepPagesBeginAtTheirPlace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		c.Contacts(5, c.Admin)
		a, ctx := newAPI(t, db, c), c.SignedIn(c.Admin, false)
		var got map[string]pageOfIDs
		a.good(ctx, `{ contacts(first: 2, orderBy: {field: NAME}) { pageInfo { endCursor } } }`, nil, &got)
		out := a.good(ctx, `query($at: Cursor) { contacts(first: 2, after: $at, orderBy: {field: NAME}) { nodes { id } } }`,
			map[string]any{"at": got["contacts"].PageInfo.EndCursor}, nil)
		q := strings.Join(out.statements, "\n")
		if !strings.Contains(q, "(contacts.name_key, contacts.id) > (") || strings.Contains(q, " OR ") {
			t.Errorf("the page is not found by comparing rows:\n%s", q)
		}
	})
}
