package approval

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Service is the use case of changing the policy.
type Service struct {
	DB  *store.DB
	Log *audit.Log
}

// The bounds of a policy.
const (
	maxAbove     = 1_000_000
	maxApprovals = 10
	maxHours     = 720
)

// SaveInput is the whole new policy.
type SaveInput struct {
	// Above is the threshold; nil: there is none.
	Above                        *int
	KeyContacts                  bool
	Approvals, ExpiresAfterHours int
	// Version is the one the caller saw. Nil serves while the policy is the one that
	// the corp was founded with.
	Version *int
}

func (in *SaveInput) check() error {
	var bad fault.List
	within := func(field string, n, least, most int) {
		if n < least || n > most {
			bad = append(bad, fault.Bad("input."+field, "must be between %d and %d", "请输入 %d 到 %d 之间的数字", least, most))
		}
	}
	if in.Above != nil {
		within("above", *in.Above, 0, maxAbove)
	}
	within("approvals", in.Approvals, 1, maxApprovals)
	within("expiresAfterHours", in.ExpiresAfterHours, 1, maxHours)
	return bad.Err()
}

// founded is the version of the policy that a corp starts with.
const founded = 1

// Saved is what became of a policy.
type Saved struct {
	// Warnings say what about the policy works only just.
	Warnings []fault.Text
	// Pending is the change that waits for a second person; zero where it was made.
	Pending nid.ID
}

// Save replaces the corp's policy. It needs MANAGE_POLICIES over the whole corp and a
// fresh proof of identity. A policy that asks for less in any respect takes a second
// person who saves the same within 72 hours; where nobody else could, it is stored at
// once. Either way the earlier policy counts for another 24 hours, and handovers that
// were submitted before stay under the stricter of both. A stricter policy counts at
// once. The same policy once more is no change and leaves no entry.
//
// Fails with FORBIDDEN, STEP_UP_REQUIRED, CONFLICT for a stale version and for a weaker
// policy that the actor has asked for already, and INVALID for a number out of bounds and
// on input.approvals for more votes than anybody could get.
func (s *Service) Save(ctx context.Context, in SaveInput) (out Saved, err error) {
	err = s.Log.Tx(ctx, s.DB, access.PolicySave, func(ctx context.Context, tx *store.Tx) error {
		out = Saved{} // the transaction may run again
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Scope(access.ManagePolicies).All {
			return fault.Denied("the approval policy needs MANAGE_POLICIES over the whole corp", "修改审批策略需要对整个企业的 MANAGE_POLICIES 权限")
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if err := in.check(); err != nil {
			return err
		}
		was, err := saved(ctx, tx, tx.DB().ForNoKeyUpdate())
		if err != nil {
			return err
		}
		if in.Version == nil && was.Version != founded || in.Version != nil && *in.Version != was.Version {
			return fault.Stale("input.version", was.Version)
		}
		is := Policy{Above: in.Above, KeyContacts: in.KeyContacts, Approvals: in.Approvals, ExpiresAfter: time.Duration(in.ExpiresAfterHours) * time.Hour}
		v, err := Possible(ctx, tx)
		if err != nil {
			return err
		}
		if err := is.Unsatisfiable(v); err != nil {
			return err
		}
		out.Warnings = is.Warnings(v)
		if is.same(was) {
			return nil
		}
		var second identity.Decision
		if is.weakerThan(was) {
			asked := is.record()
			asked["version"] = was.Version
			if second, err = identity.Propose(ctx, tx, actor, identity.Proposal{Operation: "saveApprovalPolicy", Subject: tx.Corp(), Asked: asked,
				Needs: []access.Permission{access.ManagePolicies}, Lingers: true}); err != nil {
				return err
			}
			if !second.Made {
				out.Pending = second.ID
				return s.Log.Append(ctx, tx, second.Entries...)
			}
		}
		return s.replace(ctx, tx, was, is, second)
	})
	if err != nil {
		return Saved{}, err
	}
	return out, nil
}

// replace stores a policy and keeps the one before.
func (s *Service) replace(ctx context.Context, tx *store.Tx, was, is Policy, second identity.Decision) error {
	if _, err := tx.Change(ctx, "approval_policy_history", `INSERT INTO approval_policy_history
		(corp_id, version, above, key_contacts, approvals, expires_after_hours, ended_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING corp_id`,
		tx.Corp(), was.Version, was.Above, was.KeyContacts, was.Approvals, int(was.ExpiresAfter/time.Hour), tx.Now()); err != nil {
		return err
	}
	if _, err := tx.Change(ctx, "approval_policies", `UPDATE approval_policies SET above = $2, key_contacts = $3, approvals = $4, expires_after_hours = $5,
		version = version + 1, updated_at = $6 WHERE corp_id = $1 RETURNING corp_id`,
		tx.Corp(), is.Above, is.KeyContacts, is.Approvals, int(is.ExpiresAfter/time.Hour), tx.Now()); err != nil {
		return err
	}
	// Other changes that wait were asked for on top of the policy that is gone.
	gone, err := identity.DismissAll(ctx, tx, "saveApprovalPolicy", tx.Corp(), "")
	if err != nil {
		return err
	}
	return s.Log.Append(ctx, tx, audit.Entry{
		Action: access.PolicySave, Subject: tx.Corp(), Before: was.record(), After: second.Note(is.record()), Covers: append(second.Covers, gone...),
	})
}

// same compares all but the version.
func (p Policy) same(q Policy) bool {
	return (p.Above == nil) == (q.Above == nil) && (p.Above == nil || *p.Above == *q.Above) &&
		p.KeyContacts == q.KeyContacts && p.Approvals == q.Approvals && p.ExpiresAfter == q.ExpiresAfter
}

// record is the policy as the log keeps it.
func (p Policy) record() map[string]any {
	out := map[string]any{"keyContacts": p.KeyContacts, "approvals": p.Approvals, "expiresAfterHours": int(p.ExpiresAfter / time.Hour)}
	if p.Above != nil {
		out["above"] = *p.Above
	}
	return out
}
