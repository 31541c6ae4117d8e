package graph

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// Unless told otherwise rapid's tests here are short (its own default is 100
// sequences) and leave no files.
func init() {
	for name, value := range map[string]string{"rapid.checks": "12", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
}

// Random trees of departments, roles and grants; then departments move, roles change,
// grants are given, end and run out, members depart. After each of these everybody is
// asked over HTTP what they see and may do, and scopeModel says what it should be. Each
// (actor, permission, target) counts once: 10,000 on each engine at least, and none
// differs. More with -rapid.checks; a failure again with the -rapid.seed it prints.
func TestScopeAgreesWithAModel(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newSite(t, db, clock)
		compared, corps, yes := 0, 0, 0
		rapid.Check(t, func(rt *rapid.T) {
			corps++
			c := &chance{site: s, rt: rt, c: testcorp.New(t, db, clock, fmt.Sprint("corp ", corps)), clock: clock}
			c.found()
			for range 6 {
				c.step()
				c.compare()
			}
			compared, yes = compared+c.compared, yes+c.yes
		})
		t.Logf("%d comparisons in %d corps, %d of them yes", compared, corps, yes)
		if compared < 10_000 || yes < compared/20 || yes > compared*19/20 {
			t.Errorf("%d comparisons, %d of them yes: they show too little", compared, yes)
		}
	})
}

// chance is a corp in which things happen at random, and what the model knows of it.
type chance struct {
	*site
	rt    *rapid.T
	c     *testcorp.Corp
	clock *storetest.Clock
	m     *scopeModel
	log   []string // what happened, to be shown where something differs

	departments, members, contacts, groups, roles, grants, cases []nid.ID // in the order in which they were made
	tokens                                                       map[nid.ID]string
	compared, yes, n                                             int
}

var drawn = []string{
	"VIEW_CONTACTS", "MANAGE_CONTACTS", "VIEW_GROUPS", "PLAN_HANDOVER", "VIEW_STATISTICS", "MANAGE_ROLES", "REVIEW_ACCESS", "READ_AUDIT_LOG", "APPROVE_HANDOVER",
}

func draw[T any](c *chance, what string, from []T) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(c.rt, what)]
}

func (c *chance) coin(what string) bool { return rapid.Bool().Draw(c.rt, what) }

func (c *chance) found() {
	c.m = newScopeModel(c.c.Root)
	c.c.ManyMayLeave()
	c.departments, c.tokens = []nid.ID{c.c.Root}, map[nid.ID]string{}
	for range 7 {
		c.department()
	}
	for i := range 8 {
		home := draw(c, "home", c.departments)
		id := c.c.Member(fmt.Sprint("member ", i), home)
		c.members, c.m.homes[id] = append(c.members, id), []nid.ID{home}
		if second := draw(c, "second home", c.departments); second != home && c.coin("two homes") {
			c.join(id, second)
		}
	}
	for i := range 10 {
		followers := []nid.ID{draw(c, "follower", c.members)}
		if f := draw(c, "second follower", c.members); f != followers[0] {
			followers = append(followers, f)
		}
		id := c.c.Contact(fmt.Sprint("contact ", i), "NORMAL", followers...)
		c.contacts, c.m.follows[id] = append(c.contacts, id), followers
	}
	for i := range 6 {
		owner := draw(c, "owner", c.members)
		id := c.c.Group(fmt.Sprint("group ", i), owner)
		c.groups, c.m.owners[id] = append(c.groups, id), owner
	}
	for range 3 {
		c.role()
	}
	for range 8 {
		c.grant()
	}
	for range 5 {
		c.handover()
	}
}

// join gives a member one department more.
func (c *chance) join(member, department nid.ID) {
	err := c.DB.Tx(store.System(c.t.Context(), c.c.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, "member_departments", `INSERT INTO member_departments (corp_id, member_id, department_id, position) VALUES ($1, $2, $3, 1) RETURNING member_id`, c.c.ID, member, department)
		tx.Cover(ids...)
		return err
	})
	if err != nil {
		c.rt.Fatal(err)
	}
	c.m.homes[member] = append(c.m.homes[member], department)
}

// admin asks as the corp's administrator, and gives the first id in the answer; refused
// is the code where there is none.
func (c *chance) admin(field string, input map[string]any, selection string) (id nid.ID, refused string) {
	typ := strings.ToUpper(field[:1]) + field[1:] + "Input!"
	got := c.ask(c.c.Bearer(c.c.Admin, true), fmt.Sprintf("mutation($input: %s) { %s(input: $input) { %s } }", typ, field, selection), map[string]any{"input": input})
	if len(got.Errors) > 0 {
		refused = got.Errors[0].Extensions.Code + " " + got.Errors[0].Message
	} else {
		id, _ = nid.Parse(anID.FindString(string(got.Data)))
	}
	c.log = append(c.log, fmt.Sprintf("%s %s %v: %v %s", c.clock.Now().Format("15:04"), field, input, id, refused))
	return id, refused
}

