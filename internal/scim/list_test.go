package scim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFilters holds what filters find against what they should.
func TestFilters(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Clock.Add(time.Hour)
		for _, u := range []string{
			`{"userName":"Anna","externalId":"X1","displayName":"李娜","name":{"givenName":"娜","familyName":"李"},"emails":[{"value":"Anna@Example.com","type":"home"}]}`,
			`{"userName":"100%","externalId":"x_2","displayName":"O\"Hara \\ Sons"}`,
			`{"userName":"100x","active":false}`,
		} {
			s.do("POST", "/Users", u).want(201)
		}
		for filter, want := range map[string]string{
			`userName eq "anna"`: "Anna",
			`USERNAME Eq "ANNA"`: "Anna",
			`urn:ietf:params:scim:schemas:core:2.0:User:userName eq "anna"`: "Anna",
			`userName ne "anna" and active eq true`:                         "root-admin boss lina 100%",
			`userName co "00%"`:                                             "100%",
			`userName sw "100"`:                                             "100% 100x",
			`userName sw "10_"`:                                             "",
			`userName ew "A"`:                                               "lina Anna",
			`externalId eq "x_2"`:                                           "100%",
			`externalId eq "x1"`:                                            "", `externalId ne "X1" and externalId pr`: "100%", `not (externalId eq "X1") and userName sw "a"`: "", `not (externalId eq "X1") and userName sw "b"`: "boss",
			`externalId sw "x_"`:  "100%",
			`externalId pr`:       "Anna 100%",
			`externalId eq null`:  "root-admin boss lina 100x",
			`not (externalId pr)`: "root-admin boss lina 100x",
			`displayName eq "李娜"`: "Anna",
			`name.familyName eq "李" or name.givenName eq "?"`:         "Anna",
			`emails.value eq "anna@example.com"`:                      "Anna",
			`emails eq "anna@example.com"`:                            "Anna",
			`emails[type eq "work" and value co "@example"]`:          "Anna",
			`emails[type eq "home"]`:                                  "",
			`emails pr`:                                               "Anna",
			`active eq false`:                                         "100x",
			`active eq "False"`:                                       "100x",
			`active ne true`:                                          "100x",
			`active eq true and (userName sw "l" or userName sw "b")`: "boss lina",
			`active eq false or userName eq "boss" and externalId pr`: "100x",
			`meta.lastModified gt "2026-03-02T09:30:00Z"`:             "Anna 100% 100x",
			`meta.created le "2026-03-02T10:00:00+01:00"`:             "root-admin boss lina",
			`meta.lastModified ge "2026-03-02T10:00:00.000000Z" and meta.lastModified le "2026-03-02T10:00:00Z"`: "Anna 100% 100x",
			`userName gt "100x" and userName lt "boss"`:                                                          "Anna",
			`id eq "` + s.lina.String() + `"`:                                                                    "lina",
			`id eq "` + s.sales.String() + `"`:                                                                   "",
			`id ne "what"`:                                                                                       "root-admin boss lina Anna 100% 100x",
			`userName eq "x' OR '1'='1"`:                                                                         "",
			`userName eq "$1"`:                                                                                   "",
			`displayName co "\\ Sons"`:                                                                           "100%",
			`displayName eq "O\"Hara \\ sons"`:                                                                   "100%", `displayName eq "\u674e\u5a1c"`: "Anna",
			`displayName co "O\"H"`: "100%",
		} {
			r := s.do("GET", "/Users?filter="+escape(filter), "").want(200)
			if got := r.names(); got != want {
				t.Errorf("%s finds %q, want %q", filter, got, want)
			}
			body := s.do("POST", "/Users/.search", `{"filter":`+fmt.Sprintf("%q", filter)+`}`).want(200)
			if got := body.names(); got != want {
				t.Errorf("%s finds %q when searched for, want %q", filter, got, want)
			}
		}
		for filter, says := range map[string]string{
			`nickName eq "x"`: "nickname", `password eq "x"`: "password", `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "x"`: "department",
			`userName`: "", `userName eq`: "", `userName xx "a"`: "", `userName eq "a" and`: "", `(userName eq "a"`: "", `active gt true`: "active", `active eq "maybe"`: "active",
			`id co "mbr"`: "id", `meta.lastModified gt "yesterday"`: "meta.lastmodified", `meta.lastModified gt 5`: "meta.lastmodified", `userName eq 5`: "username", `userName gt null`: "username",
			strings.Repeat("(", 20) + `userName pr` + strings.Repeat(")", 20): "nested", `userName eq "` + strings.Repeat("a", 3000) + `"`: "longer",
			strings.Repeat(`userName pr or `, 40) + `userName pr`: "comparisons", `emails[display eq "x"]`: "emails.display", `members eq "x"`: "members",
			"userName eq \"a\x00b\"": "",
		} {
			r := s.do("GET", "/Users?filter="+strings.ReplaceAll(escape(filter), "\x00", "%00"), "").want(400, "invalidFilter")
			if !strings.Contains(r.str("detail"), says) {
				t.Errorf("%.60s: %s does not name %q", filter, r.str("detail"), says)
			}
		}
		for filter, want := range map[string]string{
			`displayName eq "SALES"`: "sales", `members eq "` + s.lina.String() + `"`: "sales", `members[value eq "` + s.boss.String() + `"]`: "root",
			`id eq "` + s.sales.String() + `" and members.value eq "` + s.boss.String() + `"`: "", `members pr`: "root sales", `members eq "x"`: "", `externalId pr`: "",
			`not (members eq "` + s.lina.String() + `")`: "root",
		} {
			if got := s.do("GET", "/Groups?filter="+escape(filter), "").want(200).names(); got != want {
				t.Errorf("%s finds %q, want %q", filter, got, want)
			}
		}
		s.do("GET", "/Groups?filter="+escape(`userName eq "x"`), "").want(400, "invalidFilter")
	})
}

