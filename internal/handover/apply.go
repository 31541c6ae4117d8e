package handover

import (
	"context"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/history"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// pair is a contact and a member who follows it.
type pair struct{ contact, member nid.ID }

// owned is the leaver's hold on one item.
type owned struct {
	follow  nid.ID // of a contact
	version int
	busy    bool
}

// is reports whether it is what the transfer was planned for. A leaver who came to
// follow a contact again has another follow, whose versions began anew.
func (o owned) is(t *Transfer) bool { return o.follow == t.Follow && o.version == t.Version }

// heldItems are the locked rows of a handover's items.
type heldItems struct {
	owned    map[nid.ID]owned // by contact or group, where the giver still has it
	followed map[pair]*nid.ID // the receivers' own open follows
	// ended are the follows that a merge ended, by id, where it is to be undone.
	ended map[nid.ID]owned
	taken map[nid.ID]bool // follows that went to somebody else
	// marks are the importance that each contact has now, and until when it was KEY.
	marks map[nid.ID]mark
}

// lockItems locks the follows of givers and receivers together with their
// contacts, in one order for all transactions, then the groups.
func lockItems(ctx context.Context, tx *store.Tx, ts []Transfer) (*heldItems, error) {
	h := &heldItems{owned: map[nid.ID]owned{}, followed: map[pair]*nid.ID{}, ended: map[nid.ID]owned{}, marks: map[nid.ID]mark{}}
	giver := map[nid.ID]nid.ID{}
	var contacts, groups, ended []nid.ID
	for _, t := range ts {
		giver[t.Item.ID] = t.From
		if t.Kind == Group {
			groups = append(groups, t.Item.ID)
			continue
		}
		contacts = append(contacts, t.Item.ID)
		if t.Back != nil && t.Back.Merged {
			ended = append(ended, t.Follow)
		}
	}
	db, o := tx.DB(), outlined(ts)
	if len(contacts) > 0 {
		type row struct {
			id, contact, member nid.ID
			version             int
			busy, open          bool
			mark
		}
		lock := ""
		if db.Postgres() {
			lock = db.ForUpdate() + " OF follows, contacts"
		}
		which, args := "follows.ended_at IS NULL AND follows.member_id "+db.In(3), []any{tx.Corp(), db.IDs(contacts), db.IDs(slices.Concat(o.successors, o.givers))}
		if len(ended) > 0 {
			which, args = "("+which+" OR follows.id "+db.In(4)+")", append(args, db.IDs(ended))
		}
		rows, err := store.Select(ctx, tx, func(r *row) []any {
			return []any{&r.id, &r.contact, &r.member, &r.version, &r.busy, &r.open, &r.importance, &r.keyUntil}
		}, `SELECT follows.id, follows.contact_id, follows.member_id, follows.owner_version, follows.reserved_by_id IS NOT NULL,
			follows.ended_at IS NULL, contacts.importance, contacts.key_until
			FROM follows JOIN contacts ON contacts.corp_id = follows.corp_id AND contacts.id = follows.contact_id
			WHERE follows.corp_id = $1 AND follows.contact_id `+db.In(2)+` AND `+which+`
			ORDER BY follows.contact_id, follows.id`+lock, args...)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			h.marks[r.contact] = r.mark
			switch {
			case !r.open:
				h.ended[r.id] = owned{r.id, r.version, r.busy}
			case r.member == giver[r.contact]:
				h.owned[r.contact] = owned{r.id, r.version, r.busy}
			default:
				id := r.id
				h.followed[pair{r.contact, r.member}] = &id
			}
		}
		if err := h.gone(ctx, tx, ts); err != nil {
			return nil, err
		}
	}
	if len(groups) > 0 {
		type row struct {
			id, owner nid.ID
			version   int
			busy      bool
		}
		rows, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.id, &r.owner, &r.version, &r.busy} },
			`SELECT id, owner_id, owner_version, reserved_by_id IS NOT NULL FROM groups WHERE corp_id = $1 AND id `+db.In(2)+` ORDER BY id`+db.ForUpdate(),
			tx.Corp(), db.IDs(groups))
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if r.owner == giver[r.id] {
				h.owned[r.id] = owned{version: r.version, busy: r.busy}
			}
		}
	}
	return h, nil
}

