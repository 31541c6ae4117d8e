package grant_test

import (
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
)

// Under dual control a sensitive role takes two, whoever comes first and however many at
// once, within 72 hours; what has lapsed is gone.
func TestASensitiveRoleTakesTwo(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		boss := s.Member("boss", s.Root)
		s.Grant(boss, access.Administrator.Name, nid.ID{})
		s.must((&setting.Service{DB: s.DB, Log: s.Log}).Save(s.Verified(s.Admin), setting.SaveInput{DualControl: new(true)}))
		manager := s.Roles[access.Manager.Name]
		give := func(who nid.ID) error {
			_, err := s.s.Grant(s.Verified(who), s.lina, manager, nil, nil)
			return err
		}
		has := func() int {
			return s.count(`SELECT count(*) FROM grants WHERE corp_id = $1 AND member_id = $2 AND role_id = $3`, s.ID, s.lina, manager)
		}
		waiting := func() int { return s.count(`SELECT count(*) FROM pending_grants WHERE corp_id = $1`, s.ID) }
		who := &identity.Service{DB: s.DB, Log: s.Log, Demo: true}
		s.must(give(s.Admin))
		_, err := who.ResetPassword(s.Verified(s.Admin), boss, nil)
		s.must(err)
		wants(t, give(boss), fault.Forbidden, "") // boss may be who has asked
		s.Clock.Add(72 * time.Hour)
		s.must(give(boss)) // asks anew
		if has() != 0 || waiting() != 1 {
			t.Fatalf("%d grants, %d wait", has(), waiting())
		}
		var both sync.WaitGroup
		for range 4 { // of many who say yes at once, one gives
			both.Go(func() { _ = give(s.Admin) })
			both.Go(func() { _ = give(boss) })
		}
		both.Wait()
		if has() != 1 {
			t.Errorf("%d grants", has())
		}
	})
}
