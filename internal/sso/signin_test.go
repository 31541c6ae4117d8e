package sso_test

import (
	"testing"

	"github.com/openhandover/openhandover/internal/access"
)

func TestSigningInByTheCompanysProvider(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		id := s.connect(s.input())
		b := newBrowser(t)
		s.wants(s.signIn(b, id, "lina@example.com", "?return=/page"), 303, s.server.URL+"/page")
		s.wantIs(b, s.lina, false)
		if n := s.entries(access.IdentityLink); n != 1 {
			t.Errorf("%d links recorded", n)
		}
	})
}