// TestPages: every resource once, whatever the size of the pages, in few statements.
func TestPages(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		for i := range 12 {
			s.Member(fmt.Sprintf("m%02d", i), s.sales)
			s.Department(fmt.Sprintf("d%02d", i), s.sales)
		}
		for _, size := range []int{1, 4, 15, 200} {
			var all []string
			for start := 1; ; start += size {
				r := s.do("GET", fmt.Sprintf("/Users?startIndex=%d&count=%d", start, size), "").want(200)
				if r.body["totalResults"] != 15.0 || r.body["startIndex"] != float64(start) {
					t.Fatalf("%s", r.raw)
				}
				if len(s.own()) > 4 {
					t.Errorf("a page of %d took %d statements:\n%s", size, len(s.own()), strings.Join(s.own(), "\n"))
				}
				if r.names() == "" {
					break
				}
				all = append(all, strings.Fields(r.names())...)
			}
			if n := len(all); n != 15 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != 15 {
				t.Errorf("pages of %d have %v", size, all)
			}
		}
		few := s.do("GET", "/Groups?count=200", "").want(200)
		if len(few.body["Resources"].([]any)) != 14 || len(s.own()) > 4 {
			t.Errorf("%d statements:\n%s", len(s.own()), strings.Join(s.own(), "\n"))
		}
		s.do("GET", "/Groups?excludedAttributes=members", "").want(200)
		if len(s.own()) > 3 {
			t.Errorf("members were read though excluded:\n%s", strings.Join(s.own(), "\n"))
		}
		for query, status := range map[string]int{
			"count=0": 200, "count=-5": 200, "startIndex=-3&count=2": 200, "startIndex=2147483647&count=2147483647": 200,
			"count=x": 400, "startIndex=99999999999": 400, "sortBy=userName": 400, "attributes=id&excludedAttributes=id": 400,
		} {
			if r := s.do("GET", "/Users?"+query, "").want(status); status == 200 && r.body["totalResults"] != 15.0 {
				t.Errorf("%s: %s", query, r.raw)
			}
		}
		if r := s.do("GET", "/Users?count=100000", "").want(200); r.body["itemsPerPage"] != 15.0 {
			t.Errorf("%s", r.raw)
		}
	})
}

// own are the statements of the last request without those of authentication, BEGIN and
// the corp's setting.
func (s *scene) own() []string {
	var out []string
	for _, q := range s.statements {
		if strings.Contains(q, "scim_") || strings.Contains(q, "member_departments") || strings.Contains(q, "departments AS d") {
			out = append(out, q)
		}
	}
	return out
}

