package graph

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// world is a corp with two departments side by side, each with a member who looks
// after contacts and groups, one contact that both follow, and past handovers.
type world struct {
	*testcorp.Corp
	api                         *api
	sales, south, support       nid.ID
	boss, lin, sun, kim         nid.ID // manager of sales; sales, south, support
	ofLin, ofSun, ofKim, ofBoth nid.ID
	groupLin, groupKim          nid.ID
	handedSales, handedSupport  nid.ID
	grantBoss, grantKim         nid.ID
}

func newWorld(t *testing.T, db *store.DB, clock *storetest.Clock, title string) *world {
	t.Helper()
	w := &world{Corp: testcorp.New(t, db, clock, title)}
	w.api = newAPI(t, db, w.Corp)
	w.sales, w.support = w.Department("sales", w.Root), w.Department("support", w.Root)
	w.south = w.Department("south", w.sales)
	w.boss, w.lin, w.sun, w.kim = w.Member("boss", w.sales), w.Member("lin", w.sales), w.Member("sun", w.south), w.Member("kim", w.support)
	w.grantBoss, w.grantKim = w.Grant(w.boss, access.Manager.Name, w.sales), w.Grant(w.kim, access.Staff.Name, nid.ID{})
	w.ofLin, w.ofSun, w.ofKim = w.Contact("李娜", "NORMAL", w.lin), w.Contact("sunny", "KEY", w.sun), w.Contact("kimono", "NORMAL", w.kim)
	w.ofBoth = w.Contact("both", "NORMAL", w.kim, w.lin)
	w.groupLin, w.groupKim = w.Group("lin's", w.lin), w.Group("kim's", w.kim)
	gone, away := w.Member("gone", w.sales), w.Member("away", w.support)
	w.Contact("moved", "NORMAL", gone)
	w.Contact("shifted", "NORMAL", away)
	w.Depart(gone)
	w.Depart(away)
	admin := w.SignedIn(w.Admin, true)
	w.handedSales, w.handedSupport = w.hand(admin, gone, w.sun), w.hand(admin, away, w.kim)
	return w
}

// hand hands everything of a leaver over.
func (w *world) hand(ctx context.Context, from, to nid.ID) nid.ID {
	w.api.t.Helper()
	var got struct {
		HandOver struct{ Handover struct{ ID nid.ID } }
	}
	w.api.good(ctx, `mutation($from: ID!, $to: ID!, $key: String!) { handOver(input: {plan: {leaverId: $from, successors: {memberId: $to}}, idempotencyKey: $key}) { handover { id } } }`,
		map[string]any{"from": from, "to": to, "key": from.String()}, &got)
	return got.HandOver.Handover.ID
}

// sees gives the ids of a list that somebody sees, and holds that totalCount says
// the same and that node gives exactly these.
func (w *world) sees(ctx context.Context, list string, all ...nid.ID) []nid.ID {
	w.api.t.Helper()
	var got map[string]struct {
		Nodes      []struct{ ID nid.ID }
		TotalCount int
	}
	w.api.good(ctx, `{ `+list+` { nodes { id } totalCount } }`, nil, &got)
	var ids []nid.ID
	for name, v := range got {
		for _, n := range v.Nodes {
			ids = append(ids, n.ID)
		}
		if v.TotalCount != len(ids) {
			w.api.t.Errorf("%s: totalCount %d, %d rows", name, v.TotalCount, len(ids))
		}
	}
	if len(all) == 0 {
		return ids
	}
	var by struct{ Nodes []*struct{ ID nid.ID } }
	w.api.good(ctx, `query($i: [ID!]!) { nodes(ids: $i) { id } }`, map[string]any{"i": all}, &by)
	for i, n := range by.Nodes {
		if (n != nil) != slices.Contains(ids, all[i]) || n != nil && n.ID != all[i] {
			w.api.t.Errorf("%s: node(%s) is %v, and the list has it: %v", list, all[i], n, slices.Contains(ids, all[i]))
		}
	}
	return ids
}

