package export

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Input is what somebody asks for.
type Input struct {
	Subject Subject `json:"subject"`
	Format  Format  `json:"format"`
	// HandoverID is the case of EVIDENCE; it narrows TRANSFERS and AUDIT_LOG.
	HandoverID *nid.ID `json:"handoverId,omitzero"`
	// Contacts narrows CONTACTS.
	Contacts *contact.Filter `json:"contacts,omitzero"`
}

// longFilter is from where on the log keeps a filter's digest instead of the filter.
const longFilter = 4000

// Create asks for a file and returns at once. It is for people with a fresh proof of
// identity, who need EXPORT_CONTACTS for CONTACTS, EXPORT_GROUPS for GROUPS, either of
// them or READ_AUDIT_LOG for TRANSFERS, and READ_AUDIT_LOG over the whole corp for
// AUDIT_LOG and EVIDENCE. The same key gives the same export.
//
// Fails with FORBIDDEN, also for a member who is LEAVING, STEP_UP_REQUIRED, NOT_FOUND on input.handoverId, INVALID on
// input.format, input.handoverId and input.contacts, CONFLICT for a key that was used
// for something else, and LIMIT where five of the member's are not done yet.
func (s *Service) Create(ctx context.Context, in Input, key string) (id nid.ID, err error) {
	err = s.Log.Tx(ctx, s.DB, access.ExportCreate, func(ctx context.Context, tx *store.Tx) (err error) {
		var done bool
		if id, done, err = tx.Claim(ctx, "createExport", key, in, tx.NewID(nid.Export)); err != nil {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		switch {
		case err != nil:
			return err
		case actor.Leaving:
			return leaving()
		case actor.Kind != access.Person || !may(actor, in.Subject):
			return fault.Denied("you may not export this", "您无权导出此内容")
		case done:
			return nil
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if err := in.check(); err != nil {
			return err
		}
		if in.HandoverID != nil {
			if err := visible(access.With(ctx, actor), tx, *in.HandoverID); err != nil {
				return err
			}
		}
		return s.store(ctx, tx, id, actor, in)
	})
	return id, err
}

// leaving is why a member who is LEAVING exports nothing.
func leaving() error {
	return fault.Denied("a member who is leaving cannot export anything (docs/leaving.md)", "离职流程中的成员不能导出数据（见 docs/leaving.md）")
}

func (in Input) check() error {
	var bad fault.List
	if in.Subject == Evidence && in.Format != CSV {
		bad = append(bad, fault.Bad("input.format", "evidence is a package of its own kind; leave the format out", "证据是专用的压缩包,请勿指定格式"))
	}
	switch {
	case in.Subject == Evidence && in.HandoverID == nil:
		bad = append(bad, fault.Bad("input.handoverId", "name the handover whose evidence it is", "请指定要导出证据的交接"))
	case (in.Subject == Contacts || in.Subject == Groups) && in.HandoverID != nil:
		bad = append(bad, fault.Bad("input.handoverId", "a handover narrows TRANSFERS, AUDIT_LOG and EVIDENCE only", "handoverId 仅适用于 TRANSFERS、AUDIT_LOG 和 EVIDENCE"))
	}
	if in.Contacts != nil && in.Subject != Contacts {
		bad = append(bad, fault.Bad("input.contacts", "this filter is for the export of contacts", "该筛选条件仅适用于导出客户"))
	}
	return append(bad, in.Contacts.Check("input.contacts")...).Err()
}

// visible demands a handover that the actor sees.
func visible(ctx context.Context, tx *store.Tx, id nid.ID) error {
	if id.Kind() == nid.Handover {
		row, err := tx.Ent().Handover.Query().Where(byID(id)).Exist(ctx)
		if err != nil || row {
			return err
		}
	}
	return fault.Missing("input.handoverId")
}

func (s *Service) store(ctx context.Context, tx *store.Tx, id nid.ID, actor *access.Actor, in Input) error {
	// Two who ask at the same time as one member wait for each other here.
	epoch, ok, err := store.SelectOne(ctx, tx, func(n *int) []any { return []any{n} },
		`SELECT epoch FROM members WHERE corp_id = $1 AND id = $2`+tx.DB().ForNoKeyUpdate(), tx.Corp(), actor.ID)
	if err != nil || !ok {
		return err
	}
	open, _, err := store.SelectOne(ctx, tx, func(n *int) []any { return []any{n} },
		`SELECT count(*) FROM exports WHERE corp_id = $1 AND requested_by_id = $2 AND state IN ('QUEUED', 'RUNNING')`, tx.Corp(), actor.ID)
	if err != nil {
		return err
	}
	if open >= MaxOpen {
		return fault.New(fault.Limit, "", fault.T("%d of your exports are not done yet; wait for one of them", "您有 %d 个导出尚未完成,请等待其中一个完成", open))
	}
	after := map[string]any{"subject": string(in.Subject)}
	var format, filter, handover any
	if in.Subject != Evidence {
		format, after["format"] = string(in.Format), string(in.Format)
	}
	if in.HandoverID != nil {
		// Not as the entry's handover: a package of the case would then show that it was
		// asked for, and no two of them were equal.
		handover, after["handover"] = *in.HandoverID, *in.HandoverID
	}
	if in.Contacts != nil {
		b, err := json.Marshal(in.Contacts)
		if err != nil {
			return err
		}
		if filter = string(b); len(b) <= longFilter {
			after["filter"] = string(b)
		} else {
			sum := sha256.Sum256(b)
			after["filterDigest"] = hex.EncodeToString(sum[:])
		}
	}
	if _, err := tx.Change(ctx, "exports", `INSERT INTO exports (id, corp_id, created_at, requested_by_id, epoch, subject, format, state, handover_id, filter, language, run_token)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 'QUEUED', $8, $9, $10, 0) RETURNING id`,
		id, tx.Corp(), tx.Now(), actor.ID, epoch, string(in.Subject), format, handover, filter, language(actor)); err != nil {
		return err
	}
	if err := tx.Wake(ctx, WorkExports, tx.Now()); err != nil {
		return err
	}
	return s.Log.Append(ctx, tx, audit.Entry{Action: access.ExportCreate, Subject: id, After: after})
}

// language is the one that headers are in.
func language(a *access.Actor) string {
	if slices.Contains([]string{"zh-CN", "zh"}, a.Lang) {
		return "zh-CN"
	}
	return "en"
}