// done is admin for what cannot be refused.
func (c *chance) done(field string, input map[string]any, selection string) nid.ID {
	id, refused := c.admin(field, input, selection)
	if refused != "" {
		c.rt.Fatalf("%s is refused: %s\n%s", field, refused, strings.Join(c.log, "\n"))
	}
	return id
}

func (c *chance) name(what string) string { c.n++; return fmt.Sprint(what, " ", c.n) }

// department makes one somewhere, no deeper than 6 below the root.
func (c *chance) department() {
	parent := draw(c, "parent", c.departments)
	if c.m.depth(parent) >= 6 {
		parent = c.c.Root
	}
	id := c.done("saveDepartment", map[string]any{"name": c.name("department"), "parentId": parent}, "department { id }")
	c.departments, c.m.parents[id] = append(c.departments, id), parent
}

// move hangs a department elsewhere, with all below it; below itself it cannot.
func (c *chance) move() {
	id, parent := draw(c, "moved", c.departments[1:]), draw(c, "new parent", c.departments)
	if c.m.depth(parent)+1+c.m.height(id) > 6 && !c.m.below(parent, id) {
		parent = c.c.Root
	}
	version := testcorp.Value[int](c.c, `SELECT version FROM departments WHERE id = $1`, id)
	_, refused := c.admin("saveDepartment", map[string]any{"id": id, "version": version, "parentId": parent}, "department { id }")
	if cycle := c.m.below(parent, id); cycle != strings.HasPrefix(refused, "CONFLICT") {
		c.rt.Fatalf("a move that makes a cycle: %v, refused: %q\n%s", cycle, refused, strings.Join(c.log, "\n"))
	} else if !cycle {
		c.m.parents[id] = parent
	}
}

func (c *chance) permissions() []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(drawn), 1, 4, rapid.ID[string]).Draw(c.rt, "permissions")
}

func (c *chance) role() {
	p := c.permissions()
	id := c.done("saveRole", map[string]any{"name": c.name("role"), "permissions": p}, "role { id }")
	c.roles, c.m.roles[id] = append(c.roles, id), &modelRole{p, 1}
}

func (c *chance) changeRole() {
	id := draw(c, "role", c.roles)
	r, p := c.m.roles[id], c.permissions()
	c.done("saveRole", map[string]any{"id": id, "version": r.version, "name": c.name("role"), "permissions": p}, "role { version }")
	r.permissions, r.version = p, r.version+1
}

func (c *chance) grant() {
	g := &modelGrant{member: draw(c, "member", c.members), role: draw(c, "role", c.roles)}
	in := map[string]any{"memberId": g.member, "roleId": g.role}
	if rapid.IntRange(0, 7).Draw(c.rt, "everywhere") > 0 {
		g.department = draw(c, "where", c.departments)
		in["departmentId"] = g.department
	}
	if c.coin("runs out") {
		g.until = c.clock.Now().Add(time.Duration(rapid.IntRange(1, 90).Draw(c.rt, "minutes")) * time.Minute)
		in["expiresAt"] = g.until.Format(time.RFC3339)
	}
	id, refused := c.admin("grantRole", in, "grant { id }")
	if refused == "" {
		c.grants, c.m.grants[id] = append(c.grants, id), g
	} else if !c.m.gone[g.member] && !c.has(g) {
		c.rt.Fatalf("grantRole is refused: %s\n%s", refused, strings.Join(c.log, "\n"))
	}
}

// has: the member has the same role in the same place already.
func (c *chance) has(g *modelGrant) bool {
	for _, h := range c.m.grants {
		if h.member == g.member && h.role == g.role && h.department == g.department && !h.revoked {
			return true
		}
	}
	return false
}

func (c *chance) revoke() {
	id := draw(c, "grant", c.grants)
	g := c.m.grants[id]
	_, refused := c.admin("revokeGrant", map[string]any{"id": id}, "revokedGrantId")
	if refused != "" && c.m.holds(g, c.clock.Now()) {
		c.rt.Fatalf("revokeGrant is refused: %s\n%s", refused, strings.Join(c.log, "\n"))
	}
	g.revoked = true
}

func (c *chance) depart() {
	id := draw(c, "leaver", c.members)
	if c.m.gone[id] {
		return
	}
	c.done("deactivateMember", map[string]any{"memberId": id}, "member { id }")
	c.m.gone[id] = true
	for _, g := range c.m.grants {
		g.revoked = g.revoked || g.member == id
	}
}

// step lets one to three things happen.
func (c *chance) step() {
	things := []func(){c.department, c.move, c.move, c.role, c.changeRole, c.grant, c.grant, c.grant, c.revoke, c.depart, c.wait, c.wait}
	for range rapid.IntRange(1, 3).Draw(c.rt, "things") {
		draw(c, "thing", things)()
	}
}

func (c *chance) wait() {
	c.clock.Add(time.Duration(rapid.IntRange(1, 45).Draw(c.rt, "minutes")) * time.Minute)
}