// gone finds which of the follows that the givers have no more went to somebody else.
// The others have ended: the contact left, or was let go.
func (h *heldItems) gone(ctx context.Context, tx *store.Tx, ts []Transfer) error {
	var missing []nid.ID
	for _, t := range ts {
		if _, there := h.owned[t.Item.ID]; !there && t.Kind == Contact {
			missing = append(missing, t.Follow)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	taken, err := store.Select(ctx, tx, func(id *nid.ID) []any { return []any{id} },
		`SELECT id FROM follows WHERE corp_id = $1 AND id `+tx.DB().In(2)+` AND (ended_at IS NULL OR ended_by_id IS NOT NULL)`, tx.Corp(), tx.DB().IDs(missing))
	h.taken = map[nid.ID]bool{}
	for _, id := range taken {
		h.taken[id] = true
	}
	return err
}

// mark is how important a contact is, and was.
type mark struct {
	importance string
	keyUntil   *time.Time
}

// important gives the transfers the importance that their contacts have now.
func (h *heldItems) important(ts []Transfer, now time.Time) {
	for i := range ts {
		if v, ok := h.marks[ts[i].Item.ID]; ok {
			ts[i].Importance, ts[i].keyUntil = v.importance, v.keyUntil
			ts[i].count(now)
		}
	}
}

// apply moves what is COMPLETED, set by set, and gives the rows that each
// transfer changed beside itself, for its audit entry.
func apply(ctx context.Context, tx *store.Tx, r *record, ts []Transfer, who map[nid.ID]*person, held *heldItems) (covers map[nid.ID][]nid.ID, err error) {
	a := &application{ctx: ctx, tx: tx, covers: map[nid.ID][]nid.ID{}, of: map[nid.ID]nid.ID{}}
	var grants []history.Grant
	bound, err := r.historyBound(ctx, tx, ts)
	if err != nil {
		return nil, err
	}
	for i := range ts {
		t := &ts[i]
		if t.Status != TransferCompleted {
			continue
		}
		row := map[string]any{"corp": tx.Corp(), "item": t.Item.ID, "follow": t.Follow, "from_id": t.From, "to_id": t.To, "version": t.Version, "transfer": t.ID, "period": tx.NewID(nid.Period),
			"answers": who[t.To].answers(), "caretaker": who[t.To].Caretaker}
		if t.Back != nil {
			row["back"] = t.Back.ID
		}
		switch {
		case t.Kind == Group:
			a.groups = append(a.groups, row)
			t.Undo = &undo{}
		case t.Back != nil && t.Back.Merged:
			a.reopened = append(a.reopened, row)
			a.undone = append(a.undone, t)
			t.Undo = &undo{Reopened: true}
		case t.Merged:
			kept := *held.followed[pair{t.Item.ID, t.To}]
			row["kept"] = kept
			a.merged = append(a.merged, row)
			t.Undo = &undo{Kept: kept}
		default:
			a.moved = append(a.moved, row)
		}
		a.of[t.Item.ID] = t.ID
		a.of[t.Follow] = t.ID
		a.of[t.ID] = t.ID
		if t.Back != nil {
			a.of[t.Back.ID] = t.ID
		}
		g := history.Grant{ID: tx.NewID(nid.HistoryGrant), Successor: t.To, Leaver: t.From, Transfer: t.ID, Scope: history.Scope{ExpiresAt: bound(t.To)}}
		if t.Kind == Contact {
			g.Contact = t.Item.ID
		} else {
			g.Group = t.Item.ID
		}
		grants = append(grants, g)
	}
	if len(a.of) == 0 {
		return a.covers, nil
	}
	for _, step := range []func() error{a.endMerged, a.uniteTags, a.fillRemarks, a.reopen, a.takeTags, a.takeRemarks, a.moveFollows, a.moveGroups,
		a.joinGroups, a.leaveGroups, a.closePeriods, a.openPeriods, a.freeContacts} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	for i := range ts {
		if t := &ts[i]; t.Status == TransferCompleted && t.Undo != nil {
			t.Undo.Tags, t.Undo.Remark, t.Undo.Joined = a.tags[t.ID], a.remarks[t.ID], a.joined[t.ID]
		}
	}
	if r.History.Mode != "NONE" {
		written, err := history.Write(ctx, tx, r.ID, history.Scope{From: r.History.From, Until: r.History.Until, ExpiresAt: r.History.ExpiresAt}, grants)
		if err != nil {
			return nil, err
		}
		of := map[nid.ID][]history.Grant{}
		for _, g := range written {
			a.covers[g.Transfer] = append(a.covers[g.Transfer], g.ID)
			of[g.Transfer] = append(of[g.Transfer], g)
		}
		for i := range ts {
			ts[i].Granted = of[ts[i].ID]
		}
	}
	// What the giver could read decides what they hand on, so it ends last.
	if err := a.endHistory(); err != nil {
		return nil, err
	}
	return a.covers, a.restoreHistory()
}
