package scim_test

import "testing"

// TestPatchIsRefused: what cannot be done says why in SCIM's words, and changes nothing.
func TestPatchIsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		user, group := "/Users/"+s.lina.String(), "/Groups/"+s.sales.String()
		before := s.count(`SELECT count(*) FROM audit_entries`)
		for _, c := range []struct{ path, op, kind string }{
			{user, `{"op":"remove"}`, "noTarget"},
			{user, `{"op":"move","path":"userName","value":"x"}`, "invalidSyntax"},
			{user, `{"op":"remove","path":"userName"}`, "invalidValue"},
			{user, `{"op":"replace","path":"userName","value":""}`, "invalidValue"},
			{user, `{"op":"replace","path":"userName","value":" x"}`, "invalidValue"},
			{user, `{"op":"replace","path":"userName","value":5}`, "invalidValue"},
			{user, `{"op":"replace","path":"displayName","value":"a\u202eb"}`, "invalidValue"},
			{user, `{"op":"replace","path":"active","value":"maybe"}`, "invalidValue"},
			{user, `{"op":"replace","path":"active","value":null}`, "invalidValue"},
			{user, `{"op":"replace","path":"id","value":"mbr_x"}`, "mutability"},
			{user, `{"op":"replace","path":"salary","value":1}`, "invalidPath"},
			{user, `{"op":"replace","path":"urn:example:x:y","value":1}`, "invalidPath"},
			{user, `{"op":"replace","path":"emails[type eq","value":1}`, "invalidPath"},
			{user, `{"op":"replace","value":"x"}`, "invalidValue"},
			{user, `{"op":"replace","value":{"active":true,"Active":false}}`, "invalidValue"},
			{group, `{"op":"remove","path":"displayName"}`, "invalidValue"},
			{group, `{"op":"add","path":"members","value":[{"value":"` + s.sales.String() + `"}]}`, "invalidValue"},
			{group, `{"op":"replace","path":"members[value eq \"` + s.lina.String() + `\"]","value":{"value":"x"}}`, "mutability"},
			{group, `{"op":"remove","path":"members[display eq \"x\"]"}`, "invalidFilter"},
			{group, `{"op":"add","path":"owners","value":[]}`, "invalidPath"},
		} {
			// The first operation is fine: all of them take effect or none.
			s.do("PATCH", c.path, `{"Operations":[{"op":"replace","path":"externalId","value":"e"},`+c.op+`]}`).want(400, c.kind)
		}
		for _, body := range []string{`{}`, `[]`, `x`, `{"Operations":[]}`, `{"Operations":[{}],"schemas":["x"]}`, `{"Operations":{}}`} {
			s.do("PATCH", user, body).want(400, "invalidSyntax")
		}
		if n := s.count(`SELECT count(*) FROM audit_entries`); n != before || s.count(`SELECT count(*) FROM scim_users`)+s.count(`SELECT count(*) FROM scim_groups`) != 0 {
			t.Errorf("%d entries were written", n-before)
		}
		// What is said of other addresses is let be, of the one we keep it is done.
		for op, want := range map[string]string{
			`{"op":"add","path":"emails[type eq \"home\"].value","value":"home@example.com"}`:                                                                                           "",
			`{"op":"add","path":"emails","value":[{"type":"home","value":"b@example.com"},{"type":"work","value":"a@example.com"}]}`:                                                    "a@example.com",
			`{"op":"add","path":"emails","value":{"value":"c@example.com"}}`:                                                                                                            "c@example.com",
			`{"op":"add","path":"emails[primary eq true].value","value":"d@example.com"}`:                                                                                               "d@example.com",
			`{"op":"remove","path":"emails[type eq \"work\"]"}`:                                                                                                                         "",
			`{"op":"replace","value":{"urn:ietf:params:scim:schemas:core:2.0:User":{"name":{"familyName":"李","givenName":"娜"},"emails":[{"value":"e@example.com","primary":"True"}]}}}`: "e@example.com",
		} {
			s.do("PATCH", user, `{"Operations":[{"op":"remove","path":"emails"},`+op+`]}`).want(200)
			if got := s.count(`SELECT count(*) FROM scim_users WHERE member_id = $1 AND email = $2`, s.lina, want); (got == 1) != (want != "") {
				t.Errorf("%s does not keep %q", op, want)
			}
		}
	})
}
