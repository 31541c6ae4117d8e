package review_test

import (
	"context"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/review"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// token has somebody make a service token for a department; the zero id is the whole corp.
func (s *scene) token(maker context.Context, department nid.ID, permissions ...access.Permission) nid.ID {
	s.t.Helper()
	var where *nid.ID
	if !department.IsZero() {
		where = &department
	}
	id, _, err := (&identity.Service{DB: s.DB, Log: s.Log}).CreateToken(maker, "token", permissions, where, s.DB.Now().AddDate(0, 6, 0))
	s.must(err)
	return id
}

func (s *scene) itemOf(reviewed, token nid.ID) nid.ID {
	s.t.Helper()
	return testcorp.Value[nid.ID](s.Corp, `SELECT id FROM review_items WHERE review_id = $1 AND token_id = $2`, reviewed, token)
}

func (s *scene) revoked(token nid.ID) bool {
	s.t.Helper()
	return s.count(`SELECT count(*) FROM service_tokens WHERE id = $1 AND revoked_at IS NOT NULL`, token) == 1
}

// A review asks about tokens as it does about grants: within its scope, never their
// maker, and silence revokes.
func TestTokensAreReviewed(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		wide := s.token(s.Verified(s.Admin), nid.ID{}, access.ProvisionMembers)
		near := s.token(s.Verified(s.Admin), s.sales, access.ViewContacts)
		there := s.token(s.Verified(s.Admin), s.shop, access.ViewContacts)
		id := s.start()
		if n := s.count(`SELECT count(*) FROM review_items WHERE review_id = $1 AND token_id IS NOT NULL`, id); n != 3 {
			t.Fatalf("%d items about tokens, want 3", n)
		}
		if n := s.count(`SELECT count(*) FROM review_items WHERE review_id = $1 AND token_id IS NOT NULL AND rank = 0`, id); n != 1 {
			t.Errorf("%d sensitive tokens, want 1", n)
		}
		s.wants(s.decide(s.Admin, s.itemOf(id, wide), review.Keep), fault.Forbidden, "")
		s.wants(s.decide(s.keeper, s.itemOf(id, wide), review.Keep), fault.NotFound, "input.id")
		s.wants(s.decide(s.keeper, s.itemOf(id, there), review.Keep), fault.NotFound, "input.id")
		s.must(s.decide(s.keeper, s.itemOf(id, near), review.Keep))
		s.must(s.decide(s.second, s.itemOf(id, there), review.Revoke))
		if s.revoked(near) || !s.revoked(there) || s.revoked(wide) {
			t.Fatal("the decisions have another effect")
		}
		s.wants(s.decide(s.second, s.itemOf(id, there), review.Keep), fault.Conflict, "input.id")
		s.Clock.Add(10 * day)
		s.work()
		if s.revoked(near) || !s.revoked(wide) {
			t.Error("silence did not revoke what it should, and no more")
		}
		if n := s.entries(access.TokenRevoke); n != 2 {
			t.Errorf("%d entries of revoked tokens, want 2", n)
		}
		_, err := audit.Verify(context.Background(), s.DB, s.ID, audit.Trust{}, nil)
		s.must(err)
	})
}
