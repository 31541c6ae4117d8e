// Package corp founds a corp: the row itself, the built-in roles, the approval
// policy it starts with and the root of its departments.
package corp

import (
	"context"
	"encoding/json"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// The approval policy of a new corp (semantics.md "States").
const (
	keyContactsNeedApproval = true
	approvals               = 1
	expiresAfterHours       = 72
)

// Zone is the time zone in which the actor's corp counts its days.
func Zone(ctx context.Context, q store.Querier) (*time.Location, error) {
	name, _, err := store.SelectOne(ctx, q, func(s *string) []any { return []any{s} }, `SELECT time_zone FROM corps WHERE id = $1`, access.From(ctx).Corp)
	if err != nil {
		return nil, err
	}
	return time.LoadLocation(name)
}

// Founded is what a new corp starts with.
type Founded struct {
	ID    nid.ID
	Roles map[string]nid.ID // by the name of the built-in role
}

// Found makes a corp inside a transaction whose corp is the new id: the caller
// makes the id and opens the transaction with store.System. Fails with INVALID
// for a name or time zone that cannot be, CONFLICT where the name is taken.
func Found(ctx context.Context, tx *store.Tx, log *audit.Log, title, timeZone string) (Founded, error) {
	f := Founded{ID: tx.Corp(), Roles: map[string]nid.ID{}}
	if problem, ok := name.Check(title); !ok {
		return f, fault.New(fault.Invalid, "corp", problem)
	}
	if _, err := time.LoadLocation(timeZone); err != nil || timeZone == "" {
		return f, fault.Bad("timeZone", "unknown time zone; write one like Asia/Shanghai", "未知时区,请写成 Asia/Shanghai 这样的名称")
	}
	now := tx.Now()
	if _, err := tx.Change(ctx, "corps", `INSERT INTO corps (id, corp_id, created_at, updated_at, version, name, time_zone)
		VALUES ($1, $1, $2, $2, 1, $3, $4) RETURNING id`, f.ID, now, title, timeZone); err != nil {
		if store.Duplicate(err) {
			return f, fault.Clash("corp", "there is a corp of this name already", "已存在同名企业")
		}
		return f, err
	}
	var rows []map[string]any
	covers, roles := []nid.ID{f.ID}, map[string]any{}
	for _, b := range access.BuiltInRoles {
		id := tx.NewID(nid.Role)
		f.Roles[b.Name] = id
		covers, roles[b.Name] = append(covers, id), id
		permissions, err := json.Marshal(b.Permissions)
		if err != nil {
			return f, err
		}
		rows = append(rows, map[string]any{"id": id, "name": b.Name, "permissions": json.RawMessage(permissions), "sensitive": access.Sensitive(b.Permissions)})
	}
	if _, err := tx.Change(ctx, "roles", `INSERT INTO roles (id, corp_id, created_at, updated_at, version, name, permissions, sensitive, built_in)
		SELECT id, $2, $3, $3, 1, name, permissions, sensitive, true FROM `+tx.DB().Rows(1, "r", "id uuid", "name text", "permissions json", "sensitive bool")+` WHERE true RETURNING id`,
		tx.DB().Batch(rows), f.ID, now); err != nil {
		return f, err
	}
	if _, err := tx.Change(ctx, "approval_policies", `INSERT INTO approval_policies (corp_id, key_contacts, approvals, expires_after_hours, version, updated_at)
		VALUES ($1, $2, $3, $4, 1, $5) RETURNING corp_id`, f.ID, keyContactsNeedApproval, approvals, expiresAfterHours, now); err != nil {
		return f, err
	}
	return f, log.Append(ctx, tx, audit.Entry{Action: access.CorpCreate, Subject: f.ID, Covers: covers, After: map[string]any{"timeZone": timeZone, "roles": roles}})
}
