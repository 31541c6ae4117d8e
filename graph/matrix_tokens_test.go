package graph

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/scim"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// everything is every permission that a service token can have.
func everything() []access.Permission {
	return slices.DeleteFunc(slices.Clone(access.Permissions), access.Permission.ForPeopleOnly)
}

// token makes a service token of the whole corp, by somebody to whom happens what the
// word says: see testdata/permissions.yaml.
func (g *ground) token(word string, permissions ...access.Permission) string {
	g.t.Helper()
	ctx, maker := store.System(g.t.Context(), g.ID, "test"), nid.ID{}
	var grant nid.ID
	if word != "machine" && word != "corp" {
		maker = g.Member(g.name("maker"), g.Root)
		grant = g.Grant(maker, access.Administrator.Name, nid.ID{})
		ctx = g.Verified(maker)
	}
	_, secret, err := g.id.CreateToken(ctx, g.name("token"), permissions, nil, g.DB.Now().AddDate(0, 6, 0))
	if err != nil {
		g.t.Fatal(err)
	}
	if word == "part" || word == "lost" {
		g.good(g.Bearer(g.Admin, true), fmt.Sprintf(`mutation { revokeGrant(input: {id: "%s"}) { revokedGrantId } }`, grant), nil, &struct{}{})
	}
	switch word {
	case "part":
		g.Grant(maker, access.Administrator.Name, g.places["own"].department)
	case "gone":
		g.Depart(maker)
	}
	return secret
}

// TestTokenMatrix asks every query that a service token may ask, by tokens whose makers
// still are what they were, and by tokens whose makers are not.
func TestTokenMatrix(t *testing.T) {
	m := readMatrix(t)
	rows := map[string][]string{}
	for cells, names := range m.Tokens.Rows {
		for _, name := range names {
			if rows[name] = strings.Fields(cells); len(rows[name]) != len(m.Tokens.Columns) || m.Operations[name] == nil {
				t.Errorf("%s: %q is no row of an entry", name, cells)
			}
		}
	}
	var asked []string
	for name, o := range m.Operations {
		if rule := access.Operations[o.root+"."+o.field]; o.root == "Query" && !rule.Person && !rule.Open {
			if asked = append(asked, name); rows[name] == nil {
				t.Errorf("%s may be asked by a service token and stands in no row of tokens", name)
			}
		} else if rows[name] != nil {
			t.Errorf("%s is not for service tokens, and stands in a row of tokens", name)
		}
	}
	if t.Failed() {
		return
	}
	slices.Sort(asked)
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		g := newGround(t, db, clock)
		secrets := map[string]string{}
		for _, column := range m.Tokens.Columns {
			secrets[column] = g.token(column, everything()...)
		}
		for _, name := range asked {
			o := m.Operations[name]
			k := targets[o.Target]
			at := g.places["own"]
			if k.class == "people" {
				at = g.places["sibling"]
			}
			it := k.make(g, at, g.actor(access.Administrator.Name, true))
			for i, column := range m.Tokens.Columns {
				got, why := g.send(o, secrets[column], it)
				if got != rows[name][i] {
					t.Errorf("%s, %s: %s, want %s: %s", name, column, got, rows[name][i], why)
				}
			}
		}
	})
}

// TestSCIMMatrix asks an identity provider's three questions about users in reach and out
// of reach, by tokens with and without the permission.
func TestSCIMMatrix(t *testing.T) {
	m := readMatrix(t)
	if len(m.SCIM.Rows) < 3 {
		t.Fatal("testdata/permissions.yaml has no cells for SCIM")
	}
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		g := newGround(t, db, clock)
		secrets := map[string]string{}
		for _, word := range []string{"corp", "held", "part", "lost", "gone"} {
			secrets[word] = g.token(word, access.ProvisionMembers)
		}
		secrets["other"] = g.token("machine", access.ViewStatistics)
		own := g.places["own"].department
		_, secret, err := g.id.CreateToken(store.System(t.Context(), g.ID, "test"), "own", []access.Permission{access.ProvisionMembers}, &own, db.Now().AddDate(0, 6, 0))
		if err != nil {
			t.Fatal(err)
		}
		secrets["own"] = secret
		seen := 0
		for _, names := range slices.Sorted(maps.Keys(m.SCIM.Rows)) {
			request, words, _ := strings.Cut(names, " ")
			cells := strings.Fields(m.SCIM.Rows[names])
			if len(cells) == 2 && cells[0] == "all" {
				cells = slices.Repeat(cells[1:], len(m.SCIM.Columns))
			}
			for _, word := range strings.Fields(words) {
				for i, column := range m.SCIM.Columns {
					id := nid.New(nid.Member)
					if column != "none" {
						id = g.fresh(g.places[column])
					}
					seen++
					clock.Add(2 * time.Hour) // few leave within an hour
					if got, why := g.scim(request, secrets[word], id); got != cells[i] {
						t.Errorf("%s, %s, %s: %s, want %s: %s", request, word, column, got, cells[i], why)
					}
				}
			}
		}
		if want := 3 * len(secrets) * len(m.SCIM.Columns); seen != want {
			t.Errorf("%d of %d cells were asked", seen, want)
		}
	})
}

// scim sends one of the requests about a user and says in a word what came of it.
func (g *ground) scim(request, secret string, id nid.ID) (word, why string) {
	g.t.Helper()
	method, path, body := http.MethodGet, "/Users/"+id.String(), ""
	switch request {
	case "list":
		path = "/Users?filter=" + url.QueryEscape(`id eq "`+id.String()+`"`)
	case "depart":
		method, body = http.MethodPatch, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]}`
	}
	r, err := http.NewRequestWithContext(g.t.Context(), method, strings.TrimSuffix(g.url, "/graphql")+scim.Base+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	r.Header.Set("Content-Type", "application/scim+json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	var got struct {
		TotalResults int
		Active       *bool
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		g.t.Fatalf("%v: %s", err, raw)
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return "UNAUTHENTICATED", string(raw)
	case http.StatusForbidden:
		return "FORBIDDEN", string(raw)
	case http.StatusNotFound:
		return "NOT_FOUND", string(raw)
	case http.StatusOK:
		if request == "list" && got.TotalResults == 0 {
			return "empty", ""
		}
		if request == "depart" && (got.Active == nil || *got.Active) {
			return "still active", string(raw)
		}
		return "ok", ""
	}
	return resp.Status, string(raw)
}
