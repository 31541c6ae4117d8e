package scim_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/roster"
	"github.com/openhandover/openhandover/internal/scim"
)

// paper is a directory that takes everything.
type paper struct{ t testing.TB }

var nobody = roster.User{ID: nid.New(nid.Member), UserName: "a", Name: "b", Email: "c@example.com", Version: 1}

func (paper) User(context.Context, nid.ID) (roster.User, error) { return nobody, nil }
func (p paper) Users(_ context.Context, q roster.Query) (roster.Page[roster.User], error) {
	p.sane(q)
	return roster.Page[roster.User]{Items: []roster.User{nobody}, Total: 1}, nil
}
func (p paper) CreateUser(_ context.Context, in roster.UserChange) (roster.User, error) {
	if in.UserName == nil || in.Name == nil {
		p.t.Error("a user without a name")
	}
	return nobody, nil
}
func (paper) UpdateUser(context.Context, nid.ID, roster.UserChange) (roster.User, error) {
	return nobody, nil
}
func (paper) DeleteUser(context.Context, nid.ID, roster.Versions) error { return nil }
func (paper) Group(_ context.Context, id nid.ID, _ bool) (roster.Group, error) {
	return roster.Group{ID: id, Name: "g", Members: []roster.Ref{{ID: nobody.ID, Name: "b"}}, Version: "1-a"}, nil
}
func (p paper) Groups(_ context.Context, q roster.Query) (roster.Page[roster.Group], error) {
	p.sane(q)
	return roster.Page[roster.Group]{Items: []roster.Group{{Name: "g"}}, Total: 1}, nil
}
func (paper) CreateGroup(context.Context, roster.GroupChange) (roster.Group, error) {
	return roster.Group{Name: "g"}, nil
}
func (p paper) UpdateGroup(_ context.Context, _ nid.ID, in roster.GroupChange) error {
	for id := range in.Add {
		if in.Remove[id] || id.Kind() != nid.Member {
			p.t.Error("somebody is put in and taken out, or is nobody")
		}
	}
	return nil
}

// sane checks what a directory may rely on.
func (p paper) sane(q roster.Query) {
	if q.Count < 0 || q.Count > roster.MaxPage || q.Skip < 0 {
		p.t.Errorf("a page of %d after %d", q.Count, q.Skip)
	}
	var terms func(c roster.Condition) int
	terms = func(c roster.Condition) int {
		switch c := c.(type) {
		case roster.And:
			return terms(c.Left) + terms(c.Right)
		case roster.Or:
			return terms(c.Left) + terms(c.Right)
		case roster.Not:
			return terms(c.Of)
		}
		return 1
	}
	if n := terms(q.Where); n > 32 {
		p.t.Errorf("%d comparisons", n)
	}
}

// FuzzHandler sends hostile filters, paths, queries and bodies: the answer is always
// SCIM, never a panic or an error of ours.
func FuzzHandler(f *testing.F) {
	for _, body := range []string{
		`{}`, `[]`, `null`, `{"userName":null}`, `{"userName":"a","USERNAME":"b"}`, `{"userName":"a","emails":{"value":5}}`, "\xef\xbb\xbf{}",
		`{"Operations":[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"x"}]}`,
		`{"Operations":[{"op":"replace","value":{"name.givenName":"x","emails[type eq \"work\"].value":"y","active":"False"}}]}`,
		`{"Operations":[{"op":"remove","path":"members[value eq \"x\" or value eq \"y\"]"}]}`,
		`{"Operations":[{"op":"add","path":"members","value":[{"value":"mbr_00000000000000000000000000"}]}]}`,
		`{"Operations":[{"op":"replace","value":{"urn:ietf:params:scim:schemas:core:2.0:User":{"urn:ietf:params:scim:schemas:core:2.0:User":{"active":true}}}}]}`,
		`{"Operations":[{"op":"remove","path":"` + strings.Repeat("(", 5000) + `"}]}`, `{"Operations":[{"op":"add","path":"a[b[c[d eq 1]]]","value":1}]}`,
		`{"Operations":[{"op":"add","path":"urn:x:y:z","value":"1"}],"schemas":["x"]}`, `{"displayName":"a","members":{"value":"x"}}`,
	} {
		f.Add(byte(0), `userName eq "a"`, "", body)
		f.Add(byte(1), `a[b eq "c"]`, "attributes=userName,name.givenName", body)
	}
	for _, filter := range []string{`userName eq "\u0000"`, `((((`, `"`, `\`, `userName eq "\"`, `not (not (userName pr))`, `a.b.c eq 1`, `id eq 1e999999999`, `active eq true and`, `emails[`, `x:y:z pr`, `$ref eq "x"`, `userName eq -0`} {
		f.Add(byte(2), filter, "startIndex=-1&count=9999999999", `{"filter":"x"}`)
	}
	actor := &access.Actor{Kind: access.Token, Corp: nid.New(nid.Corp), ID: nid.New(nid.Token), Lang: "en", Grants: []access.Grant{{Permissions: []access.Permission{access.ProvisionMembers}}}}
	department := nid.New(nid.Department).String()
	f.Fuzz(func(t *testing.T, which byte, filter, query, body string) {
		handler := scim.New(paper{t}, slog.New(slog.DiscardHandler))
		routes := []struct{ method, path string }{
			{"POST", "/Users"}, {"PATCH", "/Users/" + nobody.ID.String()}, {"PUT", "/Users/" + nobody.ID.String()}, {"GET", "/Users"}, {"POST", "/Users/.search"},
			{"POST", "/Groups"}, {"PATCH", "/Groups/" + department}, {"PUT", "/Groups/" + department}, {"GET", "/Groups"}, {"POST", "/Groups/.search"},
		}
		for i, route := range routes {
			if which != 0 && int(which)%len(routes) != i {
				continue
			}
			u := &url.URL{Path: scim.Base + route.path, RawQuery: "filter=" + url.QueryEscape(filter) + "&" + query}
			r := httptest.NewRequest(route.method, "/", strings.NewReader(body))
			r.URL = u
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r.WithContext(access.With(r.Context(), actor)))
			if w.Code >= 500 {
				t.Fatalf("%s %s: %d %s", route.method, u, w.Code, w.Body)
			}
			if w.Code != http.StatusNoContent && w.Code != http.StatusNotModified && !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%s %s: %d %s", route.method, u, w.Code, w.Body)
			}
		}
	})
}