func same(t *testing.T, what string, got []nid.ID, want ...nid.ID) {
	t.Helper()
	slices.SortFunc(got, func(a, b nid.ID) int { return slices.Compare(a[:], b[:]) })
	slices.SortFunc(want, func(a, b nid.ID) int { return slices.Compare(a[:], b[:]) })
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestWhoSeesWhat(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db, clock, "acme")
		contacts, groups := []nid.ID{w.ofLin, w.ofSun, w.ofKim, w.ofBoth}, []nid.ID{w.groupLin, w.groupKim}
		ids := `(filter: {ids: ["` + fmt.Sprintf(`%s", "%s", "%s", "%s`, w.ofLin, w.ofSun, w.ofKim, w.ofBoth) + `"]})`

		admin := w.SignedIn(w.Admin, false)
		same(t, "the administrator's contacts", w.sees(admin, "contacts"+ids, contacts...), contacts...)
		same(t, "the administrator's groups", w.sees(admin, "groups", groups...), groups...)
		same(t, "the administrator's handovers", w.sees(admin, "handovers", w.handedSales, w.handedSupport), w.handedSales, w.handedSupport)

		boss := w.SignedIn(w.boss, false)
		same(t, "the manager's contacts", w.sees(boss, "contacts"+ids, contacts...), w.ofLin, w.ofSun, w.ofBoth)
		same(t, "the manager's groups", w.sees(boss, "groups", groups...), w.groupLin)
		same(t, "the manager's handovers", w.sees(boss, "handovers", w.handedSales, w.handedSupport), w.handedSales)
		same(t, "the manager's grants", w.sees(boss, "grants", w.grantBoss, w.grantKim), w.grantBoss)
		same(t, "search", w.sees(boss, `contacts(search: "IMON")`))
		same(t, "search by one character", w.sees(boss, `contacts(search: "李")`), w.ofLin)

		kim := w.SignedIn(w.kim, false)
		same(t, "a follower's contacts", w.sees(kim, "contacts"+ids, contacts...), w.ofKim, w.ofBoth)
		same(t, "an owner's groups", w.sees(kim, "groups", groups...), w.groupKim)
		same(t, "a successor's handovers", w.sees(kim, "handovers", w.handedSales, w.handedSupport), w.handedSupport)
		same(t, "anybody's own grants", w.sees(kim, "grants", w.grantBoss, w.grantKim), w.grantKim)
		w.api.ask(kim, `{ auditEntries { totalCount } }`, nil).refused("FORBIDDEN", "")
		w.api.ask(context.Background(), `{ contacts { totalCount } }`, nil).refused("UNAUTHENTICATED", "")

		same(t, "a token's contacts", w.sees(token(w.Corp, access.ViewStatistics), "contacts"+ids, contacts...))
		same(t, "a token's contacts with VIEW_CONTACTS", w.sees(token(w.Corp, access.ViewContacts), "contacts"+ids, contacts...), contacts...)

		// The log is for who may read all of it; a part of the corp shows no entry.
		limited := w.SignedIn(w.boss, false)
		a := *access.From(limited)
		a.Grants = append(slices.Clone(a.Grants), access.Grant{Permissions: []access.Permission{access.ReadAuditLog}, Department: w.sales})
		same(t, "the log within a department", w.sees(access.With(limited, &a), "auditEntries"))
		var log struct {
			Handover struct{ AuditEntries struct{ TotalCount int } }
		}
		q := `query($id: ID!) { handover: node(id: $id) { ... on Handover { auditEntries { totalCount nodes { id } } } } }`
		w.api.good(boss, q, map[string]any{"id": w.handedSales}, &log)
		if log.Handover.AuditEntries.TotalCount != 0 {
			t.Error("a manager reads the log of a handover")
		}
		w.api.good(admin, q, map[string]any{"id": w.handedSales}, &log)
		if log.Handover.AuditEntries.TotalCount == 0 {
			t.Error("the administrator finds nothing in the log of a handover")
		}
	})
}

