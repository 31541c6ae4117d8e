package scim_test

import (
	"fmt"
	"strings"
	"testing"
)

// Who holds a token makes up no crowd in which a mass departure would hide.
func TestUsersThatATokenMakesDiluteNoGuard(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		var there []string
		for i := range 8 {
			there = append(there, s.Member(fmt.Sprintf("m%d", i), s.sales).String())
		}
		for i := range 90 {
			r := s.do("POST", "/Users", fmt.Sprintf(`{"userName":"fake%d","active":%t}`, i, i%2 == 0))
			r.want(201)
			if i%2 != 0 { // called to work afterwards
				s.do("PATCH", "/Users/"+r.str("id"), `{"Operations":[{"op":"replace","path":"active","value":true}]}`).want(200)
			}
		}
		for _, id := range there {
			s.do("DELETE", "/Users/"+id, "").want(204)
		}
		if n := s.count(`SELECT count(*) FROM members WHERE corp_id = $1 AND status = 'DEPARTED'`, s.ID); n > 2 {
			t.Errorf("%d of 11 have gone, 2 are plausible", n)
		}
	})
}

// What is refused changes nothing: nobody has left by it.
func TestARefusedRequestLetsNobodyGo(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		for method, body := range map[string]string{
			"PATCH": `{"Operations":[{"op":"replace","path":"active","value":false},{"op":"replace","path":"userName","value":"boss"}]}`,
			"PUT":   `{"userName":"boss","active":false}`,
		} {
			id := s.Member("one-"+strings.ToLower(method), s.sales)
			s.do(method, "/Users/"+id.String(), body).want(409)
			if got := s.status(id); got != "ACTIVE" {
				t.Errorf("%s was refused, and the member is %s", method, got)
			}
		}
		s.do("PATCH", "/Users/"+s.Admin.String(), inactive, "If-Match", `W/"77"`).want(412)
		s.do("DELETE", "/Users/"+s.Admin.String(), "", "If-Match", `W/"77"`).want(412)
		if got := s.status(s.Admin); got != "ACTIVE" {
			t.Errorf("the last administrator is %s by a stale version", got)
		}
		// In one request: the change, then the departure.
		s.do("PATCH", "/Users/"+s.lina.String(), `{"Operations":[{"op":"replace","path":"active","value":false},{"op":"replace","path":"name.givenName","value":"Na"}]}`).want(200)
		if got := s.status(s.lina); got != "DEPARTED" {
			t.Errorf("lina is %s", got)
		}
	})
}

// Reading paths is dear, so there is an end to them.
func TestThePathsOfAPatchAreBounded(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		op := `{"op":"replace","path":"emails[type eq \"` + strings.Repeat("h", 900) + `\"].value","value":"x"}`
		s.do("PATCH", "/Users/"+s.lina.String(), `{"Operations":[`+strings.Repeat(op+",", 999)+op+`]}`).want(413)
		keys := strings.Repeat(`{"op":"replace","value":{"`+strings.Repeat("a.", 400)+`b":"x"}},`, 99) + `{"op":"replace","value":{"` + strings.Repeat("a.", 400) + `b":"x"}}`
		if r := s.do("PATCH", "/Users/"+s.lina.String(), `{"Operations":[`+keys+`]}`); r.status < 400 {
			t.Errorf("%d", r.status)
		}
	})
}
