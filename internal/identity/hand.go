package identity

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Patience is for how long what takes two people waits for the second one, and for how
// long whoever has reset somebody's credentials may be them.
const Patience = 72 * time.Hour

// TwoHands demands that a member cannot be in one hand with one of the others: whoever
// has reset the password or the authenticators of somebody within Patience could have
// signed in as them, and so could whoever has reset theirs in turn. The log has all
// resets, and nobody takes one back. What takes two people takes two hands. FORBIDDEN
// otherwise; the member among the others is passed over, for that is asked elsewhere.
func TwoHands(ctx context.Context, tx *store.Tx, member nid.ID, others ...nid.ID) error {
	type held struct{ of, by nid.ID }
	hands, err := store.Select(ctx, tx, func(h *held) []any { return []any{&h.of, &h.by} }, `
		WITH RECURSIVE hands AS (
			SELECT m.id AS whose, m.id AS hand FROM members AS m WHERE m.corp_id = $1 AND m.id `+tx.DB().In(2)+`
			UNION SELECT h.whose, e.actor_id FROM hands AS h JOIN audit_entries AS e ON e.corp_id = $1 AND e.subject_id = h.hand AND e.action = $3 AND e.at > $4 AND e.actor_id IS NOT NULL)
		SELECT whose, hand FROM hands`, tx.Corp(), tx.DB().IDs(append([]nid.ID{member}, others...)), string(access.CredentialReset), tx.Now().Add(-Patience))
	if err != nil {
		return err
	}
	own := map[nid.ID]bool{}
	for _, h := range hands {
		if h.of == member {
			own[h.by] = true
		}
	}
	for _, h := range hands {
		if h.of != member && own[h.by] {
			return fault.Denied("within 72 hours one of you has reset the password or authenticators of the other, or somebody those of both; a third person has to do this",
				"72 小时内你们之一重置过对方的密码或身份验证器,或双方均被同一人重置过,须由第三人完成此操作")
		}
	}
	return nil
}
