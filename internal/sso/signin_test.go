package sso_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/sso"
	"github.com/openhandover/openhandover/internal/testcorp"
)

const lina, wang = "lina@example.com", "wang@example.com"

func TestSigningInByTheCompanysProvider(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.connect(s.input())
		b := newBrowser(t)
		s.wants(s.signIn(b, id, lina, "?return=/page%3Fa%3D1"), 303, s.server.URL+"/page?a=1")
		s.wantIs(b, s.lina, false)
		if n := s.entries(access.IdentityLink); n != 1 {
			t.Errorf("%d links recorded", n)
		}
		if m := testcorp.Value[string](s.Corp, `SELECT method FROM sessions WHERE member_id = $1`, s.lina); m != "SINGLE_SIGN_ON" {
			t.Error(m)
		}
		// From now on the subject decides, whatever they are called.
		s.op.users["sub-lina"].Username = wang
		s.op.users["sub-wang"].Username = "other@example.com"
		again := newBrowser(t)
		s.wants(s.signIn(again, id, wang, ""), 303, s.server.URL+"/")
		s.wantIs(again, s.lina, false)
		if n := s.entries(access.IdentityLink); n != 1 {
			t.Errorf("%d links recorded", n)
		}
		// And nobody takes over who is given the name of somebody known.
		s.op.users["sub-lina"].Username = "gone@example.com"
		s.op.users["sub-stranger"].Username = lina
		taken := newBrowser(t)
		s.wants(s.signIn(taken, id, lina, ""), 303, s.server.URL+"/?sso_error=refused")
		// Until an administrator lets it be found anew.
		s.must(s.who.ResetAuthenticators(s.Verified(s.Admin), s.lina))
		s.wants(s.signIn(taken, id, lina, ""), 303, s.server.URL+"/")
		s.wantIs(taken, s.lina, false)
	})
}

func TestSingleSignOnProves(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.connect(s.input())
		b := newBrowser(t)
		if got := s.begin(b, id, "?prove=1"); got.status != 401 {
			t.Errorf("nobody proves who they are: %+v", got)
		}
		// With an authentication that counts here, signing in is a proof for who linked the
		// provider themselves.
		s.op.says("mfa", time.Time{})
		s.linked(id, s.lina, lina)
		s.wants(s.signIn(b, id, lina, ""), 303, s.server.URL+"/")
		s.wantIs(b, s.lina, true)
		// Not with one that was long ago, or none of those listed.
		for _, says := range []struct {
			acr string
			at  time.Time
		}{{"", time.Time{}}, {"pwd", time.Time{}}, {"mfa", s.DB.Now().Add(-identity.Proof - time.Minute)}, {"mfa", s.DB.Now().Add(time.Hour)}} {
			s.op.says(says.acr, says.at)
			other := newBrowser(t)
			s.wants(s.signIn(other, id, lina, ""), 303, s.server.URL+"/")
			s.wantIs(other, s.lina, false)
			// Nor is it one when it is asked for.
			s.wants(s.signIn(other, id, lina, "?prove=1&return=/x"), 303, s.server.URL+"/x?sso_error=unproven")
			s.wantIs(other, s.lina, false)
		}
		s.op.says("mfa", time.Time{})
		other := newBrowser(t)
		s.op.says("", time.Time{})
		s.signIn(other, id, lina, "")
		s.op.says("mfa", time.Time{})
		start := s.begin(other, id, "?prove=1")
		for _, want := range []string{"prompt=login", "max_age=0", "acr_values=mfa", "code_challenge_method=S256"} {
			if !strings.Contains(start.to, want) {
				t.Errorf("%s is not asked for: %s", want, start.to)
			}
		}
		s.wants(s.signIn(other, id, wang, "?prove=1"), 303, s.server.URL+"/?sso_error=unproven") // somebody else came back
		s.wantIs(other, s.lina, false)
		s.wants(s.signIn(other, id, lina, "?prove=1"), 303, s.server.URL+"/")
		s.wantIs(other, s.lina, true)
		if n := s.entries(access.SessionVerify); n != 1 {
			t.Errorf("%d proofs recorded", n)
		}
		// A proof begun in one session is none in the next.
		begun := s.begin(other, id, "?prove=1")
		back := s.authenticate(other, begun.to, lina)
		s.op.says("", time.Time{})
		s.signIn(other, id, lina, "")
		s.op.says("mfa", time.Time{})
		s.wants(other.do("GET", back, nil), 303, s.server.URL+"/?sso_error=expired")
		s.wantIs(other, s.lina, false)

		in := s.input()
		in.ID, in.Version, in.ACRValues = &id, new(1), nil
		_, err := s.s.Save(s.Verified(s.Admin), in)
		s.must(err)
		if got := s.begin(other, id, "?prove=1"); got.status != 409 {
			t.Errorf("a provider that proves nothing: %+v", got)
		}
	})
}

