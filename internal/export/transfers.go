package export

import (
	"context"

	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/ent/predicate"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// transfers are those of one handover, or all. The name of what a transfer moved is
// there where the file of contacts or groups would have it; the id always is.
func (s *Service) transfers(ctx context.Context, of nid.ID, lang string) *source {
	w := narrowed(ctx, "transfers")
	if !of.IsZero() {
		w.And("transfers.handover_id = ?", of)
	}
	contacts, groups := narrowed(ctx, "contacts"), narrowed(ctx, "groups")
	var last nid.ID
	return &source{
		columns: []column{
			own("transfer_id", "分配记录编号"), own("handover_id", "交接编号"), own("handover_kind", "交接类型"), own("kind", "类型"), own("importance", "重要程度"),
			own("contact_id", "客户编号"), own("contact_name", "客户"), own("group_id", "客户群编号"), own("group_name", "客户群"),
			own("from_userid", "原成员账号"), own("to_userid", "接替成员账号"), own("status", "状态"), own("reason", "原因"), own("because", "选择依据"),
			own("planned_at", "计划时间"), own("assigned_at", "分配时间"), own("finished_at", "结束时间"),
		},
		count: func(ctx context.Context, q *store.Read) (int, error) {
			return q.Ent().Transfer.Query().Where(predicate.Transfer(w.Apply)).Count(ctx)
		},
		next: func(ctx context.Context, q *store.Read) ([][]any, error) {
			rows, err := q.Ent().Transfer.Query().Where(predicate.Transfer(from(w, "transfers", last))).All(ctx)
			if err != nil || len(rows) == 0 {
				return nil, err
			}
			last = rows[len(rows)-1].ID
			customers, err := q.Ent().Contact.Query().Where(predicate.Contact(those(contacts, q, "contacts", each(rows, func(t *ent.Transfer) nid.ID { return t.ContactID })))).All(ctx)
			if err != nil {
				return nil, err
			}
			chats, err := q.Ent().Group.Query().Where(predicate.Group(those(groups, q, "groups", each(rows, func(t *ent.Transfer) nid.ID { return t.GroupID })))).All(ctx)
			if err != nil {
				return nil, err
			}
			cases, err := q.Ent().Handover.Query().Where(predicate.Handover(those(&store.Where{}, q, "handovers", each(rows, func(t *ent.Transfer) nid.ID { return t.HandoverID })))).All(ctx)
			if err != nil {
				return nil, err
			}
			names, kinds := map[nid.ID]any{}, map[nid.ID]any{}
			for _, c := range customers {
				names[c.ID] = c.Name
			}
			for _, g := range chats {
				names[g.ID] = g.Name
			}
			for _, h := range cases {
				kinds[h.ID] = string(h.Kind)
			}
			people, err := userIDs(ctx, q, append(each(rows, func(t *ent.Transfer) nid.ID { return t.FromID }), each(rows, func(t *ent.Transfer) nid.ID { return t.ToID })...))
			return each(rows, func(t *ent.Transfer) []any {
				var reason, why any
				if t.Because != nil {
					why = handover.Because(*t.Because).In(lang)
				}
				if t.Reason != nil {
					reason = string(*t.Reason)
				}
				return []any{
					t.ID.String(), t.HandoverID.String(), kinds[t.HandoverID], string(t.Kind), string(t.Importance),
					id(t.ContactID), names[t.ContactID], id(t.GroupID), names[t.GroupID], people[t.FromID], people[t.ToID],
					string(t.Status), reason, why, moment(&t.CreatedAt), moment(t.AssignedAt), moment(t.FinishedAt),
				}
			}), err
		},
	}
}

// those adds to conditions that a row is one of the ids.
func those(w *store.Where, q *store.Read, table string, ids []nid.ID) func(*sql.Selector) {
	of := *w
	of.And(table+".id "+q.DB().InList(), q.DB().IDs(ids))
	return of.Apply
}