// compare asks everybody about everything.
func (c *chance) compare() {
	for _, a := range c.members {
		if c.tokens[a] == "" || !c.m.gone[a] {
			c.tokens[a] = c.c.Bearer(a, false) // one who departs keeps the last
		}
		if c.m.gone[a] {
			c.ended(a)
			continue
		}
		c.reads(a)
		c.readsCases(a)
		c.acts(a)
	}
}

func (c *chance) check(a nid.ID, what string, target nid.ID, got, want bool) {
	c.compared++
	if want {
		c.yes++
	}
	if got != want {
		c.rt.Fatalf("%s, %s, %s: %v, the model says %v\n%s", a, what, target, got, want, strings.Join(c.log, "\n"))
	}
}

// ended: who departed is nobody any more.
func (c *chance) ended(a nid.ID) {
	got := c.ask(c.tokens[a], `{ contacts { nodes { id } } }`, nil)
	c.check(a, "be somebody", a, len(got.Errors) != 1 || got.Errors[0].Extensions.Code != "UNAUTHENTICATED", false)
}

// reads compares the lists, node by id, and who sees whose counts.
func (c *chance) reads(a nid.ID) {
	type list struct {
		TotalCount int
		Nodes      []struct {
			ID           nid.ID
			ContactCount *int
		}
	}
	var got struct {
		Contacts, Groups, Grants, Members list
		Nodes                             []*struct{ ID nid.ID }
	}
	c.good(c.tokens[a], `query($i: [ID!]!) {
		contacts(first: 50) { totalCount nodes { id } } groups(first: 50) { totalCount nodes { id } } grants(first: 100) { totalCount nodes { id } }
		members(first: 50) { totalCount nodes { id contactCount } } nodes(ids: $i) { id } }`,
		map[string]any{"i": slices.Concat(c.contacts, c.groups)}, &got)
	now := c.clock.Now()
	seen := func(l list) map[nid.ID]bool {
		out := map[nid.ID]bool{}
		for _, n := range l.Nodes {
			out[n.ID] = true
		}
		if l.TotalCount != len(out) {
			c.rt.Fatalf("totalCount is %d, the list has %d", l.TotalCount, len(out))
		}
		return out
	}
	contacts, groups, grants := seen(got.Contacts), seen(got.Groups), seen(got.Grants)
	for i, id := range c.contacts {
		c.check(a, "contacts", id, contacts[id], c.m.seesContact(a, id, now))
		c.check(a, "node", id, got.Nodes[i] != nil, c.m.seesContact(a, id, now))
	}
	for i, id := range c.groups {
		c.check(a, "groups", id, groups[id], c.m.seesGroup(a, id, now))
		c.check(a, "node", id, got.Nodes[len(c.contacts)+i] != nil, c.m.seesGroup(a, id, now))
	}
	for _, id := range c.grants {
		c.check(a, "grants", id, grants[id], c.m.seesGrant(a, c.m.grants[id], now))
	}
	for _, n := range got.Members.Nodes {
		if n.ID != c.c.Admin {
			c.check(a, "contactCount", n.ID, n.ContactCount != nil, c.m.counts(a, n.ID, now))
		}
	}
}

// acts tries changes and plans that fail for another reason where they are allowed: a
// stale version, and a plan without a contact. An answer has five errors.
func (c *chance) acts(a nid.ID) {
	now := c.clock.Now()
	for some := range slices.Chunk(c.contacts, 5) {
		for i, code := range c.try(a, "mutation", some, `updateContact(input: {id: "%s", version: 9999, company: "new"}) { contact { id } }`) {
			c.check(a, "updateContact", some[i], code == "CONFLICT", c.m.changesContact(a, some[i], now))
		}
	}
	plan := `previewHandover(input: {kind: ON_JOB, leaverId: "%s", select: {contactIds: []}, successors: {memberId: "` + c.c.Admin.String() + `"}}) { digest }`
	for some := range slices.Chunk(c.members, 4) {
		for i, code := range c.try(a, "query", some, plan) {
			c.check(a, "previewHandover", some[i], code == "INVALID", c.m.plans(a, some[i], now))
		}
	}
}

// try asks the same of several and gives the code that each is answered with.
func (c *chance) try(a nid.ID, kind string, of []nid.ID, ask string) []string {
	document := kind + " {"
	for i, id := range of {
		document += fmt.Sprintf(" a%d: "+ask, i, id)
	}
	got := c.ask(c.tokens[a], document+" }", nil)
	codes := make([]string, len(of))
	for _, e := range got.Errors {
		var i int
		text, err := json.Marshal(e.Path[0])
		if err == nil {
			_, err = fmt.Sscanf(string(text), `"a%d"`, &i)
		}
		if err != nil {
			c.rt.Fatalf("%v: %+v", err, e)
		}
		codes[i] = e.Extensions.Code
	}
	if slices.Contains(codes, "") {
		c.rt.Fatalf("%s: not everything is answered: %+v", document, got.Errors)
	}
	return codes
}
