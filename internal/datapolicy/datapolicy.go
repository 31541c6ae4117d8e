// Package datapolicy publishes texts about the handling of data, and keeps who has
// acknowledged them. Each revision is a row of its own with an id of its own: what
// somebody acknowledges is the text they were shown, whatever is published meanwhile.
// A new revision, and a new member, are outstanding by themselves.
package datapolicy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// maxBody is the longest text in characters.
const maxBody = 50_000

// Service holds the use cases.
type Service struct {
	DB  *store.DB
	Log *audit.Log
}

// Input is a text to publish.
type Input struct {
	// Replaces is the revision that the text takes the place of; nil: a new policy.
	Replaces    *nid.ID
	Title, Body string
}

// Publish publishes a policy or its next revision, which everybody has to acknowledge
// anew. It needs MANAGE_POLICIES over the whole corp. Fails with FORBIDDEN,
// STEP_UP_REQUIRED, NOT_FOUND on input.replacesId, INVALID on input.title or input.body,
// and CONFLICT where what it replaces is no longer the current revision, or a current
// policy has the title already.
func (s *Service) Publish(ctx context.Context, in Input) (id nid.ID, err error) {
	err = s.Log.Tx(ctx, s.DB, access.PolicyPublish, func(ctx context.Context, tx *store.Tx) error {
		actor, err := publisher(ctx, tx)
		if err != nil {
			return err
		}
		var was policy
		if in.Replaces != nil {
			if was, err = find(ctx, tx, *in.Replaces, "input.replacesId", tx.DB().ForNoKeyUpdate()); err != nil {
				return err
			}
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if err := in.check(); err != nil {
			return err
		}
		if was.ended {
			return elsewhere("input.replacesId")
		}
		id = tx.NewID(nid.Policy)
		series, covers := id, []nid.ID(nil)
		if in.Replaces != nil {
			if covers, err = end(ctx, tx, *in.Replaces); err != nil {
				return err
			}
			series = was.series
		}
		if _, err := tx.Change(ctx, "data_policies", `INSERT INTO data_policies (id, corp_id, created_at, series_id, revision, title, body, published_at, published_by_id)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $3, $8) RETURNING id`, id, tx.Corp(), tx.Now(), series, was.revision+1, in.Title, in.Body, actor.ID); err != nil {
			if store.Duplicate(err) {
				return fault.Clash("input.title", "there is a policy of this title already; publish its next revision", "已存在同名政策,请发布其新版本")
			}
			return err
		}
		sum := sha256.Sum256([]byte(in.Body))
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.PolicyPublish, Subject: id, Covers: covers,
			After: map[string]any{"title": in.Title, "revision": was.revision + 1, "series": series, "sha256": hex.EncodeToString(sum[:])}})
	})
	if err != nil {
		return nid.ID{}, err
	}
	return id, nil
}

// Withdraw ends a policy: nobody has to acknowledge it any more. It needs
// MANAGE_POLICIES over the whole corp. Fails with FORBIDDEN, STEP_UP_REQUIRED,
// NOT_FOUND on input.id, and CONFLICT where the revision is not the current one.
func (s *Service) Withdraw(ctx context.Context, id nid.ID) error {
	return s.Log.Tx(ctx, s.DB, access.PolicyWithdraw, func(ctx context.Context, tx *store.Tx) error {
		actor, err := publisher(ctx, tx)
		if err != nil {
			return err
		}
		was, err := find(ctx, tx, id, "input.id", tx.DB().ForNoKeyUpdate())
		if err != nil {
			return err
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if was.ended {
			return elsewhere("input.id")
		}
		if _, err := end(ctx, tx, id); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.PolicyWithdraw, Subject: id, After: map[string]any{"series": was.series, "revision": was.revision}})
	})
}

// Acknowledge notes that the acting member has read this revision. To do it again
// changes nothing and leaves no entry. Fails with FORBIDDEN for a service token,
// NOT_FOUND on input.id, and CONFLICT where the revision is no longer the current one.
func (s *Service) Acknowledge(ctx context.Context, id nid.ID) error {
	return s.Log.Tx(ctx, s.DB, access.PolicyAck, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if actor.Kind != access.Person {
			return fault.Denied("only members acknowledge policies", "仅成员可以确认政策")
		}
		was, err := find(ctx, tx, id, "input.id", tx.DB().ForShare())
		if err != nil {
			return err
		}
		if was.ended {
			return elsewhere("input.id")
		}
		first, err := tx.Change(ctx, "policy_acknowledgements", `INSERT INTO policy_acknowledgements (corp_id, policy_id, member_id, at)
			VALUES ($1, $2, $3, $4) ON CONFLICT (corp_id, policy_id, member_id) DO NOTHING RETURNING policy_id`, tx.Corp(), id, actor.ID, tx.Now())
		if err != nil || len(first) == 0 {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.PolicyAck, Subject: id, After: map[string]any{"series": was.series, "revision": was.revision}})
	})
}

type policy struct {
	series   nid.ID
	revision int
	ended    bool
}

// find reads a revision; the lock keeps it from ending before the transaction does.
func find(ctx context.Context, tx *store.Tx, id nid.ID, field, lock string) (policy, error) {
	p, ok, err := store.SelectOne(ctx, tx, func(p *policy) []any { return []any{&p.series, &p.revision, &p.ended} },
		`SELECT series_id, revision, ended_at IS NOT NULL FROM data_policies WHERE corp_id = $1 AND id = $2`+lock, tx.Corp(), id)
	if err == nil && !ok {
		err = fault.Missing(field)
	}
	return p, err
}

// end ends a revision that is current and locked.
func end(ctx context.Context, tx *store.Tx, id nid.ID) ([]nid.ID, error) {
	return tx.Change(ctx, "data_policies", `UPDATE data_policies SET ended_at = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), id, tx.Now())
}

// publisher is the actor, who manages the whole corp's policies.
func publisher(ctx context.Context, tx *store.Tx) (*access.Actor, error) {
	actor, err := identity.Confirm(ctx, tx)
	if err == nil && !actor.Scope(access.ManagePolicies).All {
		err = fault.Denied("policies need MANAGE_POLICIES over the whole corp", "管理政策需要对整个企业的 MANAGE_POLICIES 权限")
	}
	return actor, err
}

func (in Input) check() error {
	var bad fault.List
	if problem, ok := name.Check(in.Title); !ok {
		bad = append(bad, fault.New(fault.Invalid, "input.title", problem))
	}
	if problem, ok := name.CheckText(in.Body, maxBody); !ok {
		bad = append(bad, fault.New(fault.Invalid, "input.body", problem))
	} else if strings.TrimSpace(in.Body) == "" {
		bad = append(bad, fault.Bad("input.body", "is empty", "不能为空"))
	}
	return bad.Err()
}

func elsewhere(field string) error {
	return fault.Clash(field, "this is no longer the current revision", "该版本已不是当前版本")
}