func TestWhoeverComesBackIsWhoWasSent(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.connect(s.input())
		b, victim := newBrowser(t), newBrowser(t)
		start := s.begin(b, id, "")
		back := s.authenticate(b, start.to, lina)
		// Another browser is not signed in by a link that somebody sends it.
		if got := victim.do("GET", back, nil); got.status != 400 {
			t.Errorf("%+v", got)
		}
		u, err := url.Parse(back)
		s.must(err)
		for _, change := range []func(url.Values){
			func(q url.Values) { q.Set("state", "another") }, func(q url.Values) { q.Del("state") }, func(q url.Values) { q.Set("state", strings.Repeat("x", 9000)) },
		} {
			q := u.Query()
			change(q)
			if got := b.do("GET", s.server.URL+u.Path+"?"+q.Encode(), nil); got.status != 400 {
				t.Errorf("%s: %+v", q, got)
			}
		}
		s.wants(b.do("GET", back, nil), 303, s.server.URL+"/")
		s.wantIs(b, s.lina, false)
		if got := b.do("GET", back, nil); got.status != 400 {
			t.Errorf("the same link again: %+v", got)
		}
		if got := s.is(victim); got != " false" {
			t.Errorf("the other browser is %q", got)
		}
		// A slow one begins again.
		slow := newBrowser(t)
		back = s.authenticate(slow, s.begin(slow, id, "").to, lina)
		s.Clock.Add(10 * time.Minute)
		if got := slow.do("GET", back, nil); got.status != 400 || !strings.Contains(got.body, "Begin again") {
			t.Errorf("too late: %+v", got)
		}
		s.Clock.Add(-10 * time.Minute)
		// What the provider refuses is told, and nothing more.
		q := url.Values{"error": {"access_denied"}, "error_description": {"<script>"}}
		to, err := url.Parse(s.begin(slow, id, "?return=/x").to)
		s.must(err)
		q.Set("state", to.Query().Get("state"))
		s.wants(slow.do("GET", s.server.URL+u.Path+"?"+q.Encode(), nil), 303, s.server.URL+"/x?sso_error=denied")
		// Two tabs do not meet.
		one, two := s.begin(b, id, "?return=/one"), s.begin(b, id, "?return=/two")
		s.wants(b.do("GET", s.authenticate(b, one.to, lina), nil), 303, s.server.URL+"/one")
		s.wants(b.do("GET", s.authenticate(b, two.to, lina), nil), 303, s.server.URL+"/two")
	})
}

func TestALinkToUsLeadsNowhereElse(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.connect(s.input())
		b := newBrowser(t)
		for _, bad := range []string{"//evil.example", "https://evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "https:evil.example",
			"evil.example", "/a b", "/a\r\nLocation: x", "https://console.example.com@evil.example/", "https://console.example.com.evil.example/", "http://console.example.com/", "/" + strings.Repeat("x", 1000)} {
			if got := s.begin(b, id, "?return="+url.QueryEscape(bad)); got.status != 400 {
				t.Errorf("%q: %+v", bad, got)
			}
		}
		s.wants(s.signIn(b, id, lina, "?return="+url.QueryEscape("https://console.example.com/home#x")), 303, "https://console.example.com/home#x")
		for _, path := range []string{"/sso/", "/sso/x", "/sso/x/y", "/sso/" + s.ID.String() + "/" + s.lina.String(), "/sso/" + s.ID.String() + "/" + id.String() + "/other",
			"/sso/" + s.ID.String() + "/" + id.String() + "/callback/x"} {
			if got := b.do("GET", s.server.URL+path, nil); got.status != 404 {
				t.Errorf("%s: %+v", path, got)
			}
		}
		if got := b.do("POST", s.server.URL+"/sso/"+s.ID.String()+"/"+id.String(), nil); got.status != 405 {
			t.Errorf("%+v", got)
		}
	})
}

func TestWhoIsLetIn(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		try := func(what string, in sso.Input, user string, ok bool) {
			t.Helper()
			in.Name, in.ClientID = what, strings.ReplaceAll(what, " ", "-")
			id := s.connect(in)
			b := newBrowser(t)
			got := s.signIn(b, id, user, "")
			if (got.to == s.server.URL+"/") != ok || ok == (s.is(b) == " false") {
				t.Errorf("%s: %+v, is %q", what, got, s.is(b))
			}
		}
		in := s.input()
		try("a stranger", in, "stranger@example.com", false)
		in.Domain = "other.example"
		try("another domain", in, lina, false)
		in.Domain, in.Claim = "", "nickname"
		try("no such claim", in, lina, false)
		in.Claim = "preferred_username"
		try("the whole name", in, lina, false)
		in.Domain, in.Claim = "example.com", "email"
		try("an address", in, lina, true)
		s.op.users["sub-wang"].EmailVerified = false
		try("an address that is not verified", in, wang, false)
		s.op.users["sub-wang"].EmailVerified = true
		in.Matches = sso.ByLogin
		try("no login", in, wang, false)
		s.login("wang", s.wang)
		try("a login", in, wang, true)
		none := ""
		in.ClientSecret = &none
		in.Matches = sso.ByUserID
		try("a secret that is missing", in, wang, false)

		in = s.input()
		id := s.connect(in)
		s.Depart(s.wang)
		b := newBrowser(t)
		s.wants(s.signIn(b, id, wang, ""), 303, s.server.URL+"/?sso_error=refused")
		if n := s.entries(access.SessionFail); n == 0 {
			t.Error("nothing tells that somebody was not let in")
		}
	})
}

// Of many who come at once with the same proof each is let in once, and known once.
func TestManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.connect(s.input())
		backs := make([]string, 8)
		browsers := make([]*browser, len(backs))
		for i := range backs {
			browsers[i] = newBrowser(t)
			backs[i] = s.authenticate(browsers[i], s.begin(browsers[i], id, fmt.Sprint("?return=/", i)).to, lina)
		}
		var wg sync.WaitGroup
		for i := range backs {
			wg.Go(func() { s.wants(browsers[i].do("GET", backs[i], nil), 303, fmt.Sprint(s.server.URL, "/", i)) })
		}
		wg.Wait()
		if a, b := s.entries(access.IdentityLink), testcorp.Value[int](s.Corp, `SELECT count(*) FROM member_identities WHERE corp_id = $1`, s.ID); a != 1 || b != 1 {
			t.Errorf("%d links recorded, %d kept", a, b)
		}
	})
}