func TestWhatOthersNotedStaysTheirs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db, clock, "acme")
		var got struct {
			Node struct {
				Follows []struct {
					Member struct {
						ID                                     nid.ID
						Name                                   string
						ContactCount, ContactLimit, GroupCount *int
					}
					Remark *string
				}
			}
		}
		w.api.good(w.SignedIn(w.boss, false), `query($id: ID!) { node(id: $id) { ... on Contact { follows { member { id name contactCount contactLimit groupCount } remark tags } } } }`,
			map[string]any{"id": w.ofBoth}, &got)
		if len(got.Node.Follows) != 2 {
			t.Fatalf("a contact in scope shows %d of its 2 followers", len(got.Node.Follows))
		}
		for _, f := range got.Node.Follows {
			inside := f.Member.ID == w.lin
			if (f.Remark != nil) != inside || (f.Member.ContactCount != nil) != inside || (f.Member.ContactLimit != nil) != inside || (f.Member.GroupCount != nil) != inside {
				t.Errorf("%s, in scope %v, shows %+v", f.Member.Name, inside, f)
			}
			if f.Member.Name == "" {
				t.Error("a member's card is not readable")
			}
		}
	})
}

// TestAnotherCorpIsUnknown gives one corp's ids to another corp's administrator in
// every place that takes one.
func TestAnotherCorpIsUnknown(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		theirs, ours := newWorld(t, db, clock, "acme"), newWorld(t, db, clock, "globex")
		admin := ours.SignedIn(ours.Admin, true)
		ids := []nid.ID{theirs.ID, theirs.Root, theirs.lin, theirs.ofLin, theirs.groupLin, theirs.handedSales, theirs.grantBoss, theirs.Roles[access.Manager.Name], nid.New(nid.Contact)}
		var got struct{ Nodes []*struct{ ID nid.ID } }
		ours.api.good(admin, `query($i: [ID!]!) { nodes(ids: $i) { id } }`, map[string]any{"i": ids}, &got)
		for i, n := range got.Nodes {
			if n != nil {
				t.Errorf("%s of another corp is shown", ids[i])
			}
		}
		for _, q := range []string{
			`contacts(filter: {ids: [$c]})`, `contacts(filter: {followerId: $m})`, `contacts(filter: {departmentId: $d})`,
			`groups(filter: {ids: [$g]})`, `groups(filter: {ownerId: $m})`, `members(filter: {ids: [$m]})`, `members(filter: {departmentId: $d})`,
			`departments(filter: {ids: [$d]})`, `departments(filter: {parentId: $d})`, `handovers(filter: {ids: [$h]})`, `handovers(filter: {leaverId: $m})`,
			`handovers(filter: {successorId: $m})`, `handovers(filter: {requestedById: $m})`, `transfers(filter: {handoverId: $h})`, `transfers(filter: {fromId: $m})`,
			`transfers(filter: {toId: $m})`, `transfers(filter: {contactId: $c})`, `transfers(filter: {groupId: $g})`, `grants(filter: {memberId: $m})`,
			`grants(filter: {roleId: $r})`, `grants(filter: {departmentId: $d})`, `auditEntries(filter: {actorId: $m})`, `auditEntries(filter: {subjectId: $c})`, `auditEntries(filter: {handoverId: $h})`,
		} {
			for _, from := range []*world{theirs, nil} {
				vars := map[string]any{"c": "con_x", "g": "grp_x", "m": "x", "d": "", "h": "hov_", "r": "rol_" + fmt.Sprint(1)}
				if from != nil {
					vars = map[string]any{"c": from.ofLin, "g": from.groupLin, "m": from.sun, "d": from.sales, "h": from.handedSales, "r": from.Roles[access.Manager.Name]}
				}
				used := map[string]any{}
				declare := ""
				for name, v := range vars {
					if slices.Contains(variables(q), name) {
						used[name] = v
						declare += "$" + name + ": ID! "
					}
				}
				var got map[string]struct{ TotalCount int }
				ours.api.good(admin, "query("+declare+") { "+q+" { totalCount nodes { id } } }", used, &got)
				for name, v := range got {
					if v.TotalCount != 0 {
						t.Errorf("%s: %s finds %d", q, name, v.TotalCount)
					}
				}
			}
		}
	})
}

func variables(q string) (out []string) {
	for i, r := range q {
		if r == '$' {
			out = append(out, q[i+1:i+2])
		}
	}
	return out
}
