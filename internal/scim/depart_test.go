package scim_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/erasure"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

const (
	inactive = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]}`
	again    = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"Replace","path":"active","value":"True"}]}`
)

// TestInactiveEndsEverything: with active=false a leaver's next request fails, and what
// they look after is protected.
func TestInactiveEndsEverything(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		contact := s.Contact("customer", "KEY", s.lina)
		s.Grant(s.lina, access.Manager.Name, s.sales)
		leaver := s.SignedIn(s.lina, true)
		act := func() error {
			_, err := s.people.Deactivate(leaver, member.DeactivateInput{MemberID: s.boss, Mode: member.Disable})
			return err
		}
		if got := fault.CodeOf(act()); got != fault.Forbidden { // signed in, but not over the boss
			t.Fatal(got)
		}
		if r := s.do("PATCH", "/Users/"+s.lina.String(), inactive).want(200); r.body["active"] != false {
			t.Errorf("still active: %s", r.raw)
		}
		if got := fault.CodeOf(act()); got != fault.Unauthenticated {
			t.Errorf("the leaver's next request: %q", got)
		}
		if s.status(s.lina) != "DEPARTED" || s.count(`SELECT count(*) FROM sessions WHERE member_id = $1`, s.lina) != 0 ||
			s.count(`SELECT count(*) FROM contacts WHERE id = $1 AND protected AND accountable_id = $2`, contact, s.boss) != 1 {
			t.Error("sessions, status or protection are wrong")
		}
		entry := `SELECT count(*) FROM audit_entries WHERE action = 'member.deactivate' AND subject_id = $1 AND actor_kind = 'TOKEN'`
		if s.count(entry, s.lina) != 1 {
			t.Error("no entry of the token's")
		}
		version := s.do("GET", "/Users/"+s.lina.String(), "").want(200).header.Get("ETag")
		before := s.count(`SELECT count(*) FROM audit_entries`)
		if got := s.do("PATCH", "/Users/"+s.lina.String(), inactive).want(200).header.Get("ETag"); got != version {
			t.Errorf("a repetition made %s of %s", got, version)
		}
		if n := s.count(`SELECT count(*) FROM audit_entries`); n != before {
			t.Errorf("a repetition wrote %d entries", n-before)
		}
		s.do("PATCH", "/Users/"+s.lina.String(), again).want(403)
		s.must(s.people.Reinstate(s.Verified(s.Admin), member.ReinstateInput{MemberID: s.lina, Reason: "back"}))
		if r := s.do("PATCH", "/Users/"+s.lina.String(), again).want(200); r.body["active"] != true {
			t.Errorf("a person reinstated, yet %s", r.raw)
		}
	})
}

