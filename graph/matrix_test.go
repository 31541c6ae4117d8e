package graph

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// TestPermissionMatrix sends the request of every cell of testdata/permissions.yaml
// over HTTP and compares the answer with the cell, on both engines. Without a proof of
// identity every operation that needs one refuses what it would do, and nothing is
// done for nobody. A target is used until a request succeeds on it; the next cell then
// gets a new one, so that each begins from the same state.
func TestPermissionMatrix(t *testing.T) {
	m := readMatrix(t)
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		g := newGround(t, db, clock)
		cells := 0
		for _, name := range slices.Sorted(maps.Keys(m.Operations)) {
			cells += g.check(name, m.Operations[name])
		}
		t.Logf("%d entries, %d cells", len(m.Operations), cells)
		if want := m.size(); cells != want {
			t.Errorf("%d of %d cells were asked", cells, want)
		}
	})
}

// ground is where the matrix is played: a corp with departments in each relation to
// the actor's, and another corp.
type ground struct {
	*site
	theirs            *testcorp.Corp
	admin, theirAdmin string // tokens of those who make the targets
	places            map[string]seat
	actors            map[string]*player
	made              map[string]target
	n                 int
	pending           nid.ID // a grant that waits for a second administrator
}

// seat is a department with two members; what is a member's is the first one's.
type seat struct {
	corp                       *testcorp.Corp
	department, owner, partner nid.ID
	self                       bool // the owner is who asks
}

// player is who asks: a member with a built-in role, with one session whose proof of
// identity is fresh and one without any.
type player struct {
	id            nid.ID
	proven, plain string
	department    nid.ID // where the role is given; zero: the whole corp
	in            nid.ID // the member's own department
	role          string
}

func newGround(t *testing.T, db *store.DB, clock *storetest.Clock) *ground {
	g := &ground{site: newSite(t, db, clock), actors: map[string]*player{}, made: map[string]target{}}
	g.theirs = testcorp.New(t, db, clock, "globex")
	g.admin, g.theirAdmin = g.Bearer(g.Admin, true), g.theirs.Bearer(g.theirs.Admin, true)
	own, sibling := g.Department("own", g.Root), g.Department("sibling", g.Root)
	child, other := g.Department("child", own), g.theirs.Department("own", g.theirs.Root)
	g.places = map[string]seat{}
	for name, d := range map[string]nid.ID{"own": own, "child": child, "sibling": sibling, "other": other} {
		c := g.Corp
		if name == "other" {
			c = g.theirs
		}
		g.places[name] = seat{c, d, c.Member(name+"-owner", d), c.Member(name+"-partner", d), false}
	}
	g.ManyMayLeave()
	g.theirs.ManyMayLeave()
	deputy := g.Member("deputy", g.Root) // dual control needs two, and two switch it off
	g.Grant(deputy, access.Administrator.Name, nid.ID{})
	g.dualControl(g.admin, true)
	g.pending = g.as(g.places["own"], `grantRole(input: {memberId: "%s", roleId: "%s"}) { pending { id } }`, g.places["own"].partner, g.Roles[access.Approver.Name])
	g.dualControl(g.admin, false)
	g.dualControl(g.Bearer(deputy, true), false)
	sealer := audit.Sealer{DB: db, Log: g.Log, Keys: checkpoint.Keys{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}}
	if _, err := sealer.Work(t.Context(), g.ID); err != nil {
		t.Fatal(err)
	}
	return g
}

// dualControl says whether a second administrator confirms sensitive roles.
func (g *ground) dualControl(by string, on bool) {
	g.t.Helper()
	version := testcorp.Value[int](g.Corp, `SELECT COALESCE(max(version), 0) FROM corp_settings WHERE corp_id = $1`, g.ID)
	g.good(by, fmt.Sprintf("mutation { saveSettings(input: {dualControl: %v, version: %d}) { settings { version } } }", on, version), nil, &struct{}{})
}

// next is a number not given before, for names that must be unique.
func (g *ground) next() int { g.n++; return g.n }

// actor gives somebody who has the role in the department own, or in the whole corp.
func (g *ground) actor(role string, wide bool) *player {
	g.t.Helper()
	key := fmt.Sprint(role, wide)
	if p := g.actors[key]; p != nil {
		return p
	}
	p := &player{role: role, in: g.places["own"].department}
	if !wide {
		p.department = p.in
	}
	p.id = g.Member(fmt.Sprintf("%s-%d", role, g.next()), p.in)
	g.Grant(p.id, role, p.department)
	p.proven, p.plain = g.Bearer(p.id, true), g.Bearer(p.id, false)
	g.actors[key] = p
	return p
}

// wide are the columns in which the actor has the role in the whole corp; for targets
// that are the corp's that is the strongest actor there is.
func wide(class, column string) bool {
	return column == "wide" || column == "corp" || class == "corp" && column != "department"
}

