package scim_test

import (
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
)

// By their name somebody is found at a provider: no token gives it to somebody else.
func TestNoTokenRenamesWhoHasARole(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.Grant(s.boss, access.Administrator.Name, nid.ID{})
		s.do("PATCH", "/Users/"+s.boss.String(), `{"Operations":[{"op":"replace","path":"userName","value":"stranger"}]}`).want(403)
		s.do("PATCH", "/Users/"+s.lina.String(), `{"Operations":[{"op":"replace","path":"userName","value":"stranger"}]}`).want(200)
	})
}