// TestMassDepartureIsHeld: a provider gone wrong lets two go, and the rest wait for a person.
func TestMassDepartureIsHeld(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		var all []nid.ID
		for i := range 8 {
			all = append(all, s.Member(fmt.Sprintf("m%d", i), s.sales))
		}
		var wg sync.WaitGroup
		for _, id := range all { // all at once, each twice
			for range 2 {
				wg.Go(func() { s.quiet("PATCH", "/Users/"+id.String(), inactive) })
			}
		}
		wg.Wait()
		gone, held := 0, nid.ID{}
		for _, id := range all {
			r := s.do("PATCH", "/Users/"+id.String(), inactive).want(200)
			switch active := r.body["active"] == true; s.status(id) {
			case "DEPARTED":
				gone++
				if active {
					t.Error("departed and active")
				}
			case "LEAVING":
				held = id
				if !active {
					t.Error("held back, but told as inactive")
				}
			default:
				t.Errorf("%s is %s", id, s.status(id))
			}
		}
		if gone != 2 || held.IsZero() {
			t.Fatalf("%d departed", gone)
		}
		if n := s.count(`SELECT count(*) FROM members WHERE departure_held_at IS NOT NULL`); n != len(all)-gone {
			t.Errorf("%d are held back", n)
		}
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE action = 'departure.hold'`); n != len(all)-gone {
			t.Errorf("%d entries of departures held back", n)
		}
		s.do("DELETE", "/Users/"+held.String(), "").want(204)
		s.do("GET", "/Users/"+held.String(), "").want(200)
		s.Clock.Add(2 * time.Hour) // time alone does not let them go
		s.do("PATCH", "/Users/"+held.String(), inactive).want(200)
		if _, err := s.people.Depart(t.Context(), s.ID); err != nil || s.status(held) != "LEAVING" {
			t.Errorf("%s, %v", s.status(held), err)
		}
		_, err := s.people.Deactivate(s.Verified(s.Admin), member.DeactivateInput{MemberID: held, Mode: member.Depart, ConfirmMassDeparture: true})
		s.must(err)
		if r := s.do("GET", "/Users/"+held.String(), "").want(200); r.body["active"] != false {
			t.Error("a person let them go, yet they are active")
		}
	})
}

// quiet is do for several at once: it checks nothing but that the answer is no error of ours.
func (s *scene) quiet(method, path, body string) {
	other := &scene{Corp: s.Corp, t: s.t, server: s.server, token: s.token}
	if r := other.do(method, path, body); r.status >= 500 && r.status != 503 {
		s.t.Errorf("%s %s: %d %s", method, path, r.status, r.raw)
	}
}

// TestNobodyIsLeftWithoutAdministrator: the last administrator and the fallback member are held.
func TestNobodyIsLeftWithoutAdministrator(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		if r := s.do("PATCH", "/Users/"+s.Admin.String(), inactive).want(200); r.body["active"] != true || s.status(s.Admin) != "LEAVING" {
			t.Errorf("%s: %s", s.status(s.Admin), r.raw)
		}
		s.do("GET", "/Users", "").want(200) // whoever made the token is still there, and so is it
	})
}

// TestDelete: gone for the provider, kept by us, and back when a person reinstates.
func TestDelete(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		path := "/Users/" + s.lina.String()
		s.do("DELETE", path, "", "If-Match", `W/"7"`).want(412)
		s.do("DELETE", path, "", "If-Match", `W/"1"`).want(204)
		for _, method := range []string{"GET", "DELETE", "PATCH", "PUT"} {
			body := map[string]string{"PATCH": inactive, "PUT": `{"userName":"lina"}`}[method]
			s.do(method, path, body).want(404)
		}
		if got := s.do("GET", "/Users", "").names(); strings.Contains(got, "lina") {
			t.Errorf("the list has %s", got)
		}
		if r := s.do("GET", "/Groups/"+s.sales.String(), "").want(200); len(r.body["members"].([]any)) != 0 {
			t.Errorf("the department has %s", r.raw)
		}
		s.do("POST", "/Users", `{"userName":"LINA"}`).want(409, "uniqueness")
		s.must(s.people.Reinstate(s.Verified(s.Admin), member.ReinstateInput{MemberID: s.lina, Reason: "back"}))
		s.do("GET", path, "").want(200)
		s.Clock.Add(time.Minute)
		if r := s.do("PATCH", path, inactive).want(200); r.body["active"] != false { // not deleted again
			t.Errorf("%s", r.raw)
		}
		s.do("DELETE", path, "").want(204)
		s.must((&erasure.Service{DB: s.DB, Log: s.Log}).Erase(store.System(t.Context(), s.ID, "test"), s.lina))
		if n := s.count(`SELECT count(*) FROM scim_users WHERE member_id = $1`, s.lina); n != 0 {
			t.Error("the provider's words outlive the erasure")
		}
		s.do("GET", path, "").want(404)
	})
}

// TestDisabledStaysSo: somebody whom a person has disabled is inactive already, and
// deleted for good.
func TestDisabledStaysSo(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		_, err := s.people.Deactivate(s.SignedIn(s.Admin, false), member.DeactivateInput{MemberID: s.lina, Mode: member.Disable})
		s.must(err)
		s.do("PATCH", "/Users/"+s.lina.String(), inactive).want(200)
		if s.status(s.lina) != "DISABLED" {
			t.Error(s.status(s.lina))
		}
		s.do("DELETE", "/Users/"+s.lina.String(), "").want(204)
		if s.status(s.lina) != "DEPARTED" {
			t.Error(s.status(s.lina))
		}
	})
}

// TestInactiveFromTheStart: made inactive, then active.
func TestInactiveFromTheStart(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		r := s.do("POST", "/Users", `{"userName":"new","active":false,"externalId":"e1"}`).want(201)
		id := parse(t, r.str("id"))
		if r.body["active"] != false || s.status(id) != "INACTIVE" {
			t.Errorf("%s: %s", s.status(id), r.raw)
		}
		if r := s.do("PATCH", "/Users/"+id.String(), again).want(200); r.body["active"] != true || s.status(id) != "ACTIVE" {
			t.Errorf("%s: %s", s.status(id), r.raw)
		}
		// What the log keeps of somebody is sealed, and says who did it.
		leaf := testcorp.Value[string](s.Corp, `SELECT CAST(leaf AS text) FROM audit_entries WHERE action = 'member.create' AND subject_id = $1`, id)
		if strings.Contains(leaf, `"new"`) {
			t.Error("the name stands in the log in clear")
		}
	})
}

// TestOneOfMany: the same user made by many at once, in any spelling, is made once.
func TestOneOfMany(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		var wg sync.WaitGroup
		for _, name := range []string{"twin", "Twin", "TWIN", "twin", "tWin", "twiN"} {
			wg.Go(func() { s.quiet("POST", "/Users", `{"userName":"`+name+`"}`) })
			wg.Go(func() { s.quiet("POST", "/Groups", `{"displayName":"twins"}`) })
		}
		wg.Wait()
		if n := s.count(`SELECT count(*) FROM members WHERE lower(user_id) = 'twin'`); n != 1 {
			t.Errorf("%d members", n)
		}
		if n := s.count(`SELECT count(*) FROM departments WHERE name = 'twins'`); n != 1 {
			t.Errorf("%d departments", n)
		}
	})
}
