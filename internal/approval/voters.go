package approval

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Voters is who there is to approve plans.
type Voters struct {
	// Approvers is how many people at work hold APPROVE_HANDOVER, anywhere.
	Approvers int
	// PartiesApart: a plan can be requested by somebody, and go to somebody, who is no
	// approver. Otherwise every plan takes one of them away: neither the requester nor
	// a successor may vote.
	PartiesApart bool
}

// Most is how many votes the luckiest plan could get.
func (v Voters) Most() int {
	if v.PartiesApart {
		return v.Approvers
	}
	return max(v.Approvers-1, 0)
}

// Possible looks who could vote now.
func Possible(ctx context.Context, q store.Querier) (v Voters, err error) {
	db, corp := store.EngineOf(q), access.From(ctx).Corp
	type role struct {
		id          nid.ID
		permissions []byte
	}
	roles, err := store.Select(ctx, q, func(r *role) []any { return []any{&r.id, &r.permissions} }, `SELECT id, permissions FROM roles WHERE corp_id = $1`, corp)
	if err != nil {
		return v, err
	}
	var approving, planning []nid.ID
	for _, r := range roles {
		var ps []access.Permission
		if err := json.Unmarshal(r.permissions, &ps); err != nil {
			return v, err
		}
		if slices.Contains(ps, access.ApproveHandover) {
			approving = append(approving, r.id)
		}
		if slices.Contains(ps, access.PlanHandover) {
			planning = append(planning, r.id)
		}
	}
	v, _, err = store.SelectOne(ctx, q, func(v *Voters) []any { return []any{&v.Approvers, &v.PartiesApart} }, `
		WITH held AS (SELECT g.member_id, g.role_id FROM grants AS g JOIN members AS m ON m.corp_id = g.corp_id AND m.id = g.member_id AND m.answers AND NOT m.suspended
			WHERE g.corp_id = $1 AND g.revoked_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > $2)),
		approvers AS (SELECT DISTINCT member_id FROM held WHERE role_id `+db.In(3)+`)
		SELECT (SELECT count(*) FROM approvers),
			EXISTS (SELECT 1 FROM held WHERE role_id `+db.In(4)+` AND member_id NOT IN (SELECT member_id FROM approvers))
			AND EXISTS (SELECT 1 FROM members AS m WHERE m.corp_id = $1 AND m.answers AND m.customer_contact_enabled AND m.id NOT IN (SELECT member_id FROM approvers))`,
		corp, db.Now(), db.IDs(approving), db.IDs(planning))
	return v, err
}

// Asks reports whether a plan needs approval under the policy for what it moves. Plans that
// give history of members at work, or to somebody behind them, always do.
func (p Policy) Asks() bool { return p.KeyContacts || p.Above != nil }

// Unsatisfiable is the INVALID fault for a policy that no plan could satisfy, given
// who could vote; nil where one could.
func (p Policy) Unsatisfiable(v Voters) *fault.Error {
	if !p.Asks() || p.Approvals <= v.Most() {
		return nil
	}
	return fault.Bad("input.approvals",
		"a plan could get %d approval(s) at most: %d people at work may approve, and neither requester nor leaver nor successor votes. Make more people approver, or ask for fewer approvals",
		"一份计划最多只能获得 %d 次审批:在职且有审批权限的有 %d 人,而申请人、离职成员和接替成员不能审批。请增加审批人,或减少审批次数", v.Most(), v.Approvers).
		With("approvers", v.Approvers).With("possibleApprovals", v.Most())
}

// Warnings says, in words, what about the policy works only just. Empty: nothing.
func (p Policy) Warnings(v Voters) []fault.Text {
	if !p.Asks() || p.Approvals != v.Most() {
		return nil
	}
	if p.Approvals == 1 {
		return []fault.Text{fault.T("approvals hang on a single person: while that person is away or takes part in a handover, nobody can approve it",
			"审批只依赖一个人:此人不在或参与交接时,将无人可以审批")}
	}
	return []fault.Text{fault.T("every one of the people who could approve is needed (%d): while one of them is away or takes part in a handover, it cannot be approved",
		"所有可审批的人(%d 人)缺一不可:其中一人不在或参与交接时,该交接将无法通过审批", p.Approvals)}
}
