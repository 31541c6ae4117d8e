package identity

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// CreateToken makes a service token for a program and gives its secret, shown this
// one time. department nil is the whole corp. The actor (or the system, for the
// operator's command) manages tokens there, has proven who they are and holds
// every permission there themselves until the token expires. INVALID on
// input.name, input.permissions (none, unknown, or one that needs a person) and
// input.expiresAt (past, or more than a year ahead).
//
// Where the settings demand dual control, a token with a sensitive permission waits until
// another person asks for the same within 72 hours; the secret is for that one, who names
// the token. Until then the id is that of the pending change, and the secret is empty.
func (s *Service) CreateToken(ctx context.Context, title string, permissions []access.Permission, department *nid.ID, expiresAt time.Time) (id nid.ID, token string, err error) {
	err = s.Log.Tx(ctx, s.DB, access.TokenCreate, func(ctx context.Context, tx *store.Tx) error {
		actor, err := Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Can(access.ManageTokens) {
			return mayNotManageTokens()
		}
		expires := expiresAt.UTC().Truncate(time.Microsecond)
		all, err := checkToken(title, permissions, expires, tx.Now())
		if err != nil {
			return err
		}
		var root nid.ID
		if department != nil {
			var ok bool
			if root, ok, err = store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} },
				`SELECT id FROM departments WHERE corp_id = $1 AND id = $2 AND archived_at IS NULL`, tx.Corp(), *department); err != nil {
				return err
			} else if !ok {
				return fault.Missing("input.departmentId")
			}
		}
		lacking, err := Lacking(ctx, tx, actor, root, tx.Now(), access.ManageTokens)
		if err != nil {
			return err
		}
		if len(lacking) > 0 {
			return mayNotManageTokens()
		}
		if lacking, err = Lacking(ctx, tx, actor, root, expires, all...); err != nil {
			return err
		}
		if len(lacking) > 0 {
			return fault.Denied("you do not hold %s there for that long yourself", "您自己在该范围和期限内没有 %s 权限", lacking[0]).With("permissions", texts(lacking))
		}
		if err := Fresh(actor, tx.Now()); err != nil {
			return err
		}
		id, token = tx.NewID(nid.Token), ""
		d, err := s.second(ctx, tx, actor, id, all, root, expires)
		if err != nil {
			return err
		}
		if !d.First.IsZero() {
			id = d.ID
		}
		if !d.Made {
			return s.Log.Append(ctx, tx, d.Entries...)
		}
		token = secret.NewToken(secret.Service, tx.Corp())
		stored, err := json.Marshal(all)
		if err != nil {
			return err
		}
		if _, err := tx.Change(ctx, "service_tokens", `INSERT INTO service_tokens (id, corp_id, created_at, name, permissions, department_id, expires_at, secret_hash, created_by_id)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
			id, tx.Corp(), tx.Now(), title, string(stored), root, expires, secret.Hash(token), actor.ID); err != nil {
			return err
		}
		after := map[string]any{"permissions": texts(all), "expiresAt": expires}
		if !root.IsZero() {
			after["department"] = root
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.TokenCreate, Subject: id, After: d.Note(after), Covers: d.Covers})
	})
	if err != nil {
		return nid.ID{}, "", err
	}
	return id, token, nil
}

// second sees to dual control of a token with a sensitive permission.
func (s *Service) second(ctx context.Context, tx *store.Tx, actor *access.Actor, id nid.ID,
	permissions []access.Permission, root nid.ID, expires time.Time) (Decision, error) {
	if !access.Sensitive(permissions) {
		return Decision{Made: true}, nil
	}
	asked := map[string]any{"permissions": texts(permissions), "expiresAt": expires}
	if !root.IsZero() {
		asked["department"] = root
	}
	return Propose(ctx, tx, actor, Proposal{Operation: "createServiceToken", Subject: tx.Corp(), ID: id, Asked: asked,
		May: func(ctx context.Context, tx *store.Tx, first *access.Actor) (bool, error) {
			manages, err := Lacking(ctx, tx, first, root, tx.Now(), access.ManageTokens)
			if err != nil {
				return false, err
			}
			lacking, err := Lacking(ctx, tx, first, root, expires, permissions...)
			return len(manages)+len(lacking) == 0, err
		}})
}

// checkToken looks at what was asked for and gives the permissions in our order, each once.
func checkToken(title string, permissions []access.Permission, expires, now time.Time) ([]access.Permission, error) {
	const field = "input.permissions"
	if problem, ok := name.Check(title); !ok {
		return nil, fault.New(fault.Invalid, "input.name", problem)
	}
	if len(permissions) == 0 {
		return nil, fault.Bad(field, "name at least one permission", "请至少指定一项权限")
	}
	for _, p := range permissions {
		switch {
		case !p.Known():
			return nil, fault.Bad(field, "unknown permission", "未知的权限")
		case p.ForPeopleOnly():
			return nil, fault.Bad(field, "%s needs a person who proves who they are; no token can have it", "%s 需要本人验证身份,不能授予服务令牌", p)
		}
	}
	switch {
	case !expires.After(now):
		return nil, fault.Bad("input.expiresAt", "the token would have expired already", "到期时间必须晚于当前时间")
	case expires.After(now.AddDate(1, 0, 0)):
		return nil, fault.Bad("input.expiresAt", "a token lasts a year at most", "令牌有效期最长为一年")
	}
	return slices.DeleteFunc(slices.Clone(access.Permissions), func(p access.Permission) bool { return !slices.Contains(permissions, p) }), nil
}

// RevokeToken ends a service token at once. The actor manages tokens where the
// token reaches and has proven who they are. NOT_FOUND on input.id, CONFLICT where
// it is revoked already.
func (s *Service) RevokeToken(ctx context.Context, id nid.ID) error {
	return s.Log.Tx(ctx, s.DB, access.TokenRevoke, func(ctx context.Context, tx *store.Tx) error {
		actor, err := Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Can(access.ManageTokens) {
			return mayNotManageTokens()
		}
		type row struct {
			department nid.ID
			revoked    bool
		}
		t, ok, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.department, &r.revoked} },
			`SELECT department_id, revoked_at IS NOT NULL FROM service_tokens WHERE corp_id = $1 AND id = $2`+tx.DB().ForUpdate(), tx.Corp(), id)
		if err != nil {
			return err
		}
		if !ok {
			return fault.Missing("input.id")
		}
		lacking, err := Lacking(ctx, tx, actor, t.department, tx.Now(), access.ManageTokens)
		if err != nil {
			return err
		}
		if len(lacking) > 0 {
			return fault.Missing("input.id")
		}
		if err := Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if t.revoked {
			return fault.Clash("input.id", "the token is revoked already", "该令牌已被吊销")
		}
		if _, err := tx.Change(ctx, "service_tokens", `UPDATE service_tokens SET revoked_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), id, tx.Now()); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.TokenRevoke, Subject: id})
	})
}

func mayNotManageTokens() error {
	return fault.Denied("you may not manage service tokens there", "您无权管理该范围的服务令牌")
}

func texts(ps []access.Permission) []string {
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = string(p)
	}
	return out
}