// TestVersions: If-Match guards every change, If-None-Match saves reading again.
func TestVersions(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		for _, path := range []string{"/Users/" + s.lina.String(), "/Groups/" + s.sales.String()} {
			etag := s.do("GET", path, "").want(200).header.Get("ETag")
			if !strings.HasPrefix(etag, `W/"`) {
				t.Fatalf("%s: ETag is %q", path, etag)
			}
			if r := s.do("GET", path, "", "If-None-Match", `"a", `+etag).want(304); len(r.raw) != 0 {
				t.Errorf("304 with %s", r.raw)
			}
			s.do("GET", path, "", "If-None-Match", `W/"a"`).want(200)
			put := `{"userName":"lina","displayName":"other","members":[{"value":"` + s.lina.String() + `"}]}`
			patch := `{"Operations":[{"op":"replace","path":"externalId","value":"e"}]}`
			for method, body := range map[string]string{"PUT": put, "PATCH": patch} {
				s.do(method, path, body, "If-Match", `W/"0"`).want(412)
			}
			s.do("PATCH", path, patch, "If-Match", etag)
			if now := s.do("GET", path, "").want(200).header.Get("ETag"); now == etag {
				t.Errorf("%s: the change left %s", path, etag)
			}
			s.do("PUT", path, put, "If-Match", etag).want(412)
			s.do("PUT", path, put, "If-Match", "*").want(200)
		}
		s.do("PATCH", "/Users/"+s.lina.String(), inactive, "If-Match", `W/"1"`).want(412)
		if s.status(s.lina) != "ACTIVE" {
			t.Error("departed though the version was stale")
		}
		// Whoever is put in by an import changes the group's version, though not its row.
		etag := s.do("GET", "/Groups/"+s.sales.String(), "").header.Get("ETag")
		s.Member("wang", s.sales)
		s.do("GET", "/Groups/"+s.sales.String(), "", "If-None-Match", etag).want(200)
	})
}

// TestHundredsOfMembers: a group is filled and emptied set by set, and repetitions change nothing.
func TestHundredsOfMembers(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		const n = 300
		var values, paths []string
		for i := range n {
			id := s.Member(fmt.Sprintf("m%03d", i), s.Root).String()
			values = append(values, `{"value":"`+id+`"}`)
			paths = append(paths, `{"op":"Remove","path":"members[value eq \"`+id+`\"]"}`)
		}
		path := "/Groups/" + s.sales.String()
		inside := func() int {
			return s.count(`SELECT count(*) FROM member_departments WHERE department_id = $1`, s.sales)
		}
		add := `{"Operations":[{"op":"Add","path":"members","value":[` + strings.Join(values, ",") + `]}]}`
		for range 2 {
			s.do("PATCH", path, add).want(204)
			if len(s.statements) > 40 || inside() != n+1 {
				t.Fatalf("%d statements, %d inside", len(s.statements), inside())
			}
		}
		if got := s.count(`SELECT count(*) FROM audit_entries WHERE action = 'department.members'`); got != 1 {
			t.Errorf("%d entries", got)
		}
		if got := s.count(`SELECT count(*) FROM member_departments WHERE department_id = $1`, s.Root); got != 2 {
			t.Errorf("%d are in the root as well", got) // root-admin and boss
		}
		if r := s.do("GET", path, "").want(200); len(r.body["members"].([]any)) != n+1 {
			t.Error("members are missing")
		}
		for range 2 {
			s.do("PATCH", path, `{"Operations":[`+strings.Join(paths, ",")+`]}`).want(204)
			if inside() != 1 {
				t.Fatalf("%d inside", inside())
			}
		}
		if got := s.count(`SELECT count(*) FROM members AS m WHERE NOT EXISTS (SELECT 1 FROM member_departments AS d WHERE d.member_id = m.id)`); got != 0 {
			t.Errorf("%d are nowhere", got)
		}
		s.do("PUT", path, `{"displayName":"sales"}`).want(200)
		if inside() != 0 || s.count(`SELECT count(*) FROM member_departments WHERE department_id = $1 AND member_id = $2`, s.Root, s.lina) != 1 {
			t.Error("lina is not in the root")
		}
		// Of the root nobody is taken who is nowhere else.
		s.do("PATCH", "/Groups/"+s.Root.String(), `{"Operations":[{"op":"remove","path":"members"}]}`).want(204)
		if s.count(`SELECT count(*) FROM member_departments WHERE department_id = $1`, s.Root) != n+3 {
			t.Error("somebody is nowhere")
		}
		many := slices.Repeat([]string{`{"op":"remove","path":"externalId"}`}, 1001)
		s.do("PATCH", path, `{"Operations":[`+strings.Join(many, ",")+`]}`).want(413)
	})
}
