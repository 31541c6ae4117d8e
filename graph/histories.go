package graph

import (
	"context"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/history"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
)

var historyGrants = tableOf("history_grants", nid.HistoryGrant, func(v *ent.HistoryGrant) nid.ID { return v.ID },
	func(c *ent.Client) *ent.HistoryGrantQuery { return c.HistoryGrant.Query() })

func (r *Resolver) listHistoryGrants(ctx context.Context, f *model.HistoryGrantFilter, s span) (*model.HistoryGrantConnection, error) {
	n := r.narrow()
	n.historyGrants(f)
	return list(ctx, n, historyGrants, byAge[*ent.HistoryGrant](), s)
}

func (n *narrow) historyGrants(f *model.HistoryGrantFilter) {
	if f == nil {
		return
	}
	n.id("history_grants.successor_id", f.SuccessorID)
	n.id("history_grants.leaver_id", f.LeaverID)
	n.id("history_grants.contact_id", f.ContactID)
	n.id("history_grants.group_id", f.GroupID)
	n.id("history_grants.handover_id", f.HandoverID)
	if f.Active != nil {
		condition := "history_grants.ended_at IS NULL AND (history_grants.expires_at IS NULL OR history_grants.expires_at > ?)"
		if !*f.Active {
			condition = "NOT (" + condition + ")"
		}
		n.And(condition, n.db.Now())
	}
}

// myHistory is what the viewer may read of others' chats now.
func (r *Resolver) myHistory(ctx context.Context, v *model.Viewer, s span) (*model.HistoryGrantConnection, error) {
	me := v.Actor.ID // a token's is no member's
	return r.listHistoryGrants(ctx, &model.HistoryGrantFilter{SuccessorID: &me, Active: new(true)}, s)
}

// revokeHistory ends a grant and gives it as it is then. Who may end it may see it.
func (r *Resolver) revokeHistory(ctx context.Context, in model.RevokeHistoryGrantInput) (*ent.HistoryGrant, error) {
	if err := (&history.Grants{DB: r.DB, Log: r.Use.Handover.Log}).Revoke(ctx, in.ID, in.Reason); err != nil {
		return nil, err
	}
	return reread(ctx, func(c *ent.Client) (*ent.HistoryGrant, error) { return c.HistoryGrant.Get(ctx, in.ID) })
}

// receipts is a plain table, without an entity.
var receipts = &table[*model.ReadReceipt]{
	name: "read_receipts", id: func(v *model.ReadReceipt) nid.ID { return v.Key },
	rows: func(ctx context.Context, _ *ent.Client, f func(*sql.Selector)) ([]*model.ReadReceipt, error) {
		type row struct {
			model.ReadReceipt
			contact, group nid.ID
		}
		found, err := fromPlain(ctx, "read_receipts", func(v *row) []any {
			return []any{&v.Key, &v.ReaderID, &v.contact, &v.group, &v.Messages, &v.At}
		}, f, "id", "reader_id", "contact_id", "group_id", "messages", "at")
		out := make([]*model.ReadReceipt, len(found))
		for i := range found {
			v := &found[i]
			v.At, v.ContactID, v.GroupID = v.At.UTC(), absent(v.contact), absent(v.group)
			out[i] = &v.ReadReceipt
		}
		return out, err
	},
	count: countPlain("read_receipts"),
}

// myReceipts is who read the viewer's messages, where the corp's settings keep receipts.
func myReceipts(ctx context.Context, v *model.Viewer, s span) (*model.ReadReceiptConnection, error) {
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	kept, err := setting.Load(ctx, q)
	if err != nil {
		return nil, err
	}
	var w store.Where
	if w.And("read_receipts.member_id = ?", v.Actor.ID); !kept.ReadReceipts || v.Actor.Kind != access.Person {
		w.And("1 = 0")
	}
	newestFirst := order[*model.ReadReceipt]{key: timeKey("AT", "read_receipts.at", func(v *model.ReadReceipt) time.Time { return v.At }), desc: true}
	return page(ctx, receipts, &w, newestFirst, s)
}
