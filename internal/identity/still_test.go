package identity_test

import (
	"context"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// still asks who the context's actor is by now, as a stream does.
func (s *scene) still(ctx context.Context) (a *access.Actor, err error) {
	err = s.DB.View(ctx, func(ctx context.Context, r *store.Read) (err error) {
		a, err = identity.Still(ctx, r, s.DB.Now())
		return err
	})
	return a, err
}

// What lasts longer than a request goes by the grants of each moment, and ends with
// the session.
func TestStill(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ctx := s.SignedIn(s.lina, true)
		first, err := s.still(ctx)
		s.must(err)
		if was := access.From(ctx); first.ID != s.lina || first.RequestID != was.RequestID || first.Lang != was.Lang || len(first.Grants) != 0 {
			t.Errorf("%+v, was %+v", first, was)
		}
		grant := s.Grant(s.lina, access.Auditor.Name, nid.ID{})
		if a, err := s.still(ctx); err != nil || !a.Can(access.ReadAuditLog) {
			t.Errorf("the new grant is not seen: %+v, %v", a, err)
		}
		s.do("grants", `UPDATE grants SET revoked_at = $2 WHERE id = $1 RETURNING id`, grant, s.DB.Now())
		if a, err := s.still(ctx); err != nil || a.Can(access.ReadAuditLog) {
			t.Errorf("the revoked grant is still there: %+v, %v", a, err)
		}
		if len(access.From(ctx).Grants) != 0 {
			t.Error("the context's actor was changed")
		}

		id, token, err := s.s.CreateToken(s.system(), "bot", []access.Permission{access.ViewStatistics}, nil, s.DB.Now().Add(100*minute))
		s.must(err)
		bot := s.with(token)
		if a, err := s.still(bot); err != nil || a.ID != id || !a.Can(access.ViewStatistics) {
			t.Errorf("%+v, %v", a, err)
		}
		s.Clock.Add(100 * minute)
		_, err = s.still(bot)
		wants(t, err, fault.Unauthenticated, "")
		if a, err := s.still(s.system()); err != nil || a.Kind != access.System {
			t.Errorf("%+v, %v", a, err)
		}

		unused := s.SignedIn(s.lina, false)
		s.Clock.Add(identity.SessionIdle)
		_, err = s.still(unused)
		wants(t, err, fault.Unauthenticated, "")
		left := s.SignedIn(s.lina, false)
		s.Depart(s.lina)
		_, err = s.still(left)
		wants(t, err, fault.Unauthenticated, "")
	})
}
