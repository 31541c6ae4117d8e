package identity

import (
	"context"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Held is a grant in force: what of it decides whether it may end.
type Held struct{ ID, Member, Role, Department nid.ID }

// LastAdministrator is the CONFLICT of a grant without which nobody would administer the corp.
func LastAdministrator(field string) error {
	return fault.Clash(field, "nobody would be left who administers the corp for good; make somebody else administrator first", "撤销后将没有长期有效的企业管理员,请先指定其他管理员")
}

// EndGrants takes back grants that are in force, whoever decided it, and gives an entry
// for each, which the caller appends. One without which nobody would manage the roles of
// the whole corp stays, and has no entry: of several such grants the last. managing is
// what LockRoles gave in this transaction.
func EndGrants(ctx context.Context, tx *store.Tx, managing []nid.ID, all ...Held) ([]audit.Entry, error) {
	manages := func(h Held) bool { return h.Department.IsZero() && slices.Contains(managing, h.Role) }
	left := map[nid.ID]bool{}
	if slices.ContainsFunc(all, manages) {
		managers, err := RoleManagers(ctx, tx, managing)
		if err != nil {
			return nil, err
		}
		for _, m := range managers {
			left[m.Grant] = true
		}
	}
	var ids []nid.ID
	var entries []audit.Entry
	for _, h := range all {
		if manages(h) {
			if len(left) == 1 && left[h.ID] {
				continue
			}
			delete(left, h.ID)
		}
		after := map[string]any{"member": h.Member, "role": h.Role}
		if !h.Department.IsZero() {
			after["department"] = h.Department
		}
		ids = append(ids, h.ID)
		entries = append(entries, audit.Entry{Action: access.GrantRevoke, Subject: h.ID, After: after})
	}
	if len(ids) == 0 {
		return nil, nil
	}
	_, err := tx.Change(ctx, "grants", `UPDATE grants SET revoked_at = $2 WHERE corp_id = $1 AND id `+tx.DB().In(3)+` RETURNING id`, tx.Corp(), tx.Now(), tx.DB().IDs(ids))
	return entries, err
}

// EndTokens revokes service tokens that are in force, whoever decided it, and gives an
// entry for each, which the caller appends.
func EndTokens(ctx context.Context, tx *store.Tx, ids ...nid.ID) ([]audit.Entry, error) {
	ended, err := tx.Change(ctx, "service_tokens", `UPDATE service_tokens SET revoked_at = $2 WHERE corp_id = $1 AND id `+tx.DB().In(3)+` AND revoked_at IS NULL RETURNING id`,
		tx.Corp(), tx.Now(), tx.DB().IDs(ids))
	entries := make([]audit.Entry, len(ended))
	for i, id := range ended {
		entries[i] = audit.Entry{Action: access.TokenRevoke, Subject: id, After: map[string]any{}}
	}
	return entries, err
}
