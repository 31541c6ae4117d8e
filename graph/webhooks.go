package graph

import (
	"context"
	"time"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/webhook"
)

var webhooks = tableOf("webhooks", nid.Webhook, func(v *ent.Webhook) nid.ID { return v.ID },
	func(c *ent.Client) *ent.WebhookQuery { return c.Webhook.Query() })

// deliveries is a plain table, without an entity: it is read here as ent would.
var deliveries = &table[*model.WebhookDelivery]{
	name: "webhook_deliveries", id: func(d *model.WebhookDelivery) nid.ID { return d.Key },
	rows: func(ctx context.Context, _ *ent.Client, f func(*sql.Selector)) ([]*model.WebhookDelivery, error) {
		found, err := fromPlain(ctx, "webhook_deliveries", func(d *model.WebhookDelivery) []any {
			return []any{&d.Key, &d.State, &d.Event, &d.SubjectID, &d.Attempts, &d.Status, &d.Problem, &d.CreatedAt, &d.NextAt, &d.FinishedAt}
		}, f, "id", "state", "event", "subject_id", "attempts", "status", "problem", "created_at", "next_at", "finished_at")
		out := make([]*model.WebhookDelivery, len(found))
		for i := range found {
			d := &found[i]
			for _, t := range []*time.Time{&d.CreatedAt, d.NextAt, d.FinishedAt} {
				if t != nil {
					*t = t.UTC()
				}
			}
			out[i] = d
		}
		return out, err
	},
	count: countPlain("webhook_deliveries"),
}

// countPlain counts the corp's rows of a plain table.
func countPlain(table string) func(context.Context, *ent.Client, func(*sql.Selector)) (int, error) {
	return func(ctx context.Context, _ *ent.Client, f func(*sql.Selector)) (int, error) {
		n, err := fromPlain(ctx, table, func(n *int) []any { return []any{n} }, f, sql.Count("*"))
		if err != nil {
			return 0, err
		}
		return n[0], nil
	}
}

// fromPlain selects columns of the corp's rows of a plain table.
func fromPlain[T any](ctx context.Context, table string, dest func(*T) []any, f func(*sql.Selector), columns ...string) ([]T, error) {
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	engine := dialect.SQLite
	if q.DB().Postgres() {
		engine = dialect.Postgres
	}
	from := sql.Dialect(engine).Select(columns...).From(sql.Table(table))
	from.Where(sql.EQ(from.C("corp_id"), corpOf(ctx)))
	f(from)
	query, args := from.Query()
	return store.Select(ctx, q, dest, query, args...)
}

// managesWebhooks: a webhook is told of the whole corp, and its address may hold a
// password of the receiver's. Only who may change it sees it.
func managesWebhooks(ctx context.Context) bool {
	return access.From(ctx).Scope(access.ManageConnector).All
}

// ofManagers is a finder that finds nothing for anybody else.
func ofManagers(f finder) finder {
	return func(ctx context.Context, ids []nid.ID) (map[nid.ID]siblings.Entity, error) {
		if !managesWebhooks(ctx) {
			return nil, nil
		}
		return f(ctx, ids)
	}
}

func listWebhooks(ctx context.Context, s span) (*model.WebhookConnection, error) {
	if !managesWebhooks(ctx) {
		return nil, fault.Denied("you may not manage webhooks", "您无权管理 Webhook")
	}
	var w store.Where
	w.And("webhooks.archived_at IS NULL")
	return page(ctx, webhooks, &w, byAge[*ent.Webhook](), s)
}

// latest sorts deliveries, the one that was made last first.
var latest = order[*model.WebhookDelivery]{key: idKey[*model.WebhookDelivery](), desc: true}

func deliveriesOf(ctx context.Context, h *ent.Webhook, s span) (*model.WebhookDeliveryConnection, error) {
	return nested(ctx, h, webhooks.id, hangs("deliveries", "webhook_deliveries", "webhook_deliveries.webhook_id"), deliveries, &store.Where{}, latest, s)
}

func webhookOf(ctx context.Context, id nid.ID) (*ent.Webhook, error) {
	return reread(ctx, func(c *ent.Client) (*ent.Webhook, error) { return c.Webhook.Get(ctx, id) })
}

func deliveryOf(ctx context.Context, id nid.ID) (*model.WebhookDelivery, error) {
	rows, err := deliveries.byID(ctx, id)
	return rows[id], err
}

func webhookInput(in model.SaveWebhookInput) webhook.Input {
	out := webhook.Input{ID: in.ID, Version: in.Version, Name: in.Name, URL: in.URL, Active: in.Active}
	for _, e := range in.Events {
		out.Events = append(out.Events, notify.Event(e))
	}
	return out
}

// some is a nullable text; null where it is empty.
func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
