package identity

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// handTime is for how long whoever has reset somebody's credentials may be them.
const handTime = 72 * time.Hour

// TwoHands demands that a member cannot be in one hand with one of the others: whoever
// has lately reset the password or the authenticators of somebody could have signed in
// as them. What takes two people takes two hands. FORBIDDEN otherwise.
func TwoHands(ctx context.Context, tx *store.Tx, member nid.ID, others ...nid.ID) error {
	type row struct{ member, by nid.ID }
	resets, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.member, &r.by} },
		`SELECT member_id, reset_by_id FROM credentials WHERE corp_id = $1 AND member_id `+tx.DB().In(2)+` AND reset_at > $3 AND reset_by_id IS NOT NULL`,
		tx.Corp(), tx.DB().IDs(append([]nid.ID{member}, others...)), tx.Now().Add(-handTime))
	if err != nil {
		return err
	}
	hand := map[nid.ID]nid.ID{}
	for _, r := range resets {
		hand[r.member] = r.by
	}
	own := []nid.ID{member, hand[member]}
	for _, other := range others {
		if other == member {
			continue // that is asked elsewhere
		}
		for _, h := range []nid.ID{other, hand[other]} {
			if !h.IsZero() && (h == own[0] || h == own[1]) {
				return fault.Denied("within 72 hours one of you has reset the password or authenticators of the other, or somebody those of both; a third person has to do this",
					"72 小时内你们之一重置过对方的密码或身份验证器,或双方均被同一人重置过,须由第三人完成此操作")
			}
		}
	}
	return nil
}