// at gives what a column's target belongs to.
func (g *ground) at(class, column string, p *player) seat {
	here := g.places["own"]
	switch {
	case column == "self", class == "none":
		return seat{g.Corp, here.department, p.id, here.partner, true}
	case column == "wide":
		return g.places["sibling"]
	case column == "corp", column == "department", column == "none":
		return here
	}
	return g.places[column]
}

// check asks for every cell of an entry and gives their number.
func (g *ground) check(name string, o *operation) (cells int) {
	k := targets[o.Target]
	for _, role := range access.BuiltInRoles {
		for i, column := range o.columns {
			want := o.row[role.Name][i]
			cells++
			p := g.actor(role.Name, wide(k.class, column))
			key := o.Target + " " + column
			if column == "self" || k.class == "none" {
				key += " " + p.id.String()
			}
			it, ok := g.made[key]
			if !ok {
				it = k.make(g, g.at(k.class, column, p), p)
				if column == "none" {
					it = it.nobodys()
				}
				g.made[key] = it
			}
			if i == 0 && role.Name == access.Administrator.Name && !access.Operations[o.root+"."+o.field].Open {
				if got, _ := g.send(o, "", it); got != "UNAUTHENTICATED" {
					g.t.Errorf("%s: nobody signed in is told %s", name, got)
				}
			}
			if o.Proof {
				// The proof may be asked for before the last reason to refuse is looked at.
				may := []string{"STEP_UP_REQUIRED"}
				if want != "ok" && want != "CONFLICT" {
					may = append(may, want)
				}
				if got, why := g.send(o, p.plain, it); !slices.Contains(may, got) {
					g.t.Errorf("%s, %s, %s, without a proof of identity: %s %s", name, role.Name, column, got, why)
				}
			}
			token := p.plain
			if o.Proof || k.proven {
				token = p.proven
			}
			got, why := g.send(o, token, it)
			if got != want {
				g.t.Errorf("%s, %s, %s: %s, want %s: %s", name, role.Name, column, got, want, why)
			}
			if o.root == "Mutation" && got == "ok" {
				delete(g.made, key)
				if column == "self" || k.class == "none" {
					delete(g.actors, fmt.Sprint(role.Name, wide(k.class, column)))
				}
			}
		}
	}
	return cells
}

// target is what a request names: ids, which are another's or nobody's in some
// columns, and what else stands in the document.
type target struct {
	ids   map[string]nid.ID
	other map[string]any
	// shows is the id that an answer has where the target is seen; zero: any answer
	// that is not null.
	shows string
}

// nobodys is a target that was never there: new ids of the same kinds.
func (it target) nobodys() target {
	out := target{ids: map[string]nid.ID{}, other: it.other, shows: it.shows}
	for name, id := range it.ids {
		out.ids[name] = nid.New(id.Kind())
		if idText(id) == it.shows {
			out.shows = idText(out.ids[name])
		}
	}
	return out
}

var aName = regexp.MustCompile(`\$[a-zA-Z]+`)

// send asks with a token and says in a word what came of it, and why.
func (g *ground) send(o *operation, token string, it target) (word, why string) {
	g.t.Helper()
	var variables map[string]any
	declared := ""
	ask := aName.ReplaceAllStringFunc(o.Ask, func(name string) string {
		var v any
		if id, ok := it.ids[name[1:]]; ok {
			v = idText(id)
		} else if v, ok = it.other[name[1:]]; !ok {
			g.t.Fatalf("%s: the target %q has no %s", o.field, o.Target, name)
		}
		if raw, ok := v.(json.RawMessage); ok {
			variables, declared = map[string]any{name[1:]: raw}, "("+name+": JSON!)"
			return name
		}
		if f, ok := v.(func() any); ok {
			v = f()
		}
		text, err := json.Marshal(v)
		if err != nil {
			g.t.Fatal(err)
		}
		return string(text)
	})
	document, accept := strings.ToLower(o.root)+declared+" { "+ask+" }", "application/json"
	if o.root == "Subscription" {
		accept = "text/event-stream"
	}
	resp, err := g.post(token, accept, document, variables)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		_, after, _ := strings.Cut(string(body), "data: ")
		line, _, _ := strings.Cut(after, "\n")
		body = []byte(line)
	}
	var a struct {
		Data   map[string]json.RawMessage
		Errors []fail
	}
	if err := json.Unmarshal(body, &a); err != nil {
		g.t.Fatalf("%s: %v: %s", document, err, body)
	}
	switch data := a.Data[o.field]; {
	case len(a.Errors) > 0:
		e := a.Errors[0]
		return e.Extensions.Code, e.Extensions.Field + " " + e.Message
	case o.root == "Mutation", o.root == "Subscription":
		return "ok", ""
	case it.shows != "" && !strings.Contains(string(data), it.shows), string(data) == "null", string(data) == "[]", len(data) == 0:
		return "empty", string(data)
	}
	return "ok", ""
}
